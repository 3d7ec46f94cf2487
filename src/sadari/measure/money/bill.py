"""The bill of a system: what it costs once, every month and with every request, line by line, and what has no price.

A line says how much was used, at which price, and which option of `money` holds that price. Two kinds of prices can be missing:

- What a climb used up or a request takes *must* have one, else the total is None and reports say "not priced" (`is_binding`):
  machine time, tokens, a machine that is said to be rented.
- What only the user can say is left out of the total where it is not given, and `unpriced_parts` names it: labelling, idle time,
  retraining, what an answer is worth.

A machine is paid in one of two ways: by the seconds that requests take, at *measured throughput*; or, with `hosting_per_month` or
`hours_per_month`, as a rented one that costs the same used or idle, and more than one where the requests do not fit into its hours.
Few-shot examples and retrieved passages are paid for: they are part of the prompt.

Not covered: peaks (load is spread evenly over the hours), measuring on the test set, new labels at a retraining, people who run it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sadari.measure.money.cost import Money, build_money, hour_price
from sadari.measure.words import Words
from sadari.types import Cost, Device, Scorecard, Step, Usage

HOURS_PER_MONTH = 730.0
"""365 x 24 / 12: what a machine that is always on can serve."""

_HOUR_OPTION: dict[Device, tuple[str, ...]] = {"machine": ("machine_hour",), "accelerator": ("gpu_hour",), "remote": ()}
_COUNTS = ("hours_per_month", "retrainings_per_year", "requests_per_month")  # options that are no amounts of money
_FREE, _NO_TOKENS = Cost(), Usage()


@dataclass(frozen=True, slots=True)
class Investment:
    """What was used to get a system, before its first request.

    Args:
        device: What it was built on. Of a `remote` build the seconds are waiting, and cost nothing.
        build: Wall seconds, and money that was paid elsewhere.
        repeated: What building it once more takes, as a retraining does; None is the same as `build`.
        labelled: Examples that people wrote or judged: rows of train, and labels that calibrate a judge.
        search_tokens, judge_tokens: Tokens of a remote model that are not yet counted in `build.money`.
    """

    device: Device
    build: Cost = _FREE
    repeated: Cost | None = None
    labelled: int = 0
    search_tokens: Usage = _NO_TOKENS
    judge_tokens: Usage = _NO_TOKENS


@dataclass(frozen=True, slots=True)
class Offer:
    """One system as a buyer sees it: what it achieves, where it answers, and what was paid to get it (None: nothing)."""

    card: Scorecard
    device: Device
    investment: Investment | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a bill: so many units at a price.

    Args:
        name: A key of `PART_NAMES`.
        price: Of one unit, in the currency; None is not priced.
        options: The options of `money` that the price comes from, or should; () where none could price it.
        is_binding: Whether a bill without this price has no total.
    """

    name: str
    quantity: float
    price: float | None
    options: tuple[str, ...] = ()
    is_binding: bool = True

    @property
    def amount(self) -> float | None:
        """In the currency; 0 where nothing was used, None where something was that has no price."""
        if self.quantity == 0:
            return 0.0
        return None if self.price is None else self.quantity * self.price

    def line(self, words: Words) -> str:
        """The line as a person reads it: `labelling of examples: 900 × 100 KRW = 90,000 KRW`."""
        korean, (name, unit) = words.language == "ko", PART_NAMES[self.name][words.language]
        count, each = f"{self.quantity:,.4g}{unit}", words.money(self.price)
        if unit == _HOURS:
            count, each = words.seconds(3600 * self.quantity), each + ("/시간" if korean else " an hour")
        elif unit in _TOKENS:
            count, each = f"{1000 * self.quantity:,.0f}{unit}", each + ("/1,000개" if korean else " per 1,000")
        if self.amount is not None:
            return f"{name}: {count} × {each} = {words.money(self.amount)}"
        if not self.options:
            return f"{name}: 측정되지 않음" if korean else f"{name}: not measured"
        options = (" 또는 " if korean else " or ").join(f"money.{option}" for option in self.options)
        used = f"{name} ({count})" if unit else name
        return f"{used}: {options} 값이 없음" if korean else f"{used}: {options} is not given"


