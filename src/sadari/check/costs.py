"""What each rung will take, before it is spent: answers, tokens, time, memory and money. Estimates, meant to be right within half.

Time includes measuring on the test set. Instructions and label lists are computed once for many prompts and hardly count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, get_args

from sadari.check.lengths import Lengths
from sadari.check.machine import Machine, Speed
from sadari.check.remark import Remark, remark
from sadari.model.shape import ModelShape
from sadari.run import time_share
from sadari.rungs import check_options
from sadari.rungs.prompt import PromptConfig
from sadari.rungs.retrieval import RetrievalConfig
from sadari.rungs.search import FIRST_LOOK, rounds
from sadari.task import MoneyConfig, Task
from sadari.train import TuneConfig
from sadari.train.estimate import Method, Step, answering_flops, serving_memory, step_memory, training_flops

BATCH_TOKENS = 16384
"""Tokens that the local engine holds at once while it answers."""

TRAINING_SHARE = 0.8
"""Share of a tuning rung's time budget that training itself may take."""

WORTHS = 2
"""Parts whose worth is usually measured after a joint search."""

FULL_MEMORY = 0.9
"""Share of the memory above which a rung is said not to fit."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a rung does, counted: answers asked for, their tokens, and tokens trained on."""

    answers: int = 0
    prompt_tokens: float = 0.0
    new_tokens: float = 0.0
    trained_tokens: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.answers + other.answers,
            self.prompt_tokens + other.prompt_tokens,
            self.new_tokens + other.new_tokens,
            self.trained_tokens + other.trained_tokens,
        )


@dataclass(frozen=True, slots=True)
class RungCost:
    """What one rung will take.

    Args:
        seconds: Building and measuring; None for a model that runs elsewhere.
        money: In `money.currency`; None is not priced.
        memory_gib: At the peak; None for a model that runs elsewhere.
        passes: Passes over the training rows that the time budget leaves of those that are wanted; None if nothing is trained.
    """

    rung: str
    work: Work
    seconds: float | None
    money: float | None
    memory_gib: float | None
    passes: float | None = None
    is_estimated: bool = True


@dataclass(frozen=True, slots=True)
class Setting:
    """What all estimates of one task share; `shape` and `speed` are None for a model that runs elsewhere."""

    task: Task
    lengths: Lengths
    machine: Machine
    shape: ModelShape | None
    speed: Speed | None


def estimate_rungs(setting: Setting) -> tuple[RungCost, ...]:
    """One estimate for the baseline and for each rung of the ladder."""
    rungs = [("baseline", None), *((rung.name, check_options(rung.name, rung.options)) for rung in setting.task.ladder)]
    return tuple(_estimate(name, config, setting) for name, config in rungs)


def _estimate(name: str, config: Any, setting: Setting) -> RungCost:
    if isinstance(config, TuneConfig):
        return _tuning(name, config, setting)
    asked: Mapping[type, Any] = {PromptConfig: _prompt_work, RetrievalConfig: _retrieval_work, type(None): _baseline_work}
    count = asked.get(type(config))
    if count is None:
        return RungCost(name, Work(), None, None, None, is_estimated=False)
    work = count(config, setting)
    shape = setting.shape
    memory = serving_memory(shape, held_tokens=BATCH_TOKENS).gib if shape else None
    seconds = _seconds(work, setting, "full")
    return RungCost(name, work, seconds, price(work, seconds, setting), memory)


# --- what a rung does ------------------------------------------------------------------------------------------------------------


def _asked(answers: int, prompt: float, setting: Setting) -> Work:
    return Work(answers, answers * prompt, answers * setting.lengths.answer)


def _own_prompt(setting: Setting) -> float:
    """Tokens of a prompt that are its own: without the instruction."""
    return max(1.0, setting.lengths.plain - setting.lengths.shared)


def _shot(setting: Setting) -> float:
    """Tokens of a training example that is shown."""
    return _own_prompt(setting) + setting.lengths.answer


