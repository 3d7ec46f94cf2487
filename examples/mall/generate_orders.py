"""Write the orders and the tool conversations of the mall example, the same bytes every time.

    python examples/mall/generate_orders.py            writes api/orders.csv, api/openapi.json, orders/train.jsonl and test.jsonl
    python examples/mall/generate_orders.py --check    fails if the files differ from what this program makes; prints the shares

`orders/phrases.SPLIT.yaml` says how customers ask. What the API answers is recorded from the shop itself (`api/shop.py`), over a
database that is as new for every row. Order numbers, telephone numbers, articles, addresses, sentences and some wishes stand in
test only: a training row that would say what a test row says, its numbers and names aside, is drawn again.
"""

import argparse
import csv
import hashlib
import importlib.util
import io
import json
import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
SEED = 7
CUSTOMERS = {"train": 700, "test": 110}
SHARE_WITH_CALLS = 0.3  # of the training rows that go on after an answer: the calls before it are shown, as in a run of the loop
DENIED = "담당자가 승인하지 않았습니다."

ITEMS = {
    "train": "우산 담요 냄비 의자 책상 커튼 이불 베개 시계 안경 장갑 모자 가방 지갑 벨트 구두 운동화 슬리퍼 청바지 셔츠 "
    "코트 목도리 양말 잠옷 화분 거울 조명 스탠드 선풍기 가습기 제습기 청소기 다리미 드라이기 면도기 칫솔 수건 비누 향초 "
    "도마 식칼 접시 머그컵 텀블러 주전자 프라이팬 전기밥솥 토스터 믹서기 키보드 마우스 모니터 스피커 이어폰 충전기 "
    "보조배터리 삼각대 노트 만년필 필통 색연필 퍼즐 보드게임 줄넘기 요가매트 아령 자전거 헬멧 텐트 침낭 랜턴 낚싯대 등산화 "
    "배낭 캐리어",
    "test": "방석 소파 쿠션 블라우스 원피스 스카프 귀마개 온풍기 전기포트 와플팬 찻잔 쟁반 액자 벽시계 웹캠 마이크 헤드폰 "
    "공책 물감 탁구채 축구공 킥보드 돗자리 아이스박스 여권지갑",
}
CITIES = {
    "train": "강릉시 원주시 춘천시 대전시 광주시 울산시 부산시 대구시 인천시 수원시 안양시 파주시 김포시 청주시 충주시 "
    "천안시 전주시 군산시 목포시 여수시 포항시 경주시 창원시 진주시",
    "test": "속초시 제천시 공주시 익산시 순천시 안동시 통영시 구리시",
}
STREETS = {
    "train": "솔빛로 가온로 나래로 다온로 라온로 마루로 바람로 사랑로 아람로 자람로 하늘로 누리로 도담로 새롬로 한별로 "
    "은하로 푸른로 노을로 달빛로 별빛로 햇살로 꽃길로 숲길로 들꽃로 물결로 파도로 언덕로 시내로 호수로 단비로",
    "test": "온새로 미르로 보람로 가람로 이슬로 구름로 무지개로 여울로 두레로 초롱로",
}
PLACES = {
    "train": "대전 물류센터|강릉 물류센터|부산 물류센터|인천 물류센터|광주 영업소|원주 영업소|청주 영업소|수원 영업소|"
    "전주 영업소|배송 차량",
    "test": "구미 물류센터|춘천 영업소|평택 물류센터|배송 차량",
}

