"""English: a tool's description becomes a request by its first verb."""

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from sadari.task.generate.schema import Path, properties_of, schema_at
from sadari.task.generate.speech import MOST_DESCRIPTION, Deed, Detail, Outcome, in_words
from sadari.types import ToolSpec

_LEAD = re.compile(
    r"^(?:this (?:function|tool|api|endpoint|method) (?:is used to |is designed to |can |will |allows you to |allows users to )?|"
    r"(?:a |the )?(?:function|tool|api|method|service) (?:that |which |to |for )(?:can |will )?|"
    r"allows? (?:you|users?|the user) to |used to |use this (?:tool|function)? ?to |to )",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r",? (?:(?<!play )based on|using|given(?= (?:a|an|the|its|their|some)\b)|according to|by specifying|with the option|"
    r"considering|which|that|including|such as|optionally|taking into|with (?:the )?(?:given|specified|optional)|"
    r"like (?-i:(?=[A-Z]))|from the provided|if (?:provided|specified|available)|where|when)\b.*$|[;:(].*$| - .*$",
    re.IGNORECASE,
)
_FINDS = frozenset(["find", "search", "look", "query", "list"])
_ASKS = frozenset(
    [
        "calculate",
        "compute",
        "estimate",
        "count",
        "determine",
        "evaluate",
        "solve",
        "get",
        "retrieve",
        "fetch",
        "provide",
        "show",
        "return",
        "check",
        "identify",
        "analyze",
        "analyse",
        "compare",
        "recommend",
        "suggest",
        "convert",
        "translate",
        "predict",
        "generate",
        "summarize",
        "describe",
        "display",
        "obtain",
        "view",
        "extract",
    ]
)
_DOES = frozenset(
    [
        "add",
        "adjust",
        "allocate",
        "append",
        "apply",
        "approve",
        "archive",
        "arrange",
        "assign",
        "attach",
        "authenticate",
        "ban",
        "block",
        "book",
        "borrow",
        "build",
        "buy",
        "call",
        "cancel",
        "change",
        "clear",
        "close",
        "complete",
        "configure",
        "connect",
        "copy",
        "create",
        "delete",
        "deliver",
        "deposit",
        "disable",
        "download",
        "edit",
        "email",
        "enable",
        "execute",
        "exchange",
        "export",
        "extend",
        "file",
        "filter",
        "format",
        "hire",
        "import",
        "initiate",
        "insert",
        "install",
        "invite",
        "invoke",
        "join",
        "launch",
        "lend",
        "lock",
        "log",
        "make",
        "manage",
        "mark",
        "merge",
        "modify",
        "monitor",
        "move",
        "notify",
        "open",
        "order",
        "organize",
        "pay",
        "perform",
        "place",
        "plan",
        "play",
        "post",
        "print",
        "process",
        "publish",
        "purchase",
        "put",
        "query",
        "read",
        "record",
        "recover",
        "redeem",
        "refund",
        "register",
        "reject",
        "release",
        "remind",
        "remove",
        "rename",
        "renew",
        "rent",
        "repair",
        "replace",
        "reply",
        "report",
        "request",
        "rerun",
        "reschedule",
        "reserve",
        "reset",
        "resize",
        "restart",
        "restore",
        "run",
        "save",
        "schedule",
        "send",
        "set",
        "share",
        "sell",
        "sign",
        "simulate",
        "sort",
        "start",
        "stop",
        "store",
        "submit",
        "subscribe",
        "sync",
        "tag",
        "track",
        "transfer",
        "trigger",
        "turn",
        "uninstall",
        "unlock",
        "unsubscribe",
        "update",
        "upload",
        "validate",
        "verify",
        "write",
        "reverse",
        "round",
    ]
)
_SHOWN = {"provide": "tell me", "return": "tell me", "display": "show me", "show": "show me", "provides": "tell me"}
_GIVEN = re.compile(
    r"\b(?:an?|the|some) (?:specified|specific|given|particular|provided|certain) (?P<noun>[a-z]+)\b"
    r"(?P<is_whole>(?=$|[,.]| (?:and|or|in|on|at|for|from|to|by|with|of|during|within|between|through|over)\b))?",
    re.IGNORECASE,
)
_PLAIN_GIVEN = re.compile(r"\b(?:specified|given|particular|provided|certain) (?=[a-z])", re.IGNORECASE)
_OWNER = (
    (re.compile(r"\bthe (?:user|customer|client)'s\b", re.I), "my"),
    (re.compile(r"\ba (?:user|customer|client)'s\b", re.I), "my"),
    (re.compile(r"\bfor (?:the|a) (?:user|customer|client)\b", re.I), "for me"),
)
_CUT_LABEL = re.compile(
    r"[.,;:(\[]| in (?:the )?format| in [A-Z]{2,}|,? for which| from which| in which| to which| at which| on which| with which| "
    r"by which| that | which | used | where | such as | e\.g| like | you want| to be | whose | when | if | expected | "
    r"formatted | represented | specified | - ",
)
_LONGEST_LABEL = 45
_INLINE = 30

