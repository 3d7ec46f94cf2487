"""LlamaIndex's OpenAILike: chat, stream, tools, errors. python llama_index_chat.py [BASE_URL] [KEY]"""

import sys

import openai
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike


def weather(city: str) -> str:
    """Weather of a city."""
    return "오늘 맑음"


def main(base_url: str = "http://127.0.0.1:8000/v1", key: str = "none") -> None:
    """Ask, and print what is said."""

    def model(name: str) -> OpenAILike:
        kind = {"is_chat_model": True, "is_function_calling_model": True}
        return OpenAILike(model=name, api_base=base_url, api_key=key, max_retries=0, context_window=8_192, **kind)

    hello = [ChatMessage(role="user", content="안녕하세요")]
    print(model("sadari").chat(hello).message.content)
    print("".join(piece.delta or "" for piece in model("sadari-raw").stream_chat(hello)))
    tool = FunctionTool.from_defaults(weather)
    print(model("sadari-raw").predict_and_call([tool], "부산 날씨 알려줘").response)
    question = ChatMessage(role="user", content="부산 날씨 알려줘")
    asked = model("sadari-raw").chat_with_tools([tool], chat_history=[question])
    calls = model("sadari-raw").get_tool_calls_from_response(asked)
    results = [
        ChatMessage(role="tool", content=str(tool(**call.tool_kwargs)), additional_kwargs={"tool_call_id": call.tool_id})
        for call in calls
    ]
    print(model("sadari-raw").chat_with_tools([tool], chat_history=[question, asked.message, *results]).message.content)
    try:
        model("no-such-model").chat(hello)
    except openai.NotFoundError as error:
        print(error.status_code, error.message)


if __name__ == "__main__":
    main(*sys.argv[1:])
