"""Tasks of a few dozen rows, made in a second and answered by a scripted model: for climbs in tests."""

import json
from pathlib import Path
from typing import Any

LABELS = {
    "배송": "배송 도착 출고 송장",
    "환불": "환불 취소 입금 반환",
    "교환": "교환 사이즈 색상 불량",
    "적립": "적립 포인트 쿠폰 등급",
}
NAMES = (
    *("운동화", "청바지", "가방", "모자", "우산", "시계", "의자", "이불"),
    *("냄비", "책상", "화분", "커튼", "안경", "장갑", "목도리", "베개"),
)

LABEL_RULES: list[dict[str, Any]] = [
    # A retrieved list ends in the most similar example, just above the question: its label is copied.
    *({"when": f"-> {label}\n\n질문:", "say": label} for label in LABELS),
    # Asked alone, it knows one word.
    {"when": "배송", "say": "배송"},
    {"say": "환불"},
]


def write_label_task(folder: Path, *, rules: list[dict[str, Any]] | None = None, **options: Any) -> Path:
    """48 training and 32 test questions in four labels. Zero-shot is right now and then; a neighbour's label always is."""
    words = {label: text.split() for label, text in LABELS.items()}
    train = [
        {
            "id": f"train-{label}-{i}",
            "input": f"{NAMES[i]} {words[label][i % 4]} {words[label][(i + 1) % 4]} 문의합니다",
            "output": label,
        }
        for label in LABELS
        for i in range(12)
    ]
    test = [
        {"id": f"test-{label}-{i}", "input": f"{NAMES[i + 8]} 산 사람인데 {words[label][i % 4]} 되나요", "output": label}
        for label in LABELS
        for i in range(8)
    ]
    return write_task(
        folder, train, test, rules=LABEL_RULES if rules is None else rules, **{"goal": "고객 문의를 유형 하나로 나눈다.", **options}
    )


PAGES = {
    "shipping.md": (
        "# 배송",
        "## 배송비",
        "배송비는 3,000원입니다. 5만 원 이상이면 무료입니다.",
        "## 기간",
        "출고 뒤 2일 안에 도착합니다.",
    ),
    "refund.md": ("# 환불", "## 기한", "환불은 수령 후 7일 이내에 신청합니다.", "환불금은 결제 수단으로 돌려 드립니다."),
    "points.md": (
        "# 적립금",
        "## 유효 기간",
        "적립금은 1년 동안 쓸 수 있습니다.",
        "## 사용",
        "적립금은 1,000원부터 쓸 수 있습니다.",
    ),
}

FACTS = (
    ("배송비는 얼마인가요", "배송비는 3,000원입니다.", "3,000원"),
    ("배송비가 무료인 금액은", "5만 원 이상이면 무료입니다.", "5만 원"),
    ("출고 뒤 며칠 안에 도착하나요", "출고 뒤 2일 안에 도착합니다.", "2일"),
    ("환불은 며칠 이내에 신청하나요", "환불은 수령 후 7일 이내에 신청합니다.", "7일"),
    ("적립금은 얼마 동안 쓸 수 있나요", "적립금은 1년 동안 쓸 수 있습니다.", "1년"),
    ("적립금은 얼마부터 쓸 수 있나요", "적립금은 1,000원부터 쓸 수 있습니다.", "1,000원"),
)


def write_documents_task(folder: Path, *, rules: list[dict[str, Any]] | None = None, **options: Any) -> Path:
    """Questions about three pages; without passages the scripted model says something made up, with them it says what they say."""
    heads = {
        "train": ("제가 궁금한데", "안녕하세요", "문의드려요", "여쭤봅니다"),
        "test": ("저기요", "혹시", "급한데", "알려 주세요", "질문"),
    }
    rows = {
        split: [
            {
                "id": f"{split}-{h}-{i}",
                "question": f"{head}, {NAMES[i + 6 * (h % 2)]} 샀는데 {asked}?",
                "answer": said,
                "facts": [[fact]],
            }
            for h, head in enumerate(openings)
            for i, (asked, said, fact) in enumerate(FACTS)
        ]
        for split, openings in heads.items()
    }
    (folder / "docs").mkdir(parents=True)
    for name, lines in PAGES.items():
        (folder / "docs" / name).write_text("\n\n".join(lines) + "\n")
    # With passages above the question, the sentence that is asked for is said if a passage holds it.
    found = [{"when": f"\n\n질문: {row['question']}", "say": row["answer"]} for row in [*rows["train"], *rows["test"]]]
    options = {"documents": "docs/", "score": {"by": "facts"}, **options}
    goal = "문서를 근거로 고객에게 답한다."
    return write_task(folder, rows["train"], rows["test"], rules=rules or [*found, {"say": "글쎄요"}], goal=goal, **options)


def write_task(
    folder: Path, train: list[dict[str, Any]], test: list[dict[str, Any]], *, rules: list[dict[str, Any]], **options: Any
) -> Path:
    """A task folder; `options` are those of sadari.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("test", test)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    (folder / "rules.json").write_text(json.dumps(rules, ensure_ascii=False))
    options = {
        "model": "scripted:rules.json",
        "examples": {"train": "train.jsonl", "test": "test.jsonl"},
        "ladder": ["prompt", "retrieval"],
        **options,
    }
    (folder / "sadari.yaml").write_text(json.dumps(options, ensure_ascii=False, indent=1))  # JSON is YAML
    return folder
