"""LangChain's ChatOpenAI: chat, stream, tools, errors. python langchain_chat.py [BASE_URL] [KEY]"""

import sys

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def weather(city: str) -> str:
    """Weather of a city."""
    return "오늘 맑음"


def main(base_url: str = "http://127.0.0.1:8000/v1", key: str = "none") -> None:
    """Ask, and print what is said."""

    def model(name: str) -> ChatOpenAI:
        return ChatOpenAI(model=name, base_url=base_url, api_key=key, max_retries=0)

    print(model("sadari").invoke("안녕하세요").content)
    print("".join(str(chunk.content) for chunk in model("sadari-raw").stream("안녕하세요")))
    with_tools = model("sadari-raw").bind_tools([weather])
    question = HumanMessage("부산 날씨 알려줘")
    asked = with_tools.invoke([question])
    results = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in asked.tool_calls]
    print(with_tools.invoke([question, asked, *results]).content)
    try:
        model("no-such-model").invoke("?")
    except openai.NotFoundError as error:
        print(error.status_code, error.message)


if __name__ == "__main__":
    main(*sys.argv[1:])