_HOURS = "h"
_TOKENS = ("토큰", " tokens")
PART_NAMES: dict[str, dict[str, tuple[str, str]]] = {
    "labelling": {"ko": ("예제 라벨링", "개"), "en": ("labelling of examples", " examples")},
    "building": {"ko": ("만드는 데 쓴 기계 시간", _HOURS), "en": ("machine time of building", _HOURS)},
    "paid_elsewhere": {"ko": ("다른 곳에 낸 비용", ""), "en": ("paid elsewhere", "")},
    "search_prompt": {"ko": ("탐색의 입력", "토큰"), "en": ("prompts of the search", " tokens")},
    "search_completion": {"ko": ("탐색의 출력", "토큰"), "en": ("completions of the search", " tokens")},
    "judge_prompt": {"ko": ("심사 모델의 입력", "토큰"), "en": ("prompts of the judge", " tokens")},
    "judge_completion": {"ko": ("심사 모델의 출력", "토큰"), "en": ("completions of the judge", " tokens")},
    "request_time": {"ko": ("요청 하나의 기계 시간", _HOURS), "en": ("machine time of a request", _HOURS)},
    "request_prompt": {"ko": ("요청 하나의 입력", "토큰"), "en": ("prompt of a request", " tokens")},
    "request_completion": {"ko": ("요청 하나의 출력", "토큰"), "en": ("completion of a request", " tokens")},
    "hosting": {"ko": ("임대한 기계", "대"), "en": ("rented machines", "")},
    "idle": {"ko": ("기계의 유휴 시간", ""), "en": ("idle time of the machine", "")},
    "retrainings": {"ko": ("한 달의 재학습", "회"), "en": ("retrainings a month", "")},
    "retraining": {"ko": ("재학습", ""), "en": ("retraining", "")},
    "right_answer": {"ko": ("맞은 답의 가치", ""), "en": ("value of a right answer", "")},
    "wrong_answer": {"ko": ("틀린 답의 비용", ""), "en": ("cost of a wrong answer", "")},
    "volume": {"ko": ("한 달의 요청 수", ""), "en": ("requests a month", "")},
}
"""Name and unit of every part, by language."""


def offers_of(steps: Iterable[Step], device: Device, *, labelled: int = 0) -> tuple[Offer, ...]:
    """The steps of a climb as offers.

    What was paid for a step is the building of it and of every step before it, also of those that were not taken: without them
    nobody would know. A retraining builds the taken steps and this one again.

    Args:
        device: What the climb was built on; a step that answers by `openai:` answers remotely.
        labelled: Examples that people wrote or judged; the first step, the baseline, learned from none.
    """
    offers: list[Offer] = []
    spent = chain = _FREE
    for step in steps:
        spent, again = _added(spent, step.built.cost), _added(chain, step.built.cost)
        chain = again if step.verdict.taken else chain
        paid = Investment("remote" if step.built.system.is_remote else device, spent, again, labelled if offers else 0)
        offers.append(Offer(step.scorecard, paid.device, paid))
    return tuple(offers)


def _added(first: Cost, second: Cost) -> Cost:
    return Cost(first.seconds + second.seconds, first.money + second.money)


# --- bills -------------------------------------------------------------------------------------------------------------------


def one_time_parts(offer: Offer, money: Money) -> tuple[Part, ...]:
    """What was paid once: labelling, building, and the tokens of search and judge."""
    paid = offer.investment
    if paid is None:
        return ()
    hours = 0.0 if paid.device == "remote" else paid.build.seconds / 3600
    parts = (
        Part("labelling", paid.labelled, money.labelling_per_example, ("labelling_per_example",), is_binding=False),
        Part("building", hours, hour_price(money, paid.device), _HOUR_OPTION[paid.device]),
        Part("paid_elsewhere", paid.build.money, 1.0),
        *_token_parts("search", paid.search_tokens, money),
        *_token_parts("judge", paid.judge_tokens, money),
    )
    return tuple(part for part in parts if part.quantity)


