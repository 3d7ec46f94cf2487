"""Whole climbs of small tasks with a scripted model, and what their folders survive."""

import errno
import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sadari.bundle import load_bundle
from sadari.errors import ConfigError, ModelError, RunError
from sadari.looks import looks_at, name_of_test
from sadari.model import ScriptedModel
from sadari.run import (
    ClimbOptions,
    evaluate_system,
    load_result,
    open_answerer,
    quick_task,
    run_climb,
    run_folder,
    run_folders,
)
from sadari.task import load_task
from sadari.types import Generation, Request, Step, System
from small_tasks import write_documents_task, write_label_task


def climb(folder: Path, options: ClimbOptions = ClimbOptions()) -> list[Step]:  # noqa: B008 - frozen
    return list(run_climb(load_task(folder), options, lambda line: None))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Every request that any scripted model gets."""
    seen: list[Request] = []
    generate = ScriptedModel.generate

    def counted(self: ScriptedModel, requests: Sequence[Request]) -> list[Generation]:
        seen.extend(requests)
        return generate(self, requests)

    monkeypatch.setattr(ScriptedModel, "generate", counted)
    return seen


def test_a_label_task_is_climbed_to_the_rung_that_helps(tmp_path: Path) -> None:
    steps = climb(write_label_task(tmp_path / "task"))
    assert [s.rung for s in steps] == ["baseline", "prompt", "retrieval"]
    assert [s.verdict.taken for s in steps] == [True, False, True]
    assert steps[-1].scorecard.quality > 0.9
    assert steps[-1].ends == "사다리의 끝입니다."


def test_a_documents_task_is_won_by_retrieval_whose_bundle_answers_with_citations(tmp_path: Path) -> None:
    steps = climb(write_documents_task(tmp_path / "task"))
    assert (steps[-1].rung, steps[-1].scorecard.quality) == ("retrieval", 1.0)
    answer = open_answerer(load_bundle(tmp_path / "task/runs/1/best")).ask("환불은 며칠 이내에 신청하나요?")
    assert [(c.document, c.quote) for c in answer.citations] == [("refund.md", "환불은 수령 후 7일 이내에 신청합니다.")]


def test_a_run_holds_its_config_systems_predictions_scores_verdicts_report_and_winner(tmp_path: Path) -> None:
    climb(write_label_task(tmp_path / "task"))
    run = tmp_path / "task/runs/1"
    names = {p.name for p in run.iterdir()}
    assert names >= {"config.json", "steps", "predictions", "report.html", "report.md", "report.json", "review.json", "best"}
    assert (run / "best" / "MODEL_CARD.md").is_file()
    assert len(looks_at(run.parent, name_of_test(load_task(tmp_path / "task").test, "label (exact after normalisation)"))) == 3
    assert sorted(p.name for p in (run / "predictions").iterdir()) == [
        "0-baseline.jsonl",
        "1-prompt.jsonl",
        "2-retrieval.jsonl",
    ]
    for step in (run / "steps").iterdir():
        assert {p.name for p in step.iterdir()} >= {"built.json", "scorecard.json", "verdict.json"}


def test_the_result_holds_the_numbers_of_the_files_beside_it(tmp_path: Path) -> None:
    steps = climb(write_label_task(tmp_path / "task"))
    result: dict[str, Any] = load_result(tmp_path / "task/runs/1")
    rows = [json.loads(line) for line in (tmp_path / "task/runs/1/predictions/2-retrieval.jsonl").read_text().splitlines()]
    assert result["steps"][2]["quality"] == sum(r["score"] for r in rows) / len(rows) == steps[2].scorecard.quality
    promised = {"rung": "retrieval", "quality": steps[2].scorecard.quality, "bundle": str(tmp_path / "task/runs/1/best")}
    assert result["winner"].items() >= promised.items()


# --- again, and at once ------------------------------------------------------------------------------------------------


def test_a_finished_climb_is_shown_again_without_asking_the_model(tmp_path: Path, asked: list[Request]) -> None:
    task = write_label_task(tmp_path / "task")
    first = climb(task)
    asked.clear()
    before = {p: p.stat().st_mtime_ns for p in (task / "runs/1/best").iterdir()}
    assert climb(task) == first
    assert asked == []
    assert [p.name for p in run_folders(task)] == ["1"]
    assert {p: p.stat().st_mtime_ns for p in (task / "runs/1/best").iterdir()} == before  # it may be in use


def test_again_climbs_anew_and_an_unfinished_one_goes_on(tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task")
    climb(task)
    climb(task, ClimbOptions(again=True))
    assert [p.name for p in run_folders(task)] == ["1", "2"]
    (task / "runs/2/report.json").unlink()
    climb(task, ClimbOptions(again=True))
    assert [p.name for p in run_folders(task)] == ["1", "2"]


@pytest.mark.parametrize("change", ["data", "options", "model"])
def test_what_changes_the_outcome_makes_a_new_run(change: str, tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task")
    climb(task)
    if change == "data":
        row = {"input": "전화번호가 뭔가요", "output": "환불"}
        (task / "train.jsonl").write_text((task / "train.jsonl").read_text() + json.dumps(row, ensure_ascii=False) + "\n")
    elif change == "options":
        (task / "sadari.yaml").write_text((task / "sadari.yaml").read_text().replace('"ladder"', '"seed": 5, "ladder"'))
    else:
        (task / "rules.json").write_text('[{"say": "교환"}]')
    climb(task)
    assert [p.name for p in run_folders(task)] == ["1", "2"]


def test_the_folder_of_a_climb_is_that_of_its_own_options(tmp_path: Path) -> None:
    folder = write_label_task(tmp_path / "task")
    climb(folder)
    climb(folder, ClimbOptions(quick=True))
    task = load_task(folder)
    assert [run_folder(task, ClimbOptions(quick)).name for quick in (False, True)] == ["1", "2"]


def test_a_second_climb_in_the_same_task_is_told_who_is_at_work(tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task")
    first = run_climb(load_task(task), ClimbOptions(), lambda line: None)
    next(first)
    with pytest.raises(RunError, match=rf"another climb \(process {os.getpid()}\) is at work in .*runs\. Wait for it, or stop it"):
        climb(task)
    first.close()
    assert climb(task)[-1].rung == "retrieval"


def test_the_lock_of_a_dead_climb_does_not_hold(tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task")
    (task / "runs").mkdir()
    (task / "runs/.lock").write_text("99999999")
    assert climb(task)


# --- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_full_disk_ends_the_climb_with_the_path_and_the_next_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = write_label_task(tmp_path / "task")
    expected = climb(write_label_task(tmp_path / "calm"))
    writes, fsync = [], os.fsync

    def fills_up(handle: int) -> None:
        writes.append(handle)
        if len(writes) > 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fills_up)
    with pytest.raises(RunError, match=r"task/runs/1/.* cannot be written: No space left"):
        climb(task)
    monkeypatch.undo()
    assert [s.scorecard.scores for s in climb(task)] == [s.scorecard.scores for s in expected]


def test_a_task_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = write_label_task(tmp_path / "task")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match=r"task/runs cannot be written: Permission denied\. Copy the task"):
        climb(task)


def test_a_file_system_without_locks_is_not_silently_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(RunError, match="Operation not supported"):
        climb(write_label_task(tmp_path / "task"))


@pytest.mark.parametrize("name", ["steps/0-baseline/scorecard.json", "steps/1-prompt/built.json", "steps/0-baseline/verdict.json"])
def test_a_damaged_file_of_a_run_is_named_and_deleting_it_mends_the_run(name: str, tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task")
    expected = climb(task)
    damaged = task / "runs/1" / name
    damaged.write_text('{"rung": ')
    with pytest.raises(RunError, match=rf"{name} is damaged: .*Delete it and run again"):
        climb(task)
    damaged.unlink()
    assert [s.scorecard.scores for s in climb(task)] == [s.scorecard.scores for s in expected]


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(RunError, match=r"report\.json is damaged"):
        load_result(tmp_path)


def test_an_adapter_that_is_gone_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone: not an adapter"):
        open_answerer(System("mini", adapter=tmp_path / "gone"))
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(ModelError, match=f"{tmp_path}: the adapter cannot be read"):
        open_answerer(System("mini", adapter=tmp_path))


def test_a_misspelt_option_of_a_rung_is_told_before_anything_is_made(tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task", ladder=[{"prompt": {"shot": [1]}}])
    with pytest.raises(ConfigError, match=r"ladder: prompt: shot: is no known option\. Did you mean `shots`\?"):
        climb(task)
    assert not (task / "runs").exists()


def test_a_money_budget_that_nothing_counts_against_is_refused(tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task", budget={"cost": 10})
    with pytest.raises(ConfigError, match=r"nothing has a price.*Give `money\.machine_hour`"):
        climb(task)


def test_a_model_that_always_fails_is_counted_and_does_not_end_the_climb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(self: ScriptedModel, requests: Sequence[Request]) -> list[Generation]:
        raise RuntimeError("boom")

    monkeypatch.setattr(ScriptedModel, "generate", crash)
    steps = climb(write_label_task(tmp_path / "task", ladder=["retrieval"]))
    assert [(s.scorecard.failures, s.scorecard.quality) for s in steps] == [(32, 0.0), (32, 0.0)]


# --- quick, and eval ---------------------------------------------------------------------------------------------------


def test_a_quick_task_draws_by_id_and_keeps_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sadari.run.QUICK_TEST", 10)
    task = load_task(write_label_task(tmp_path / "task"))
    few = quick_task(task)
    assert len(few.test) == 10
    assert [e for e in task.test if e in few.test] == list(few.test)
    assert few.train == task.train
    assert len({e.reference.texts for e in few.test}) > 1


def test_a_bare_model_is_evaluated_as_the_baseline_of_a_climb_is(tmp_path: Path) -> None:
    folder = write_label_task(tmp_path / "task")
    baseline = climb(folder)[0].scorecard
    task = load_task(folder)
    card = evaluate_system(System(task.model), task, lambda line: None)
    assert (card.scores, card.prompt_tokens) == (baseline.scores, baseline.prompt_tokens)


def test_the_winners_bundle_scores_what_the_climb_measured(tmp_path: Path) -> None:
    folder = write_label_task(tmp_path / "task")
    winner = climb(folder)[-1].scorecard
    assert evaluate_system(load_bundle(folder / "runs/1/best"), load_task(folder), lambda line: None).scores == winner.scores


def test_what_a_search_pays_for_tokens_is_part_of_what_its_rung_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sadari.measurer.device_of", lambda system: "remote")
    prices = {"price_per_1k_prompt_tokens": 1000.0, "price_per_1k_completion_tokens": 0.0}  # one for each prompt token
    task = load_task(write_label_task(tmp_path / "task", money=prices, ladder=["prompt"]))
    baseline, prompt = climb(tmp_path / "task")
    assert baseline.built.cost.money == 0
    candidates = [note for note in prompt.built.notes if " on " in note and "validation examples" in note]
    least = len(candidates) * len(task.validation)  # every candidate is asked every validation example, of a token at least
    assert prompt.built.cost.money > least
    assert climb(tmp_path / "task")[1].built.cost == prompt.built.cost


def test_free_text_is_also_counted_as_a_corpus_with_its_signature(tmp_path: Path) -> None:
    climb(write_label_task(tmp_path / "task", score={"by": "text"}, ladder=["prompt"]))
    corpus = load_result(tmp_path / "task/runs/1")["review"]["corpus"]
    assert [score["name"].split()[0] for score in corpus] == ["chrF"]  # labels are too short for BLEU
    assert "version:" in corpus[0]["signature"]
    assert corpus[0]["signature"] in (tmp_path / "task/runs/1/report.html").read_text(encoding="utf-8")
