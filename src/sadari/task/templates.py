"""Small projects that run at once: `support` answers from documents, `label` sorts messages into intents."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from sadari.errors import ConfigError
from sadari.task.template_rows import ABSTAIN, DOCS, FACTS, INTENTS, UNANSWERABLE

_SUPPORT_YAML = """# What the system should do, in words; the model is told this.
goal: 쇼핑몰 고객의 질문에 정책 문서를 근거로 정중하게 답한다.

# The bundled small model; or a Hugging Face name or folder; or openai:NAME with base_url.
model: mini

# Validation is cut from train. Test questions must not stand in train.
examples: {train: data/train.jsonl, test: data/test.jsonl}
documents: docs/

# An answer is right if it holds every fact of its row, and says so when the documents do not tell.
score: {by: auto, target: 0.90}

# What it may cost, and what an answer is worth. A price that is left out is not counted.
money: {currency: KRW, requests_per_month: 10000, value_per_correct: 50, wrong_answer_cost: 200}
budget: {time: 10m}

# From cheap to costly; each rung must prove that it pays.
ladder: [prompt, retrieval, lora, full]
"""

_LABEL_YAML = """# What the system should do, in words; the model is told this.
goal: 고객 문의를 알맞은 유형 하나로 분류한다.

# The bundled small model; or a Hugging Face name or folder; or openai:NAME with base_url.
model: mini

# Validation is cut from train. Test questions must not stand in train. The labels are found from train.
examples: {train: data/train.jsonl, test: data/test.jsonl}

score: {by: label, target: 0.90}

# What it may cost, and what an answer is worth. A price that is left out is not counted.
money: {currency: KRW, requests_per_month: 10000, value_per_correct: 50, wrong_answer_cost: 200}
budget: {time: 10m}

# From cheap to costly; each rung must prove that it pays. Without documents, retrieval finds similar training examples.
ladder: [prompt, retrieval, lora, full]
"""


def _support_rows(split: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for fact in FACTS:
        for question in fact.train if split == "train" else fact.test:
            start = DOCS[fact.page].index(fact.quote)
            span = {"document": fact.page, "start": start, "end": start + len(fact.quote), "quote": fact.quote}
            rows.append({"question": question, "answer": fact.quote, "facts": [fact.fact], "spans": [span]})
    rows += [{"question": question, "answer": ABSTAIN, "abstain": True} for question in UNANSWERABLE[split]]
    return rows


def _label_rows(split: str) -> list[dict[str, Any]]:
    return [{"text": text, "label": intent} for intent, texts in INTENTS.items() for text in texts[split]]


@dataclass(frozen=True, slots=True)
class _Template:
    task_file: str
    rows: Callable[[str], list[dict[str, Any]]]
    docs: Mapping[str, str]


_TEMPLATES = {
    "support": _Template(_SUPPORT_YAML, _support_rows, DOCS),
    "label": _Template(_LABEL_YAML, _label_rows, {}),
}
TEMPLATES = tuple(_TEMPLATES)


def init_task(folder: Path, template: str = "support") -> Path:
    """Write a small project that runs; all of it or nothing.

    Args:
        folder: Where to; it must not exist yet, or be empty.
        template: "support" (grounded questions about three pages) or "label" (five intents).

    Returns:
        The task file.

    Raises:
        ConfigError: If the folder holds something or cannot be written, or there is no such template.
    """
    if template not in _TEMPLATES:
        raise ConfigError(f"`{template}` is no template. Use one of {', '.join(TEMPLATES)}.")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file. Name a new folder.")
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: is not empty. Name a new folder; nothing was written.")
    chosen = _TEMPLATES[template]
    files = {"sadari.yaml": chosen.task_file, **{f"docs/{name}": page for name, page in chosen.docs.items()}}
    files |= {f"data/{split}.jsonl": _jsonl(chosen.rows(split)) for split in ("train", "test")}
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _write_at_once(folder, files)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror or error}). Choose another place.") from error
    return folder / "sadari.yaml"


def _jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_at_once(folder: Path, files: Mapping[str, str]) -> None:
    """Write beside the folder, then rename, so that a crash leaves no half project."""
    beside = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
    beside.mkdir()
    try:
        for name, text in files.items():
            file = beside / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        if folder.is_dir():
            folder.rmdir()
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
