"""The findings, each on rows made so that it can be counted by hand."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sadari.check import CheckOptions, Remark, check_task
from sadari.check.advice import RULES, Evidence, advise
from sadari.check.costs import RungCost, Setting, Work, estimate_rungs, price, remark_costs
from sadari.check.gains import provable_gains, remark_gains
from sadari.check.growth import measure_growth, remark_growth
from sadari.check.labels import count_labels, remark_labels
from sadari.check.leaks import remark_leaks
from sadari.check.lengths import measure_lengths, remark_lengths
from sadari.check.machine import Machine, Speed
from sadari.check.privacy import remark_privacy
from sadari.check.repeats import find_repeats, remark_repeats
from sadari.measure import LabelScorer
from sadari.model.shape import ModelShape
from sadari.task import Task, load_task
from sadari.types import Generation, Message, Request, ToolSpec
from small_tasks import write_documents_task, write_label_task

SHAPE = ModelShape(6, 256, 704, 256, 128, 8192)
MACHINE = Machine("test", 16.0, False)
Rows = list[dict[str, Any]]


class WordModel:
    """Counts words, and takes `context` of them."""

    name = "words"

    def __init__(self, context: int | None = None) -> None:
        self.context = context

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        return [Generation("") for _ in requests]

    def count_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        return sum(len(m.content.split()) for m in messages)


def make_task(folder: Path, train: Rows, test: Rows, documents: dict[str, str] | None = None, **options: Any) -> Task:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("test", test)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    if documents:
        (folder / "docs").mkdir()
        for name, text in documents.items():
            (folder / "docs" / name).write_text(text)
        options["documents"] = "docs/"
    given = {"goal": "Answer.", "language": "en", "examples": {"train": "train.jsonl", "test": "test.jsonl"}, **options}
    (folder / "sadari.yaml").write_text(json.dumps(given))
    return load_task(folder)


def pairs(*questions: str, answer: str = "yes") -> Rows:
    return [{"question": q, "answer": answer} for q in questions]


WORDS = [
    *("apple", "bridge", "candle", "donkey", "engine", "forest", "garden", "hammer"),
    *("island", "jacket", "kettle", "ladder", "mirror", "needle", "orange", "pillow"),
]
FILLER = pairs(*(f"{a} {b} together" for a, b in zip(WORDS, WORDS[::-1], strict=True)))
TESTS = pairs("what of the quiet river", "who painted that old ceiling")


def about(remarks: Sequence[Remark], what: str) -> list[Remark]:
    return [r for r in remarks if r.about == what]


# --- lengths -------------------------------------------------------------------------------------------------------------


def test_rows_beyond_the_context_are_named_and_stop_tuning_above_the_share_it_may_leave_out(tmp_path: Path) -> None:
    long = pairs(" ".join(["word"] * 30))
    task = make_task(tmp_path, [*FILLER, *long], TESTS)
    lengths = measure_lengths(task, WordModel(context=20))
    where = next(w for e in (*task.train, *task.validation) if len(e.question) > 100 for w in [task.sources[e.id]])
    assert where == "train.jsonl line 17"
    in_train = any(task.sources[e.id] == where for e in task.train)
    assert in_train, "the seed of the split put the long row into validation"
    [allowed] = remark_lengths(task, lengths, max_cut_share=0.5)
    [stopped] = remark_lengths(task, lengths, max_cut_share=0.02)
    assert (allowed.level, stopped.level) == ("warning", "error")
    assert allowed.rows == stopped.rows == (where,)
    assert "max_cut_share" in stopped.remedy


def test_lengths_are_those_of_the_goal_the_question_and_the_answer(tmp_path: Path) -> None:
    task = make_task(tmp_path, FILLER, TESTS)  # "Answer." and the question; the answer is "yes"
    lengths = measure_lengths(task, WordModel())
    assert lengths.prompts["test"] == (1 + 5, 1 + 5)
    assert lengths.totals("train") == (5,) * len(task.train)
    assert (lengths.plain, lengths.shared, lengths.answer, lengths.passage) == (6.0, 1, 1.0, 0.0)


def test_a_passage_is_counted_where_there_are_documents(tmp_path: Path) -> None:
    task = make_task(tmp_path, FILLER, TESTS, {"river.md": "# River\n\nThe quiet river runs north of the town.\n"})
    lengths = measure_lengths(task, WordModel())
    assert lengths.prompts["test"][0] > lengths.plain + 7


def test_test_questions_that_cannot_be_asked_and_answers_that_cannot_be_finished_are_told(tmp_path: Path) -> None:
    tests = [*TESTS, {"question": "short", "answer": " ".join(["word"] * 600)}, *pairs(" ".join(["why"] * 900))]
    task = make_task(tmp_path, FILLER, tests)
    told = remark_lengths(task, measure_lengths(task, WordModel(context=800)), None)
    assert [r.rows for r in told] == [("test.jsonl line 4",), ("test.jsonl line 3",)]


# --- labels --------------------------------------------------------------------------------------------------------------


def label_rows(counts: dict[str, int], word: str) -> Rows:
    return [{"text": f"{word} {label} {WORDS[i % 16]} {i}", "label": label} for label, n in counts.items() for i in range(n)]


def test_labels_are_counted_and_the_rare_unseen_and_unasked_ones_named(tmp_path: Path) -> None:
    train = label_rows({"a": 40, "b": 12, "c": 3}, "learn")
    test = label_rows({"a": 6, "b": 3, "d": 1}, "ask")
    task = make_task(tmp_path, train, test, score={"by": "label"})
    counts = {c.label: (c.train + c.validation, c.test) for c in count_labels(task)}
    assert counts == {"a": (40, 6), "b": (12, 3), "c": (3, 0), "d": (0, 1)}
    told = {r.sentence: r for r in remark_labels(task, count_labels(task))}
    assert any("“a” would be right on 60.0% of test" in s for s in told)
    assert any("fewer than 5 train rows (1): c" in s for s in told)
    [unseen] = [r for s, r in told.items() if "stand in no train row (1): d" in s]
    assert unseen.rows == ("test.jsonl line 10",)
    assert any("never tested (1): c" in s for s in told)


def test_a_label_spelt_in_two_ways_is_told(tmp_path: Path) -> None:
    task = make_task(tmp_path, label_rows({"re-fund": 20, "Refund": 20}, "learn"), label_rows({"Refund": 4}, "ask"))
    assert any("“Refund” = “re-fund”" in r.sentence for r in remark_labels(task, count_labels(task)))


def test_one_answer_for_everything_is_an_error(tmp_path: Path) -> None:
    task = make_task(tmp_path, FILLER, TESTS)
    [told] = remark_labels(task, count_labels(task))
    assert told.level == "error"
    assert "“yes”" in told.sentence


# --- repeats -------------------------------------------------------------------------------------------------------------


def test_duplicates_near_duplicates_and_contradictions_are_told_apart(tmp_path: Path) -> None:
    rows = [
        {"question": "When does the parcel arrive at my house?", "answer": "tomorrow"},
        {"question": "when does the PARCEL arrive at my house", "answer": "Tomorrow."},  # the same, folded
        {"question": "When does the parcel arrive at my house?", "answer": "never"},  # another answer
        {"question": "When does the parcel arrive at my houses?", "answer": "tomorrow"},  # nearly the same
        {"question": "Something else altogether, about the garden", "answer": "tomorrow"},
    ]
    task = make_task(tmp_path, FILLER, [*rows, *TESTS])
    found = find_repeats(task.test, has_labels=False)
    lines = [
        [tuple(task.sources[e.id].split()[-1] for e in pair) for pair in some]
        for some in (found.exact, found.conflicts, found.near)
    ]
    assert lines == [[("2", "1")], [("3", "1")], [("4", "1")]]
    assert found.near_conflicts == ()


def test_a_near_duplicate_with_another_label_is_suspected_of_being_labelled_wrongly(tmp_path: Path) -> None:
    rows = [
        {"text": "When does the parcel arrive at my house?", "label": "shipping"},
        {"text": "When does the parcel arrive at my houses?", "label": "refund"},
    ]
    train = label_rows({"shipping": 20, "refund": 20}, "learn")
    task = make_task(tmp_path, train, [*rows, *label_rows({"shipping": 3}, "ask")])
    [told] = about(remark_repeats(task), "conflicts")
    assert told.rows == ("test.jsonl line 2 = test.jsonl line 1",)


def test_the_same_question_about_another_passage_is_no_contradiction(tmp_path: Path) -> None:
    rows = [{"context": f"The {w} is in room {i}.", "question": "Where is it?", "answer": f"room {i}"} for i, w in enumerate(WORDS)]
    task = make_task(tmp_path, FILLER, rows)
    assert find_repeats(task.test, has_labels=False).conflicts == ()


# --- leaks, privacy ------------------------------------------------------------------------------------------------------


def test_test_questions_and_answers_in_documents_and_near_duplicates_in_train_are_told(tmp_path: Path) -> None:
    asked = "could you perhaps tell me, if it is not too much trouble for you, where the quiet river with the old stone bridge ends"
    train = [*FILLER, *pairs(asked)]
    test = [
        {"question": f"{asked} now", "answer": "at the northern sea"},
        {"question": "how do I register a coupon", "answer": "On the page of coupons"},
    ]
    documents = {"faq.md": "# FAQ\n\nHow do I register a coupon? Look below.\n\nIt ends at the northern sea.\n"}
    task = make_task(tmp_path, train, test, documents)
    near, question, answer = about(remark_leaks(task), "leaks")
    assert near.rows == ("train.jsonl line 17 = test.jsonl line 1",)
    assert (question.level, question.rows) == ("warning", ("test.jsonl line 2",))
    assert (answer.level, answer.rows) == ("info", ("test.jsonl line 1",))


def test_personal_data_is_told_by_row_and_never_printed(tmp_path: Path) -> None:
    rows = [*FILLER, {"question": "Call me back on 010-1234-5678 please", "answer": "yes"}]
    task = make_task(tmp_path, rows, TESTS, {"help.md": "# Help\n\nWrite to help@mall.co.kr.\n"})
    told = remark_privacy(task)
    assert [(r.level, len(r.rows)) for r in told] == [("warning", 1), ("info", 1)]
    assert told[0].rows[0].startswith("train.jsonl line 17, messages[0].content: phone ")
    assert all(secret not in str(told) for secret in ("1234", "help@mall"))


def test_an_address_that_the_documents_publish_is_no_leak_of_a_customer(tmp_path: Path) -> None:
    rows = [*FILLER, {"question": "Where can I write to?", "answer": "To help@mall.co.kr."}]
    task = make_task(tmp_path, rows, TESTS, {"help.md": "# Help\n\nWrite to help@mall.co.kr.\n"})
    assert [r.level for r in remark_privacy(task)] == ["info"]


# --- is tuning the right tool ----------------------------------------------------------------------------------------------

NOTHING = Evidence(1000, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 100.0, computed=False, tunes=True)


@pytest.mark.parametrize(
    ("seen", "advised"),
    [
        ({"documents": 3, "in_documents": 0.8}, ["retrieval"]),
        ({"documents": 3, "spans": 0.8}, ["retrieval"]),
        ({"numbers": 0.5}, ["retrieval"]),
        ({"numbers": 0.9, "computed": True}, ["prompt"]),
        ({"labels": 7, "characters": 5}, ["tuning"]),
        ({"calls": 0.9, "numbers": 0.9}, ["tuning"]),
        ({"json": 0.9}, ["tuning"]),
        ({"style": 0.6}, ["tuning"]),
        ({"characters": 12}, ["neither"]),
        ({"characters": 12, "tunes": False}, []),
        ({"labels": 7, "train_rows": 20}, ["tuning", "prompt"]),
        ({}, []),
    ],
)
def test_the_rules_advise_by_what_the_answers_look_like(seen: dict[str, Any], advised: list[str]) -> None:
    evidence = replace(NOTHING, **seen)
    assert [rule.tool for rule in RULES if rule.holds(evidence)] == advised


def test_every_rule_can_be_said_in_both_languages() -> None:
    values = {name: getattr(NOTHING, name) for name in Evidence.__slots__}
    for rule in RULES:
        assert all(part.format(**values).isprintable() for language in ("ko", "en") for part in rule.wording[language])


def test_evidence_is_drawn_from_the_rows(tmp_path: Path) -> None:
    told = advise(load_task(write_documents_task(tmp_path / "task")))
    assert any("100%가 문서 3개" in r.sentence for r in told)


# --- growth, gains -------------------------------------------------------------------------------------------------------


def test_a_learning_curve_of_the_stand_in_rises_where_answers_can_be_copied(tmp_path: Path) -> None:
    # 60 words, each a sign of its label: with few rows many words were never seen.
    words = [f"{a}{b}" for a in ("gla", "bro", "wim", "pes", "tor", "nul") for b in WORDS[:10]]
    train = [{"text": f"{w} {WORDS[i % 16]} number {i}", "label": f"label {words.index(w) % 6}"} for i, w in enumerate(words * 4)]
    task = make_task(
        tmp_path, train, [{"text": "gladonkey once more", "label": "label 3"}, {"text": "torforest", "label": "label 1"}]
    )
    growth = measure_growth(task, LabelScorer())
    assert growth.sizes == tuple(round(len(task.train) * s) for s in (0.25, 0.5, 0.75, 1.0))
    assert growth.means[-1] > growth.means[0]
    assert growth.gain is not None, growth.refusal
    assert growth.gain.low <= growth.gain.value <= growth.gain.high
    assert "copies the answers" in remark_growth(task, growth)[0].sentence


def test_few_rows_are_refused_a_curve(tmp_path: Path) -> None:
    task = make_task(tmp_path, FILLER, TESTS)
    growth = measure_growth(task, LabelScorer())
    assert (growth.gain, growth.sizes) == (None, ())
    assert "too few" in remark_growth(task, growth)[0].sentence


def test_retrieval_is_measured_by_whether_it_finds_the_document_that_holds_the_answer(tmp_path: Path) -> None:
    documents = {f"{w}.md": f"# {w.title()}\n\nThe {w} stands in room {i}.\n" for i, w in enumerate(WORDS)}
    rows = [
        {"question": f"Tell me, number {n}: where is the {w}?", "answer": f"The {w} stands in room {i}.", "relevant": [f"{w}.md"]}
        for i, w in enumerate(WORDS)
        for n in range(3)
    ]
    growth = measure_growth(make_task(tmp_path, rows, TESTS, documents), LabelScorer())
    assert growth.retrieval_hit == 1.0


def test_what_ten_test_rows_can_prove_is_nothing(tmp_path: Path) -> None:
    task = make_task(tmp_path, FILLER, TESTS, ladder=["prompt", "retrieval"])
    gains = provable_gains(task)
    assert {g.gain for g in gains} == {None}
    assert remark_gains(task, gains)[0].level == "warning"


# --- costs ---------------------------------------------------------------------------------------------------------------


def setting_of(task: Task, speed: float = 1e9) -> Setting:
    return Setting(task, measure_lengths(task, WordModel()), MACHINE, SHAPE, Speed(speed, speed, speed))


def test_the_baseline_answers_every_test_row_once_and_a_price_follows_from_its_seconds(tmp_path: Path) -> None:
    task = make_task(tmp_path, FILLER, TESTS, ladder=["prompt"], money={"machine_hour": 3600})
    baseline, prompt = estimate_rungs(setting_of(task))
    assert baseline.work == Work(2, 10.0, 2.0)  # five words are asked, one is answered
    layers = 6 * (2 * 256 * (256 + 128) + 3 * 256 * 704)
    attention = 6 * 256 * 5
    assert baseline.seconds == pytest.approx((2 * (layers + attention) * 12 + 2 * 8192 * 256 * 2) / 1e9)
    assert baseline.money == pytest.approx(baseline.seconds)
    assert prompt.work.answers == 8 * len(task.validation) + 2


def test_training_tokens_are_the_passes_and_end_at_the_steps_or_the_time(tmp_path: Path) -> None:
    task = make_task(tmp_path, FILLER, TESTS, ladder=[{"full": {"epochs": 2}}])
    per_pass = 5 * len(task.train)
    full = estimate_rungs(setting_of(task))[1]
    assert (full.work.trained_tokens, full.passes) == (2 * per_pass, 2.0)
    stepped = make_task(tmp_path, FILLER, TESTS, ladder=[{"full": {"max_steps": 1, "batch_tokens": 64, "epochs": 99}}])
    assert estimate_rungs(setting_of(stepped))[1].work.trained_tokens == 64
    timed = make_task(tmp_path, FILLER, TESTS, ladder=[{"full": {"epochs": 2}}], budget={"time": 10})
    cost = estimate_rungs(setting_of(timed, speed=1e6))[1]
    assert cost.passes is not None
    assert 0 < cost.passes < 1
    assert any("of one pass" in r.sentence for r in remark_costs(timed, [cost], MACHINE))


def test_a_rung_that_does_not_fit_is_an_error_and_no_price_is_said_to_be_none(tmp_path: Path) -> None:
    task = make_task(tmp_path, FILLER, TESTS)
    cost = RungCost("full", Work(), 1.0, None, 40.0)
    too_big, unpriced = remark_costs(task, [cost], MACHINE)
    assert (too_big.level, too_big.about) == ("error", "cost")
    assert "40.0 GiB" in too_big.sentence
    assert "Nothing is priced" in unpriced.sentence


def test_a_remote_model_is_priced_by_its_tokens(tmp_path: Path) -> None:
    money = {"price_per_1k_prompt_tokens": 2, "price_per_1k_completion_tokens": 10}
    task = make_task(tmp_path, FILLER, TESTS, money=money, ladder=["prompt"])
    setting = replace(setting_of(task), shape=None, speed=None)
    # 100 answers: 1,000 tokens of their own, 100 of the instruction ("Answer."), 200 written.
    assert price(Work(100, 1000, 200), None, setting) == pytest.approx(1.1 * 2 + 0.2 * 10)
    assert [c.seconds for c in estimate_rungs(setting)] == [None, None]


# --- the whole -----------------------------------------------------------------------------------------------------------


def test_a_whole_check_says_where_rows_come_from_and_sorts_the_worst_first(tmp_path: Path) -> None:
    found = check_task(load_task(write_label_task(tmp_path / "task")), CheckOptions())
    assert [(s.name, s.file, s.shape) for s in found.splits] == [
        ("train", "train.jsonl", "input/..."),
        ("validation", "train.jsonl", "input/..."),
        ("test", "test.jsonl", "input/..."),
    ]
    levels = [r.level for r in found.remarks]
    assert levels == sorted(levels, key=("error", "warning", "info").index)
    assert found.bases == ()
    json.dumps(found.as_json(), allow_nan=False)


def test_base_models_are_suggested_when_asked(tmp_path: Path) -> None:
    found = check_task(load_task(write_label_task(tmp_path / "task")), CheckOptions(models=True))
    assert found.bases
    for base in found.bases:
        assert base.answer_int4 < base.answer_bfloat16 < base.lora < base.full
