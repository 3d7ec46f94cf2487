"""What a check says: one sentence in the task's language, where it applies, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["error", "warning", "info"]
Language = Literal["ko", "en"]

Wording = Mapping[str, tuple[str, str]]
"""A sentence and a remedy ("" for none) by language, with `{names}` to be filled in."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that a check found.

    Args:
        about: What it belongs to: "lengths", "labels", "duplicates", "leaks", "privacy", "tool", "data", "cost", "reading".
        level: "error" if a climb would stop or mislead, "warning" if a person should decide, "info" if it is good to know.
        rows: Where, all of them: "data/train.jsonl line 41". Pairs are joined by " = ".
        remedy: What to do, in a sentence; "" if nothing needs doing.
    """

    about: str
    level: Level
    sentence: str
    rows: tuple[str, ...] = ()
    remedy: str = ""


def remark(about: str, level: Level, wording: Wording, language: Language, rows: Sequence[str] = (), /, **values: Any) -> Remark:
    """The remark that `wording` makes of `values`."""
    sentence, remedy = wording[language]
    return Remark(about, level, sentence.format(**values), tuple(rows), remedy.format(**values))


def split_name(split: str, language: Language) -> str:
    """What a sentence calls a split."""
    korean = {"train": "학습", "validation": "검증", "test": "테스트", "audit": "감사"}
    return korean[split] if language == "ko" else split
