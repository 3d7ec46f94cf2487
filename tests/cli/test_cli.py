"""What a person or a program sees: one JSON document on standard output, one readable message on standard error, an exit code.

Most run `main` in this process, since it starts in no time; a few start the real command.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from command import Sadari, Said
from sadari.cli.show import errors
from small_tasks import write_documents_task, write_label_task

VERBS = (
    "init",
    "check",
    "climb",
    "index",
    "ask",
    "chat",
    "eval",
    "compare",
    "gate",
    "report",
    "promote",
    "rollback",
    "doctor",
    "data clean",
    "data generate",
    "data from-log",
    "tune",
    "log list",
    "log show",
    "log verify",
    "log erase",
    "log cancel",
    "backup",
    "restore",
    "approvals list",
    "approvals approve",
    "approvals deny",
    "approvals edit",
    "approvals settle",
    "tools list",
    "tools call",
    "tools trust",
    "serve start",
    "serve keys",
    "serve people",
)


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A documents task with a finished climb."""
    from sadari.run import ClimbOptions, run_climb
    from sadari.task import load_task

    folder = write_documents_task(tmp_path_factory.mktemp("cli") / "task")
    for _ in run_climb(load_task(folder), ClimbOptions(), lambda line: None):
        pass
    return folder


# --- for machines ------------------------------------------------------------------------------------------------------

STEP_KEYS = {
    *("rung", "quality", "quality_low", "quality_high", "p_value", "verdict", "taken", "reason"),
    *("build_seconds", "cost_per_1000_requests", "p50_latency_s", "p95_latency_s", "failures"),
}


