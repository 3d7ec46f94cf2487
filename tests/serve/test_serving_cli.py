import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from sadari.cli.serve import serve
from sadari.errors import ConfigError

PROGRAM = "import sys, typer; from sadari.cli.serve import serve; a = typer.Typer(); a.add_typer(serve, name='serve'); a()"


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.add_typer(serve, name="serve")
    return app


@pytest.fixture
def model(tmp_path: Path) -> str:
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([{"say": "네."}]))
    return f"scripted:{rules}"


def test_a_key_is_made_listed_and_revoked(app: typer.Typer, tmp_path: Path) -> None:
    place = str(tmp_path / "log.sqlite")
    (tmp_path / "log.sqlite").touch()
    run = CliRunner()
    key = run.invoke(app, ["serve", "keys", "add", "kim", place, "--role", "approver"]).stdout.strip()
    (listed,) = json.loads(run.invoke(app, ["serve", "keys", "list", place, "--json"]).output)
    assert re.fullmatch(r"sk-sadari-[0-9a-f]{12}-[\w-]{43}", key)
    assert (listed["identity"]["user"], listed["identity"]["role"], listed["revoked"]) == ("kim", "approver", "")
    assert run.invoke(app, ["serve", "keys", "revoke", listed["key"], place]).exit_code == 0
    assert json.loads(run.invoke(app, ["serve", "keys", "list", place, "--json"]).output)[0]["revoked"]


def test_others_are_served_with_keys_only(app: typer.Typer, model: str, tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["serve", model, "--host", "0.0.0.0", "--port", "0", "--log", str(tmp_path / "log.sqlite")])
    assert isinstance(said.exception, ConfigError)
    assert "serve keys add" in str(said.exception)


def test_it_says_where_it_listens_answers_and_ends_when_told_to(model: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", PROGRAM, "serve", "--port", "0", "--log", str(tmp_path / "log.sqlite"), model]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/v1", line)
        assert found, line
        body = {"model": "sadari", "messages": [{"role": "user", "content": "?"}]}
        with httpx.Client(trust_env=False, timeout=20) as http:
            said = http.post(found[0] + "/chat/completions", json=body).json()
        assert said["choices"][0]["message"]["content"] == "네."
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)
