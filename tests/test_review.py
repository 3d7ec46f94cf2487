"""What follows a climb: the review of small climbs, its chapters in both languages, and the reports made of it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from sadari.errors import ConfigError
from sadari.files import read_json
from sadari.looks import looks_at, name_of_test
from sadari.measure.abstention import AbstentionReport
from sadari.measure.after.failures import FailureGroup
from sadari.measure.after.forgetting import Change, Forgetting
from sadari.measure.after.leaks import Leak
from sadari.measure.after.overfitting import Overfitting
from sadari.measure.after.slices import Slice
from sadari.measure.judging.calibration import Calibration
from sadari.measure.money.bill import Part
from sadari.measure.money.payoff import Payoff, ReferenceShare
from sadari.measure.money.stop import StopAdvice
from sadari.measure.report import RunData, Section, section_markdown
from sadari.measure.scorers.label import LabelQuality, LabelReport
from sadari.measure.verdict import Rule, judge
from sadari.measure.words import Words
from sadari.review import RUN, Audit, Climbed, Reuse, Review, Tuning, chapters, write_reports
from sadari.review.chapters import forgetting_column
from sadari.review.data import Citations, Judged
from sadari.review.look import reference_system
from sadari.run import ClimbOptions, load_result, run_climb
from sadari.task import load_task
from sadari.train.memorisation import Exposure
from sadari.types import Decoding, Prompt, Scorecard, Step
from small_tasks import LABEL_RULES, write_documents_task, write_label_task, write_task


def climb(folder: Path, options: ClimbOptions = ClimbOptions(), tell: Callable[[str], None] = print) -> list[Step]:  # noqa: B008 - frozen
    return list(run_climb(load_task(folder), options, tell))


def review_of(folder: Path, run: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = load_result(folder / "runs" / str(run))["review"]
    return found


def card(rung: str, *scores: float) -> Scorecard:
    n = len(scores)
    ids = tuple(f"t{i}" for i in range(n))
    return Scorecard(rung, "label", ids, scores, ("",) * n, (), (9,) * n, (9,) * n, 0, 0.4, 0.9, 2.0, 0.5)


# --- every chapter, in both languages ------------------------------------------------------------------------------------------


def filled(words: str = "<b>fee</b>") -> Review:
    """A review with something in every part; `words` stand wherever a user or a model writes."""
    before, after = card("baseline", *[0.0] * 30, *[1.0] * 10), card("retrieval", *[0.0] * 10, *[1.0] * 30)
    payoff = Payoff(
        "retrieval", "baseline", "KRW", 1000.0, 0.5, 5.0, 9000.0, 0.1, None, 2400.0, (100.0, 2400.0, 4000.0), 12.0, 0.97, 3750.0,
        3.75, ("machine_hour 400 KRW",), (Part("idle", 1.0, None, ("hosting_per_month",), is_binding=False),),
    )  # fmt: skip
    change = Change("ko", "loss", 2.0, 2.3, 0.3, 0.2, 0.4, "serious")
    tuning = Tuning(
        "lora",
        Overfitting("notice", "It overfits a little."),
        Forgetting("serious", (change,), "Much is forgotten."),
        (Exposure("canary-A", 18.2, 7.0, 3, "serious"),),
    )
    group = FailureGroup(f"{words} — wrong", "wrong", (words,), 10, 1.0, 0.25, ("t0", "t1"), ("t0",), {"prompt": 1}, {"lora": 2})
    return Review(
        payoffs=(payoff, replace(payoff, requests_per_month=1e6, net_per_month=-5.0, payback_months=None)),
        advice=StopAdvice(0.02, 0.25, "remaining", True),
        references=(card("openai:large", *[1.0] * 40),),
        left_out={"folder/x": f"no such folder {words}"},
        shares=(
            ReferenceShare("retrieval", "openai:large", 1000.0, 0.75, (0.7, 0.75, 0.8), 10.0, 100.0, 0.1),
            ReferenceShare("retrieval", "openai:large", 1e6, 0.75, (0.7, 0.75, 0.8), 10.0, 40.0, 0.25),
        ),
        audit=Audit(before, after, judge(before, after, Rule())),
        reuse=Reuse(2, 9, 0.75, 0.00278, 4),
        failures=(group,),
        quotes=(("t0", f"What is the {words}?"),),
        slices=(Slice("tag", words, 12, 0.2, 0.1, 0.4, 0.7, 0.5, 0.9, 0.5, 0.2, 0.7, 0.003, False),),
        labels=LabelReport((words, "b"), 0.75, 0.7, (LabelQuality(words, 0.7, 0.7, 0.7, 20), LabelQuality("b", 1, 1, 1, 20)),
                           ((10, 9, 1), (0, 20, 0))),
        abstention=AbstentionReport(3, 2, 1, 34),
        citations=Citations(0.9, 0.8, 0.7, None, 0.5, 0.6, "words"),
        tunings=(tuning,),
        leaks=(Leak("t3", "phone", f"call {words} *************"),),
        judged=Judged({"baseline": 1, "retrieval": 0}, {"baseline": 0, "retrieval": 2}, Calibration(60, 54, 40, 32)),
    )  # fmt: skip


ALL = ("leaks", "money", "references", "audit", "reuse", "failures", "slices", "labels", "answers", "tuning", "judge")


def told(section: Section) -> str:
    cells = [cell for table in section.tables for row in (table.columns, *table.rows) for cell in row]
    return "\n".join([section.title, *section.text, *section.points, *cells])


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_full_review_has_every_chapter_in_its_language(language: Literal["ko", "en"]) -> None:
    sections = chapters(filled(), Words(language, "KRW"))
    assert tuple(section.name for section in sections) == ALL
    for section in sections:
        has_hangul = any("가" <= c <= "힣" for c in told(section))
        assert has_hangul == (language == "ko"), section.name
    assert chapters(Review(), Words(language, "KRW")) == ()


def test_the_chapters_tell_the_figures_of_the_review() -> None:
    said = {section.name: told(section) for section in chapters(filled(), Words("en", "KRW"))}
    for name, figures in {
        "money": ("9,000 KRW", "2,400 KRW", "97.0%", "3.8", "3,750", "never", "idle time of the machine"),
        "references": ("openai:large", "75.0%", "10.0%", "25.0%", "1,000", "1,000,000", "folder/x", "no such folder"),
        "audit": ("40 examples", "75.0%", "25.0%", "+50.0 points"),
        "reuse": ("2 earlier climbs and 4 evaluations", "9 systems", "75.0%", "0.00278"),
        "failures": ("100.0%", "prompt 1", "lora 2", "(t0)"),
        "slices": ("12", "20.0%", "70.0%", "+50.0 points", "0.003"),
        "labels": ("75.0%", "70.0%", "9"),
        "answers": ("3 rightly, 1 wrongly, 2 answered instead", "90.0%"),
        "tuning": ("18.2 bits", "3 guesses", "2.300", "+0.300", "serious"),
        "leaks": ("1 answers", "t3: phone"),
        "judge": ("kappa",),
    }.items():
        for figure in figures:
            assert figure in said[name], (name, figure, said[name])
    assert forgetting_column(filled(), Words("en", "KRW")) == {"lora": "ko +15.0% (serious)"}


def test_the_loudest_chapters_say_how_loud_they_are() -> None:
    levels = {section.name: section.level for section in chapters(filled(), Words("en", "KRW"))}
    assert (levels["leaks"], levels["tuning"], levels["reuse"], levels["audit"]) == ("error", "warning", "notice", "")
    worse = replace(filled(), audit=replace(filled().audit, verdict=judge(card("a", 1.0, 1.0), card("b", 0.0, 1.0), Rule())))  # type: ignore[type-var]
    assert {s.name: s.level for s in chapters(worse, Words("en", "KRW"))}["audit"] == "warning"


@pytest.mark.parametrize("language", ["ko", "en"])
def test_what_users_and_models_wrote_is_never_markup(language: Literal["ko", "en"]) -> None:
    evil = "<img src=x onerror=1> [a](http://evil.example) | `x` https://evil.example www.evil.example ![p](q) 1. a"
    text = "\n\n".join(section_markdown(section) for section in chapters(filled(evil), Words(language, "KRW")))
    for markup in (r"(?<!\\)<img", r"(?<!\\)\[a(?<!\\)\]", r"(?<!\\)`x", r"https?://", r"www\.", r"!\["):
        assert re.search(markup, text) is None, markup


def test_an_audit_set_that_was_opened_before_says_so() -> None:
    def said(audit: Audit, language: Literal["ko", "en"]) -> Section:
        return next(s for s in chapters(Review(audit=audit), Words(language, "KRW")) if s.name == "audit")

    audit = filled().audit
    assert audit is not None
    assert "nobody had looked at" in told(said(audit, "en"))
    again = replace(audit, earlier=2)
    assert "nobody had looked at" not in told(said(again, "en"))
    assert "2 earlier climbs" in told(said(again, "en"))
    assert "먼저 2번" in told(said(again, "ko"))
    assert said(again, "en").level == "notice"


# --- the reports ---------------------------------------------------------------------------------------------------------------


def test_the_reports_can_be_written_again_in_either_language_with_the_same_numbers(tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task", money={"machine_hour": 400, "requests_per_month": 1e5, "value_per_correct": 9})
    climb(task)
    run = task / "runs/1"
    korean = {name: (run / name).read_bytes() for name in ("report.html", "report.md", "report.json", "best/MODEL_CARD.md")}
    write_reports(run, "en")
    english = {name: (run / name).read_text() for name in korean}
    assert 'lang="en"' in english["report.html"]
    assert "Does it pay?" in english["report.html"]
    assert "Does it pay?" in english["report.md"]
    assert json.loads(english["report.json"]) == json.loads(korean["report.json"])
    write_reports(run)
    assert {name: (run / name).read_bytes() for name in korean} == korean


def test_html_markdown_json_and_the_files_of_the_run_tell_the_same_numbers(tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task", language="en")
    steps = climb(task)
    result = load_result(task / "runs/1")
    page, text = ((task / "runs/1" / name).read_text() for name in ("report.html", "report.md"))
    for step, line in zip(steps, result["steps"], strict=True):
        assert (line["quality"], line["p_value"]) == (step.scorecard.quality, step.verdict.p_value)
        for shown in (f"{line['quality']:.1%}", f"{line['quality_low']:.1%} to {line['quality_high']:.1%}"):
            assert shown in page
            assert shown in text
        if line["holm_p_value"] is not None:
            assert f"Holm {line['holm_p_value']:.3g}" in page or f"Holm {line['holm_p_value']:.0e}" in page
            assert f"Holm {line['holm_p_value']:.3g}" in text or f"Holm {line['holm_p_value']:.0e}" in text


def test_a_share_of_a_reference_that_may_be_nothing_is_still_json(tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task")
    climb(task)
    run = task / "runs/1"
    endless = ReferenceShare("retrieval", "x", 1.0, 9.0, (1.0, 9.0, float("inf")), None, None, None)
    review = replace(read_json(run / "review.json", Review), shares=(endless,))
    from sadari.files import to_json

    (run / "review.json").write_text(to_json(review))
    write_reports(run)

    def refuse(name: str) -> None:
        raise ValueError(name)

    found = json.loads((run / "report.json").read_text(), parse_constant=refuse)
    assert found["review"]["shares"][0]["quality_tenths"] == [1.0, 9.0, None]


# --- references ----------------------------------------------------------------------------------------------------------------


def test_references_are_measured_beside_the_task_and_those_that_cannot_be_asked_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = write_label_task(tmp_path / "task", references=["scripted:large.json", "scripted:gone.json", "openai:none"])
    (task / "large.json").write_text(json.dumps(LABEL_RULES, ensure_ascii=False))
    monkeypatch.chdir(tmp_path)  # elsewhere than the task
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    steps = climb(task)
    review = review_of(task)
    assert [(c["rung"], c["scores"]) for c in review["references"]] == [("scripted:large.json", list(steps[-1].scorecard.scores))]
    assert set(review["left_out"]) == {"scripted:gone.json", "openai:none"}
    text = (task / "runs/1/report.md").read_text()
    assert "openai:none" in text
    assert steps[-1].rung == "retrieval"


def test_a_reference_is_asked_with_the_best_untrained_prompt_and_never_with_an_adapter(tmp_path: Path) -> None:
    folder = write_label_task(tmp_path / "task")
    steps = climb(folder)
    task = load_task(folder)
    tuned = steps[-1].built.system.with_(adapter=tmp_path, prompt=Prompt("tuned"))
    lora = replace(steps[-1], index=3, rung="lora", built=replace(steps[-1].built, system=tuned))
    climbed = Climbed(task, (*steps, lora), 3, folder / "runs", folder / "runs/1")
    best = steps[-1].built.system
    for name, choices in (("scripted:rules.json", task.labels), ("openai:x", ())):
        system = reference_system(name, climbed)
        assert (system.adapter, system.retrieval) == (None, best.retrieval)
        assert (system.prompt.instruction, system.prompt.labels) == (best.prompt.instruction, task.labels)
        assert system.decoding == Decoding(max_new_tokens=512, choices=choices)


# --- the audit set, and other looks ------------------------------------------------------------------------------------------


def audited(folder: Path, **options: Any) -> Path:
    """A label task whose audit set holds other questions."""
    task = write_label_task(folder, examples={"train": "train.jsonl", "test": "test.jsonl", "audit": "audit.jsonl"}, **options)
    rows = [json.loads(line) for line in (task / "test.jsonl").read_text().splitlines()]
    rows = [{**row, "id": f"audit-{i}", "input": f"안녕하세요 {row['input']} 답 주세요 {i}"} for i, row in enumerate(rows)]
    (task / "audit.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return task


def test_the_audit_set_is_opened_at_the_end_and_every_opening_is_counted(tmp_path: Path) -> None:
    folder = audited(tmp_path / "task")
    steps = climb(folder)
    task = load_task(folder)
    name = name_of_test(task.audit, steps[0].scorecard.scorer)
    assert [(look.run, look.rung) for look in looks_at(folder / "runs", name)] == [("1", "retrieval (audit)")]
    assert review_of(folder)["audit"]["earlier"] == 0
    climb(folder)  # the finished climb again
    climb(folder, ClimbOptions(again=True))
    assert len(looks_at(folder / "runs", name)) == 2
    assert review_of(folder, 2)["audit"]["earlier"] == 1
    (folder / "runs/2/review.json").unlink()  # killed during the review
    (folder / "runs/2/report.json").unlink()
    climb(folder, ClimbOptions(again=True))
    assert review_of(folder, 2)["audit"]["earlier"] == 1


def test_audit_examples_that_stand_in_test_stop_the_run(tmp_path: Path) -> None:
    from sadari.errors import LeakError

    folder = audited(tmp_path / "task")
    row = (folder / "test.jsonl").read_text().splitlines()[0]
    (folder / "audit.jsonl").write_text((folder / "audit.jsonl").read_text() + row + "\n")
    with pytest.raises(LeakError, match=r"test\.jsonl line 1 .*audit\.jsonl line 33"):
        load_task(folder)


def test_the_second_climb_knows_of_the_first(tmp_path: Path) -> None:
    folder = write_label_task(tmp_path / "task")
    climb(folder)
    assert review_of(folder)["reuse"] | {"told": 0, "level": 0} == {"climbs": 0, "looks": 3, "told": 0, "level": 0, "evals": 0}
    climb(folder, ClimbOptions(again=True))
    assert review_of(folder, 2)["reuse"] | {"told": 0} == {"climbs": 1, "looks": 6, "told": 0, "level": 0.05 / 2 / 4, "evals": 0}


# --- leaks -------------------------------------------------------------------------------------------------------------------


def with_phones(folder: Path, said: str, *, test_answer: str, document: str | None = None) -> Path:
    """A task whose training rows hold one phone number, and a model that says `said` to everything."""
    train = [
        {"id": f"a{i}", "input": f"{w} 담당자 연락처 알려 주세요 {i}", "output": f"{w} 담당자는 010-4821-7733입니다."}
        for i, w in enumerate(("배송", "환불", "교환", "적립", "쿠폰", "등급", "결제", "반품"))
    ]
    test = [
        {"id": f"b{i}", "input": f"{w} 누구에게 물어보나요? {i}", "output": test_answer}
        for i, w in enumerate(("포장", "선물", "영수증"))
    ]
    options: dict[str, Any] = {} if document is None else {"documents": "docs/"}
    if document is not None:
        (folder / "docs").mkdir(parents=True)
        (folder / "docs/a.md").write_text(document)
    return write_task(
        folder, train, test, rules=[{"say": said}], goal="답한다.", ladder=["prompt"], score={"by": "text"}, **options
    )


def test_a_number_of_train_that_the_winner_says_is_a_leak(tmp_path: Path) -> None:
    folder = with_phones(tmp_path / "task", "010 4821 7733 으로 전화하세요", test_answer="고객 센터에 문의하세요.")
    climb(folder)
    assert [(leak["id"], leak["kind"]) for leak in review_of(folder)["leaks"]] == [(f"b{i}", "phone") for i in range(3)]
    assert "4821" not in json.dumps(review_of(folder)["leaks"])


def test_a_number_that_the_references_of_test_hold_or_any_part_of_a_document_is_none(tmp_path: Path) -> None:
    said = "010-4821-7733으로 전화하세요"
    wanted = with_phones(tmp_path / "wanted", said, test_answer="010-4821-7733으로 문의하세요.")
    climb(wanted)
    assert review_of(wanted)["leaks"] == []
    far = "# 안내\n\n" + "배송은 이틀이 걸립니다.\n\n" * 2500 + "담당자 번호는 010-4821-7733입니다.\n"  # beyond 20,000 characters
    public = with_phones(tmp_path / "public", said, test_answer="고객 센터에 문의하세요.", document=far)
    climb(public)
    assert review_of(public)["leaks"] == []


# --- what cannot go well -------------------------------------------------------------------------------------------------------


def test_a_volume_that_cannot_be_computed_with_is_told_before_the_climb(tmp_path: Path) -> None:
    folder = write_label_task(tmp_path / "task", money={"machine_hour": 1, "requests_per_month": 1e16, "value_per_correct": 1})
    with pytest.raises(ConfigError, match=r"requests_per_month is 1e\+16"):
        climb(folder)
    assert not (folder / "runs/1").exists()


@pytest.mark.parametrize("say", ["", "정답", "<script>alert(1)</script>" * 2000])
def test_climbs_where_all_is_wrong_or_huge_or_empty_have_a_report(say: str, tmp_path: Path) -> None:
    rows = [
        {"id": f"a{i}", "input": f"{w}에 관해 묻습니다", "output": f"{w} 정답입니다."} for i, w in enumerate("가나다라마바사아자차")
    ]
    test = [
        {"id": f"b{i}", "input": f"이것은 {w} 문제 {i}", "output": "정답", "tags": [f"<b>|{i}"]}
        for i, w in enumerate(("하나", "둘"))
    ]
    folder = write_task(
        tmp_path / "task", rows, test, rules=[{"say": say}], goal="답한다.", ladder=["prompt"], score={"by": "text"}
    )
    climb(folder)
    page = (folder / "runs/1/report.html").read_text()
    assert "<script" not in page
    assert len(page) < 300_000


def test_a_kill_during_the_review_loses_nothing_and_asks_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = audited(tmp_path / "task", references=["scripted:rules.json"])
    calm = audited(tmp_path / "calm", references=["scripted:rules.json"])
    climb(calm)
    for stop in ("slice_quality", "judged", "cluster_failures", "_reuse"):
        with monkeypatch.context() as patch:

            def killed(*_: object, **__: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(f"sadari.review.look.{stop}", killed)
            with pytest.raises(KeyboardInterrupt):
                climb(folder)
        assert not (folder / "runs/1/report.json").exists()
    climb(folder)
    for part in ("failures", "slices", "reuse", "labels"):
        assert review_of(folder)[part] == review_of(calm)[part], part
    assert [c["scores"] for c in review_of(folder)["references"]] == [c["scores"] for c in review_of(calm)["references"]]


# --- a judge that may not decide ---------------------------------------------------------------------------------------------


def judged_task(folder: Path, verdict_of: dict[str, str]) -> Path:
    """A task with a scripted judge that looks for words in what it is shown, and 60 answers that people judged."""
    train = [{"id": f"a{i}", "input": f"{w} 질문입니다", "output": f"{w} 답입니다."} for i, w in enumerate("가나다라마바사아자차")]
    test = [{"id": f"b{i}", "input": f"{w} 무엇인가요? {i}", "output": "좋은 답"} for i, w in enumerate(("하나", "둘", "셋", "넷"))]
    people = [
        {"question": f"물음 {i}", "answer": ("xgoodx" if i % 2 else "xbadx") + f" {i}", "right": bool(i % 2), "reference": "r"}
        for i in range(60)
    ]
    task = write_task(
        folder, train, test, rules=[{"say": "xgoodx"}], goal="답한다.", ladder=["prompt"],
        score={"by": "judge", "judge": {"model": "scripted:judge.json", "rubric": "Is it good?", "labels": "people.jsonl"}},
    )  # fmt: skip
    (task / "people.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in people))
    rules = [{"when": word, "say": json.dumps({"verdict": said})} for word, said in verdict_of.items()]
    (task / "judge.json").write_text(json.dumps([*rules, {"say": '{"verdict": "unsure"}'}]))
    return task


def test_a_judge_that_agrees_with_people_decides_and_the_report_says_how_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = judged_task(tmp_path / "task", {"xgoodx": "right", "xbadx": "wrong"})
    monkeypatch.chdir(tmp_path)  # the judge stands beside the task
    steps = climb(folder)
    assert steps[0].scorecard.quality == 1.0
    judged = review_of(folder)["judged"]
    assert (judged["calibration"]["right"], judged["calibration"]["called_right"]) == (30, 30)
    assert judged["unsure"] == {"baseline": 0}
    assert "카파" in (folder / "runs/1/report.html").read_text()


def test_a_judge_that_contradicts_people_stops_the_climb_before_anything_is_measured(tmp_path: Path) -> None:
    folder = judged_task(tmp_path / "task", {"xgoodx": "wrong", "xbadx": "right"})
    for _ in range(2):  # and again, from what is kept
        with pytest.raises(ConfigError, match="the judge may not decide"):
            climb(folder)
    assert not (folder / "runs/1/steps").exists()


def test_a_documents_climb_tells_of_citations(tmp_path: Path) -> None:
    folder = write_documents_task(tmp_path / "task")
    climb(folder)
    assert review_of(folder)["citations"]["existing"] == 1.0
    data = read_json(folder / "runs/1" / RUN, RunData)
    assert data.winner == 1 or data.steps[data.winner].rung == "retrieval"
