"""Small projects that run at once: `support` answers from documents, `label` sorts messages into intents."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from sadari.errors import ConfigError

_DOCS = {
    "shipping.md": """# 배송 안내

주문은 평일 오후 2시까지 결제하면 당일 발송합니다. 배송은 발송일로부터 영업일 기준 2일이 걸립니다.

배송비는 3,000원이며 50,000원 이상 구매하면 무료입니다. 제주와 도서 산간 지역은 4,000원이 추가됩니다.

배송지는 발송 전까지 주문 내역에서 직접 바꿀 수 있습니다. 택배사는 한빛택배입니다.
""",
    "returns.md": """# 교환과 반품

상품을 받은 날로부터 7일 안에 반품을 신청할 수 있습니다. 단순 변심 반품의 왕복 배송비는 6,000원입니다.

불량품은 30일 안에 무상으로 교환합니다. 환불은 반품 상품이 도착한 뒤 영업일 3일 안에 처리합니다.

속옷과 수영복은 위생상 반품할 수 없습니다. 반품 상품은 경기도 이천 물류센터로 보냅니다.
""",
    "membership.md": """# 회원 등급과 적립금

회원 등급은 실버, 골드, 다이아 세 가지입니다. 골드 등급은 최근 6개월 구매액 300,000원부터입니다.

적립금은 구매 확정 금액의 1%이며 다이아 회원은 3%입니다. 적립금의 유효 기간은 1년입니다.

