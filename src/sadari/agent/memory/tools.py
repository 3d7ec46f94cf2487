"""Tools with which a model remembers, recalls and forgets, for the user whose question it answers and nobody else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sadari.agent.handover import Reported
from sadari.agent.log import Log
from sadari.agent.memory.facts import LONGEST, Fact, Memory
from sadari.agent.state import fold
from sadari.agent.teaching import cut_to
from sadari.errors import DataError, ToolFailedError, ToolRefusedError
from sadari.types import Caller, Outcome, Tool, ToolSpec, Traits

Language = Literal["ko", "en"]

RECALLED = 8
"""Facts that one call recalls."""

_SAID: dict[str, dict[Language, str]] = {
    "remember": {
        "ko": "사용자에 대해 다음에도 필요할 사실 하나를 기억한다 (예: 선호, 배송지의 종류).",
        "en": "Remember one fact about the user that will be needed another time, such as a preference.",
    },
    "recall": {"ko": "사용자에 대해 기억한 사실을 찾는다.", "en": "Find facts that were remembered about the user."},
    "forget": {
        "ko": "사용자가 잊어 달라고 한 사실을 지운다.",
        "en": "Delete facts about the user which they asked you to forget.",
    },
    "fact": {"ko": "기억할 사실, 짧은 한 문장", "en": "The fact, in one short sentence"},
    "query": {"ko": "찾을 말", "en": "Words to look for"},
    "what": {"ko": "지울 사실에 들어 있는 말", "en": "Words that stand in the fact"},
    "kept": {"ko": "기억했습니다: {text}", "en": "Remembered: {text}"},
    "none": {"ko": "기억한 사실이 없습니다.", "en": "Nothing is remembered of this."},
    "unmatched": {"ko": "그런 사실은 없습니다. 기억한 것: {known}", "en": "There is no such fact. Known: {known}"},
    "forgotten": {"ko": "지웠습니다: {text}", "en": "Forgotten: {text}"},
    "long": {
        "ko": f"사실은 1자에서 {LONGEST}자까지입니다. 짧은 한 문장으로 다시 쓰세요.",
        "en": f"A fact has 1 to {LONGEST} characters. Write one short sentence.",
    },
    "outside": {"ko": "바깥 글에서 온 것, 확인되지 않음", "en": "from outside, not confirmed"},
}

Work = Callable[[Mapping[str, Any], Caller], Outcome]


@dataclass(frozen=True, slots=True)
class MemoryTool:
    """One of the three."""

    spec: ToolSpec
    traits: Traits
    work: Work

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        """Do it for the caller.

        Raises:
            ToolRefusedError: If nobody knows who the caller is.
        """
        if not caller.user:
            raise ToolRefusedError("nothing is remembered of somebody unknown")
        return self.work(arguments, caller)


def memory_tools(memory: Memory, log: Log, language: Language = "ko") -> list[Tool]:
    """`remember`, `recall` and `forget`.

    Args:
        log: That of the runs they are called in: a fact is trusted if its run holds no text from outside.
    """

    def remember(arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        run, _, place = caller.key.rpartition("/")
        is_trusted = bool(run) and not fold(log.events(run)).is_tainted
        try:
            fact = memory.keep(caller.user, arguments["fact"], source=(run, place), now=caller.now, is_trusted=is_trusted)
        except DataError as error:
            raise ToolFailedError(_SAID["long"][caller.language]) from error
        return Outcome(_SAID["kept"][caller.language].format(text=fact.text))

    def recall(arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        found = memory.find(caller.user, arguments["query"], caller.now, RECALLED)
        if not found:
            return Reported(_SAID["none"][caller.language], is_trusted=True)
        text = "\n".join(told(fact, caller.language) for fact in found)
        return Reported(text, is_trusted=all(fact.is_trusted for fact in found))

    def forget(arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        words = arguments["what"].casefold().split()
        known = memory.facts(caller.user, caller.now)
        meant = [fact for fact in known if words and all(word in fact.text.casefold() for word in words)]
        if not meant:
            listed = cut_to("; ".join(fact.text for fact in known) or "-", 500, caller.language)
            raise ToolFailedError(_SAID["unmatched"][caller.language].format(known=listed))
        memory.forget(caller.user, meant)
        return Outcome(_SAID["forgotten"][caller.language].format(text="; ".join(fact.text for fact in meant)))

    changes = Traits("write", is_idempotent=True, needs_approval=False, is_trusted=True)
    return [
        MemoryTool(_spec("remember", "fact", language), changes, remember),
        MemoryTool(_spec("recall", "query", language), Traits(), recall),  # each outcome says whether it can be trusted
        # What it says back may come from outside: that is in the log as untrusted, and taints.
        MemoryTool(_spec("forget", "what", language), Traits("irreversible", is_idempotent=True, needs_approval=False), forget),
    ]


def told(fact: Fact, language: Language) -> str:
    """A fact as the model reads it: when it was said, and whether it came from outside."""
    mark = "" if fact.is_trusted else f" ({_SAID['outside'][language]})"
    return f"- {fact.text} [{fact.date[:10]}]{mark}"


def _spec(name: str, argument: str, language: Language) -> ToolSpec:
    described = {"type": "string", "description": _SAID[argument][language]}
    schema = {"type": "object", "properties": {argument: described}, "required": [argument], "additionalProperties": False}
    return ToolSpec(name, _SAID[name][language], schema)
