"""Every attack of `code_attacks.txt` against both sandboxes, with a canary file, variable and socket that must stay untouched."""

import os
import re
import select
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import pytest

from sadari.agent.tools.code.bubblewrap import open_bubblewrap
from sadari.agent.tools.code.monty import open_monty
from sadari.agent.tools.code.sandbox import Limits, Ran, Sandbox

SECRET = "canary-7731"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
ATTACKS = dict(
    re.findall(r"^### (.+)\n((?:(?!### ).*\n)*)", Path(__file__).with_name("code_attacks.txt").read_text(), re.MULTILINE)
)


@dataclass(frozen=True)
class Canaries:
    """What no code may touch."""

    file: Path
    server: socket.socket
    variable: str = "SADARI_CANARY"

    def fill_in(self, attack: str) -> str:
        port = str(self.server.getsockname()[1])
        return attack.replace("{FILE}", str(self.file)).replace("{PORT}", port).replace("{VARIABLE}", self.variable)

    def are_untouched(self) -> bool:
        connected = select.select([self.server], [], [], 0)[0]
        return not connected and self.file.read_text() == SECRET and self.file.stat().st_mode & 0o777 == 0o600


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaries]:
    folder = tmp_path_factory.mktemp("canary")
    file = folder / "secret.txt"
    file.write_text(SECRET)
    file.chmod(0o600)
    os.environ["SADARI_CANARY"] = SECRET
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Canaries(file, server)
    del os.environ["SADARI_CANARY"]


@pytest.fixture(scope="module")
def monty() -> Sandbox:
    return open_monty(Limits(0.3, 64_000_000, 5_000))


@pytest.fixture(scope="module")
def bubblewrap() -> Sandbox:
    if shutil.which("bwrap") is None:
        pytest.skip("no bubblewrap here")
    return open_bubblewrap(Limits(0.7, 400_000_000, 5_000, 8_000_000))


def children() -> set[str]:
    tasks = Path("/proc/self/task").glob("*/children")
    return {child for task in tasks for child in task.read_text().split()}


def attacked(sandbox: Sandbox, name: str, canaries: Canaries) -> Ran:
    before, start = children(), monotonic()
    ran = sandbox.run(canaries.fill_in(ATTACKS[name]), NOW)
    assert monotonic() - start < 5
    assert children() <= before
    return ran


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_gets_out_of_monty(name: str, monty: Sandbox, canaries: Canaries) -> None:
    ran = attacked(monty, name, canaries)
    assert "BREACH" not in ran.printed
    assert SECRET not in repr(ran)
    assert canaries.are_untouched()


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_gets_out_of_bubblewrap(name: str, bubblewrap: Sandbox, canaries: Canaries) -> None:
    ran = attacked(bubblewrap, name, canaries)
    assert "BREACH" not in ran.printed
    assert SECRET not in repr(ran)
    assert canaries.are_untouched()


def test_without_a_sandbox_the_same_code_reaches_the_canaries(canaries: Canaries, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("read the canary by open", "environment by getenv", "connect to the canary"):
        exec(canaries.fill_in(ATTACKS[name]), {})
        assert "BREACH" in capsys.readouterr().out
    canaries.server.accept()[0].close()


def test_there_are_more_than_sixty_attacks() -> None:
    assert len(ATTACKS) > 60