생일 쿠폰은 10% 할인이며 생일이 있는 달에 발급합니다. 신규 회원은 가입 즉시 5,000원 쿠폰을 받습니다.
""",
}

_ABSTAIN = "문서에서 확인할 수 없습니다."


@dataclass(frozen=True, slots=True)
class _Fact:
    """One fact of a page: the sentence that says it, what an answer must hold, and questions about it."""

    page: str
    quote: str
    fact: str
    train: tuple[str, ...]
    test: tuple[str, ...] = ()


_FACTS = (
    _Fact(
        "shipping.md",
        "주문은 평일 오후 2시까지 결제하면 당일 발송합니다.",
        "오후 2시",
        (
            "당일 발송되려면 몇 시까지 결제해야 하나요?",
            "오늘 바로 보내 주시는 마감 시간이 언제예요?",
            "같은 날 출고 기준 시각 알려 주세요.",
        ),
        ("몇 시 전에 주문해야 오늘 출발하나요?",),
    ),
    _Fact(
        "shipping.md",
        "배송은 발송일로부터 영업일 기준 2일이 걸립니다.",
        "2일",
        ("보낸 뒤에 며칠이면 도착해요?", "배송 기간이 얼마나 걸리나요?", "택배 받는 데 며칠 걸릴까요?"),
        ("출발한 물건은 언제쯤 받을 수 있죠?",),
    ),
    _Fact(
        "shipping.md",
        "배송비는 3,000원이며 50,000원 이상 구매하면 무료입니다.",
        "50,000원",
        ("무료 배송은 얼마부터인가요?", "배송비가 공짜가 되는 금액을 알고 싶습니다.", "얼마어치 사면 배송비를 안 내나요?"),
        ("배송료 면제 기준 금액이 궁금합니다.",),
    ),
    _Fact(
        "shipping.md",
        "제주와 도서 산간 지역은 4,000원이 추가됩니다.",
        "4,000원",
        ("제주도는 추가 요금이 있나요?", "섬으로 보내면 돈을 더 내야 하나요?", "도서 산간 추가 배송비가 얼마죠?"),
        ("서귀포에 사는데 택배비가 더 붙나요?",),
    ),
    _Fact(
        "shipping.md", "택배사는 한빛택배입니다.", "한빛택배", (), ("어느 택배 회사로 오나요?", "이용하시는 택배사 이름이 뭔가요?")
    ),
    _Fact(
        "returns.md",
        "상품을 받은 날로부터 7일 안에 반품을 신청할 수 있습니다.",
        "7일",
        ("반품은 언제까지 할 수 있어요?", "받고 나서 며칠 안에 돌려보내야 하나요?", "반품 신청 기한을 알려 주세요."),
        ("물건을 무르려면 기간이 얼마나 되죠?",),
    ),
    _Fact(
        "returns.md",
        "단순 변심 반품의 왕복 배송비는 6,000원입니다.",
        "6,000원",
        (
            "마음이 바뀌어 반품하면 배송비가 얼마인가요?",
            "단순 변심인데 택배비는 누가 내나요?",
            "그냥 마음에 안 들어서 돌려보내면 비용이 드나요?",
        ),
        ("변심으로 되돌려 보낼 때 드는 돈이 궁금해요.",),
    ),
    _Fact(
        "returns.md",
        "불량품은 30일 안에 무상으로 교환합니다.",
        "30일",
        (
            "불량이면 언제까지 바꿔 주시나요?",
            "고장 난 채로 왔는데 무료 교환 기간이 어떻게 되나요?",
            "하자 있는 상품 교환 기한이 있나요?",
        ),
        ("깨진 물건을 새것으로 받으려면 며칠 안에 연락해야 해요?",),
    ),
    _Fact(
        "returns.md",
        "환불은 반품 상품이 도착한 뒤 영업일 3일 안에 처리합니다.",
        "3일",
        ("환불은 며칠 걸리나요?", "돈은 언제 돌려받을 수 있어요?", "반품 보냈는데 환불 처리 기간이 궁금해요."),
        ("카드 취소까지 얼마나 기다려야 합니까?",),
    ),
    _Fact(
        "returns.md",
        "속옷과 수영복은 위생상 반품할 수 없습니다.",
        "수영복",
        (),
        ("반품이 안 되는 상품은 무엇인가요?", "돌려보낼 수 없는 품목이 있나요?"),
    ),
    _Fact(
        "returns.md",
        "반품 상품은 경기도 이천 물류센터로 보냅니다.",
        "이천",
        (),
        ("반품 주소가 어디예요?", "물건을 어디로 되돌려 보내면 됩니까?"),
    ),
    _Fact(
        "membership.md",
        "골드 등급은 최근 6개월 구매액 300,000원부터입니다.",
        "300,000원",
        ("골드 회원이 되려면 얼마를 사야 하나요?", "골드 등급 조건이 뭐예요?", "6개월 동안 얼마를 쓰면 골드가 되죠?"),
        ("골드로 올라가는 기준 금액을 알려 주세요.",),
    ),
    _Fact(
        "membership.md",
        "적립금의 유효 기간은 1년입니다.",
        "1년",
        ("적립금은 언제 사라지나요?", "포인트 유효 기간이 어떻게 돼요?", "적립금을 얼마 동안 쓸 수 있어요?"),
        ("모은 포인트의 소멸 시점이 궁금합니다.",),
    ),
    _Fact(
        "membership.md",
        "생일 쿠폰은 10% 할인이며 생일이 있는 달에 발급합니다.",
        "10%",
        ("생일 쿠폰은 몇 퍼센트 할인이에요?", "생일에 받는 혜택이 뭔가요?", "생일 달 할인율을 알고 싶어요."),
        ("태어난 달에 주는 쿠폰은 얼마나 깎아 주나요?",),
    ),
    _Fact(
        "membership.md",
        "신규 회원은 가입 즉시 5,000원 쿠폰을 받습니다.",
        "5,000원",
        ("새로 가입하면 무엇을 주나요?", "첫 가입 쿠폰 금액이 얼마예요?", "신규 회원 혜택 알려 주세요."),
        ("방금 회원이 됐는데 받을 수 있는 쿠폰이 있나요?",),
    ),
)

_UNANSWERABLE = {
    "train": (
        "매장 주차는 무료인가요?",
        "해외로도 배송해 주시나요?",
        "상품권으로 결제할 수 있어요?",
        "전화 상담은 몇 시까지 하나요?",
    ),
    "test": ("선물 포장도 해 주시나요?", "할부는 몇 개월까지 됩니까?"),
}

_INTENTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "배송 조회": (
        (
            "제 택배 지금 어디쯤 있나요?",
            "운송장 번호 좀 알려 주세요.",
            "주문한 지 사흘인데 아직 안 왔어요.",
            "언제 도착하는지 궁금합니다.",
            "배송이 시작됐는지 확인해 주세요.",
            "오늘 안에 받을 수 있을까요?",
            "물건이 출발했나요?",
            "배달 예정일을 알고 싶어요.",
        ),
        (
            "제가 산 게 아직도 안 보이네요, 어디까지 왔죠?",
            "택배 위치 추적하고 싶어요.",
            "내일은 받을 수 있습니까?",
            "송장 조회가 안 돼요.",
        ),
    ),
    "환불 요청": (
        (
            "돈을 돌려받고 싶습니다.",
            "환불해 주세요.",
            "결제한 금액을 취소하고 싶어요.",
            "카드 취소는 언제 되나요?",
            "마음에 안 들어서 환불하려고요.",
            "입금한 돈 다시 보내 주세요.",
            "반품했는데 환불이 안 들어왔어요.",
            "구매를 무르고 싶은데 어떻게 하죠?",
        ),
        (
            "제 돈 언제 돌아오나요?",
            "산 것을 취소하고 대금을 받고 싶어요.",
            "결제 취소 부탁드립니다.",
            "환급 계좌를 알려 드리면 되나요?",
        ),
    ),
    "교환 요청": (
        (
            "다른 사이즈로 바꾸고 싶어요.",
            "색상을 교환할 수 있나요?",
            "불량이 와서 새것으로 바꿔 주세요.",
            "한 치수 큰 걸로 교환해 주세요.",
            "잘못 온 상품을 바꿔 주세요.",
            "검은색으로 바꿀 수 있을까요?",
            "신발이 작아서 교환하려고 합니다.",
            "깨져서 왔는데 교환되나요?",
        ),
        (
            "옷이 커서 작은 것으로 받고 싶네요.",
            "주문과 다른 색이 왔으니 맞는 걸로 보내 주세요.",
            "새 제품으로 맞바꿔 주실 수 있나요?",
            "사이즈 변경 가능한가요?",
        ),
    ),
    "회원 정보": (
        (
            "비밀번호를 잊어버렸어요.",
            "회원 탈퇴는 어디서 하나요?",
            "전화번호를 바꾸고 싶습니다.",
            "아이디가 기억나지 않아요.",
            "이메일 주소를 변경해 주세요.",
            "로그인이 되지 않습니다.",
            "가입할 때 쓴 이름을 고치고 싶어요.",
            "휴면 계정을 풀어 주세요.",
        ),
        (
            "계정에 들어갈 수가 없네요.",
            "제 연락처가 바뀌었어요.",
            "암호를 다시 만들고 싶어요.",
            "더 이상 회원으로 있고 싶지 않습니다.",
        ),
    ),
    "쿠폰 문의": (
        (
            "쿠폰이 적용되지 않아요.",
            "할인 쿠폰은 어디서 받나요?",
            "생일 쿠폰이 안 왔습니다.",
            "쿠폰 두 장을 같이 쓸 수 있나요?",
            "쿠폰 유효 기간이 언제까지예요?",
            "첫 구매 쿠폰을 받고 싶어요.",
            "쓴 쿠폰을 다시 살릴 수 있나요?",
            "쿠폰 번호는 어디에 넣어요?",
        ),
        (
            "할인권을 넣었는데 값이 그대로예요.",
            "이 쿠폰 언제 만료되죠?",
            "가입 축하 할인은 어떻게 받아요?",
            "쿠폰을 겹쳐서 사용해도 됩니까?",
        ),
    ),
}

_SUPPORT_YAML = """# What the system should do, in words; the model is told this.
goal: 쇼핑몰 고객의 질문에 정책 문서를 근거로 정중하게 답한다.

