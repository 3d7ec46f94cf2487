"""The benchmark on real data, run on a folder of made-up rows with a scripted model."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "benchmarks" / "real" / "run.py"
KEYS = {"banking77_baseline", "banking77_best", "wiki_recall1", "wiki_recall5", "chatbot_best"}
THINGS = ("자전거", "우산", "시계", "의자", "냄비", "모자", "거울", "연필", "가방", "장갑")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Forty rows in the three layouts of the real folder."""
    folder = tmp_path / "data"
    _write_banking(folder / "banking77")
    _write_chatbot(folder / "ko-chatbot")
    _write_wiki(folder / "ko-wiki-qa")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Says `lost_card` and 이별, whatever is asked."""
    path = tmp_path / "rules.json"
    path.write_text(json.dumps([{"when": "card", "say": "lost_card"}, {"say": "이별"}], ensure_ascii=False), encoding="utf-8")
    return f"scripted:{path}"


def test_it_climbs_every_task_and_ends_with_its_figures(data: Path, model: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Log\n<!-- real:start -->\nold\n<!-- real:end -->\n", encoding="utf-8")

    done = _run(data, "--model", model, "--rungs", "prompt,retrieval", "--work", str(tmp_path / "work"), "--record", str(page))

    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert set(figures) == KEYS
    assert figures["banking77_baseline"] == 0.5  # half of the test rows ask about a lost card
    assert figures["wiki_recall1"] == figures["wiki_recall5"] == 1.0  # every question names the thing its passage is about
    assert figures["chatbot_best"] == 0.5
    assert (tmp_path / "work" / "ko-chatbot" / "prepared" / "test.jsonl").is_file()
    recorded = page.read_text(encoding="utf-8")
    assert "### banking77: 8 test" in recorded
    assert "| baseline | 0.5000 (" in recorded
    assert "old" not in recorded


def test_one_task_alone_leaves_the_other_figures_empty(data: Path, model: str, tmp_path: Path) -> None:
    done = _run(data, "--only", "banking77", "--model", model, "--rungs", "prompt", "--work", str(tmp_path / "work"))

    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["banking77_baseline"] == 0.5
    assert figures["wiki_recall1"] is None
    assert figures["chatbot_best"] is None


def test_without_the_data_it_says_so_and_measures_nothing(tmp_path: Path) -> None:
    done = _run(tmp_path / "nowhere")

    assert done.returncode == 0
    assert "skipped" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1]) == dict.fromkeys(KEYS)


def _run(data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "SADARI_DATA": str(data)}
    return subprocess.run(
        [sys.executable, str(RUN), *arguments], capture_output=True, text=True, env=environment, timeout=300, check=False
    )


def _write_banking(folder: Path) -> None:
    folder.mkdir(parents=True)
    verbs = ("dropped", "forgot", "mislaid", "misplaced", "left")
    for split, count in (("train", 32), ("test", 8)):
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["text", "category"])
            for n in range(count // 2):
                table.writerow([f"I {verbs[n % 5]} my card at the {split} station number {n * 37} today", "lost_card"])
                table.writerow([f"Did {split} shop {n * 53} already send me the money card {n}?", "refund"])


def _write_chatbot(folder: Path) -> None:
    folder.mkdir(parents=True)
    endings = {"train": "잊을 수가 없네", "dev": "그리워서 울었어", "test": "보고 싶어 죽겠다"}
    for split, count in (("train", 24), ("dev", 8), ("test", 8)):
        rows = [
            {
                "id": f"{split}-{n}",
                "question": f"{THINGS[n % 10]} {n * 31} {endings[split]}",
                "answer": "그렇군요.",
                "label": n % 2 if split != "train" else n % 3,
            }
            for n in range(count)
        ]
        _write_lines(folder / f"{split}.jsonl", rows)


def _write_wiki(folder: Path) -> None:
    folder.mkdir(parents=True)
    passages = [
        {"doc_id": f"w-{n}", "title": thing, "text": f"{thing}는 {1900 + n}년에 처음 만들어졌다. 값이 싸다."}
        for n, thing in enumerate(THINGS)
    ]
    _write_lines(folder / "corpus.jsonl", passages)
    for split, asked in (("train", "언제 처음 나왔나?"), ("test", "몇 년에 만든 물건인가요?")):
        rows = [
            {
                "id": f"{split}-{n}",
                "question": f"{thing}는 {asked}",
                "answers": [{"text": f"{1900 + n}년", "answer_start": len(thing) + 2}],
                "relevant": [f"w-{n}"],
                "title": thing,
            }
            for n, thing in enumerate(THINGS)
        ]
        _write_lines(folder / f"{split}.jsonl", rows)


def _write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
