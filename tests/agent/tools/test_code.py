import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sadari.agent.tools.code import CodeOptions, bubblewrap, open_code, seccomp
from sadari.agent.tools.code import monty as monty_sandbox
from sadari.agent.tools.code.sandbox import Ran
from sadari.agent.tools.place import Place
from sadari.errors import ConfigError, ToolFailedError
from sadari.types import Caller, Tool

NOW = datetime(2026, 11, 21, 9, 5, tzinfo=ZoneInfo("Asia/Seoul"))
KO = Caller(now=NOW, language="ko")
EN = Caller(now=NOW, language="en")

HOST = """
import sys
from pathlib import Path
from sadari.agent.tools.code import CodeOptions, open_code
from sadari.agent.tools.place import Place
from sadari.types import Caller

tool = open_code(CodeOptions(sandbox=sys.argv[1], timeout_s=1.5), Place(Path()))[0]
print("running", flush=True)
tool.call({"code": "while True: pass"}, Caller())
"""


def ran_here(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.stdout


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    pending = [pid]
    while pending:
        for file in Path(f"/proc/{pending.pop()}/task").glob("*/children"):
            pending += [int(child) for child in file.read_text().split()]
            found |= set(pending)
    return found


@pytest.fixture(scope="module")
def monty() -> Tool:
    return open_code(CodeOptions(timeout_s=1), Place(Path()))[0]


@pytest.fixture(scope="module")
def bwrap() -> Tool:
    if shutil.which("bwrap") is None:
        pytest.skip("no bubblewrap here")
    return open_code(CodeOptions(sandbox="bubblewrap", timeout_s=10), Place(Path()))[0]


@pytest.fixture(params=["monty", "bwrap"])
def python(request: pytest.FixtureRequest) -> Tool:
    tool: Tool = request.getfixturevalue(request.param)
    return tool


def failure(tool: Tool, code: str, caller: Caller = EN) -> str:
    with pytest.raises(ToolFailedError) as caught:
        tool.call({"code": code}, caller)
    return str(caught.value)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("print('안녕')", "안녕"),
        ("1 + 1", "2"),
        ("x = [3, 1]\nsorted(x)", "[1, 3]"),
        ("print('a')\n'b'", "a\nb"),
        ("sum([\n    1,\n    2,\n])  # three", "3"),
        ("def f(x):\n    return x * 2\n\nprint(f(4))", "8"),
        ("```python\nprint(1)\n```", "1"),
        ("    x = 2\n    print(x)", "2"),
        ("import json\njson.dumps({'가': 1}, ensure_ascii=False)", '{"가": 1}'),
        ("for i in range(2):\n    print(i)", "0\n1"),
        ("x = 1\nif x:\n    print('y')\nelse:\n    print('n')", "y"),
    ],
)
def test_the_result_is_what_is_printed_and_the_last_value(code: str, text: str, python: Tool) -> None:
    assert python.call({"code": code}, KO).text == text


def test_code_without_output_is_asked_to_print(python: Tool) -> None:
    assert "print" in python.call({"code": "x = 1"}, KO).text


def test_an_error_names_its_line_after_what_was_printed(python: Tool) -> None:
    assert failure(python, "print('before')\n\n1 / 0", KO).split("\n") == [
        "before",
        "ZeroDivisionError: division by zero",
        "3번째 줄: 1 / 0",
    ]


def test_an_error_in_a_function_names_the_line_in_the_function(python: Tool) -> None:
    assert "Line 2: return [][1]" in failure(python, "def f():\n    return [][1]\nf()")


def test_a_syntax_error_names_its_line(python: Tool) -> None:
    told = failure(python, "x = 1\ny = = 2\n")
    assert "SyntaxError" in told
    assert "Line 2: y = = 2" in told


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("import requests_of_nobody", "Modules:|numpy"),
        ("print(rows)", "Nothing is kept"),
        ("open('/data/sales.csv', 'w')", "out of reach|not here"),
        ("def f(): return f()\nf()", "loop"),
        ("'a' * 10**12", "MB"),
        ("print('a' * 100_000)", "20,000 characters"),
    ],
)
def test_errors_teach(code: str, hint: str, python: Tool) -> None:
    with pytest.raises(ToolFailedError, match=hint):
        python.call({"code": code}, EN)


