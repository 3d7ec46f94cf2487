"""Asking a model for verdicts: read safely, and kept so that nothing is asked, or paid for, twice.

Covered: what cannot be read as exactly one of the allowed verdicts is "unsure", never a guess; a request that fails is "failed",
and is asked again next time; a kill at any moment loses at most the batch in flight. Kept rulings are read as data: what a damaged
line held is asked again.
Not covered: a judge that is wrong (see `measure.calibration`), and a file of rulings that somebody else may write.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sadari.errors import ModelError, RunError, SadariError
from sadari.types import Generation, Message, Model, OneOf, Request, Usage

UNSURE = "unsure"
FAILED = "failed"
RULINGS_FILE = "judge.jsonl"
NO_TOKENS = Usage()
BATCH = 32
"""Requests handed to the model at once; what is lost when a run is killed."""
MOST_READ = 20_000
"""Characters of a reply that are looked at, from its end."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a judge is asked: two turns, and the verdicts it may give, in lower case.

    The first of `verdicts` should be the one that claims least: a model that is held to them may fall back on it.
    """

    system: str
    user: str
    verdicts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a judge said to one question: one of its verdicts, or "unsure" (nothing readable), or "failed".

    Args:
        detail: Why it failed, or the beginning of what could not be read; "" for a verdict that was given.
        usage: Tokens of asking; of a kept ruling, those once paid.
    """

    verdict: str
    detail: str = ""
    usage: Usage = NO_TOKENS


class Rulings:
    """A model's verdicts, each asked for once.

    Args:
        model: The judge.
        folder: Where rulings are kept, in `judge.jsonl`; None keeps them in memory only.
        base_url: Where a remote judge is; two endpoints may call different models by one name.
        max_new_tokens: Longest reply.

    Raises:
        RunError: If the file of rulings cannot be read.
    """

    def __init__(self, model: Model, *, folder: Path | None = None, base_url: str | None = None, max_new_tokens: int = 64) -> None:
        self._model, self._base_url, self._max_new_tokens = model, base_url, max_new_tokens
        self._file = folder / RULINGS_FILE if folder is not None else None
        self._kept: dict[str, Ruling] = {}
        self.asked = 0
        """Requests sent by this object."""
        self.paid = Usage()
        """Tokens of the requests sent by this object."""
        self.paid_in_all = Usage()
        """Tokens of every request whose ruling the folder holds, those of earlier, killed runs included."""
        if self._file is not None:
            for row in _rows(self._file):
                self._note(row)

    @property
    def model_name(self) -> str:
        """How the judge was asked for."""
        return self._model.name

    def of(self, questions: Sequence[Question]) -> list[Ruling]:
        """One ruling per question, in order; those not kept are asked in batches, equal ones once.

        Raises:
            SadariError: What the model raises because every other request would meet it too (a refused key, a spent budget);
                the batches before it are kept.
            ModelError: If the model does not give one generation per request.
            RunError: If the file of rulings cannot be written.
        """
        keys = [self._key(question) for question in questions]
        missing = {key: question for key, question in zip(keys, questions, strict=True) if not self._is_kept(key, question)}
        fresh: dict[str, Ruling] = {}
        waiting = list(missing.items())
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            rulings = self._ask([question for _, question in batch])
            rows = [_Row.of(key, ruling) for (key, _), ruling in zip(batch, rulings, strict=True)]
            for row, ruling in zip(rows, rulings, strict=True):
                self.asked += 1
                self.paid = add_usage(self.paid, ruling.usage)
                self._note(row)
                fresh[row.key] = ruling
            if self._file is not None:
                _append(self._file, rows)
        return [fresh.get(key) or self._kept[key] for key in keys]

    def _is_kept(self, key: str, question: Question) -> bool:
        return key in self._kept and self._kept[key].verdict in (*question.verdicts, UNSURE)

    def _note(self, row: "_Row") -> None:
        usage = Usage(row.prompt_tokens, row.completion_tokens)
        self.paid_in_all = add_usage(self.paid_in_all, usage)
        if row.verdict != FAILED:  # a failure says nothing about the answer: it is asked again
            self._kept[row.key] = Ruling(row.verdict, row.detail, usage)

    def _key(self, question: Question) -> str:
        """Of all that the reply depends on; the rubric, the example and the answer stand in the two turns."""
        parts = [self._model.name, self._base_url, self._max_new_tokens, question.system, question.user, question.verdicts]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()

    def _ask(self, questions: Sequence[Question]) -> list[Ruling]:
        requests = [
            Request(
                (Message("system", question.system), Message("user", question.user)),
                max_new_tokens=self._max_new_tokens,
                constraint=OneOf(tuple(verdict_json(verdict) for verdict in question.verdicts)),
            )
            for question in questions
        ]
        try:
            generations = self._model.generate(requests)
        except SadariError:
            raise
        except Exception as failure:  # the model may be the user's own: its timeouts and crashes are counted, not passed on
            return [Ruling(FAILED, _short(f"{type(failure).__name__}: {failure}"))] * len(questions)
        if len(generations) != len(requests):
            raise ModelError(
                f"the judge {self._model.name} gave {len(generations)} answers to {len(requests)} requests. "
                "A model gives one generation per request, in order: mend it, or use another."
            )
        return [_ruling(question, generation) for question, generation in zip(questions, generations, strict=True)]