COUNTS = {  # rows of each kind: train, test
    "status": (220, 9),
    "price": (200, 6),
    "item": (220, 6),
    "where": (220, 6),
    "list": (220, 8),
    "track": (250, 13),
    "cancel": (250, 14),
    "address": (270, 13),
    "refund": (270, 13),
    "mail": (200, 9),
    "ticket": (270, 12),
    "call": (220, 10),
    "chained": (330, 12),
    "both": (330, 12),
    "missing": (300, 11),
    "given": (220, 11),
    "follow": (250, 12),
    "unable": (260, 12),
    "hello": (80, 4),
    "thanks": (80, 3),
}
MADE_UP = 0.5  # of the names of places and articles in train: those of real things alone would be learnt by heart, not copied
SYLLABLES = (
    "가나다라마바사아자차카타파하고노도로모보소오조초코토포호구누두루무부수우주추쿠투푸후기니디"
    "리미비시이지치키티피히강난달람만별산안잔한공농돌롱몽봄손온존총"
)
CARELESS = 0.25  # of the training sentences are written without care for spaces and marks, as people do
MARKS = ("?", "!", ".", "..", "~", "ㅠㅠ", "요?")
REFUSED = 0.25  # of the calls that a state can forbid
MAY_BE_SHARED = ("mention", "problem", "given")  # a number alone, or a thing's name in few words, is said by everybody
UNKNOWN = 0.08  # of the orders that are named: there is none of that number
NOT_APPROVED = 0.06  # of the calls that change something


