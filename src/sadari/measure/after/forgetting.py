"""What tuning forgot: loss and accuracy on a fixed general probe in Korean and English, before and after.

The probe (`probe.jsonl`) was written for this project: in either language 60 sentences with a gap and four fillings, the first of
them right (particles, endings, counters, sums, common knowledge, proverbs), and 40 short pieces of prose. A model fills a gap with
the option whose whole sentence it finds most probable; the loss is of the prose. A small model may fill gaps little better than
chance (0.25); its loss still tells.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Literal

from sadari.errors import ModelError
from sadari.measure.statistics import bootstrap_interval, paired_interval
from sadari.types import Alarm

Language = Literal["ko", "en"]

LogProbabilities = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""The log-probability, in nats, of every token of each text."""

LANGUAGES: tuple[Language, ...] = ("ko", "en")
GAP = "___"

LOSS_NOTICE, LOSS_SERIOUS = 0.03, 0.10
"""Rise of the loss per character, as a share of what it was."""

ACCURACY_SERIOUS = 0.10
"""Fall of the accuracy, as a share of all gaps."""


@dataclass(frozen=True, slots=True)
class ProbeItem:
    """One line of the probe: prose, or with `options` a sentence with a gap, of whose fillings the first is right."""

    id: str
    language: Language
    topic: str
    text: str
    options: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The texts whose probability is asked for."""
        return tuple(self.text.replace(GAP, option) for option in self.options) or (self.text,)


@dataclass(frozen=True, slots=True)
class TextLoss:
    """One piece of prose: its summed loss in nats, and its length in the model's tokens and in characters."""

    id: str
    language: Language
    nats: float
    tokens: int
    characters: int


@dataclass(frozen=True, slots=True)
class Filling:
    """One gap: whether the model's most probable filling is the right one."""

    id: str
    language: Language
    is_right: bool


@dataclass(frozen=True, slots=True)
class Probe:
    """What one model made of the probe."""

    texts: tuple[TextLoss, ...]
    fillings: tuple[Filling, ...]

    def loss(self, language: Language) -> float:
        """Nats per character, the mean over the texts: comparable between tokenizers."""
        return fmean(t.nats / t.characters for t in self.texts if t.language == language)

    def loss_per_token(self, language: Language) -> float:
        """Nats per token, the mean over the texts: comparable between models of one tokenizer alone."""
        return fmean(t.nats / t.tokens for t in self.texts if t.language == language)

    def accuracy(self, language: Language) -> float:
        """Share of gaps filled right, in [0, 1]; chance is 0.25."""
        return fmean(f.is_right for f in self.fillings if f.language == language)

    def count(self, language: Language) -> tuple[int, int]:
        """How many texts and how many gaps."""
        return sum(t.language == language for t in self.texts), sum(f.language == language for f in self.fillings)


@dataclass(frozen=True, slots=True)
class Change:
    """One measure in one language, before and after.

    Args:
        before, after: Loss in nats per character, or accuracy in [0, 1].
        change, low, high: After minus before, and its 95 % interval over the items, in pairs.
        level: By the rule of `compare_probes`.
    """

    language: Language
    measure: Literal["loss", "accuracy"]
    before: float
    after: float
    change: float
    low: float
    high: float
    level: Alarm


@dataclass(frozen=True, slots=True)
class Forgetting:
    """The four changes (loss and accuracy, Korean and English), the worst of their levels, and one sentence for a person."""

    level: Alarm
    changes: tuple[Change, ...]
    reason: str


