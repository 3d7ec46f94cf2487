import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import argon2
import pytest
import typer
from argon2.profiles import CHEAPEST
from typer.testing import CliRunner

from sadari.agent.log.database import open_database
from sadari.cli.serve import serve
from sadari.errors import ConfigError, DataError
from sadari.serve import people as people_module
from sadari.serve import rates
from sadari.serve.faults import ApiError
from sadari.serve.people import People
from sadari.serve.rates import FREE_BY_ADDRESS, FREE_BY_NAME, LONGEST_WAIT_S, Attempts

PASSWORD = "말 배터리 스테이플 correct"


class Counting:
    """A hasher that is quick, and counts what it does."""

    def __init__(self, **parameters: Any) -> None:
        self._real = argon2.PasswordHasher.from_parameters(CHEAPEST) if not parameters else argon2.PasswordHasher(**parameters)
        self.done: list[str] = []

    def hash(self, password: str) -> str:
        self.done.append("hash")
        return self._real.hash(password)

    def verify(self, hashed: str, password: str) -> bool:
        self.done.append("verify")
        return self._real.verify(hashed, password)

    def check_needs_rehash(self, hashed: str) -> bool:
        return self._real.check_needs_rehash(hashed)


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> Counting:
    quick = Counting()
    monkeypatch.setattr(people_module, "_hasher", lambda: quick)
    people_module._nobodys.cache_clear()
    people_module._nobodys()
    quick.done.clear()
    return quick


@pytest.fixture
def people(hasher: Counting) -> People:
    return People(open_database(""))


def test_a_person_signs_in_with_the_password_and_nothing_else(people: People) -> None:
    people.add("kim", "approver", ("인사",), PASSWORD)
    found = people.who("kim", PASSWORD)
    assert found is not None
    assert (found.user, found.role, found.labels, found.key) == ("kim", "approver", ("인사",), "")
    assert people.who("kim", PASSWORD + " ") is None
    assert people.who("Kim", PASSWORD) is None
    assert people.who("lee", PASSWORD) is None


def test_a_password_is_kept_as_argon2id_with_the_usual_parameters(tmp_path: Path) -> None:
    people = People(open_database(str(tmp_path / "people.sqlite")))
    people.add("kim", password=PASSWORD)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert PASSWORD.encode() not in kept
    assert b"$argon2id$v=19$m=65536,t=3,p=4$" in kept  # RFC 9106, second recommended option