def _baseline_work(config: None, setting: Setting) -> Work:
    return _asked(len(setting.task.test), _own_prompt(setting), setting)


def _searched(candidates: int, prompt: float, setting: Setting) -> Work:
    """A search on validation: all candidates on the first rows, the better two on all; then the test set."""
    rows = len(setting.task.validation)
    finalists = min(2, (candidates + 1) // 2) if rows > FIRST_LOOK else 0
    answers = candidates * min(rows, FIRST_LOOK) + finalists * (rows - min(rows, FIRST_LOOK))
    return _asked(answers + len(setting.task.test), prompt, setting)


def _prompt_work(config: PromptConfig, setting: Setting) -> Work:
    candidates = 2 * len(config.shots) + 1 + any(config.chain_of_thought)
    return _searched(candidates, _own_prompt(setting) + fmean(config.shots) * _shot(setting), setting)


def _retrieval_work(config: RetrievalConfig, setting: Setting) -> Work:
    own, lengths = _own_prompt(setting), setting.lengths
    if not setting.task.documents:
        return _searched(len(config.examples_k), own + fmean(config.examples_k) * _shot(setting), setting)
    rows, asked = len(setting.task.validation), 0
    answers = len(setting.task.test) + WORTHS * rows
    for combinations, examples in rounds(min(config.trials, config.combinations(bool(setting.task.labels))), rows):
        answers += combinations * (examples - asked)  # those of the rounds before are not asked again
        asked = examples
    return _asked(answers, own + fmean(config.k) * lengths.passage, setting)


def _tuning(name: str, config: TuneConfig, setting: Setting) -> RungCost:
    task, lengths, shape = setting.task, setting.lengths, setting.shape
    if shape is None:
        return RungCost(name, Work(), None, None, None, is_estimated=False)
    method = _method(name)
    rows = [n for n in lengths.totals("train") if lengths.context is None or n <= lengths.context]
    per_row = fmean(rows) if rows else 0.0
    per_pass = min(len(rows), config.max_rows or len(rows)) * per_row
    wanted = config.epochs * per_pass
    if config.max_steps is not None:
        wanted = min(wanted, config.max_steps * config.batch_tokens)
    grounded = _own_prompt(setting) + lengths.passage
    looks = config.looks * min(config.validation_rows, len(task.validation))
    choosing = (0 if task.labels or not task.documents else 2) * len(task.validation)
    around = _asked(looks + choosing + len(task.test), grounded, setting)
    trained = replace(Work(), trained_tokens=wanted)
    training_s = _seconds(trained, setting, method) or 0.0
    budget = None if task.budget.time_s is None else time_share(name, task.ladder) * task.budget.time_s
    if budget is not None and config.max_steps is None and training_s > TRAINING_SHARE * budget:
        trained = replace(trained, trained_tokens=wanted * TRAINING_SHARE * budget / training_s)
    work = around + trained
    seeds = task.config.seeds
    seconds = (_seconds(work, setting, method) or 0.0) * seeds
    longest = max(rows, default=0)
    at_once = max(config.packed_tokens, longest)
    learnt = round(at_once * min(1.0, lengths.answer / per_row if per_row else 1.0))
    memory = step_memory(shape, method, Step(at_once, learnt), config)
    passes = trained.trained_tokens / per_pass if per_pass else 0.0
    return RungCost(name, work, seconds, price(work, seconds, setting), memory.gib, passes)


# --- what that takes -------------------------------------------------------------------------------------------------------------


def _method(rung: str) -> Method:
    """How a rung trains: by the method of its name, else by LoRA."""
    return rung if rung in get_args(Method) else "lora"  # type: ignore[return-value]


def _seconds(work: Work, setting: Setting, method: Method) -> float | None:
    shape, speed, lengths = setting.shape, setting.speed, setting.lengths
    if shape is None or speed is None:
        return None
    length = work.prompt_tokens / work.answers if work.answers else 0.0
    answering = answering_flops(shape, work.prompt_tokens, work.new_tokens, length=length)
    rows = lengths.totals("train")
    mean = fmean(rows) if rows else 0.0
    share = min(1.0, lengths.answer / mean) if mean else 1.0
    training = training_flops(shape, method, work.trained_tokens, learnt_share=share, length=mean)
    return answering / speed.answering + training / (speed.full if method == "full" else speed.lora)


def price(work: Work, seconds: float | None, setting: Setting) -> float | None:
    """Money for the seconds at the machine's price, or for the tokens of a remote model; None if that is not priced."""
    money: MoneyConfig = setting.task.money
    if seconds is None:
        prices = (money.price_per_1k_prompt_tokens, money.price_per_1k_completion_tokens)
        if all(p is None for p in prices) or not work.answers:
            return None
        shared = work.answers * setting.lengths.shared  # a remote model charges for the instruction every time
        return (work.prompt_tokens + shared) / 1000 * (prices[0] or 0.0) + work.new_tokens / 1000 * (prices[1] or 0.0)
    hour = money.machine_hour if money.gpu_hour is None or not setting.machine.has_accelerator else money.gpu_hour
    return None if hour is None else seconds / 3600 * hour


def remark_costs(task: Task, costs: Sequence[RungCost], machine: Machine) -> list[Remark]:
    """Rungs that do not fit into the memory, that the time budget cuts short, or that spend more than the budget."""
    found, language = [], task.language
    for cost in costs:
        if cost.memory_gib is not None and cost.memory_gib > FULL_MEMORY * machine.memory_gib:
            values = {"rung": cost.rung, "needs": cost.memory_gib, "has": machine.memory_gib}
            found.append(remark("cost", "error", _TOO_BIG, language, **values))
        if cost.passes is not None and cost.passes < 1:
            found.append(remark("cost", "warning", _SHORT, language, rung=cost.rung, passes=cost.passes))
    spent = [c.money for c in costs if c.money is not None]
    if task.budget.cost is not None and sum(spent) > task.budget.cost:
        values = {"total": sum(spent), "budget": task.budget.cost, "currency": task.money.currency}
        found.append(remark("cost", "warning", _TOO_DEAR, language, **values))
    if not spent:
        found.append(remark("cost", "info", _UNPRICED, language))
    return found


_TOO_BIG = {
    "en": (
        "`{rung}` needs about {needs:.1f} GiB of memory, but there are {has:.1f} GiB.",
        "Take a smaller model or a smaller `packed_tokens`, or leave `{rung}` out of the ladder.",
    ),
    "ko": (
        "`{rung}` 단계에는 메모리가 약 {needs:.1f} GiB 필요한데 {has:.1f} GiB뿐입니다.",
        "더 작은 모델이나 더 작은 `packed_tokens`를 쓰거나, `{rung}` 단계를 빼세요.",
    ),
}
_SHORT = {
    "en": (
        "The time budget leaves `{rung}` about {passes:.2f} of one pass over the training rows.",
        "Raise `budget.time`, or limit the rows with `max_rows`.",
    ),
    "ko": (
        "시간 예산으로는 `{rung}` 단계가 학습 행을 약 {passes:.2f}번밖에 훑지 못합니다.",
        "`budget.time`을 늘리거나 `max_rows`로 행을 줄이세요.",
    ),
}
_TOO_DEAR = {
    "en": (
        "The rungs together would cost about {total:,.0f} {currency}, above the budget of {budget:,.0f}.",
        "Leave rungs out, or raise `budget.cost`.",
    ),
    "ko": (
        "모든 단계에 약 {total:,.0f} {currency}이 들어 예산 {budget:,.0f}을 넘습니다.",
        "단계를 빼거나 `budget.cost`를 올리세요.",
    ),
}
_UNPRICED = {
    "en": ("Nothing is priced.", "Give `money.machine_hour`, or the token prices of a remote model, to see what each rung costs."),
    "ko": ("가격이 정해지지 않았습니다.", "`money.machine_hour`나 원격 모델의 토큰 가격을 적으면 단계별 비용이 나옵니다."),
}