def monthly_parts(offer: Offer, money: Money, requests_per_month: float | None) -> tuple[Part, ...]:
    """What a month costs besides its requests: rented machines, as many as the requests need, and retraining."""
    parts = []
    if is_rented(money, offer.device):
        by_hour = ("hours_per_month", *_HOUR_OPTION[offer.device])
        options = by_hour if money.hosting_per_month is None else ("hosting_per_month",)
        machines = float(machines_needed(seconds_per_request(offer.card) or 0.0, requests_per_month, money))
        parts.append(_said("hosting", machines, monthly_rent(money, offer.device), options))
    elif offer.device != "remote":
        parts.append(Part("idle", 1.0, None, ("hosting_per_month", "hours_per_month"), is_binding=False))
    again = retraining_cost(offer, money)
    if again is None or again > 0:
        times, option = money.retrainings_per_year, "retrainings_per_year"
        device = offer.investment.device if offer.investment else offer.device
        if times is None:
            parts.append(Part("retraining", 1.0, None, (option,), is_binding=False))
        elif times:
            parts.append(_said("retrainings", times / 12, again, (option, *_HOUR_OPTION[device])))
    return tuple(parts)


def _said(name: str, quantity: float, price: float | None, options: tuple[str, ...]) -> Part:
    """A part of which the user gave the quantity, the first of `options`: without a price, only the others are missing."""
    return Part(name, quantity, price, options if price is not None else options[1:])


def request_parts(offer: Offer, money: Money) -> tuple[Part, ...]:
    """What one request costs on average. A rented machine's time is paid by the month, so it is not here."""
    card, n = offer.card, max(1, len(offer.card.ids))
    if offer.device == "remote":
        used = Usage(sum(card.prompt_tokens), sum(card.completion_tokens))
        parts = _token_parts("request", used, money)
        return tuple(replace(part, quantity=part.quantity / n) for part in parts if part.quantity)
    seconds = seconds_per_request(card)
    if seconds is None:
        return (Part("request_time", 1.0, None),)
    if is_rented(money, offer.device):
        return ()
    return (Part("request_time", seconds / 3600, hour_price(money, offer.device), _HOUR_OPTION[offer.device]),)


def value_parts(money: Money) -> tuple[Part, ...]:
    """What right and wrong answers are worth and how many are asked for: no costs, but named where they are not given."""
    return (
        Part("right_answer", 1.0, money.value_per_correct, ("value_per_correct",), is_binding=False),
        Part("wrong_answer", 1.0, money.wrong_answer_cost, ("wrong_answer_cost",), is_binding=False),
        Part("volume", 1.0, money.requests_per_month, ("requests_per_month",), is_binding=False),
    )


def _token_parts(use: str, used: Usage, money: Money) -> tuple[Part, Part]:
    prompt, completion = "price_per_1k_prompt_tokens", "price_per_1k_completion_tokens"
    return (
        Part(f"{use}_prompt", used.prompt_tokens / 1000, money.price_per_1k_prompt_tokens, (prompt,)),
        Part(f"{use}_completion", used.completion_tokens / 1000, money.price_per_1k_completion_tokens, (completion,)),
    )


# --- reading a bill ------------------------------------------------------------------------------------------------------------


def total(parts: Iterable[Part]) -> float | None:
    """The sum of a bill; None if a binding part is not priced. Other parts without a price are left out: name them."""
    parts = tuple(parts)
    if any(part.amount is None and part.is_binding for part in parts):
        return None
    return sum((part.amount or 0.0 for part in parts), 0.0)


