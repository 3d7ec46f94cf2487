"""LiteLLM: chat, stream, tools, errors. python litellm_chat.py [BASE_URL] [KEY]"""

import sys
from typing import Any

import litellm

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def main(base_url: str = "http://127.0.0.1:8000/v1", key: str = "none") -> None:
    """Ask, and print what is said."""

    def ask(name: str, messages: list[Any], **more: Any) -> Any:
        # "openai/" says which kind of server this is; it is not sent.
        return litellm.completion(f"openai/{name}", messages, api_base=base_url, api_key=key, max_retries=0, **more)

    hello = [{"role": "user", "content": "안녕하세요"}]
    print(ask("sadari", hello).choices[0].message.content)
    print("".join(chunk.choices[0].delta.content or "" for chunk in ask("sadari-raw", hello, stream=True)))
    messages: list[Any] = [{"role": "user", "content": "부산 날씨 알려줘"}]
    asked = ask("sadari-raw", messages, tools=[WEATHER]).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "오늘 맑음"} for call in asked.tool_calls]
    print(ask("sadari-raw", [*messages, asked.model_dump(exclude_none=True), *results], tools=[WEATHER]).choices[0].message.content)
    try:
        ask("no-such-model", hello)
    except litellm.exceptions.NotFoundError as error:
        print(error.status_code, error.message)


if __name__ == "__main__":
    main(*sys.argv[1:])