# The bundled small model; or a Hugging Face name or folder; or openai:NAME with base_url.
model: mini

# Validation is cut from train. Test questions must not stand in train.
examples: {train: data/train.jsonl, test: data/test.jsonl}
documents: docs/

# An answer is right if it holds every fact of its row, and says so when the documents do not tell.
score: {by: auto, target: 0.90}

# What it may cost, and what an answer is worth. A price that is left out is not counted.
money: {currency: KRW, requests_per_month: 10000, value_per_correct: 50, wrong_answer_cost: 200}
budget: {time: 10m}

# From cheap to costly; each rung must prove that it pays.
ladder: [prompt, retrieval, lora, full]
"""

_LABEL_YAML = """# What the system should do, in words; the model is told this.
goal: 고객 문의를 알맞은 유형 하나로 분류한다.

# The bundled small model; or a Hugging Face name or folder; or openai:NAME with base_url.
model: mini

# Validation is cut from train. Test questions must not stand in train. The labels are found from train.
examples: {train: data/train.jsonl, test: data/test.jsonl}

score: {by: label, target: 0.90}

# What it may cost, and what an answer is worth. A price that is left out is not counted.
money: {currency: KRW, requests_per_month: 10000, value_per_correct: 50, wrong_answer_cost: 200}
budget: {time: 10m}