def load_shop() -> ModuleType:
    """`api/shop.py`."""
    spec = importlib.util.spec_from_file_location("mall_shop", HERE / "api" / "shop.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# --- orders ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """A row of `api/orders.csv`."""

    id: str
    phone: str
    item: str
    price: int
    status: str
    address: str
    place: str
    arrives: str


def make_orders(rng: random.Random) -> dict[str, list[Order]]:
    """The orders of the customers of either split: one to three each."""
    ids = rng.sample([f"{letter}{number}" for letter in "ABCDEFGHJKLMNPRSTUVWXYZ" for number in range(1000, 10000)], 2000)
    phones = rng.sample([f"010-0000-{number:04d}" for number in range(10000)], sum(CUSTOMERS.values()))
    orders: dict[str, list[Order]] = {}
    for split, count in CUSTOMERS.items():
        orders[split] = []
        for _ in range(count):
            phone = phones.pop()
            for item in rng.sample(ITEMS[split].split(), rng.choice((1, 2, 2, 3))):
                made_up = split == "train" and rng.random() < MADE_UP
                orders[split].append(_order(rng, split, ids.pop(), phone, _made_up(rng, "") if made_up else item))
    return orders


def _order(rng: random.Random, split: str, id: str, phone: str, item: str) -> Order:
    status = rng.choice(("상품 준비 중", "상품 준비 중", "배송 중", "배송 중", "배송 완료", "배송 완료", "취소됨"))
    place = {"배송 중": rng.choice(PLACES[split].split("|")), "배송 완료": rng.choice(("문 앞", "경비실"))}.get(status, "")
    day = {"배송 중": rng.randint(22, 30), "배송 완료": rng.randint(1, 20)}.get(status)
    price = rng.randint(4, 99) * 1000 + rng.choice((0, 0, 500, 900))
    return Order(id, phone, item, price, status, _address(rng, split), place, f"11월 {day}일" if day else "")


def _address(rng: random.Random, split: str) -> str:
    city, street = rng.choice(CITIES[split].split()), rng.choice(STREETS[split].split())
    if split == "train" and rng.random() < MADE_UP:
        city, street = _made_up(rng, rng.choice(("시", "군", "구"))), _made_up(rng, rng.choice(("로", "길")))
    return f"{city} {street} {rng.randint(1, 99)}"


def _made_up(rng: random.Random, ending: str) -> str:
    """A name of nothing, which cannot be known but only copied."""
    return "".join(rng.sample(SYLLABLES, rng.choice((2, 2, 3)))) + ending


def _with_particles(text: str) -> str:
    """을 or 를, 으로 or 로, as the letter before asks for it."""
    text = re.sub(r"([가-힣])[을를](?= )", lambda m: m[1] + ("을" if _final(m[1]) else "를"), text)
    return re.sub(r"([가-힣\d])(?:으로|로)(?= )", lambda m: m[1] + ("로" if _final(m[1]) in (0, RIEUL) else "으로"), text)


RIEUL = 8
DIGIT_FINALS = dict(zip("0123456789", (21, RIEUL, 0, 16, 0, 0, 1, RIEUL, RIEUL, 0), strict=True))


def _final(letter: str) -> int:
    """Which consonant a syllable, or a digit as it is read, ends in; 0 for none."""
    return DIGIT_FINALS[letter] if letter in DIGIT_FINALS else (ord(letter) - ord("가")) % 28


# --- conversations -----------------------------------------------------------------------------------------------------


@dataclass
class Said:
    """What is said at the end of a wish: the sentence, and what a right answer must hold."""

    text: str
    facts: list[list[str]]


@dataclass
class Conversation:
    """A row that is being written, over a shop of its own."""

    shop: Any
    refused: type[Exception]
    messages: list[dict[str, Any]] = field(default_factory=list)
    facts: list[list[str]] = field(default_factory=list)

    def user(self, text: str) -> None:
        self.messages.append({"role": "user", "content": text})

    def call(self, *calls: tuple[str, dict[str, Any]], denied: bool = False) -> list[Any]:
        """Make calls side by side, and record what they give; a refusal is an exception in the list."""
        base = sum(len(m.get("tool_calls", ())) for m in self.messages)
        ids = [f"c{base + i}" for i in range(1, len(calls) + 1)]
        made = [
            {"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, (n, a) in zip(ids, calls, strict=True)
        ]
        self.messages.append({"role": "assistant", "content": "", "tool_calls": made})
        results = [self._result(*call, denied) for call in calls]
        for i, result in zip(ids, results, strict=True):
            text = str(result) if isinstance(result, Exception) else json.dumps(result, ensure_ascii=False)
            self.messages.append({"role": "tool", "tool_call_id": i, "content": text})
        return results

    def _result(self, name: str, arguments: dict[str, Any], denied: bool) -> Any:
        if denied:
            return self.refused(0, DENIED)
        try:
            return getattr(self.shop, name)(**arguments)
        except self.refused as refusal:
            return refusal

    def answer(self, *said: Said) -> None:
        self.messages.append({"role": "assistant", "content": " ".join(s.text for s in said)})
        self.facts = [fact for s in said for fact in s.facts]


ASKED = {
    "order": Said("주문 번호를 알려 주세요.", [["주문 번호"], ["알려 주"]]),
    "address": Said("새 주소를 알려 주세요.", [["주소"], ["알려 주"]]),
    "amount": Said("환불할 금액을 알려 주세요.", [["금액"], ["알려 주"]]),
    "email": Said("메일 주소를 알려 주세요.", [["메일 주소"], ["알려 주"]]),
    "when": Said("날짜와 시간을 알려 주세요.", [["날짜", "시간"], ["알려 주"]]),
    "phone": Said("전화번호를 알려 주세요.", [["전화번호"], ["알려 주"]]),
}
"""How a value that is missing is asked for."""


TOLD: dict[str, tuple[str, tuple[str, ...]]] = {
    "status": ("주문 {order}의 상태는 {상태}입니다.", ("상태",)),
    "price": ("주문 {order}의 금액은 {금액}입니다.", ("금액",)),
    "item": ("주문 {order}의 상품은 {상품}입니다.", ("상품",)),
    "where": ("주문 {order}의 배송지는 {배송지}입니다.", ("배송지",)),
    "track": ("택배 위치는 {위치}입니다. 도착일은 {도착일}입니다.", ("위치", "도착일")),
    "cancel": ("주문 {취소} 취소를 마쳤습니다. 환불액은 {환불액}입니다.", ("취소", "환불액")),
    "address": ("주문 {주문} 배송지를 바꿨습니다. 새 배송지는 {배송지}입니다.", ("주문", "배송지")),
    "refund": ("주문 {주문} 환불을 접수했습니다. 환불액은 {환불액}입니다.", ("주문", "환불액")),
    "mail": ("주문 {주문} 영수증을 보냈습니다. 메일은 {메일}입니다.", ("주문", "메일")),
    "ticket": ("{문제} 문의를 접수했습니다. 접수 번호는 {접수 번호}입니다.", ("문제", "접수 번호")),
    "call": ("전화 상담을 예약했습니다. 예약은 {예약}입니다.", ("예약",)),
}
"""What the customer is told of a wish that was fulfilled, and what of the result a right answer must hold."""

REFUSAL = "그래서 처리하지 못했습니다."


def told(kind: str, call: tuple[str, dict[str, Any]], result: Any) -> Said:
    """What the customer is told of one call that was made for a wish."""
    if isinstance(result, Exception):
        return Said(f"{result} {REFUSAL}", [[str(result).rstrip(".")], ["못했"]])
    if kind == "list":
        listed = ", ".join(f"{one['상품']} {one['주문']}" for one in result)
        return Said(f"주문은 {listed}입니다.", [[one["주문"]] for one in result])
    text, facts = TOLD[kind]
    values = {**call[1], **result}
    return Said(text.format(**values), [[str(values[fact])] for fact in facts])


class Writer:
    """Writes the rows of one split.

    Args:
        avoided: Sentences, with their slots unfilled, that no row may be made of.
    """

    def __init__(
        self, split: str, orders: Sequence[Order], phrases: dict[str, Any], shop: ModuleType, avoided: frozenset[str] = frozenset()
    ) -> None:
        self.split, self.orders, self.phrases, self.rng = split, orders, phrases, random.Random(f"{SEED} {split}")
        self._module, self._avoided = shop, avoided
        self._database = shop.open_database(":memory:")
        self._ids = [o.id for o in orders]
        self.said: set[str] = set()

    def rows(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        seen: set[str] = set()
        for kind, counts in COUNTS.items():
            left = counts[0 if self.split == "train" else 1]
            while left:
                row = self._row(kind)
                text = json.dumps([m for m in row["messages"] if m["role"] == "user"], ensure_ascii=False)
                if text not in seen:
                    seen.add(text)
                    made.append(row)
                    left -= 1
                elif kind in ("hello", "thanks", "unable", "missing"):
                    left -= 1  # there are only so many ways
        self.rng.shuffle(made)
        return [{"id": f"orders-{self.split}-{at}", **row} for at, row in enumerate(made)]

    def _row(self, kind: str) -> dict[str, Any]:
        self._database.execute("SAVEPOINT row")
        conversation = Conversation(self._module.Shop(self._database), self._module.RefusedError)
        write: Callable[[Conversation], None] = getattr(self, f"_write_{kind}", lambda c: self._write_wish(c, kind))
        write(conversation)
        self._database.execute("ROLLBACK TO row")
        self._database.execute("RELEASE row")
        return {"messages": conversation.messages, "facts": conversation.facts, "tags": [kind]}

    # --- words ---------------------------------------------------------------------------------------------------------

    def words(self, *path: str, **slots: str) -> str:
        """A sentence from `phrases.SPLIT.yaml`, its choices drawn and its slots filled."""
        node = self.phrases
        for name in path:
            node = node[name]
        sentence = self._drawn(node)
        while path[0] not in MAY_BE_SHARED and sentence in self._avoided:
            sentence = self._drawn(node)
        self.said.add(sentence)
        filled = re.sub(r"\{(\w+)\}", lambda m: slots[m[1]], sentence)
        return _with_particles(filled) if self.split == "train" else filled

    def _drawn(self, sentences: Sequence[str]) -> str:
        text = re.sub(
            r"<(\w+)>", lambda m: self.rng.choice(self.phrases["parts"][m[1]].split("|")).strip(), self.rng.choice(sentences)
        )
        while "[" in text:
            text = re.sub(r"\[([^\[\]]*)\]", lambda m: self.rng.choice(m[1].split("|")), text)
        return re.sub(r"([.?!,])[.,]", r"\1", re.sub(r" +", " ", text)).strip()

    def opened(self, text: str) -> str:
        whole = f"{self.rng.choice(self.phrases['opening'])}{text}"
        if self.split == "train" and self.rng.random() < CARELESS:
            at = [i for i, letter in enumerate(whole) if letter == " " and "가" <= whole[i - 1] <= "힣"]
            drop = self.rng.choice(at) if at and self.rng.random() < 0.6 else len(whole)
            whole = (whole[:drop] + whole[drop + 1 :]).rstrip(".?!") + self.rng.choice(MARKS)
        return whole

    def mention(self, order: str) -> str:
        return self.words("mention", o=order)

    def order(self, *statuses: str) -> Order:
        """An order in one of the states; any, if none is named."""
        while True:
            order = self.rng.choice(self.orders)
            if not statuses or order.status in statuses:
                return order

    def unknown(self) -> str:
        """The number of no order."""
        while True:
            number = f"{self.rng.choice('ABCDEFGHJKLMNPRSTUVWXYZ')}{self.rng.randint(1000, 9999)}"
            if number not in self._ids:
                return number

    # --- wishes --------------------------------------------------------------------------------------------------------

    def wish(self, kind: str, order: Order | None = None) -> tuple[tuple[str, dict[str, Any]], dict[str, str]]:
        """A call that fulfils a wish, and the slots of its sentence."""
        rng = self.rng
        reads = {"status": "get_order", "price": "get_order", "item": "get_order", "where": "get_order", "track": "track_order"}
        if kind == "list":
            phone = self.order().phone if rng.random() > UNKNOWN else f"010-0000-{rng.randint(0, 9999):04d}"
            return ("list_orders", {"phone": phone}), {"phone": phone}
        if kind == "call":
            return self._call_wish()
        fixed = order is not None
        chosen = order or self._order_for(kind)
        number = chosen.id if fixed or rng.random() > UNKNOWN else self.unknown()
        slots = {"m": self.mention(number), "o": number}
        if kind in reads:
            return (reads[kind], {"order": number}), slots
        if kind == "cancel":
            return ("cancel_order", {"order": number}), slots
        if kind == "address":
            address = _address(rng, self.split)
            return ("change_address", {"address": address, "order": number}), {**slots, "address": address}
        if kind == "refund":
            amount = self._amount(chosen)
            return ("refund_order", {"amount": amount, "order": number}), {**slots, "amount": self._spelt(amount)}
        if kind == "mail":
            email = self._email()
            return ("mail_receipt", {"email": email, "order": number}), {**slots, "email": email}
        problem = rng.choice(("파손", "누락", "오배송", "불량"))
        return ("open_ticket", {"order": number, "problem": problem}), {**slots, "problem": self.words("problem", problem)}

    def _order_for(self, kind: str) -> Order:
        preparing, moving, done, cancelled = "상품 준비 중", "배송 중", "배송 완료", "취소됨"
        fit, unfit = {
            "cancel": ((preparing,), (moving, done, cancelled)),
            "address": ((preparing,), (moving, done, cancelled)),
            "track": ((moving, moving, done), (preparing, preparing, cancelled)),
            "refund": ((done,), (preparing, moving)),
        }.get(kind, ((), ()))
        return self.order(*(unfit if unfit and self.rng.random() < REFUSED else fit))

    def _amount(self, order: Order) -> int:
        if self.rng.random() < REFUSED / 2:
            return order.price + self.rng.randint(1, 20) * 1000
        return self.rng.choice((order.price, self.rng.randint(1, max(1, order.price // 1000)) * 1000))

    def _spelt(self, amount: int) -> str:
        return self.rng.choice((f"{amount}원", f"{amount:,}원"))

    def _email(self) -> str:
        syllables = ["ha", "na", "mi", "so", "ji", "yu", "ra", "do", "ri", "bo", "gu", "no", "se", "ta", "ve", "ki"]
        name = "".join(self.rng.sample(syllables, self.rng.choice((2, 3))))
        host = {"train": ("mail.example", "post.example"), "test": ("box.example", "mail.example")}[self.split]
        return f"{name}{self.rng.randint(1, 99)}@{self.rng.choice(host)}"

    def _call_wish(self) -> tuple[tuple[str, dict[str, Any]], dict[str, str]]:
        rng = self.rng
        month, day = rng.choice(((11, rng.randint(23, 30)), (12, rng.randint(1, 31))))
        hour = rng.choice((9, 10, 12, 13, 14, 15, 17, 18)) if rng.random() > REFUSED else rng.choice((11, 16))
        spoken = f"{hour}시" if rng.random() < 0.4 else f"오전 {hour}시" if hour < 12 else f"오후 {hour - 12 or 12}시"
        return ("book_call", {"day": day, "hour": hour, "month": month}), {"when": f"{month}월 {day}일 {spoken}"}

    # --- rows ----------------------------------------------------------------------------------------------------------

    def fulfil(self, conversation: Conversation, kind: str, call: tuple[str, dict[str, Any]]) -> None:
        """One call, and the answer."""
        changes = call[0] not in ("get_order", "list_orders", "track_order")
        (result,) = conversation.call(call, denied=changes and self.rng.random() < NOT_APPROVED)
        conversation.answer(told(kind, call, result))

    def _write_wish(self, conversation: Conversation, kind: str) -> None:
        call, slots = self.wish(kind)
        conversation.user(self.opened(self.words(kind, **slots)))
        self.fulfil(conversation, kind, call)

    def _write_chained(self, conversation: Conversation) -> None:
        """The number of the order is looked up first."""
        kind = self.rng.choice(list(self.phrases["chained_what"]))
        order = self._order_for(kind)
        call, _ = self.wish(kind, order)
        what = self.words("chained_what", kind)
        conversation.user(self.opened(self.words("chained", phone=order.phone, item=order.item, what=what)))
        conversation.call(("list_orders", {"phone": order.phone}))
        self.fulfil(conversation, kind, call)

    def _write_both(self, conversation: Conversation) -> None:
        """Two calls side by side."""
        first = self.rng.choice(list(self.phrases["clause_a"]))
        second = self.rng.choice(list(self.phrases["clause_b"]))
        if self.split == "train" and (first, second) == ("cancel", "mail"):  # in test only
            second = "track"
        (one, slots), (other, others) = self.wish(first), self.wish(second)
        a, b = self.words("clause_a", first, **slots), self.words("clause_b", second, **others)
        conversation.user(self.opened(self.words("both", a=a, b=b)))
        results = conversation.call(one, other)
        conversation.answer(told(first, one, results[0]), told(second, other, results[1]))

    def _ask_back(self, conversation: Conversation) -> tuple[str, str, tuple[str, dict[str, Any]], dict[str, str]]:
        """A wish that lacks something, and the question for it: its kind, what is lacking, the call in the end, all the slots."""
        wanted = self.rng.choice(list(self.phrases["missing"]))
        kind, _, lacking = wanted.partition("_")
        lacking = {"new": "address", "": "order"}.get(lacking, lacking)
        call, slots = self.wish(kind)
        conversation.user(self.opened(self.words("missing", wanted, **slots)))
        conversation.answer(ASKED[lacking])
        return kind, lacking, call, slots

    def _write_missing(self, conversation: Conversation) -> None:
        self._ask_back(conversation)

    def _write_given(self, conversation: Conversation) -> None:
        """What was asked for is given."""
        kind, lacking, call, slots = self._ask_back(conversation)
        conversation.user(self.words("given", lacking, **slots))
        self.fulfil(conversation, kind, call)

    def _write_follow(self, conversation: Conversation) -> None:
        """A second wish about the same order."""
        first = self.rng.choice(("status", "price", "item", "where", "track"))
        kind = self.rng.choice([k for k in self.phrases["follow"] if k != first])
        order = self._order_for(kind if kind != "mail" else "track")
        before, slots = self.wish(first, order)
        call, later = self.wish(kind, order)
        conversation.user(self.opened(self.words(first, **slots)))
        self.fulfil(conversation, first, before)
        if self.split == "test" or self.rng.random() > SHARE_WITH_CALLS:
            conversation.messages = [conversation.messages[0], conversation.messages[-1]]
        conversation.user(self.words("follow", kind, **later))
        self.fulfil(conversation, kind, call)

    def _write_unable(self, conversation: Conversation) -> None:
        conversation.user(self.opened(self.words("unable", m=self.mention(self.order().id))))
        conversation.answer(Said("그 일은 제가 처리할 수 없습니다. 고객센터로 문의해 주세요.", [["처리할 수 없"], ["고객센터"]]))

    def _write_hello(self, conversation: Conversation) -> None:
        conversation.user(self.words("hello"))
        conversation.answer(Said("안녕하세요. 주문에 관해 무엇을 도와드릴까요?", [["도와드릴"]]))

    def _write_thanks(self, conversation: Conversation) -> None:
        conversation.user(self.words("thanks"))
        conversation.answer(Said("감사합니다. 좋은 하루 보내세요.", [["감사합니다"]]))


# --- files -------------------------------------------------------------------------------------------------------------


def build() -> tuple[dict[str, str], dict[str, float]]:
    """The text of every generated file by its name, and the figures of the README.

    `api/orders.csv` is written first: the shop reads it.
    """
    rng = random.Random(SEED)
    orders = make_orders(rng)
    files = {"api/orders.csv": _csv([o for split in orders.values() for o in split])}
    path = HERE / "api" / "orders.csv"
    if not path.exists() or path.read_text("utf-8") != files["api/orders.csv"]:
        path.write_text(files["api/orders.csv"], "utf-8")
    shop = load_shop()
    phrases = {split: yaml.safe_load((HERE / "orders" / f"phrases.{split}.yaml").read_text("utf-8")) for split in ("train", "test")}
    files["api/openapi.json"] = json.dumps(shop.app.openapi(), ensure_ascii=False, indent=1) + "\n"
    test = Writer("test", orders["test"], phrases["test"], shop)
    rows = {"test": test.rows()}
    rows["train"] = Writer("train", orders["train"], phrases["train"], shop, frozenset(test.said)).rows()
    for split, written in rows.items():
        files[f"orders/{split}.jsonl"] = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in written)
    return files, _figures(orders, rows)


def _csv(orders: Sequence[Order]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(Order.__annotations__)
    writer.writerows([list(vars(o).values()) for o in orders])
    return file.getvalue()


def _figures(orders: dict[str, list[Order]], rows: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    figures: dict[str, float] = {"orders": sum(map(len, orders.values()))}
    for split, written in rows.items():
        calls = [_calls_asked(row) for row in written]
        figures[f"{split} rows with tools"] = len(written)
        figures[f"{split} rows without a call"] = sum(not c for c in calls)
        figures[f"{split} rows with two calls"] = sum(c > 1 for c in calls)
        figures[f"{split} rows in which a call does not go"] = sum(_fails(row) for row in written)
    return figures


def _calls_asked(row: dict[str, Any]) -> int:
    """How many calls are made after the last question."""
    at = max(i for i, m in enumerate(row["messages"]) if m["role"] == "user")
    return sum(len(m.get("tool_calls", ())) for m in row["messages"][at:])


def _fails(row: dict[str, Any]) -> bool:
    at = max(i for i, m in enumerate(row["messages"]) if m["role"] == "user")
    return any(m["role"] == "tool" and not m["content"].startswith(("{", "[")) for m in row["messages"][at:])


def main() -> int:
    """Write the files, or with --check compare them."""
    parser = argparse.ArgumentParser(description="Write (or --check) the orders and tool conversations of the mall example.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a file is not up to date")
    is_check = parser.parse_args().check
    files, figures = build()
    stale = [name for name, text in files.items() if not (HERE / name).exists() or (HERE / name).read_text("utf-8") != text]
    if is_check and stale:
        print(f"not up to date: {', '.join(stale)}. Run: python {Path(__file__).name}", file=sys.stderr)
        return 1
    for name in stale:
        (HERE / name).write_text(files[name], "utf-8")
    for name, value in figures.items():
        print(f"{name:48} {value:8d}")
    print(f"{'sha256 of all files':48} {hashlib.sha256(''.join(files[name] for name in sorted(files)).encode()).hexdigest()[:16]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