def test_climb_and_report_print_the_same_document_with_the_promised_keys(sadari: Sadari, tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task")
    said = sadari("climb", task, "--json")
    assert said.code == 0, said.err
    result = said.json
    assert set(result) >= {"run", "task", "steps", "winner", "scorer", "examples", "review"}
    assert set(result["winner"]) >= {"rung", "quality", "bundle"}
    assert all(set(step) >= STEP_KEYS for step in result["steps"])
    assert [step["p_value"] is None for step in result["steps"]] == [True, False, False]
    assert Path(result["winner"]["bundle"], "system.json").is_file()
    for what in (task, task / "runs/1"):
        assert sadari("report", what, "--json").json == result


def test_ask_prints_the_answer_and_where_it_stands(sadari: Sadari, climbed: Path) -> None:
    said = sadari("ask", climbed, "환불은 며칠 이내에 신청하나요?", "--json").json
    assert set(said) == {"answer", "citations", "tool_calls", "usage"}
    [citation] = said["citations"]
    text = (climbed / "docs" / citation["document"]).read_text()
    assert text[citation["start"] : citation["end"]] == citation["quote"] == "환불은 수령 후 7일 이내에 신청합니다."
    assert said["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize("what", ["", "runs/1", "runs/1/best"])
def test_a_task_a_run_and_a_bundle_all_name_the_winner(what: str, sadari: Sadari, climbed: Path) -> None:
    assert (
        sadari("ask", climbed / what, "적립금은 얼마부터 쓸 수 있나요?", "--json").json["answer"]
        == "적립금은 1,000원부터 쓸 수 있습니다."
    )


def test_eval_prints_a_scorecard(sadari: Sadari, climbed: Path) -> None:
    said = sadari("eval", climbed / "runs/1/best", "--task", climbed, "--json").json
    assert {"scorer", "examples", "quality", "quality_low", "quality_high", "failures", "scores"} <= set(said)
    assert (said["examples"], said["quality"], len(said["scores"])) == (30, 1.0, 30)


def test_compare_prints_both_scorecards_and_the_verdict(sadari: Sadari, climbed: Path) -> None:
    said = sadari("compare", f"scripted:{climbed / 'rules.json'}", climbed, "--task", climbed, "--json").json
    assert (said["a"]["quality"], said["b"]["quality"]) == (0.0, 1.0)
    assert (said["verdict"]["outcome"], said["verdict"]["taken"]) == ("better", True)


def test_check_prints_its_findings(sadari: Sadari, climbed: Path) -> None:
    said = sadari("check", climbed, "--json").json
    assert said["splits"]["test"]["rows"] == 30
    assert (said["documents"], said["ladder"]) == (3, ["prompt", "retrieval"])


def test_doctor_prints_its_findings(sadari: Sadari) -> None:
    said = sadari("doctor", "--json").json
    assert {"python", "torch", "memory", "bundled model"} <= {row["what"] for row in said["checks"]}


def test_doctor_fails_where_something_that_is_needed_is_missing(
    sadari: Sadari, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sadari.mini.MINI_PATH", tmp_path / "nowhere")
    said = sadari("doctor", "--json")
    assert said.code == 1
    assert [row["what"] for row in said.json["checks"] if row["needed"] and not row["ok"]] == ["bundled model"]


def test_init_prints_the_files_it_made_and_the_task_checks(sadari: Sadari, tmp_path: Path) -> None:
    said = sadari("init", tmp_path / "new", "--template", "label", "--json").json
    assert said["folder"] == str(tmp_path / "new")
    assert str(tmp_path / "new/sadari.yaml") in said["files"]
    assert sadari("check", tmp_path / "new", "--json").code == 0


def test_chat_prints_the_whole_talk(sadari: Sadari, climbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["출고 뒤 며칠 안에 도착하나요?", ""])
    monkeypatch.setattr(errors, "input", lambda prompt: next(lines))
    said = sadari("chat", climbed, "--json").json
    assert [turn["answer"] for turn in said["turns"]] == ["출고 뒤 2일 안에 도착합니다."]


# --- for people --------------------------------------------------------------------------------------------------------


def test_a_climb_shows_each_rung_its_verdict_the_winner_and_the_report(sadari: Sadari, climbed: Path) -> None:
    said = sadari("climb", climbed)
    assert said.code == 0
    for piece in ("retrieval 100.0%", "p = ", "winner: retrieval, 100.0%", str(climbed / "runs/1/report.html")):
        assert piece in said.out


def test_an_answer_stands_above_its_source(sadari: Sadari, climbed: Path) -> None:
    said = sadari("ask", climbed, "배송비는 얼마인가요?")
    assert said.out.splitlines()[0] == "배송비는 3,000원입니다."
    assert "shipping.md [" in said.out.splitlines()[1]


# --- mistakes ----------------------------------------------------------------------------------------------------------


def told(said: Said, code: int, *pieces: str) -> None:
    """A mistake ends with its code, nothing on standard output, and a short message that holds these pieces."""
    assert (said.code, said.out) == (code, "")
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) <= 4
    for piece in pieces:
        assert piece in said.err


def test_a_misspelt_key_is_told_with_file_line_and_the_right_one(sadari: Sadari, tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task")
    (task / "sadari.yaml").write_text((task / "sadari.yaml").read_text().replace('"ladder"', '"lader"'))
    for verb in ("climb", "check"):
        told(sadari(verb, task, "--json"), 2, "ConfigError", "sadari.yaml line", "lader", "Did you mean `ladder`?")


@pytest.mark.parametrize("verb", ["climb", "check"])
def test_a_misspelt_option_of_a_rung_is_told(verb: str, sadari: Sadari, tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task", ladder=[{"lora": {"epoch": 1}}])
    told(sadari(verb, task), 2, "ladder: lora: epoch: is no known option. Did you mean `epochs`?")


def test_a_bad_row_is_the_datas_fault(sadari: Sadari, tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task")
    (task / "train.jsonl").write_text('{"input": "x"\n')
    told(sadari("climb", task), 3, "DataError", "train.jsonl line 1")


@pytest.mark.parametrize(
    ("words", "code", "pieces"),
    [
        (("climb", "nowhere"), 2, ("nowhere: no such folder", "sadari init nowhere")),
        (("check", "nowhere"), 2, ("nowhere: no such folder",)),
        (("ask", "nowhere/best", "hi"), 4, ("nowhere/best",)),
        (("report", "nowhere"), 7, ("nowhere: no finished climb is here", "sadari climb")),
        (("clim",), 2, ("No such command 'clim'", "climb", "sadari --help")),
        (("climb", ".", "--quik"), 2, ("--quik", "--quick", "--help")),
        (("ask",), 2, ("Missing argument",)),
        (("init", "new", "--template", "chess"), 2, ("chess", "support, label")),
    ],
)
def test_a_slip_of_the_pen_is_one_message_with_a_remedy(
    words: tuple[str, ...], code: int, pieces: tuple[str, ...], sadari: Sadari, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told(sadari(*words), code, *pieces)


@pytest.mark.parametrize("verb", ["ask", "report"])
def test_a_task_that_was_not_climbed_is_told_how_to(verb: str, sadari: Sadari, tmp_path: Path) -> None:
    task = write_label_task(tmp_path / "task")
    told(sadari(verb, task, *(["hi"] if verb == "ask" else [])), 7, "RunError", "finished climb", "`sadari climb TASK`")


@pytest.mark.parametrize("verb", ["ask", "report"])
def test_a_run_that_is_not_finished_is_not_taken_for_a_model(verb: str, sadari: Sadari, tmp_path: Path) -> None:
    from sadari.run import ClimbOptions, run_climb
    from sadari.task import load_task

    task = write_label_task(tmp_path / "task")
    begun = run_climb(load_task(task), ClimbOptions(), lambda line: None)
    next(begun)
    begun.close()
    for what in (task / "runs/1", task):
        told(sadari(verb, what, *(["hi"] if verb == "ask" else [])), 7, "finished climb")


def test_a_folder_in_use_is_not_filled(sadari: Sadari, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("work")
    told(sadari("init", tmp_path), 2, "is not empty", "nothing was written")


def test_ctrl_c_is_clean_and_says_how_to_go_on(sadari: Sadari, climbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sadari.run.run_climb", interrupted)
    told(sadari("climb", climbed), 130, "Stopped", "the same command goes on")


# --- help, and the real command ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_names_its_arguments_and_explains_them(verb: str, sadari: Sadari) -> None:
    import typer

    from sadari.cli.main import app

    command: Any = typer.main.get_command(app)
    for word in verb.split():  # "data clean" is a verb of a group
        command = command.commands[word]
    said = sadari(*verb.split(), "--help").out
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            assert str(parameter.metavar or parameter.name).lower() in said.lower()
        else:
            assert parameter.opts[0] in said
        assert getattr(parameter, "help", None), f"{verb}: {parameter.name} is not explained"


def test_help_names_every_verb_and_every_exit_code(sadari: Sadari) -> None:
    import typer

    from sadari.cli.main import app

    said = sadari("--help").out
    assert all(verb.split()[0] in said for verb in VERBS)
    assert "9 a regression that the gate found; 130 stopped by Ctrl-C" in " ".join(said.split())
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    told = {f"{name} {inner}" for name, one in commands.items() for inner in getattr(one, "commands", {})}
    assert told | {name for name, one in commands.items() if not hasattr(one, "commands")} == set(VERBS)


def command(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from sadari.cli import main; main()", *map(str, words)], cwd=cwd, capture_output=True, text=True
    )


def test_the_real_command_prints_one_document_and_tells_progress_elsewhere(tmp_path: Path) -> None:
    write_label_task(tmp_path / "task", ladder=["retrieval"])
    done = command("climb", "task", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["winner"]["rung"] == "retrieval"
    assert "run folder" in done.stderr


def test_the_real_command_ends_with_the_code_of_the_error(tmp_path: Path) -> None:
    done = command("climb", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ConfigError\nnowhere: no such folder")


def test_without_a_verb_the_help_is_shown_once(tmp_path: Path) -> None:
    done = command(cwd=tmp_path)
    assert done.returncode == 2
    assert (done.stdout + done.stderr).count("Usage:") == 1


HEAVY = {"torch", "transformers", "peft", "scipy", "altair", "kiwipiepy", "httpx", "bm25s"}


@pytest.mark.parametrize(
    "words", ["import sadari", "import sys; sys.argv = ['sadari', '--help']; from sadari.cli import main; main()"]
)
def test_importing_and_asking_for_help_load_nothing_heavy(words: str) -> None:
    loaded = f"print(sorted(m for m in {HEAVY} if m in sys.modules), file=sys.stderr)"
    code = f"import atexit, sys; atexit.register(lambda: {loaded}); {words}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"


def test_a_ladder_without_tuning_needs_no_torch(tmp_path: Path) -> None:
    write_label_task(tmp_path / "task")
    code = """
import sys
sys.argv = ["sadari", "climb", "task"]
from sadari.cli import main
try:
    main()
finally:
    assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
