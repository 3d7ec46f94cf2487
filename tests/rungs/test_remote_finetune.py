"""The rung that tunes at a service: it asks first, sends what will be served, and is paid once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sadari.errors import BudgetError, ConfigError, DataError, TrainingError
from sadari.files import write_lines
from sadari.measure import choose_scorer
from sadari.model.load import load_model
from sadari.rungs.remote_finetune import RemoteFinetuneConfig, RemoteFinetuneRung
from sadari.train.managed_order import Clock
from sadari.types import Decoding, Document, Example, Message, Prompt, Reference, Retrieval, System, ToolCall, ToolSpec, Workshop
from tuning_service import TuningService, running

KEY = "sk-secret-0123456789"
AGREED = {"upload": True, "max_cost": 5000.0, "price_per_1k_tokens": 4.0}
INCUMBENT = System("openai:tiny", prompt=Prompt("친절하게 답한다.", labels=("배송", "환불"), shots=3, chain_of_thought=True))


def chat(name: str, question: str, answer: str, **more: Any) -> Example:
    return Example(name, (Message("user", question), Message("assistant", answer, **more)), Reference((answer,)))


TRAIN = tuple(chat(f"t{i}", f"{i}번 질문, 전화는 010-1234-567{i % 10}", "배송" if i % 2 else "환불") for i in range(12))
VALIDATION = tuple(chat(f"v{i}", f"{i}번째 물음", "배송") for i in range(3))


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[TuningService]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running(TuningService()) as service:
        yield service


def workshop(**more: Any) -> Workshop:
    settings: dict[str, Any] = {
        **{"goal": "문의에 답한다.", "language": "ko", "documents": None, "labels": (), "tools": (), "seed": 3},
        **{"scorer": choose_scorer(VALIDATION, "label", language="ko"), "evaluate": None},
        "load": lambda system: load_model(system.model, base_url=system.base_url),
    }
    return Workshop(**settings | more)


def rung(double: TuningService, options: dict[str, Any], shop: Workshop | None = None, **more: Any) -> RemoteFinetuneRung:
    config = RemoteFinetuneConfig(**{"base_url": double.url} | options)
    return RemoteFinetuneRung(config, shop or workshop(), clock=Clock(lambda: 0.0, lambda seconds: None), **more)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- asking ---------------------------------------------------------------------------------------------------------------------


def test_without_consent_nothing_leaves_and_the_error_says_what_would(double: TuningService, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        rung(double, {"price_per_1k_tokens": 4.0}).build(INCUMBENT, TRAIN, VALIDATION, tmp_path)

    told = str(caught.value)
    lines = (tmp_path / "train.jsonl").read_text().splitlines()
    tokens = sum(-(-len(line.encode()) // 3) for line in lines)
    assert len(lines) == 12
    assert f"would send 12 training rows, about {tokens:,} tokens, to {double.url}, to tune `tiny` there" in told
    assert f"3 passes train on about {3 * tokens:,} tokens: about {3 * tokens * 4 / 1000:,.2f} in `money.currency`" in told
    assert "{remote_finetune: {upload: true, price_per_1k_tokens: 4, max_cost: AMOUNT}}" in told
    assert f"look at {tmp_path / 'train.jsonl'}" in told
    assert "Nobody looked for personal data" in told
    assert double.seen == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "not known without `price_per_1k_tokens`"),
        ({"upload": True}, "max_cost: AMOUNT"),
        ({"upload": True, "max_cost": 5.0}, "price_per_1k_tokens: AMOUNT, max_cost: 5"),
        ({"upload": True, "price_per_1k_tokens": 0.0}, "price_per_1k_tokens: 0, max_cost: AMOUNT"),
        ({"upload": False, "max_cost": 5.0, "price_per_1k_tokens": 1.0}, "Nothing was sent yet"),
    ],
)
def test_consent_needs_a_price_and_a_cap(double: TuningService, tmp_path: Path, options: dict[str, Any], told: str) -> None:
    for way in ("ask", "build"):
        with pytest.raises(ConfigError, match=told):
            getattr(rung(double, options), way)(INCUMBENT, TRAIN, VALIDATION, tmp_path)
    assert double.seen == []


@pytest.mark.parametrize("said", ["yes", 1, "true", None])
def test_consent_is_the_word_true_and_nothing_like_it(said: Any) -> None:
    with pytest.raises(ValidationError):
        RemoteFinetuneConfig(upload=said)


def test_personal_data_is_told_by_kind_and_row_and_never_shown(double: TuningService, tmp_path: Path) -> None:
    def find(text: str) -> list[str]:
        return ["phone"] * text.count("010-") + ["email"] * text.count("@")

    with pytest.raises(ConfigError, match=r"personal data \(phone in 12 rows\): `sadari data clean` masks it") as caught:
        rung(double, {}, find_personal=find).ask(INCUMBENT, TRAIN, VALIDATION, tmp_path)
    assert "010-1234" not in str(caught.value)
    with pytest.raises(ConfigError, match="No personal data was found in them"):
        rung(double, {}, find_personal=lambda text: []).ask(INCUMBENT, TRAIN, VALIDATION, tmp_path)

    built = rung(double, AGREED, find_personal=find).build(INCUMBENT, TRAIN, VALIDATION, tmp_path)
    assert "rows that were sent hold personal data: phone in 12 rows" in built.notes


def test_validation_is_sent_only_with_a_consent_of_its_own(double: TuningService, tmp_path: Path) -> None:
    rung(double, AGREED).build(INCUMBENT, TRAIN, VALIDATION, tmp_path / "a")
    assert "validation_file" not in double.jobs["ftjob-1"]
    assert not any(b"\xeb\xb2\x88\xec\xa7\xb8 \xeb\xac\xbc\xec\x9d\x8c" in s.body for s in double.seen)  # 번째 물음

    both = AGREED | {"upload_validation": True}
    with pytest.raises(ConfigError, match=r"12 training rows and 3 validation rows \(validation\.jsonl beside it\)"):
        rung(double, both | {"upload": False}).ask(INCUMBENT, TRAIN, VALIDATION, tmp_path / "b")
    rung(double, both).build(INCUMBENT, TRAIN, VALIDATION, tmp_path / "b")
    assert "validation_file" in double.jobs["ftjob-2"]
    assert len(rows_of(tmp_path / "b" / "validation.jsonl")) == 3


def test_a_price_above_the_cap_ends_before_anything_is_sent(double: TuningService, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"above `max_cost` 1\.00\. Lower `max_rows` or `n_epochs`"):
        rung(double, AGREED | {"max_cost": 1.0}).ask(INCUMBENT, TRAIN, VALIDATION, tmp_path)
    assert double.seen == []


# --- building -------------------------------------------------------------------------------------------------------------------


def test_the_tuned_model_answers_and_its_price_is_the_cost(double: TuningService, tmp_path: Path) -> None:
    built = rung(double, AGREED | {"suffix": "mall", "n_epochs": 2, "batch_size": 4}).build(INCUMBENT, TRAIN, VALIDATION, tmp_path)

    assert (built.system.model, built.system.base_url) == ("openai:ft:tiny:me::1", double.url)
    assert built.cost.money == 6.0  # 1,500 tokens at 4 per thousand
    assert built.system.prompt == Prompt("친절하게 답한다.")
    assert any("12 of 12 training rows and 0 validation rows were sent to" in note for note in built.notes)
    assert any("1,500 tokens trained on (charged for" in note for note in built.notes)
    assert "uploaded files were deleted at the service" in built.notes
    job = double.jobs["ftjob-1"]
    assert (job["model"], job["suffix"], job["seed"]) == ("tiny", "mall", 3)
    assert job["method"]["supervised"]["hyperparameters"] == {"n_epochs": 2, "batch_size": 4}
    assert load_model(built.system.model, base_url=built.system.base_url).name == "openai:ft:tiny:me::1"


def test_what_is_sent_is_what_will_be_asked(double: TuningService, tmp_path: Path) -> None:
    """The label list and the examples are absorbed by tuning, so the rows are without them; a passage of a document stays."""
    write_lines(tmp_path / "d.jsonl", [Document("d", "배송비", "배송비는 3,000원입니다. 전화는 없습니다.")], Document)
    shop = workshop(documents=tmp_path / "d.jsonl")
    incumbent = INCUMBENT.with_(documents=tmp_path / "d.jsonl", retrieval=Retrieval("documents", 2, min_score=0.4))
    rows = [chat(f"t{i}", "배송비 얼마?", "3,000원입니다.") for i in range(10)]

    built = rung(double, AGREED, shop).build(incumbent, rows, VALIDATION, tmp_path)

    sent = rows_of(tmp_path / "train.jsonl")[0]
    assert sent["messages"] == [
        {"role": "system", "content": "친절하게 답한다."},
        {"role": "user", "content": "문서:\n[1] 배송비\n배송비는 3,000원입니다.\n전화는 없습니다.\n\n질문: 배송비 얼마?"},
        {"role": "assistant", "content": "3,000원입니다.", "weight": 1},
    ]
    assert double.seen[1].body.count(b"\n{") + 1 >= 10
    assert built.system.retrieval == Retrieval("documents", 2, min_score=0.0)


def test_a_task_with_documents_is_tuned_with_them_though_the_incumbent_looks_nothing_up(
    double: TuningService, tmp_path: Path
) -> None:
    write_lines(tmp_path / "d.jsonl", [Document("d", "배송비", "배송비는 3,000원입니다.")], Document)
    shop = workshop(documents=tmp_path / "d.jsonl")
    built = rung(double, AGREED, shop).build(INCUMBENT, [chat(f"t{i}", "배송비?", "3,000원") for i in range(10)], (), tmp_path)
    assert built.system.retrieval == Retrieval("documents", 1)
    assert "배송비는 3,000원입니다." in rows_of(tmp_path / "train.jsonl")[0]["messages"][1]["content"]


def test_rows_whose_answer_cannot_be_quoted_are_left_out_and_counted(double: TuningService, tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", [Document("d", "배송비", "배송비는 3,000원입니다.")], Document)
    incumbent = INCUMBENT.with_(documents=tmp_path / "d.jsonl", retrieval=Retrieval("documents", 1), decoding=Decoding(quote=1))
    rows = [chat(f"t{i}", "배송비?", "배송비는 3,000원입니다.") for i in range(10)] + [chat("x", "배송비?", "모릅니다")]
    shop = workshop(documents=tmp_path / "d.jsonl")
    built = rung(double, AGREED, shop).build(incumbent, rows, (), tmp_path)
    assert [r["messages"][-1]["content"] for r in rows_of(tmp_path / "train.jsonl")] == ["A"] * 10
    assert any(note.startswith("1 rows were left out") for note in built.notes)


def test_tools_and_calls_are_sent(double: TuningService, tmp_path: Path) -> None:
    tool = ToolSpec("track", "Where it is.", {"type": "object"})
    call = Message("assistant", "", tool_calls=(ToolCall("track", {"order": 7}),))
    rows = [Example(f"t{i}", (Message("user", "어디?"), call)) for i in range(10)]
    rung(double, AGREED).build(INCUMBENT.with_(tools=(tool,)), rows, (), tmp_path)
    row = rows_of(tmp_path / "train.jsonl")[0]
    assert row["tools"][0]["function"]["name"] == "track"
    assert row["messages"][-1]["tool_calls"][0]["function"] == {"name": "track", "arguments": '{"order": 7}'}


def test_a_local_incumbent_needs_the_name_of_a_model_there(double: TuningService, tmp_path: Path) -> None:
    local = System("mini", adapter=Path("adapter"))
    with pytest.raises(ConfigError, match=r"answers with mini, which no service can tune.*model: NAME"):
        rung(double, AGREED).ask(local, TRAIN, VALIDATION, tmp_path)
    built = rung(double, AGREED | {"model": "openai:gpt-x"}).build(local, TRAIN, VALIDATION, tmp_path)
    assert double.jobs["ftjob-1"]["model"] == "gpt-x"
    assert built.system.adapter is None


def test_openai_is_asked_where_no_address_is_given(double: TuningService, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokens, to https://api\.openai\.com/v1, to tune"):
        rung(double, {"base_url": None}).ask(INCUMBENT, TRAIN, VALIDATION, tmp_path)
    with pytest.raises(ConfigError, match=r"tokens, to http://llm\.local/v1, to tune"):
        rung(double, {"base_url": None}).ask(INCUMBENT.with_(base_url="http://llm.local/v1"), TRAIN, VALIDATION, tmp_path)


def test_a_query_of_the_address_is_not_shown(double: TuningService, tmp_path: Path) -> None:
    built = rung(double, AGREED | {"base_url": double.url + "?token=t0ps3cret"}).build(INCUMBENT, TRAIN, VALIDATION, tmp_path)
    assert "t0ps3cret" not in " ".join(built.notes)
    assert {s.query["token"] for s in double.seen} == {"t0ps3cret"}


def test_fewer_rows_are_drawn_with_the_seed(double: TuningService, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        rung(double, AGREED | {"max_rows": 10}, workshop(seed=seed)).ask(INCUMBENT, TRAIN, VALIDATION, tmp_path / name)
    a, b, c = ((tmp_path / name / "train.jsonl").read_text() for name in "abc")
    assert a == b != c
    assert a.count("\n") == 10


@pytest.mark.parametrize(
    ("rows", "kind", "told"),
    [
        ([chat("t1", "q", "a", weight=0.5)] * 10, DataError, r"row t1 \(train\): turn 3 \(assistant\) has the weight 0.5"),
        ([chat("t1", "q", "a")] * 9, DataError, "9 training rows are fewer than the 10"),
        ([Example("x", (Message("assistant", "글"),), kind="text")], TrainingError, "no row is a conversation"),
    ],
)
def test_rows_that_cannot_be_learnt_there_are_told_before_anything_is_sent(
    double: TuningService, tmp_path: Path, rows: list[Example], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        rung(double, AGREED).build(INCUMBENT, rows, VALIDATION, tmp_path)
    assert double.seen == []


def test_built_again_the_same_job_is_waited_for_and_paid_once(double: TuningService, tmp_path: Path) -> None:
    first = rung(double, AGREED).build(INCUMBENT, TRAIN, VALIDATION, tmp_path)
    assert rung(double, AGREED).build(INCUMBENT, TRAIN, VALIDATION, tmp_path) == first
    assert (double.count("POST", "/v1/files"), double.count("POST", "/v1/fine_tuning/jobs")) == (1, 1)


def test_a_bill_above_the_cap_that_is_told_at_the_end_stands_in_the_notes(double: TuningService, tmp_path: Path) -> None:
    double.stages = [{"status": "succeeded", "fine_tuned_model": "ft:x", "trained_tokens": 2_000_000}]
    built = rung(double, AGREED).build(INCUMBENT, TRAIN, VALIDATION, tmp_path)
    assert built.cost.money == 8000.0
    assert any("above max_cost 5,000.00" in note for note in built.notes)


@pytest.mark.parametrize(
    "options", [{"n_epochs": 0}, {"n_epochs": 51}, {"max_cost": float("inf")}, {"suffix": "a b"}, {"max_hours": 0}]
)
def test_settings_outside_their_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RemoteFinetuneConfig(**options)