def verdict_json(verdict: str) -> str:
    """How a verdict is written: the finite schema `{"verdict": ...}`, one text for each value."""
    return json.dumps({"verdict": verdict})


def read_verdict(text: str, verdicts: Sequence[str]) -> str | None:
    """The one verdict that a reply gives; None if it gives none, another word, or two that differ.

    Read are the word alone and JSON objects with a "verdict", in a code fence or among other words; what stands before `</think>`
    is passed over.
    """
    text = text[-MOST_READ:].rpartition("</think>")[2].strip()
    said = text.strip(" \t\r\n\"'`.*").casefold()
    if said in verdicts:
        return said
    found = {value.strip().casefold() if isinstance(value, str) else "" for value in _verdict_values(text)}
    only = found.pop() if len(found) == 1 else ""
    return only if only in verdicts else None


_FLAT_OBJECT = re.compile(r"\{[^{}]{0,500}\}")
_FENCE = re.compile(r"^```(?:json)?\s*|\s*```$")


def _verdict_values(text: str) -> Iterator[Any]:
    for piece in (_FENCE.sub("", text), *_FLAT_OBJECT.findall(text)):
        try:
            pairs = json.loads(piece, object_pairs_hook=tuple)  # a dict would hide a key that stands twice
        except (ValueError, RecursionError):
            continue
        if isinstance(pairs, tuple):
            yield from (value for key, value in pairs if key == "verdict")


def _ruling(question: Question, generation: Generation) -> Ruling:
    if generation.error is not None or generation.finish == "error":
        return Ruling(FAILED, _short(generation.error or "no reason given"), generation.usage)
    verdict = read_verdict(generation.text, question.verdicts)
    if verdict is None:
        return Ruling(UNSURE, _short(generation.text) or "an empty reply", generation.usage)
    return Ruling(verdict, "", generation.usage)


# --- the file ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    key: str
    verdict: str
    detail: str
    prompt_tokens: int
    completion_tokens: int

    @classmethod
    def of(cls, key: str, ruling: Ruling) -> "_Row":
        return cls(key, ruling.verdict, ruling.detail, ruling.usage.prompt_tokens, ruling.usage.completion_tokens)


def _rows(file: Path) -> Iterator[_Row]:
    adapter = TypeAdapter(_Row)
    try:
        with file.open("rb") as lines:
            for line in lines:
                try:
                    yield adapter.validate_json(line)
                except ValueError:
                    continue  # torn by a kill: the question is asked again
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{file} cannot be read: {error.strerror}. Mend the folder, or move the file away to judge anew.") from error


def _append(file: Path, rows: Sequence[_Row]) -> None:
    """Add whole lines in one write, on a line of their own even if the last one was torn."""
    lines = "".join(json.dumps(asdict(row)) + "\n" for row in rows).encode("ascii")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab+") as out:
            if out.tell():
                out.seek(-1, os.SEEK_END)
                if out.read(1) != b"\n":
                    lines = b"\n" + lines
            out.write(lines)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise RunError(
            f"{file} cannot be written: {error.strerror}. Free space or mend the folder, then run the same command again."
        ) from error


def add_usage(first: Usage, second: Usage) -> Usage:
    """Tokens of both."""
    return Usage(first.prompt_tokens + second.prompt_tokens, first.completion_tokens + second.completion_tokens)


def _short(text: str, most: int = 120) -> str:
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most else line[: most - 1] + "…"
