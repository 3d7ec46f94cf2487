"""Answers that people judged: the file a judge is calibrated on.

One JSON object a line: the answer, whether it is right, and what was asked, either as the `id` of an example of the task or written
out. Faults are told all at once, with file, line and field.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sadari.errors import DataError
from sadari.measure.judging.calibration import Calibration, calibrate
from sadari.measure.judging.llm_judge import JudgeScorer, tally_reasons
from sadari.types import ROLES, Answer, Example, Message, Reference

FIELDS = ("id", "question", "messages", "reference", "answer", "right")


@dataclass(frozen=True, slots=True)
class HumanLabel:
    """One answer to one example, and whether people call it right."""

    example: Example
    answer: Answer
    right: bool


def calibrate_judge(judge: JudgeScorer, labels: Sequence[HumanLabel]) -> Calibration:
    """Let the judge judge what people judged, and count.

    Raises:
        SadariError: As `JudgeScorer.score_all`.
    """
    scores = judge.score_all([(label.example, label.answer) for label in labels])
    tally = tally_reasons(score.reason for score in scores)
    return calibrate([score.value == 1 for score in scores], [label.right for label in labels], tally.unsure + tally.failed)


def read_labels(path: Path, examples: Mapping[str, Example] | None = None) -> list[HumanLabel]:
    """The labels of a JSONL file.

    A row holds `answer` (text) and `right` (true or false), and one of: `id` of an example, which then gives question and
    references; `question` (text); `messages` (the conversation up to the answer). The last two may bring a `reference`, a text or a
    list of them.

    Args:
        examples: Examples of the task by id.

    Raises:
        DataError: If the file cannot be read, a row is wrong, or one answer to one question stands twice.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. score.judge.labels names a JSONL file.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    labels: list[HumanLabel] = []
    problems: list[str] = []
    seen: dict[tuple[Any, ...], int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path.name} line {number}"
        try:
            label = _label(_row(line), number, examples or {})
        except ValueError as fault:
            problems.append(f"{where}: {fault}")
            continue
        key = (label.example.messages, label.example.reference, label.answer.text)
        if key in seen:
            problems.append(f"{where}: the same answer to the same question stands in line {seen[key]}. Keep one of them.")
        seen.setdefault(key, number)
        labels.append(label)
    if not labels and not problems:
        problems.append(f'{path.name}: holds no labels. Write one {{"question": ..., "answer": ..., "right": true}} a line.')
    if problems:
        raise DataError(problems)
    return labels


def _row(line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(unicodedata.normalize("NFC", line))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"broken JSON ({error}). Each line must be one whole JSON object.") from error
    if not isinstance(row, dict):
        raise ValueError("not a JSON object. Each line must be one.")
    unknown = sorted(set(row) - set(FIELDS))
    if unknown:
        raise ValueError(f"{unknown[0]}: is no known field. Known are {', '.join(FIELDS)}.")
    return row


def _label(row: Mapping[str, Any], number: int, examples: Mapping[str, Example]) -> HumanLabel:
    if not isinstance(row.get("right"), bool):
        raise ValueError(f"right: must be true or false, but is {_shown(row.get('right'))}.")
    answer = row.get("answer")
    if not isinstance(answer, str):
        raise ValueError(f"answer: must be text, but is {_shown(answer)}.")
    given = [field for field in ("id", "question", "messages") if field in row]
    if len(given) != 1:
        found = " and ".join(given) if given else "none of them"
        raise ValueError(f"a row needs exactly one of id, question, messages, but holds {found}.")
    if "id" not in row:
        return HumanLabel(_written_out(row, number), Answer(answer), row["right"])
    name = row["id"]
    if not isinstance(name, str) or name not in examples:
        raise ValueError(f"id: no example is called {_shown(name)}. Use an id of the task's examples, or write out the question.")
    if "reference" in row:
        raise ValueError("reference: the example named by id brings its own. Take it out.")
    return HumanLabel(examples[name], Answer(answer), row["right"])


def _written_out(row: Mapping[str, Any], number: int) -> Example:
    if "question" in row:
        messages: tuple[Message, ...] = (Message("user", _text(row["question"], "question")),)
    else:
        if not isinstance(row["messages"], list) or not row["messages"]:
            raise ValueError("messages: must be a list of turns.")
        messages = tuple(_turns(row["messages"]))
        if messages[-1].role == "assistant":
            raise ValueError("messages: must end before the answer. Put the last turn into `answer`.")
    reference = row.get("reference", [])
    texts = [reference] if isinstance(reference, str) else reference
    if not isinstance(texts, list):
        raise ValueError(f"reference: must be a text or a list of texts, but is {_shown(reference)}.")
    return Example(f"label-{number}", messages, Reference(tuple(_text(text, "reference") for text in texts)))


def _turns(turns: Sequence[Any]) -> Iterator[Message]:
    for turn in turns:
        if not isinstance(turn, dict) or turn.get("role") not in ROLES:
            raise ValueError(f"messages: a turn needs a role ({', '.join(ROLES)}) and content, but is {_shown(turn)}.")
        yield Message(turn["role"], _text(turn.get("content"), "messages.content"))


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{field}: must be text that is not empty, but is {_shown(value)}.")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