def test_a_hash_under_older_parameters_is_made_anew_at_the_next_sign_in(
    people: People, hasher: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.add("kim", password=PASSWORD)
    newer = Counting(time_cost=2, memory_cost=16, parallelism=1)
    monkeypatch.setattr(people_module, "_hasher", lambda: newer)
    assert people.who("kim", PASSWORD) is not None
    assert people.who("kim", PASSWORD) is not None
    assert newer.done == ["verify", "hash", "verify"]


@pytest.mark.parametrize("name", ["kim", "nobody", "disabled", "by-provider", "a\x00b", "x" * 5_000, "\ud800"])
def test_every_name_that_is_refused_costs_the_same_work(people: People, hasher: Counting, name: str) -> None:
    people.add("kim", password=PASSWORD)
    people.add("disabled", password=PASSWORD)
    people.change("disabled", disabled=True)
    people.add("by-provider")
    hasher.done.clear()
    assert people.who(name, "not the password") is None
    assert hasher.done == ["verify"]


def test_the_right_password_of_a_disabled_person_lets_nobody_in(people: People) -> None:
    people.add("kim", password=PASSWORD)
    people.change("kim", disabled=True)
    assert people.who("kim", PASSWORD) is None
    assert [person.disabled for person in people.all()] == [True]
    people.change("kim", disabled=False)
    assert people.who("kim", PASSWORD) is not None


def test_composed_and_decomposed_hangul_are_one_password_and_one_name(people: People) -> None:
    people.add("김", password=unicodedata.normalize("NFD", PASSWORD))
    assert people.who(unicodedata.normalize("NFD", "김"), unicodedata.normalize("NFC", PASSWORD)) is not None


@pytest.mark.parametrize(
    "password",
    ["", "x7!kQ2#pa", "kimminsoo1", "KIMMINSOO1", "kimminsoo1kimminsoo1", "aaaaaaaaaaaa", "password123", "a" * 200 + "bcd" * 20],
)
def test_a_password_that_is_tried_first_is_not_taken(people: People, password: str) -> None:
    with pytest.raises(ConfigError, match="password"):
        people.add("kimminsoo1", password=password)
    assert people.all() == []


@pytest.mark.parametrize("password", ["열 글자가 넘는 문장", "only lower case", "          12 ab"])
def test_nothing_is_asked_of_a_password_but_its_length(people: People, password: str) -> None:
    people.add("kim", password=password)
    assert people.who("kim", password) is not None


def test_a_name_is_given_once(hasher: Counting, place: str) -> None:
    people = People(open_database(place))
    people.add("kim", password=PASSWORD)
    with pytest.raises(ConfigError, match="people change kim"):
        people.add("kim", "admin", password="another one altogether")
    assert people.who("kim", PASSWORD) is not None


@pytest.mark.parametrize(
    ("user", "role", "label"), [("a b", "user", "x"), ("kim", "king", "x"), ("kim", "user", "two\nlines"), ("kim", "user", "")]
)
def test_a_person_who_is_none_is_not_added(people: People, user: str, role: Any, label: str) -> None:
    with pytest.raises(ConfigError):
        people.add(user, role, (label,), PASSWORD)


def test_a_person_is_known_by_the_provider_s_subject_and_not_by_the_name(hasher: Counting, place: str) -> None:
    people = People(open_database(place))
    people.add("root", "admin", password=PASSWORD)
    people.add("park", "operator", ("인사",))
    coming: tuple[tuple[str, str, Any, Any, Any], ...] = (
        ("a", "kim", None, None, "user"),
        ("a", "park", None, None, None),  # was added before: what was given stays
        ("a", "root", "admin", (), "user"),  # has a password, and is somebody else
        ("b", "kim", "admin", (), "user"),  # another subject
        ("c", "new", None, None, None),  # nobody new without a role
    )
    met = {(subject, user): people.meet(user, subject, *told) for subject, user, *told in coming}
    assert {key: found and (found.role, found.labels) for key, found in met.items()} == {
        ("a", "kim"): ("user", ()),
        ("a", "park"): ("operator", ("인사",)),
        ("a", "root"): None,
        ("b", "kim"): None,
        ("c", "new"): None,
    }
    assert people.who("root", PASSWORD) is not None


def test_somebody_who_is_not_there_is_not_changed(people: People) -> None:
    with pytest.raises(DataError, match="people list"):
        people.change("kim", role="admin")


def test_guesses_at_one_name_wait_longer_and_longer() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for i in range(FREE_BY_NAME):
        attempts.begin("kim", f"10.0.0.{i}")
    waits = []
    for i in range(4):
        with pytest.raises(ApiError) as refused:
            attempts.begin("kim", f"10.0.1.{i}")
        assert refused.value.status == 429
        waits.append(int(refused.value.headers["Retry-After"]))
        now[0] += waits[-1]
        attempts.begin("kim", f"10.0.1.{i}")
    assert waits == [1, 2, 4, 8]
    attempts.begin("lee", "10.0.9.9")


def test_nobody_is_locked_out_for_ever() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(FREE_BY_NAME + 30):
        attempts.begin("kim", "")
        now[0] += LONGEST_WAIT_S
    attempts.begin("kim", "")
    with pytest.raises(ApiError) as refused:
        attempts.begin("kim", "")
    assert int(refused.value.headers["Retry-After"]) == LONGEST_WAIT_S


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["2001:db8::1", "2001:db8::2:3"], ["::ffff:10.0.0.1", "10.0.0.1"]])
def test_many_names_are_not_tried_from_one_place(addresses: list[str]) -> None:
    attempts = Attempts(lambda: 0.0)
    for i in range(FREE_BY_ADDRESS):
        attempts.begin(f"user{i}", addresses[i % len(addresses)])
    with pytest.raises(ApiError, match="Too many attempts"):
        attempts.begin("another", addresses[0])
    attempts.begin("another", "2001:db8:0:1::1")


