"""The generation benchmark: the prompts, the clock, what is counted, that every tool writes the same, and the program itself."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sadari.types import Generation

FOLDER = Path(__file__).parents[2] / "benchmarks" / "generation"
KEYS = {"shared_vs_transformers", "shared_vs_llamacpp_f16", "rag_vs_transformers", "ttft_p95_share_at_16"} | {
    *("schema_valid_share", "schema_valid_unmasked", "mask_overhead", "demo_seconds_before", "demo_seconds_after")
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


# --- the prompts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "shared", "prompt", "new"), [("a", 800, 830, 40), ("b", 150, 850, 40), ("d", 0, 32, 48)])
def test_the_prompts_have_the_stated_sizes(module: Load, key: str, shared: int, prompt: int, new: int) -> None:
    workloads = module("workloads")

    asked = workloads.asked_of(workloads.WORKLOADS[key], 20, workloads.random_source(150_000), 0)

    assert {(len(one.prompt), one.new_tokens) for one in asked} == {(prompt, new)}
    assert len({one.prompt[:shared] for one in asked}) == 1
    assert len({one.prompt[: shared + 4] for one in asked}) == 20  # of 150,000 tokens four are not drawn twice


def test_more_requests_begin_with_the_same_requests(module: Load) -> None:
    workloads = module("workloads")
    source = workloads.text_source(tuple(range(2000)))
    for workload in workloads.WORKLOADS.values():
        assert workloads.asked_of(workload, 30, source, 3)[:7] == workloads.asked_of(workload, 7, source, 3)


def test_users_come_by_a_poisson_process(module: Load) -> None:
    workloads = module("workloads")
    asked = workloads.asked_of(workloads.WORKLOADS["c"], 4000, workloads.random_source(500), 1)

    coming = workloads.arriving(asked, 5.0, 1)

    gaps = np.diff([one.at_s for one in coming])
    assert gaps.mean() == pytest.approx(0.2, rel=0.06)  # 4 standard errors of the mean of 4,000
    assert gaps.std() == pytest.approx(0.2, rel=0.1)  # an exponential's spread is its mean
    assert [one.prompt for one in coming] == [one.prompt for one in asked]


def test_the_shared_beginning_leaves_a_token_to_every_prompt(module: Load) -> None:
    asked = module("asked")
    prompts = [(1, 2, 3, 4), (1, 2, 3), (1, 2, 3, 9)]

    assert asked.shared_beginning([asked.Asked(prompt, 1) for prompt in prompts]) == (1, 2)
    assert asked.shared_beginning([asked.Asked((5, 6), 1), asked.Asked((7, 6), 1)]) == ()


# --- the clock -------------------------------------------------------------------------------------------------------------


def test_nothing_is_taken_before_it_comes_and_the_longest_goes_first(module: Load) -> None:
    asked = module("asked")
    queue = asked.Queue([asked.Asked((1,), 1), asked.Asked((1, 2), 1), asked.Asked((1,), 1, at_s=0.05)])

    assert queue.take(1) == [1]
    assert queue.take(5) == [0]
    queue.wait()
    assert queue.take(5) == [2]
    assert len(queue) == 0


def test_times_count_from_the_moment_a_request_came(module: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = module("asked")
    monkeypatch.setattr(asked.time, "perf_counter", lambda: 100.0)

    written = asked.Queue([asked.Asked((1,), 2, at_s=3.0)]).written(0, [7, 8], first=104.0, last=105.5)

    assert written == asked.Written((7, 8), 1.0, 2.5)


def found(module: Load, requests_per_s: float, first_s: float = 1.0, peak: int = 2**30) -> Any:
    asked = module("asked")
    return asked.Found(2 / requests_per_s, (asked.Written((1, 2, 3), first_s, first_s + 4.0),) * 2, peak)


def test_rates_are_of_all_answers_and_steps_of_one(module: Load) -> None:
    one = found(module, requests_per_s=0.5)

    assert (one.requests_per_s, one.tokens_per_s, one.step_s) == (0.5, 1.5, 2.0)  # 2 answers of 3 tokens in 4 s; 4 s for 2 steps
    assert (one.first_s(95), one.last_s(50)) == (1.0, 5.0)


# --- what is reported --------------------------------------------------------------------------------------------------------


def test_an_answer_that_parts_at_a_near_tie_is_counted_apart(module: Load) -> None:
    alone, asked = module("alone"), module("asked")
    right = [alone.Alone((1, 2, 3), ()), alone.Alone((1, 2, 3), (2,)), alone.Alone((1, 2, 3), (2,)), alone.Alone((9,), ())]
    written = [asked.Written(ids, 0, 0) for ids in ((1, 2, 3), (1, 2, 4), (1, 5, 4))]

    agreement = alone.compare(written, right)

    assert agreement == alone.Agreement(of=3, same=1, tied=1)
    assert str(agreement) == "1 of 3, 1 at a near tie"


def test_the_figures_are_those_of_the_worst_model(module: Load) -> None:
    report = module("report")

    def line(shape: str, workload: str, tool: str, rate: float, first_s: float = 1.0, users: int = 0) -> Any:
        return report.Line(shape, workload, tool, "", found(module, rate, first_s), users)

    lines = [
        *(
            line("mini", "shared", report.GENERATE, 2.0),
            line("mini", "shared", report.F16, 8.0),
            line("mini", "shared", report.SADARI, 12.0),
        ),
        *(line("large", "shared", report.GENERATE, 0.5), line("large", "shared", report.SADARI, 4.0)),
        *(line("mini", "rag", report.SADARI, 3.0), line("mini", "chat", report.GENERATE, 1.0, first_s=2.0, users=16)),
        *(
            line("mini", "chat", report.CONTINUOUS, 1.0, first_s=1.6, users=16),
            line("mini", "chat", report.SADARI, 1.0, 0.4, users=16),
        ),
        *(
            line("mini", "chat", report.GENERATE, 1.0, first_s=9.0, users=32),
            line("mini", "chat", report.SADARI, 1.0, 8.0, users=32),
        ),
    ]

    figures = report.figures_of(lines, {"valid": 1.0, "overhead": 0.03123456}, (575.0, None))

    assert set(figures) == KEYS
    assert figures == dict.fromkeys(KEYS) | {
        "shared_vs_transformers": 6.0,
        "shared_vs_llamacpp_f16": 1.5,
        "ttft_p95_share_at_16": 0.25,  # 0.4 of 1.6: the better of the two ways of transformers
        "schema_valid_share": 1.0,
        "mask_overhead": 0.0312,
        "demo_seconds_before": 575.0,
    }
    rows = report.table_rows(lines)
    assert (rows[0][3], rows[0][6], rows[2][6]) == ("2.00", "6.00x", "")
    assert rows[6][1:7] == ("chat: 16 users, 2 requests", "transformers generate", "1.00", "3", "0.50", "5.00x sooner")


def test_streams_are_held_against_the_bytes_that_a_step_reads(module: Load) -> None:
    from sadari.model.shape import ModelShape

    asked, bandwidth = module("asked"), module("bandwidth")
    # 1,000 weights in float32, and for 2 streams of 10 tokens keys and values of 3 layers, 5 wide: 4,000 + 2,400 bytes in 2 s.
    shape = ModelShape(layers=3, hidden=1, intermediate=1, query_width=5, key_value_width=5, vocabulary=1, stated=1000)
    two = asked.Found(9.0, (asked.Written((1, 2), 1.0, 3.0),) * 2, 0)

    assert bandwidth.share_of_bandwidth("sadari", shape, two, 10, rate=6400.0) == pytest.approx(0.5)
    # In F16 all of it takes half.
    assert bandwidth.share_of_bandwidth("llama.cpp F16", shape, two, 10, rate=6400.0) == pytest.approx(0.25)


def test_a_page_without_marks_is_refused(module: Load, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Log\n", encoding="utf-8")

    with pytest.raises(SystemExit, match="generation:start"):
        module("report").write_record(page, [], [], {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workloads", "a,z"], "there is no workload 'z'; name some of a,b,c,d,e"),
        (["--shapes", "huge"], "there is no model 'huge'; name some of mini,"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    module: Load, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    with pytest.raises(SystemExit):
        module("run").main(options)

    assert message in capsys.readouterr().err


# --- the tools -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def served(module: Load, models: Path, tool: str, setting: Any, **where: Any) -> tuple[list[Any], list[Any]]:
    """Answers of a tool to chat requests that come within a moment, and those that each gets by itself."""
    shapes, workloads = module("shapes"), module("workloads")
    folder = where.get("folder") or shapes.model_folder("tiny", models)
    asked = workloads.arriving(workloads.asked_of(workloads.WORKLOADS["c"], 7, shapes.source_of("tiny"), 5), 50.0, 5)
    program, name = {"generate": ("peer", "Generate"), "continuous": ("peer", "Continuous"), "sadari": ("ours", "Sadari")}.get(
        tool, ("llama", "LlamaCpp")
    )
    written = getattr(module(program), name)(where.get("file") or folder, setting).serve(asked)
    return written, module("alone").answer_alone(folder, asked)


@pytest.mark.parametrize(
    ("tool", "rows", "kind"), [("generate", 3, "dynamic"), ("generate", 3, "static"), ("continuous", 3, ""), ("sadari", 0, "")]
)
def test_every_tool_writes_what_each_request_gets_by_itself(module: Load, models: Path, tool: str, rows: int, kind: str) -> None:
    written, alone = served(module, models, tool, module("peer").Setting(rows, kind))

    assert [one.ids for one in written] == [one.ids for one in alone]
    assert all(0 < one.first_s <= one.last_s for one in written)


def test_a_random_model_does_not_repeat_itself(module: Load, models: Path) -> None:
    _, alone = served(module, models, "generate", module("peer").Setting(7, "dynamic"))

    assert np.mean([len(set(one.ids)) / len(one.ids) for one in alone]) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["split", "unified"])
@pytest.mark.parametrize("shape", ["tiny", "mini"])
def test_llama_cpp_writes_the_same_in_float32(module: Load, models: Path, tmp_path: Path, shape: str, kind: str) -> None:
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    folder = module("shapes").model_folder(shape, models)
    module("gguf_writer").write_gguf(folder, tmp_path / "model.gguf", "f32")

    written, alone = served(module, models, "llama", module("peer").Setting(3, kind), folder=folder, file=tmp_path / "model.gguf")

    # Its keys and values are in F16 by default, so answers may part where two tokens are close; a wrong file or loop spoils all.
    assert sum(one.ids == right.ids for one, right in zip(written, alone, strict=True)) >= 4


def test_a_gguf_file_holds_the_weights_of_the_folder(module: Load, models: Path, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    safetensors = pytest.importorskip("safetensors.torch")
    folder = module("shapes").model_folder("tiny", models)

    module("gguf_writer").write_gguf(folder, tmp_path / "model.gguf", "f16")

    weights = {t.name: t for t in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    theirs = safetensors.load_file(folder / "model.safetensors")
    assert len(weights) == len(theirs) == 2 + 2 * 12  # embedding and last norm; 7 matrices, 3 biases and 2 norms a layer
    query = theirs["model.layers.1.self_attn.q_proj.weight"].float().numpy()
    assert np.array_equal(weights["blk.1.attn_q.weight"].data.astype(np.float32), query)  # bfloat16 of this size fits float16
    assert weights["blk.1.attn_q.bias"].data.dtype == np.float32


def test_a_layout_that_cannot_be_written_is_refused(module: Load, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    (tmp_path / "config.json").write_text('{"model_type": "gemma3"}', encoding="utf-8")

    with pytest.raises(SystemExit, match="layout 'gemma3' cannot be written; only qwen2, qwen3 can"):
        module("gguf_writer").write_gguf(tmp_path, tmp_path / "model.gguf", "f16")


# --- schemas ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "is_valid"),
    [
        (Generation('{"n": 3}'), True),
        (Generation('{"n": "3"}'), False),
        (Generation('{"n": 3'), False),
        (Generation('{"n": 3}', finish="truncated"), False),
        (Generation("", finish="error", error="no"), False),
    ],
)
def test_an_answer_counts_if_it_ended_by_itself_and_the_schema_accepts_it(module: Load, answer: Generation, is_valid: bool) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    assert module("masks").is_valid(answer, schema) == is_valid


def test_there_are_a_thousand_tools_to_walk_over(module: Load, shared_data: Path) -> None:
    tools = module("masks").read_tool_specs(shared_data)

    assert len(tools) >= 1000
    assert any(tool.name == "informWeather" for tool in tools)  # of FunctionChat
    assert any(tool.name == "calculate_triangle_area" and tool.parameters["type"] == "object" for tool in tools)  # of BFCL


# --- the program -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_measures_a_tiny_model_and_ends_with_its_figures(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Log\n<!-- generation:start -->\nold\n<!-- generation:end -->\n", encoding="utf-8")

    done = _run(
        "--quick", "--shapes", "tiny", "--workloads", "a,d", "--threads", "1", "--demo-before", "575", "--record", str(page)
    )

    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert set(figures) == KEYS
    assert figures["shared_vs_transformers"] > 0
    assert (figures["rag_vs_transformers"], figures["demo_seconds_before"]) == (None, 575.0)
    recorded = page.read_text(encoding="utf-8")
    assert "| tiny | shared: 64 requests | sadari |" in recorded
    assert "8 of 8" in recorded
    assert "old" not in recorded


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), *arguments], capture_output=True, text=True, timeout=900, check=False
    )