def unpriced_parts(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts that were used and have no price, each once."""
    return tuple({(part.name, part.options): part for part in parts if part.amount is None}.values())


def unpriced_words(parts: Iterable[Part], language: Literal["ko", "en"], currency: str = "KRW") -> list[str]:
    """What is not in the figures because it has no price, in words; empty if everything has one."""
    words = Words(language, currency)
    return [part.line(words) for part in unpriced_parts(parts)]


def priced_by(parts: Iterable[Part], money: Money) -> tuple[str, ...]:
    """The prices that went into a bill, by option: `machine_hour 400 KRW`, `hours_per_month 730`."""
    options = dict.fromkeys(option for part in parts if part.amount is not None for option in part.options)
    return tuple(
        f"{option} {getattr(money, option):,.12g}" + ("" if option in _COUNTS else f" {money.currency}") for option in options
    )


# --- what stands behind the lines ------------------------------------------------------------------------------------------------


def is_rented(money: Money, device: Device) -> bool:
    """Whether the machine that answers is paid by the month, used or idle."""
    return device != "remote" and (money.hosting_per_month is not None or money.hours_per_month is not None)


def monthly_rent(money: Money, device: Device) -> float | None:
    """The rent of one machine, where one is rented; None if its hour has no price."""
    if money.hosting_per_month is not None:
        return money.hosting_per_month
    hour = hour_price(money, device)
    return None if hour is None or money.hours_per_month is None else money.hours_per_month * hour


def seconds_per_request(card: Scorecard) -> float | None:
    """Machine seconds of one request at measured throughput; None if it was not measured."""
    return 1 / card.throughput if card.throughput > 0 else None


def machines_needed(seconds: float | NDArray[np.float64], requests_per_month: float | None, money: Money) -> NDArray[np.float64]:
    """How many rented machines the requests of a month fit into, at `seconds` each and spread evenly; at least 1."""
    busy = np.asarray(seconds, float) * (requests_per_month or 0.0)
    needed: NDArray[np.float64] = np.maximum(1.0, np.ceil(busy / _capacity_s(money) - 1e-9))  # exactly full is one, not two
    return needed


def idle_share(offer: Offer, money: Money, requests_per_month: float) -> float | None:
    """The share of the rented hours in which nobody asks anything, in [0, 1]; None where no machine is rented."""
    seconds = seconds_per_request(offer.card)
    if seconds is None or not is_rented(money, offer.device):
        return None
    rented_s = float(machines_needed(seconds, requests_per_month, money)) * _capacity_s(money)
    return max(0.0, 1 - requests_per_month * seconds / rented_s)


def retraining_cost(offer: Offer, money: Money) -> float | None:
    """What building the system once more costs; None if it is not priced."""
    paid = offer.investment
    if paid is None:
        return 0.0
    return build_money(paid.build if paid.repeated is None else paid.repeated, money, paid.device)


def request_costs(offer: Offer, money: Money) -> NDArray[np.float64] | None:
    """What each test example cost as a request, in file order; None if it is not priced. The mean is the cost of one request."""
    card = offer.card
    if total(request_parts(offer, money)) is None:
        return None
    if offer.device == "remote":
        prompts = np.asarray(card.prompt_tokens, float) * (money.price_per_1k_prompt_tokens or 0.0)
        return (prompts + np.asarray(card.completion_tokens, float) * (money.price_per_1k_completion_tokens or 0.0)) / 1000
    if is_rented(money, offer.device):
        return np.zeros(len(card.ids))
    return request_seconds(card) / 3600 * (hour_price(money, offer.device) or 0.0)


def request_seconds(card: Scorecard) -> NDArray[np.float64]:
    """Machine seconds of each test example; their mean is 1 / throughput, and 0 if that was not measured.

    Only the seconds of the whole test set are measured. They are shared out in proportion to the examples' own latencies where
    every example has one, else to their prompt and completion tokens, else evenly.
    """
    n = len(card.ids)
    shares = np.ones(n)
    tokens = np.add(card.prompt_tokens, card.completion_tokens)
    for weights in (np.asarray(card.latencies_s, float), np.asarray(tokens, float)):
        if len(weights) == n and weights.sum() > 0:
            shares = weights
            break
    seconds: NDArray[np.float64] = shares / shares.sum() * n * (seconds_per_request(card) or 0.0)
    return seconds


def _capacity_s(money: Money) -> float:
    """Seconds of serving that one rented machine has in a month."""
    return 3600 * (money.hours_per_month or HOURS_PER_MONTH)
