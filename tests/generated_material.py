"""Tools, passages and rows that rows are generated from, and a teacher that says what a test lets it say."""

import json
from collections.abc import Callable
from typing import Any

from sadari.model import ScriptedModel
from sadari.types import Chunk, Example, Message, Reference, Request, ToolSpec


def tool(name: str, description: str, properties: dict[str, Any], required: list[str] | None = None) -> ToolSpec:
    names = list(properties) if required is None else required
    return ToolSpec(name, description, {"type": "object", "properties": properties, "required": names})


SHOP_TOOLS = (
    tool(
        "change_address",
        "주문의 배송지를 변경합니다.",
        {
            "order_id": {"type": "string", "pattern": r"^[A-Z]-\d{5}$", "description": "변경할 주문의 번호"},
            "address": {"type": "string", "description": "새로운 배송지 주소"},
        },
    ),
    tool("search_products", "상품을 검색합니다.", {"query": {"type": "string", "description": "검색어"}}),
    tool(
        "get_weather",
        "특정 지역의 현재 날씨 정보 제공",
        {"region": {"type": "string", "description": "날씨 정보를 가져올 지역 이름"}},
    ),
    tool(
        "add_event",
        "캘린더에 일정 추가",
        {
            "title": {"type": "string", "description": "추가할 일정의 제목"},
            "date": {"type": "string", "format": "date", "description": "일정의 날짜"},
            "guests": {"type": "integer", "minimum": 1, "maximum": 9, "description": "참석 인원"},
        },
        ["title", "date"],
    ),
    tool(
        "send_message",
        "특정 수신자에게 메시지를 보낸다.",
        {
            "receiver": {"type": "string", "description": "메시지 수신자 이름"},
            "message": {"type": "string", "description": "메시지 내용"},
        },
    ),
)

ENGLISH_TOOLS = (
    tool("book_table", "Books a table at a restaurant.", {
        "people": {"type": "integer", "minimum": 1, "maximum": 8, "description": "Number of people"},
        "time": {"type": "string", "enum": ["18:00", "19:00", "20:00"], "description": "The time of the booking"},
    }),
    tool("get_forecast", "Retrieve the weather forecast for a given city.", {
        "city": {"type": "string", "description": "Name of the city, e.g. 'Lisbon'"},
    }),
)  # fmt: skip


def passage(document: str, title: str, text: str) -> Chunk:
    return Chunk(document, title, 0, len(text), text)


PASSAGES = (
    passage(
        "shipping.md",
        "배송 - 배송비",
        "일반 상품의 기본 배송비는 3,000원입니다. 출고된 뒤에 주소를 바꾸시면 반송 비용을 내셔야 합니다.",
    ),
    passage("returns.md", "반품 - 기한", "단순 변심 반품의 기한은 받은 날부터 7일입니다. 반품 접수는 앱에서 하시면 됩니다."),
    passage("points.md", "적립금 - 사용", "생일 적립금의 유효 기간은 30일입니다. 등급 포인트는 매월 첫날에 드립니다."),
    passage("gifts.md", "선물 - 포장", "선물 포장지는 하늘색 바탕에 나뭇잎 무늬입니다. 포장을 취소하시면 포장비를 돌려 드립니다."),
    passage("store.md", "매장 - 영업", "성수점 주차장은 지하 2층에 있습니다. 망원점 휴무일은 매주 월요일입니다."),
)


def sentences(chunk: Chunk) -> list[Chunk]:
    """Cut at every full stop."""
    found, start = [], 0
    for piece in chunk.text.split(". "):
        text = piece if piece.endswith(".") else f"{piece}."
        found.append(Chunk(chunk.document, chunk.title, chunk.start + start, chunk.start + start + len(text), text))
        start += len(piece) + 2
    return found


def pair(name: str, question: str, answer: str, **more: Any) -> Example:
    return Example(name, (Message("user", question), Message("assistant", answer)), Reference((answer,)), **more)


def teacher(say: Callable[[Request], Any]) -> ScriptedModel:
    """A model whose every answer is what `say` makes of the request, as JSON unless it is text."""

    def answer(request: Request) -> str:
        said = say(request)
        return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)

    return ScriptedModel(answer, "teacher")