# From cheap to costly; each rung must prove that it pays. Without documents, retrieval finds similar training examples.
ladder: [prompt, retrieval, lora, full]
"""


def _support_rows(split: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for fact in _FACTS:
        for question in fact.train if split == "train" else fact.test:
            start = _DOCS[fact.page].index(fact.quote)
            span = {"document": fact.page, "start": start, "end": start + len(fact.quote), "quote": fact.quote}
            rows.append({"question": question, "answer": fact.quote, "facts": [fact.fact], "spans": [span]})
    rows += [{"question": question, "answer": _ABSTAIN, "abstain": True} for question in _UNANSWERABLE[split]]
    return rows


def _label_rows(split: str) -> list[dict[str, Any]]:
    return [
        {"text": text, "label": intent}
        for intent, (train, test) in _INTENTS.items()
        for text in (train if split == "train" else test)
    ]


@dataclass(frozen=True, slots=True)
class _Template:
    task_file: str
    rows: Callable[[str], list[dict[str, Any]]]
    docs: Mapping[str, str]


_TEMPLATES = {
    "support": _Template(_SUPPORT_YAML, _support_rows, _DOCS),
    "label": _Template(_LABEL_YAML, _label_rows, {}),
}
TEMPLATES = tuple(_TEMPLATES)


def init_task(folder: Path, template: str = "support") -> Path:
    """Write a small project that runs; all of it or nothing.

    Args:
        folder: Where to; it must not exist yet, or be empty.
        template: "support" (grounded questions about three pages) or "label" (five intents).

    Returns:
        The task file.

    Raises:
        ConfigError: If the folder holds something or cannot be written, or there is no such template.
    """
    if template not in _TEMPLATES:
        raise ConfigError(f"`{template}` is no template. Use one of {', '.join(TEMPLATES)}.")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file. Name a new folder.")
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: is not empty. Name a new folder; nothing was written.")
    chosen = _TEMPLATES[template]
    files = {"sadari.yaml": chosen.task_file, **{f"docs/{name}": page for name, page in chosen.docs.items()}}
    files |= {f"data/{split}.jsonl": _jsonl(chosen.rows(split)) for split in ("train", "test")}
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _write_at_once(folder, files)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror or error}). Choose another place.") from error
    return folder / "sadari.yaml"


def _jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_at_once(folder: Path, files: Mapping[str, str]) -> None:
    """Write beside the folder, then rename, so that a crash leaves no half project."""
    beside = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
    beside.mkdir()
    try:
        for name, text in files.items():
            file = beside / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        if folder.is_dir():
            folder.rmdir()
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