_ELSEWHERE = (
    "Please change the oil in my car.",
    "Can you water the plants in my living room?",
    "I want to end my gym membership.",
    "Please iron my shirts for tomorrow.",
    "Could you walk my dog this afternoon?",
    "Please renew my passport.",
    "Call me a taxi, please.",
    "Can you fix the leaking tap in the kitchen?",
    "Please dim the lights in the hallway.",
    "I need the hem of these trousers shortened.",
    "Could you paint the fence green?",
    "Please extend the loan of my library books.",
    "Can you apply for a bank loan for me?",
    "Take the background out of this photo, please.",
    "Please pick up my parcel from the neighbour.",
    "Could you sharpen the kitchen knives?",
)


class English:
    """Says it in English."""

    def deed(self, tool: ToolSpec) -> Deed | None:
        """The first sentence of the description from its verb on, without conditions and asides."""
        text = re.split(r"(?<=[a-z)])\.(?:\s|$)|\n", tool.description[:MOST_DESCRIPTION].strip())[0]
        text = _TAIL.sub("", _LEAD.sub("", text)).strip().rstrip(".,")
        text = re.sub(r"(?:,| (?:by|for|of|with|from|to|in|on|at|and|or|a|an|the))+$", "", text)
        first, _, rest = text.partition(" ")
        verb = _base(first.lower())
        if verb is None or not rest or re.search("[가-힣]", text):
            return None
        for pattern, own in _OWNER:
            rest = pattern.sub(own, rest)
        return Deed(f"{_SHOWN.get(verb, verb)} {rest}", _outcome(verb))

    def label(self, tool: ToolSpec, path: Path) -> str:
        """The head of its description ("The city, in the format of ...": city), else its name in words."""
        if schema_at(tool, path).get("type") == "boolean":
            return in_words(path[-1])
        own = _head(str(schema_at(tool, path).get("description", "")))
        others = [_head(str(field.get("description", ""))) for name, field in properties_of(tool).items() if name != path[0]]
        return own if own and own not in others else in_words(path[-1])

    def request(self, deed: Deed, details: Sequence[Detail], left_out: Sequence[Detail], rng: Random) -> str:
        """Please register a new contact. The name is Anna Miller."""
        words, inside = _filled(deed.words, details, left_out)
        rest = [detail for detail in details if detail not in inside]
        asked = rng.choice(
            (
                f"Please {words}.",
                f"Could you {words}?",
                f"Can you {words}?",
                f"I need you to {words}.",
                f"Hi, please {words}.",
                f"I would like you to {words}.",
            )
        )
        return f"{asked} {_told(rest, rng)}" if rest else asked

    def ask_back(self, missing: Sequence[Detail], rng: Random) -> str:
        """Could you tell me the name?"""
        labels = _listed([f"the {detail.label}" for detail in missing])
        return rng.choice(
            (
                f"Sure. Could you tell me {labels}?",
                f"I can do that. What should I use for {labels}?",
                f"To go on I still need {labels}. Could you give me that?",
            )
        )

    def give(self, details: Sequence[Detail], rng: Random) -> str:
        """The name is Anna Miller."""
        if len(details) > 1 or rng.random() < 0.5:
            return _told(details, rng)
        said = details[0].said
        return rng.choice((f"{said}.", f"It is {said}.", f"{said}, please."))

    def tell(self, deed: Deed, result: Mapping[str, Any], rng: Random) -> str:
        """Done. The reference number is R-102."""
        if "count" in result:
            found = "1 result" if result["count"] == 1 else f"{result['count']} results"
            return rng.choice((f"I found {found}.", f"The search gave {found}."))
        return rng.choice(
            (f"Done. The reference number is {result['reference']}.", f"That is done; your reference is {result['reference']}.")
        )

    def refuse(self, able: Sequence[Deed], rng: Random) -> str:
        """None of my tools can do that. I can send a message."""
        sorry = rng.choice(
            (
                "I am sorry, but none of my tools can do that.",
                "That is outside what my tools can do.",
                "Sorry, I have no tool for that request.",
            )
        )
        deeds = _listed([_to_user(deed.words) for deed in able], "or")
        return f"{sorry} I can {deeds}." if able else sorry

    def not_found(self, detail: Detail, rng: Random) -> str:
        """Nothing was found for ..."""
        return rng.choice(
            (
                f"Nothing was found for '{detail.said}'. Could you check the {detail.label}?",
                f"The service does not know '{detail.said}'. What is the right {detail.label}?",
            )
        )

    def correct(self, detail: Detail, rng: Random) -> str:
        """Sorry, it is ..."""
        return rng.choice((f"Sorry, the {detail.label} is {detail.said}.", f"My mistake, it is {detail.said}. Please try again."))

    def retry(self, rng: Random) -> str:
        """The service was busy; again."""
        return rng.choice(
            ("The service was briefly unavailable; I will try again.", "That failed for the moment. Trying once more.")
        )

    def wrong_result(self, rng: Random) -> str:
        """That is about something else; again."""
        return rng.choice(
            ("That result is for something else, so I will ask again.", "The result does not match your request; checking again.")
        )

    def errors(self) -> Mapping[str, str]:
        """In the words of a service."""
        return {"busy": "Temporarily unavailable. Nothing was changed.", "unknown": "No entry with this value."}

    def elsewhere(self) -> Sequence[str]:
        """Everyday requests."""
        return _ELSEWHERE