@cache
def probe_items() -> tuple[ProbeItem, ...]:
    """The probe that sadari ships."""
    lines = Path(__file__).with_name("probe.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(ProbeItem(**{**row, "options": tuple(row["options"])}) for row in map(json.loads, lines))


def probe_model(log_probabilities: LogProbabilities, items: Sequence[ProbeItem] | None = None) -> Probe:
    """Ask a model, through the probabilities of texts, what it knows of the probe.

    Raises:
        ModelError: If there is not one row of probabilities per text, or a text has no token.
    """
    items = probe_items() if items is None else items
    sentences = [sentence for item in items for sentence in item.sentences]
    rows = log_probabilities(sentences)
    if len(rows) != len(sentences) or not all(rows):
        raise ModelError(f"the model gave {sum(map(bool, rows))} rows of probabilities for {len(sentences)} texts. Give one each.")
    found = iter(rows)
    texts, fillings = [], []
    for item in items:
        sums = [(sum(row), len(row)) for row in (next(found) for _ in item.sentences)]
        if item.options:
            # A tie is not right: a model that finds everything equally probable knows nothing.
            fillings.append(Filling(item.id, item.language, sums[0][0] > max(total for total, _ in sums[1:])))
        else:
            texts.append(TextLoss(item.id, item.language, -sums[0][0], sums[0][1], len(item.text)))
    return Probe(tuple(texts), tuple(fillings))


def compare_probes(before: Probe, after: Probe, *, language: Language = "en") -> Forgetting:
    """What a tuned model forgot, with a level of warning.

    *serious*: in Korean or in English the loss per character rose by 10 % or more, or the accuracy fell by 10 points or more.
    *notice*: the loss rose by 3 % or more, or the accuracy fell. Each only where the 95 % interval of the change over the items
    excludes 0. Four changes are looked at without correction: of models that forgot nothing, about 5 in 100 show an accuracy that
    fell by chance.

    Args:
        language: Of `reason`.

    Raises:
        ModelError: If the two models were not asked the same items.
    """
    if [t.id for t in before.texts] != [t.id for t in after.texts] or [f.id for f in before.fillings] != [
        f.id for f in after.fillings
    ]:
        raise ModelError("the two models were not asked the same probe. Probe both with the same version of sadari.")
    changes = tuple(change for spoken in LANGUAGES for change in _changes(before, after, spoken))
    level = worst(change.level for change in changes)
    return Forgetting(level, changes, _reason(level, changes, language))


def worst(levels: Iterable[Alarm]) -> Alarm:
    """The highest of some levels; "none" of none."""
    order: tuple[Alarm, ...] = ("none", "notice", "serious")
    return max(levels, key=order.index, default="none")


def _changes(before: Probe, after: Probe, spoken: Language) -> list[Change]:
    changes = []
    texts = [(a, b) for a, b in zip(before.texts, after.texts, strict=True) if a.language == spoken]
    if texts:
        old, new = before.loss(spoken), after.loss(spoken)
        low, high = bootstrap_interval([b.nats / b.characters - a.nats / a.characters for a, b in texts])
        share = (new - old) / old if old > 0 else 0.0
        level: Alarm = "none" if low <= 0 or share < LOSS_NOTICE else "serious" if share >= LOSS_SERIOUS else "notice"
        changes.append(Change(spoken, "loss", old, new, new - old, low, high, level))
    gaps = [(a, b) for a, b in zip(before.fillings, after.fillings, strict=True) if a.language == spoken]
    if gaps:
        old, new = before.accuracy(spoken), after.accuracy(spoken)
        low, high = paired_interval([float(b.is_right) - float(a.is_right) for a, b in gaps])
        level = "none" if high >= 0 else "serious" if old - new >= ACCURACY_SERIOUS else "notice"
        changes.append(Change(spoken, "accuracy", old, new, new - old, low, high, level))
    return changes


_LANGUAGE_NAMES = {"ko": {"ko": "한국어", "en": "영어"}, "en": {"ko": "Korean", "en": "English"}}
_SENTENCES = {
    "ko": {
        "none": "일반 한국어·영어 능력을 잊은 흔적이 없습니다.",
        "notice": "일반 능력이 조금 줄었습니다: {}.",
        "serious": "일반 능력을 많이 잊었습니다: {}. 학습률이나 에폭을 줄이거나 일반 대화를 학습 행에 섞으십시오.",
        "loss": "{} 손실 {:+.1%}",
        "accuracy": "{} 빈칸 정답률 {:+.1f}%p",
    },
    "en": {
        "none": "Nothing of its general Korean and English was seen to be forgotten.",
        "notice": "It forgot a little: {}.",
        "serious": "It forgot much: {}. Lower the learning rate or the epochs, or mix general conversations into train.",
        "loss": "{} loss {:+.1%}",
        "accuracy": "{} gaps filled right {:+.1f} points",
    },
}


def _reason(level: Alarm, changes: Sequence[Change], language: Language) -> str:
    say, names = _SENTENCES[language], _LANGUAGE_NAMES[language]
    told = [
        say["loss"].format(names[c.language], c.change / c.before)
        if c.measure == "loss"
        else say["accuracy"].format(names[c.language], 100 * c.change)
        for c in changes
        if c.level != "none"
    ]
    return say[level].format(", ".join(told))
