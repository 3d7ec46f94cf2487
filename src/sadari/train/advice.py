"""Whether training fits the memory, in which ways it would, how long it takes and what it costs: in numbers and in words."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sadari.model.shape import ModelShape
from sadari.train.config import LoraConfig, TuneConfig
from sadari.train.estimate import Method, Precision, Step, kept_bytes, step_memory, trained_weights, weight_bytes

if TYPE_CHECKING:
    from sadari.train.dry_run import Measured

Way = Literal["as set", "half packed", "checkpointing", "qlora", "qlora checkpointing"]
Language = Literal["ko", "en"]

FULL = 0.9
"""Share of the memory above which nothing is said to fit: estimates have been wrong by up to 15 %, most by less than 10."""

AGAIN_FULL, AGAIN_FROZEN = 4 / 3, 3 / 2
"""Time with checkpointing for that without: a forward pass more, beside three, or two where frozen weights have no gradient."""


@dataclass(frozen=True, slots=True)
class Need:
    """What training takes in one way: bytes at the peak, and seconds of a step, None if nothing was measured."""

    way: Way
    peak_bytes: float
    seconds_per_step: float | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """Whether it fits, and what it takes.

    Args:
        needs: As set, then the other ways that there are.
        room_bytes: What the process, or on CUDA torch, may hold in all.
        steps: Of the run.
        price_per_hour: Of the machine, in `currency`; None if it is not priced.
    """

    needs: tuple[Need, ...]
    room_bytes: float
    steps: int
    price_per_hour: float | None = None
    currency: str = ""

    @property
    def fits(self) -> bool:
        """Whether it fits as it is set."""
        return self._has_room(self.needs[0])

    @property
    def ways(self) -> tuple[Need, ...]:
        """All ways that fit."""
        return tuple(need for need in self.needs if self._has_room(need))

    @property
    def seconds(self) -> float | None:
        """Of the run by the first way that fits, without validation; None if none fits or nothing was measured."""
        per_step = self.ways[0].seconds_per_step if self.ways else None
        return None if per_step is None else per_step * self.steps

    @property
    def money(self) -> float | None:
        """Of these seconds."""
        seconds, price = self.seconds, self.price_per_hour
        return None if seconds is None or price is None else seconds / 3600 * price

    def in_words(self, language: Language) -> str:
        """One short paragraph for a person."""
        words = _WORDS[language]
        has, first = self.room_bytes / 2**30, self.needs[0].peak_bytes / 2**30
        said = [words["fits" if self.fits else "does not fit"].format(needs=first, has=has)]
        if not self.fits:
            ways = [f"{words[need.way]} ({need.peak_bytes / 2**30:.1f} GiB)" for need in self.ways]
            least = min(need.peak_bytes for need in self.needs) / 2**30
            said.append(words["ways"].format(ways=", ".join(ways)) if ways else words["none"].format(least=least))
        if self.seconds is not None:
            said.append(words["time"].format(steps=self.steps, time=_duration(self.seconds, language)))
        if self.money is not None:
            said.append(words["money"].format(money=self.money, currency=self.currency))
        return " ".join(said)

    def _has_room(self, need: Need) -> bool:
        return need.peak_bytes <= FULL * self.room_bytes


@dataclass(frozen=True, slots=True)
class _Choice:
    way: Way
    method: Method
    config: TuneConfig
    packed: float = 1.0  # of the tokens computed at once


def needs_by_sizes(shape: ModelShape, method: Method, config: TuneConfig, step: Step) -> tuple[Need, ...]:
    """What each way needs, from sizes alone: good to about a quarter."""
    found = []
    for choice in _choices(method, config):
        predictions = None if step.predictions is None else round(choice.packed * step.predictions)
        asked = replace(step, tokens=round(choice.packed * step.tokens), predictions=predictions)
        found.append(Need(choice.way, step_memory(shape, choice.method, asked, choice.config).total))
    return tuple(found)


def needs_by_trial(
    measured: "Measured", shape: ModelShape, method: Method, config: TuneConfig, weight_width: float = 4.0
) -> tuple[Need, ...]:
    """What each way needs, from a dry run as set; a way that was not tried follows from it in proportion to its sizes.

    Args:
        shape: Of the base model.
        weight_width: Bytes of a frozen weight as set.
    """
    found = []
    for choice in _choices(method, config):
        changed = _as_if(measured, shape, (method, config), choice, weight_width)
        seconds = measured.seconds_per_step
        if choice.config.checkpointing and not config.checkpointing:
            seconds *= AGAIN_FULL if choice.method == "full" else AGAIN_FROZEN
        found.append(Need(choice.way, changed.peak_at(round(choice.packed * measured.packed_tokens)), seconds))
    return tuple(found)


def _choices(method: Method, config: TuneConfig) -> list[_Choice]:
    found = [_Choice("as set", method, config), _Choice("half packed", method, config, 0.5)]
    spared = config.model_copy(update={"checkpointing": True})
    if not config.checkpointing:
        found.append(_Choice("checkpointing", method, spared))
    if method in ("lora", "full"):
        low_rank = config if method == "lora" else LoraConfig.model_validate({"checkpointing": config.checkpointing})
        found.append(_Choice("qlora", "qlora", low_rank))
        if not config.checkpointing:
            found.append(_Choice("qlora checkpointing", "qlora", low_rank.model_copy(update={"checkpointing": True})))
    return found


def _as_if(
    measured: "Measured", shape: ModelShape, tried: tuple[Method, TuneConfig], choice: _Choice, weight_width: float
) -> "Measured":
    """What would have been measured, had the choice been tried."""
    method, config = tried
    arithmetic: Precision = "bfloat16" if choice.method == "qlora" else measured.precision
    share = kept_bytes(shape, choice.method, choice.config, arithmetic) / kept_bytes(shape, method, config, measured.precision)
    lines = {name: replace(line, per_token=line.per_token * share) for name, line in measured.lines.items()}
    if choice.method == method:
        return replace(measured, **lines)  # type: ignore[arg-type]
    trained = trained_weights(shape, choice.method, choice.config)
    of_tried = trained / trained_weights(shape, method, config)
    held = measured.held_bytes - weight_width * shape.parameters + weight_bytes(shape, "int4")
    if method == "full":  # what is fixed were gradients of the whole model, and its weights made room for those of LoRA
        lines = {name: replace(line, fixed=line.fixed * of_tried) for name, line in lines.items()}
        held += 4 * trained
    return replace(
        measured,
        held_bytes=round(max(0.0, held)),
        state_bytes=round(measured.state_bytes * of_tried),
        between_bytes=round(measured.between_bytes * of_tried),
        precision=arithmetic,
        **lines,  # type: ignore[arg-type]
    )


def _duration(seconds: float, language: Language) -> str:
    hours, minutes = seconds / 3600, seconds / 60
    if seconds < 90:
        return f"{seconds:.0f}초" if language == "ko" else f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes:.0f}분" if language == "ko" else f"{minutes:.0f} min"
    return f"{hours:.1f}시간" if language == "ko" else f"{hours:.1f} h"


_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "fits": "Training needs about {needs:.1f} GiB of memory and {has:.1f} GiB can be had: it fits.",
        "does not fit": "Training needs about {needs:.1f} GiB of memory, but {has:.1f} GiB can be had: it does not fit as set.",
        "ways": "It fits with {ways}.",
        "none": "No other way of tuning this model fits either: the least takes {least:.1f} GiB. Take a smaller model.",
        "half packed": "half the `packed_tokens`",
        "checkpointing": "`checkpointing: true`",
        "qlora": "`qlora`",
        "qlora checkpointing": "`qlora` and `checkpointing: true`",
        "time": "{steps:,} steps then take about {time}.",
        "money": "That costs about {money:,.0f} {currency}.",
    },
    "ko": {
        "fits": "학습에는 메모리가 약 {needs:.1f} GiB 필요하고 {has:.1f} GiB를 쓸 수 있으므로 들어갑니다.",
        "does not fit": "학습에는 메모리가 약 {needs:.1f} GiB 필요한데 쓸 수 있는 것은 {has:.1f} GiB라 들어가지 않습니다.",
        "ways": "다음 설정으로는 들어갑니다: {ways}.",
        "none": "다른 방법으로도 들어가지 않습니다. 가장 적게 들어도 {least:.1f} GiB입니다. 더 작은 모델을 쓰세요.",
        "half packed": "`packed_tokens`를 절반으로",
        "checkpointing": "`checkpointing: true`",
        "qlora": "`qlora`",
        "qlora checkpointing": "`qlora`와 `checkpointing: true`",
        "time": "그러면 {steps:,}단계에 약 {time} 걸립니다.",
        "money": "비용은 약 {money:,.0f} {currency}입니다.",
    },
}