def _base(word: str) -> str | None:
    """The verb without the s of the third person; None if it is no verb that is known."""
    known = _FINDS | _ASKS | _DOES
    forms = [word, word.removesuffix("s"), word.removesuffix("es"), f"{word[:-3]}y" if word.endswith("ies") else word]
    return next((form for form in forms if form in known), None)


def _outcome(verb: str) -> Outcome:
    return "found" if verb in _FINDS else "unknown" if verb in _ASKS else "done"


def _filled(words: str, details: Sequence[Detail], left_out: Sequence[Detail]) -> tuple[str, list[Detail]]:
    """`the weather of a given city` with the city in it, and the details that are in it now."""
    inside: list[Detail] = []

    def fill(match: re.Match[str]) -> str:
        noun = match["noun"].lower()
        for detail in details if match["is_whole"] is not None else ():
            is_free = detail not in inside and len(detail.said) <= _INLINE and not detail.said.replace(",", "").isdigit()
            if is_free and noun in re.findall("[a-z]+", detail.label.lower()):
                inside.append(detail)
                return detail.said
        return _plainly(match)

    return _PLAIN_GIVEN.sub("", _GIVEN.sub(fill, words)), inside


def _plainly(match: re.Match[str]) -> str:
    """A particular city: a city."""
    noun = match["noun"]
    article = ("an" if noun[0] in "aeiou" else "a") if match[0].lower().startswith("a") else "the"
    return f"{article} {noun}"


def _to_user(words: str) -> str:
    """The deed as the assistant speaks of it."""
    for mine, yours in (("tell me", "tell you"), ("show me", "show you"), ("for me", "for you"), (" my ", " your ")):
        words = words.replace(mine, yours)
    return _PLAIN_GIVEN.sub("", _GIVEN.sub(_plainly, words))


def _told(details: Sequence[Detail], rng: Random) -> str:
    if len(details) > 2 or rng.random() < 0.25:
        return _capital(", ".join(f"{detail.label}: {detail.said}" for detail in details)) + "."
    return _capital(" and ".join(f"the {detail.label} {_is(detail.label)} {detail.said}" for detail in details)) + "."


def _is(label: str) -> str:
    return "are" if re.fullmatch(r"\S+[^su]s", label) else "is"


def _listed(labels: Sequence[str], joint: str = "and") -> str:
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} {joint} {labels[-1]}" if labels else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _head(description: str) -> str:
    """The noun phrase that a description begins with, without its article; "" if it does not look like one."""
    whole = re.sub(r"^\(?(?:optional|required)\)?[:.,]\s*", "", description[:MOST_DESCRIPTION].strip(), flags=re.IGNORECASE)
    text = _CUT_LABEL.split(whole, maxsplit=1)[0].strip()
    text = re.sub(r"^(?:(?:the|a|an|optional|required)\s+)+", "", text, flags=re.IGNORECASE)
    is_phrase = bool(text) and len(text) <= _LONGEST_LABEL and not re.search("[가-힣]", text)
    if not is_phrase or re.match(r"(?:whether|if|set|specif|indicat|determin|flag|true|false|use|must|list of)\b", text, re.I):
        return ""
    first = text.split(" ", 1)[0]
    return text if first.isupper() and len(first) > 1 else text[0].lower() + text[1:]
