"""The training benchmark: what is counted, that TRL is given the same tokens, and the program on a model of two layers."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sadari.model.shape import ModelShape
from sadari.train.rows import Row

FOLDER = Path(__file__).parents[2] / "benchmarks" / "training"
KEYS = {"tool_vs_trl_default", "tool_vs_trl_best", "short_vs_trl_best", "rag_vs_trl_best", "turns_vs_trl_best"} | {
    *("memory_share_of_trl_best", "loss_gap", "mfu_of_measured_gemm")
}

Load = Callable[[str], Any]


@pytest.fixture
def module() -> Iterator[Load]:
    """Loads a module of the folder as the program itself does; afterwards none of them is left under its short name."""
    names = [path.stem for path in FOLDER.glob("*.py")]
    before: dict[str, ModuleType] = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(before)


def row(ids: tuple[int, ...], learnt: int) -> Row:
    return Row("row", ids, (0.0,) * (len(ids) - learnt) + (1.0,) * learnt)


def test_tokens_are_counted_before_and_after_sharing(module: Load) -> None:
    # 1 2 3 4 and 1 2 5 share two tokens, 7 8 shares none: 9 tokens of which 7 are distinct, at 0 1 2 3 2 0 1.
    rows = [row((1, 2, 3, 4), 1), row((7, 8), 1), row((1, 2, 5), 1)]

    counts = module("workloads").count_tokens(rows)

    assert (counts.total, counts.supervised, counts.distinct, counts.predicting) == (9, 3, 7, 3)
    assert counts.depth == pytest.approx(9 / 7)
    assert counts.ideal == pytest.approx(9 / 7)


def test_two_answers_to_one_prompt_are_predicted_from_one_token(module: Load) -> None:
    counts = module("workloads").count_tokens([row((1, 2, 3), 1), row((1, 2, 4), 1)])

    assert (counts.supervised, counts.predicting) == (2, 1)


@pytest.mark.parametrize(
    ("key", "total", "supervised", "distinct"),
    [
        ("a", 32 * 700, 32 * 40, 600 + 32 * 100),  # 600 shared + 100 unique
        ("c", 32 * 800, 32 * 60, 200 + 32 * 600),  # 200 shared + 600 unique
    ],
)
def test_the_rows_have_the_stated_sizes(module: Load, key: str, total: int, supervised: int, distinct: int) -> None:
    workloads = module("workloads")

    counts = workloads.count_tokens(workloads.rows_of(workloads.WORKLOADS[key], 32, 151_936, 0))

    assert (counts.total, counts.supervised, counts.distinct) == (total, supervised, distinct)


def test_short_chats_share_nothing_and_turns_grow(module: Load) -> None:
    workloads = module("workloads")
    short = workloads.rows_of(workloads.WORKLOADS["b"], 32, 151_936, 0)
    turns = workloads.rows_of(workloads.WORKLOADS["d"], 32, 151_936, 0)

    assert len({r.ids[0] for r in short}) == 32
    assert all(40 <= len(r.ids) <= 160 for r in short)
    for before, after in pairwise(turns):
        same = after.id != "row 6" and before.ids == after.ids[: len(before.ids)]
        assert same == (int(after.id.split()[1]) % 6 != 0)  # every seventh row begins another conversation
    assert max(len(r.ids) for r in turns) <= 1024  # TRL's defaults cut nothing


def test_more_rows_begin_with_the_same_rows(module: Load) -> None:
    workloads = module("workloads")
    for workload in workloads.WORKLOADS.values():
        assert workloads.rows_of(workload, 40, 500, 3)[:7] == workloads.rows_of(workload, 7, 500, 3)


def test_needed_operations_are_those_of_the_distinct_tokens(module: Load) -> None:
    # One layer: 2 * 4 * (4 + 2) of attention and 3 * 4 * 8 of the feed-forward part make 144 weights; the output layer has 40.
    shape = ModelShape(layers=1, hidden=4, intermediate=8, query_width=4, key_value_width=2, vocabulary=10)
    counts = module("workloads").Counts(total=30, supervised=5, distinct=20, predicting=5, depth=3.0)

    # Forward and the gradient of the activations take 2 each per weight; a token sees 3 others, at 4 wide, twice over.
    assert module("gemm").needed_flops(shape, counts) == 4 * (20 * 144 + 5 * 40 + 20 * 4 * 2 * 3)


def found(module: Load, seconds: float, peak: int, loss: float = 2.0) -> Any:
    return module("recipe").Found((seconds, seconds), (loss, loss), peak)


def test_the_figures_are_ratios_of_useful_tokens_per_second(module: Load) -> None:
    report, workloads = module("report"), module("workloads")
    tool, turns = workloads.WORKLOADS["a"], workloads.WORKLOADS["d"]
    counts = workloads.Counts(1000, 100, 200, 100, 50.0)
    lines = [
        report.Line(tool, report.DEFAULTS, "", counts, found(module, 30.0, 9), 0.1),
        report.Line(tool, report.BEST, "padding-free", counts, found(module, 12.0, 8), 0.2),
        report.Line(tool, report.SADARI, "", counts, found(module, 2.0, 4), 0.6),
        report.Line(turns, report.SADARI, "", counts, found(module, 2.0, 4), 0.6),
    ]
    trained = found(module, 1.0, 1)
    learnt = module("recipe").Learnt
    lessons = {"trl": learnt(5.0, 2.0, trained), "sadari": learnt(5.0, 1.99, trained)}

    figures = report.figures_of(lines, lessons)

    assert set(figures) == KEYS
    assert figures == dict.fromkeys(KEYS) | {
        "tool_vs_trl_default": 15.0,
        "tool_vs_trl_best": 6.0,
        "memory_share_of_trl_best": 0.5,
        "loss_gap": 0.005,
        "mfu_of_measured_gemm": 0.6,
    }
    assert report.table_rows(lines)[1][1:5] == ("5.00x", "TRL best: padding-free", "83", "6.00x")


def test_a_page_without_marks_is_refused(module: Load, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Log\n", encoding="utf-8")

    with pytest.raises(SystemExit, match="training:start"):
        module("report").write_record(page, [], [], {})


def test_an_unknown_workload_is_refused_with_the_known_ones(module: Load, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        module("run").main(["--workloads", "a,z"])

    assert "there is no workload 'z'; name some of a,b,c,d" in capsys.readouterr().err


@pytest.mark.slow
def test_trl_supervises_the_same_tokens_in_every_setting(module: Load, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    peer, shapes, workloads = module("peer"), module("shapes"), module("workloads")
    for workload in workloads.WORKLOADS.values():
        rows = workloads.rows_of(workload, 8, 512, 0)
        wanted = sorted((r.ids[at - 1], r.ids[at]) for r in rows for at in range(1, len(r.ids)) if r.weights[at] > 0)
        for setting in (peer.DEFAULT, *peer.CANDIDATES):
            model = shapes.attach_lora(shapes.build_model("tiny", 0), 0)
            trainer = peer.peer_trainer(model, [rows], module("recipe").Recipe(0.0), setting, str(tmp_path))
            seen = []
            for batch in trainer.get_train_dataloader():
                for ids, labels in zip(batch["input_ids"].tolist(), batch["labels"].tolist(), strict=True):
                    seen += [(ids[at - 1], ids[at]) for at in range(1, len(ids)) if labels[at] != peer.IGNORED]
            assert sorted(seen) == wanted, (workload.name, setting)


@pytest.mark.slow
def test_it_measures_a_tiny_model_and_ends_with_its_figures(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    page = tmp_path / "page.md"
    page.write_text("# Log\n<!-- training:start -->\nold\n<!-- training:end -->\n", encoding="utf-8")

    done = _run("--quick", "--shape", "tiny", "--workloads", "a", "--record", str(page))

    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert set(figures) == KEYS
    assert figures["tool_vs_trl_default"] > 0
    assert figures["short_vs_trl_best"] is None
    assert figures["loss_gap"] < 0.01
    recorded = page.read_text(encoding="utf-8")
    assert "| tool (5,600 tokens, 320 learnt) | 4.00x | TRL default |" in recorded
    assert "old" not in recorded


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), *arguments], capture_output=True, text=True, timeout=900, check=False
    )