def test_a_success_clears_the_name_and_not_the_address(people: People) -> None:
    people.add("kim", password=PASSWORD)
    for i in range(FREE_BY_ADDRESS):
        assert people.who(f"lee{i}", "not the password", "10.0.0.1") is None
        if i < 10:
            assert people.who("kim", PASSWORD, "10.0.0.2") is not None
    with pytest.raises(ApiError, match="Too many"):
        people.who("kim", PASSWORD, "10.0.0.1")
    assert people.who("kim", PASSWORD, "10.0.0.2") is not None


def test_the_wait_is_the_same_for_names_that_do_not_exist(people: People) -> None:
    people.add("kim", password=PASSWORD)
    refusals = []
    for name in ("kim", "nobody"):
        for _ in range(FREE_BY_NAME):
            people.who(name, "not the password")
        with pytest.raises(ApiError) as refused:
            people.who(name, "not the password")
        refusals.append((refused.value.status, refused.value.code))
    assert refusals == [(429, "too_many_attempts")] * 2


def test_names_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_KNOWN", 100)
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for i in range(1_000):
        now[0] += 0.001
        attempts.begin(f"user{i}", f"10.0.{i // 250}.{i % 250}")
    assert len(attempts._failures) <= 102
    assert "name user999" in attempts._failures
    assert "name user0" not in attempts._failures


def test_failures_are_forgotten_after_an_hour() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(FREE_BY_NAME):
        attempts.begin("kim", "")
    now[0] = 3_600.0
    for _ in range(FREE_BY_NAME):
        attempts.begin("kim", "")
    with pytest.raises(ApiError):
        attempts.begin("kim", "")


# --- the command line ----------------------------------------------------------------------------------------------------


@pytest.fixture
def run(hasher: Counting, tmp_path: Path) -> Any:
    app, place = typer.Typer(), tmp_path / "log.sqlite"
    app.add_typer(serve, name="serve")
    place.touch()
    return lambda *words, said="": CliRunner().invoke(app, ["serve", "people", *words, str(place)], input=said)


def test_a_person_is_added_listed_changed_and_disabled(run: Any, tmp_path: Path) -> None:
    assert run("add", "kim", "--role", "approver", "--label", "인사", said=f"{PASSWORD}\n").exit_code == 0
    assert run("change", "kim", "--role", "operator").exit_code == 0
    (listed,) = json.loads(run("list", "--json").stdout)
    assert (listed["user"], listed["role"], listed["labels"], listed["disabled"]) == ("kim", "operator", ["인사"], False)
    assert PASSWORD not in run("list").output
    assert "hash" not in listed
    people = People(open_database(str(tmp_path / "log.sqlite")))
    assert people.who("kim", PASSWORD) is not None
    assert run("disable", "kim").exit_code == 0
    assert people.who("kim", PASSWORD) is None
    assert run("change", "kim", "--enable", "--password", said="another one altogether\n").exit_code == 0
    assert people.who("kim", "another one altogether") is not None


def test_a_password_is_no_argument_and_is_not_shown(run: Any) -> None:
    assert run("add", "kim", "--password=x").exit_code == 2
    assert "123456789x!" not in run("add", "kim", said="123456789x!\n").output


@pytest.mark.parametrize(
    ("words", "said", "helps"),
    [
        (("add", "kim"), "short\n", "take 10 to 256"),
        (("add", "kim"), "", "has 0 characters"),
        (("add", "a b"), f"{PASSWORD}\n", "letters, digits"),
        (("add", "kim", "--role", "king"), f"{PASSWORD}\n", "admin"),
        (("change", "nobody", "--role", "admin"), "", "people list"),
        (("disable", "nobody"), "", "people list"),
    ],
    ids=["short", "empty", "name", "role", "change", "disable"],
)
def test_what_is_wrong_is_told_with_what_to_do(run: Any, words: tuple[str, ...], said: str, helps: str) -> None:
    failed = run(*words, said=said)
    assert isinstance(failed.exception, (ConfigError, DataError))
    assert helps in str(failed.exception)


def test_a_person_without_a_password_comes_by_the_provider_only(run: Any, tmp_path: Path) -> None:
    assert run("add", "kim", "--no-password").exit_code == 0
    people = People(open_database(str(tmp_path / "log.sqlite")))
    assert people.who("kim", "") is None
    assert "OpenID Connect" in run("list").output


def test_a_pipe_gives_its_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from sadari.cli import people as verb

    monkeypatch.setattr("sys.stdin", io.StringIO("first line\r\nsecond\n"))
    assert verb._asked() == "first line"