def test_an_endless_loop_ends_in_time_and_says_so() -> None:
    tool = open_code(CodeOptions(timeout_s=0.3), Place(Path()))[0]
    start = time.monotonic()
    assert "0.3 seconds" in failure(tool, "while True: pass")
    assert time.monotonic() - start < 3


def test_nothing_is_kept_between_runs(python: Tool) -> None:
    python.call({"code": "secret = 5"}, KO)
    assert "NameError" in failure(python, "print(secret)")


def test_the_clock_is_that_of_the_caller(monty: Tool, bwrap: Tool) -> None:
    code = "import datetime\nprint(datetime.datetime.now())"
    assert monty.call({"code": code}, KO).text == "2026-11-21 09:05:00"
    offset = "import datetime\ndatetime.datetime.now().astimezone().utcoffset()"
    assert bwrap.call({"code": offset}, KO).text == "9:00:00"


def test_numpy_and_pandas_are_in_bubblewrap(bwrap: Tool) -> None:
    code = "import numpy as np\nimport pandas as pd\nprint(np.arange(4).sum(), pd.Series([1, 2]).mean())"
    assert bwrap.call({"code": code}, KO).text == "6 1.5"


def test_runs_go_on_side_by_side(python: Tool) -> None:
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda n: python.call({"code": f"{n} * {n}"}, KO).text, range(8)))
    assert outcomes == [str(n * n) for n in range(8)]


def test_a_missing_sandbox_is_an_error_and_never_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="apt-get install bubblewrap"):
        open_code(CodeOptions(sandbox="bubblewrap"), Place(Path()))


def test_a_sandbox_that_lets_something_through_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name which builds no walls must not pass the probe."""
    fake = tmp_path / "bwrap"
    fake.write_text('#!/bin/sh\nwhile [ "$1" != "--" ]; do shift; done\nshift\nexec "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "_CHILD", str(Path(bubblewrap.__file__).with_name("child.py")))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ConfigError, match="does not work here"):
        open_code(CodeOptions(sandbox="bubblewrap"), Place(Path()))


def test_a_worker_that_is_no_sandbox_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Monty can also be told to use CPython itself."""
    monkeypatch.setattr(monty_sandbox.MontySandbox, "run", lambda self, code, now: Ran(ran_here(code)))
    with pytest.raises(ConfigError, match="MONTY_BIN"):
        open_code(CodeOptions(), Place(Path()))


def test_a_processor_whose_system_calls_are_not_known_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp.platform, "machine", lambda: "riscv64")
    with pytest.raises(ConfigError, match="x86_64 and aarch64"):
        seccomp.seccomp_filter()


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="sandbox"):
        CodeOptions(sandbox="subprocess")  # type: ignore[arg-type]


def test_results_are_reads_of_this_program(python: Tool) -> None:
    assert python.traits.effect == "read"
    assert python.traits.is_trusted


@pytest.mark.parametrize("kind", ["monty", "bubblewrap"])
def test_the_sandbox_ends_with_the_process_that_asked(kind: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue({"monty": "monty", "bubblewrap": "bwrap"}[kind])  # skips where it is not there
    host = subprocess.Popen([sys.executable, "-c", HOST, kind], stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    assert host.stdout.readline() == "running\n"
    time.sleep(0.3)
    started = descendants(host.pid)
    host.kill()
    host.wait()
    until = time.monotonic() + 8
    while any(Path(f"/proc/{pid}/root").exists() for pid in started) and time.monotonic() < until:
        time.sleep(0.1)
    assert started
    assert not any(Path(f"/proc/{pid}/root").exists() for pid in started)
