"""Every attack of `tests/agent`, run by the code of its own test, and counted.

An attack succeeds if its test fails: something was answered, changed or shown that must not be. One that cannot be run here (no
bubblewrap, no PostgreSQL) is skipped and named, and counts neither way.

Covered: SQL (every statement on every database it is written for, the database looked at after each), Python in both sandboxes,
paths and kinds of files, addresses, prompt injections, approvals.
Not covered: attacks that nobody wrote down.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests" / "agent"
LATE_S = 3.0
"""A query that takes so much longer than its time limit has done harm."""

PARAMETRISED: Mapping[str, tuple[str, Sequence[str]]] = {
    "code, monty": ("attacks/test_code_attacks.py", ("test_no_attack_gets_out_of_monty",)),
    "code, bubblewrap": ("attacks/test_code_attacks.py", ("test_no_attack_gets_out_of_bubblewrap",)),
    "paths": (
        "attacks/test_path_attacks.py",
        (
            "test_no_name_leads_out",
            "test_only_plain_files_are_opened",
            "test_a_folder_that_becomes_a_link_while_it_is_read_leads_nowhere",
            "test_a_search_begun_outside_is_refused_or_finds_nothing",
        ),
    ),
    "addresses": (
        "attacks/test_url_attacks.py",
        (
            "test_an_address_that_leads_inside_is_not_connected_to",
            "test_a_redirect_that_leads_inside_is_not_followed",
            "test_a_name_that_changes_its_address_is_held_to_the_first",
            "test_an_argument_that_would_leave_its_part_of_the_path_is_refused",
            "test_an_argument_stays_in_its_part_of_the_path",
            "test_an_argument_cannot_begin_another_header",
        ),
    ),
    "injections": ("attacks/test_injections.py", ("test_an_obeyed_injection_changes_nothing_and_tells_nothing",)),
    "approvals": (
        "test_approval.py",
        (
            "test_an_approval_is_used_once",
            "test_an_approval_of_something_else_than_what_waits_is_refused",
            "test_an_expired_request_can_neither_be_approved_nor_made",
            "test_edited_arguments_are_a_new_request_that_is_checked_and_asked_for_anew",
            "test_arguments_that_a_person_edits_wrongly_are_refused_like_a_models",
            "test_of_two_who_decide_at_once_one_wins_and_one_is_told",
            "test_with_four_eyes_the_requester_cannot_approve",
            "test_a_changed_agent_is_named_and_what_waits_is_asked_for_anew",
            "test_a_tool_whose_schema_changed_does_not_use_an_old_approval",
        ),
    ),
    "other users": ("test_loop.py", ("test_a_run_goes_on_with_the_next_question_of_its_own_user_only",)),
}
"""Kind of attack: the file of its tests, and the tests; each case of a parametrised one is an attack."""


@dataclass
class Tally:
    """What became of the attacks of one kind."""

    kind: str
    total: int = 0
    succeeded: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def run_attacks() -> list[Tally]:
    """All attacks, by kind.

    Raises:
        RuntimeError: If the tests could not be run, or a kind has none.
    """
    return [*sql_attacks(), *tested_attacks()]


# --- by their tests ------------------------------------------------------------------------------------------------------


def tested_attacks() -> list[Tally]:
    """The attacks that each are a test, run by pytest in a process of its own."""
    cases = _tests_run([f"{file}::{name}" for file, names in PARAMETRISED.values() for name in names])
    tallies = [_tally(kind, file, names, cases) for kind, (file, names) in PARAMETRISED.items()]
    for tally in tallies:
        if not tally.total and not tally.skipped:
            raise RuntimeError(f"{tally.kind}: no attack was run. Its tests were renamed: mend PARAMETRISED.")
    return tallies


def _tally(kind: str, file: str, names: Sequence[str], cases: Sequence[tuple[str, str, str]]) -> Tally:
    tally = Tally(kind)
    for where, name, end in cases:
        if where != Path(file).stem or name.partition("[")[0] not in names:
            continue
        tally.total += end != "skipped"
        if end != "passed":
            (tally.skipped if end == "skipped" else tally.succeeded).append(name)
    return tally


def _tests_run(tests: Sequence[str]) -> list[tuple[str, str, str]]:
    """Module, name with parameters, and end ("passed", "failed" or "skipped") of every case of these tests."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        environment = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | os.environ
        paths = [str(TESTS / test) for test in tests]
        ran = subprocess.run([*command, *paths], cwd=ROOT, capture_output=True, text=True, env=environment)
        if ran.returncode not in (0, 1):  # 1: some failed; 4: no such test
            raise RuntimeError(f"pytest ended with {ran.returncode}:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
        return list(_cases(ElementTree.parse(report)))


def _cases(report: Any) -> Iterator[tuple[str, str, str]]:
    for case in report.iter("testcase"):
        ends = {child.tag for child in case}
        end = "failed" if ends & {"failure", "error"} else "skipped" if "skipped" in ends else "passed"
        yield case.get("classname").rpartition(".")[2], case.get("name"), end


# --- SQL -----------------------------------------------------------------------------------------------------------------


def sql_attacks() -> list[Tally]:
    """Each statement on each kind of database that it is written for."""
    tests = load_test("agent/attacks/test_sql_attacks.py")
    return [_sql_tally(tests, name) for name in tests.TARGETS]


def _sql_tally(tests: ModuleType, name: str) -> Tally:
    from _pytest.outcomes import Skipped

    cases = [case["sql"] for case in tests.ATTACKS if name in case["dialects"]]
    tally = Tally(f"SQL, {name}", len(cases))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            under = tests.TARGETS[name](Path(folder))
        except Skipped:
            return Tally(tally.kind, skipped=cases)
        tally.succeeded += [sql for sql in cases if _wins(tests, under, sql)]
    return tally


def _wins(tests: ModuleType, under: Any, sql: str) -> bool:
    """Whether a statement was answered, showed what is hidden, took too long, or changed anything."""
    before, start = under.state(), time.monotonic()
    try:
        is_refused = bool(tests.attack(under.tool, sql))
    except AssertionError:  # it said what is hidden
        return True
    is_late = time.monotonic() - start > tests.SECONDS + LATE_S
    return not is_refused or is_late or under.state() != before


def load_test(path: str) -> ModuleType:
    """A module of `tests`, with what tests share beside it."""
    if str(ROOT / "tests") not in sys.path:
        sys.path.append(str(ROOT / "tests"))
    name = Path(path).stem
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
