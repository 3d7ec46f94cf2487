"""Simulated conversations with tools: a right call, a question back, no tool that fits, and what goes wrong on the way.

    call          the user says all that is needed; the row ends in the call
    told          ... and goes on to the result, told in words
    ask_back      something is missing; the row ends in the question for it
    asked         ... and goes on to the answer and the call
    no_tool       none of the tools fits, and the assistant says so
    retry         the tool is busy; the assistant calls again
    corrected     the tool does not know a value; the assistant asks, the user corrects it, and the call is made again
    wrong_result  the result is about something else; the assistant calls again

The conversation is laid out here, by seed, from the tool's schema. A teacher may word it anew and fill in results, no more: calls
are never its own, though it may propose arguments, which must fit the schema.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from random import Random
from typing import Any

from sadari.task.generate.collect import TAG, Generated, Order, Refusal, Stream, collect, plain
from sadari.task.generate.said import check_said
from sadari.task.generate.schema import (
    NoValueError,
    call_fault,
    draw_arguments,
    draw_value,
    leaves,
    properties_of,
    required_of,
    schema_at,
)
from sadari.task.generate.speech import Deed, Detail, Speech, in_words
from sadari.task.generate.speech_en import English
from sadari.task.generate.speech_ko import Korean
from sadari.task.generate.teacher import ask_all, lesson, list_of_texts
from sadari.task.text import fold
from sadari.types import Example, Message, Model, Reference, Request, ToolCall, ToolSpec

KINDS = (
    *("call", "told", "ask_back", "no_tool", "call", "asked", "told", "retry"),
    *("call", "ask_back", "no_tool", "corrected", "told", "asked", "call", "wrong_result"),
)
"""The kinds in turn, so that every sixteen rows hold each as often as conversations do."""

MOST_OFFERED = 5
"""Tools that one row offers."""

ALIKE = 0.4
"""Share of character pairs from which two tools are too alike for one of them to be clearly right."""

ARGUMENT_SETS = 8
"""Sets of arguments that a teacher is asked for, for each tool."""

_SPEECHES: Mapping[str, Speech] = {"ko": Korean(), "en": English()}


@dataclass(frozen=True, slots=True)
class _Cast:
    """A tool, and how one speaks of it."""

    tool: ToolSpec
    language: str
    deed: Deed

    @property
    def speech(self) -> Speech:
        return _SPEECHES[self.language]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A conversation as it is laid out; `unsaid` must not stand in the first turn of the user."""

    kind: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    unsaid: tuple[str, ...] = ()


def generate_tool_rows(tools: Sequence[ToolSpec], order: Order, teacher: Model | None = None) -> Generated:
    """Conversations about `tools`, as many as the order asks for, in the language of each tool's description.

    Without a teacher, a tool whose description does not begin or end in a verb that is known is left out, and the notes name it.

    Raises:
        ValueError: If there are no tools.
        ModelError: If the teacher does not answer at all.
    """
    if not tools:
        raise ValueError("no tools are given: conversations are made from their names, descriptions and schemas.")
    casts, notes = _casts(tools, is_taught=teacher is not None)
    if not casts:
        return collect(order, iter(()), check_said, notes=notes)
    if teacher is None:
        stream = _finished(_drafts(casts, order, {}, is_taught=False), "template")
        return collect(order, stream, check_said, notes=notes)
    proposed, refusals = _proposed_arguments(casts, order, teacher)
    drafts = _drafts(casts, order, proposed, is_taught=True)
    stream = _chained(refusals, _finished(_reworded(drafts, order, teacher), "teacher"))
    return collect(order, stream, check_said, notes=notes, tries=4)


def _chained(refusals: Sequence[Refusal], stream: Stream) -> Stream:
    yield from refusals
    yield from stream


def _casts(tools: Sequence[ToolSpec], *, is_taught: bool) -> tuple[list[_Cast], list[str]]:
    casts: list[_Cast] = []
    silent: list[str] = []
    for tool in tools:
        language = "ko" if re.search("[가-힣]", tool.description) else "en"
        deed = _SPEECHES[language].deed(tool)
        if deed is None and is_taught:  # a draft that the teacher puts right
            deed = Deed(f"`{tool.name}` 기능을", "unknown", (("사용", "NNG"), ("하", "XSV")))
            deed = deed if language == "ko" else Deed(f"use `{tool.name}`", "unknown")
        if deed is None:
            silent.append(tool.name)
        else:
            casts.append(_Cast(tool, language, deed))
    few = f"{', '.join(silent[:5])}{', ...' if len(silent) > 5 else ''}"
    note = f"{len(silent)} of {len(tools)} tools are left out, because their descriptions do not say in a verb what they do: {few}."
    return casts, [note] if silent else []


# --- drafts -------------------------------------------------------------------------------------------------------------


def _drafts(
    casts: Sequence[_Cast], order: Order, proposed: Mapping[str, Sequence[dict[str, Any]]], *, is_taught: bool
) -> Iterator[_Draft | Refusal]:
    """Drafts without end, each from a seed of its own; the kinds take turns."""
    fitting = {kind: [cast for cast in casts if _fits(kind, cast, is_taught)] for kind in dict.fromkeys(KINDS)}
    kinds = [kind for kind in KINDS if fitting[kind]]
    for number in count():
        rng = Random(f"{order.seed}:tools:{number}")
        kind = kinds[number % len(kinds)]
        scene = _Scene(rng.choice(fitting[kind]), casts, proposed, rng)
        try:
            yield _WRITERS[kind](scene)
        except NoValueError as error:
            yield Refusal("no arguments can be drawn", str(error))


def _fits(kind: str, cast: _Cast, is_taught: bool) -> bool:
    properties, required = properties_of(cast.tool), required_of(cast.tool)
    if kind in ("ask_back", "asked"):
        return any(_is_askable(cast.tool, name) for name in required)
    if kind == "corrected":
        return not _MAKES.search(_verb(cast.deed)) and any(_is_looked_up(cast.tool, name) for name in required)
    if kind == "wrong_result":
        return cast.deed.outcome != "done" and any(name in properties for name in required)
    if kind == "told":
        return is_taught or cast.deed.outcome != "unknown"
    return True


_MAKES = re.compile(r"추가|등록|생성|저장|작성|만들|기록|\b(?:add|create|register|save|insert|book|write|make|post)\b")
"""What makes something new knows no wrong name for it."""


def _verb(deed: Deed) -> str:
    return deed.stem[0][0] if deed.stem else deed.words.split(" ", 1)[0]


def _is_askable(tool: ToolSpec, name: str) -> bool:
    return schema_at(tool, (name,)).get("type") in ("string", "integer", "number", None)


_LOOKED_UP = re.compile(
    r"\bid\b|number|code|name|title|city|location|address|station|번호|아이디|이름|명칭|제목|도시|지역|위치|주소|출발지|도착지|목적지",
    re.I,
)


def _is_looked_up(tool: ToolSpec, name: str) -> bool:
    """Whether the tool may not know the value: a name or a number, no message and no date."""
    schema = schema_at(tool, (name,))
    label = f"{in_words(name)} {_SPEECHES['ko'].label(tool, (name,))}"
    return schema.get("type") == "string" and not {"enum", "const", "format"} & set(schema) and bool(_LOOKED_UP.search(label))


class _Scene:
    """One tool, its arguments and the tools beside it, drawn for one draft."""

    def __init__(self, cast: _Cast, casts: Sequence[_Cast], proposed: Mapping[str, Sequence[dict[str, Any]]], rng: Random) -> None:
        self.cast, self.casts, self.rng = cast, casts, rng
        self.tool, self.deed, self.speech = cast.tool, cast.deed, cast.speech
        given = proposed.get(cast.tool.name)
        self._given = dict(rng.choice(given)) if given else None

    def arguments(self) -> dict[str, Any]:
        drawn = self._given if self._given is not None else draw_arguments(self.tool, self.rng, self.cast.language)
        if leaves(drawn) is None:
            raise NoValueError(f"{self.tool.name}: lists of objects are not said in a sentence")
        return drawn

    def details(self, arguments: Mapping[str, Any]) -> list[Detail]:
        found = leaves(arguments) or []
        return [Detail(path, self.speech.label(self.tool, path), self.say(value)) for path, value in found]

    def say(self, value: Any) -> str:
        if isinstance(value, list):
            return ", ".join(self.say(item) for item in value)
        if isinstance(value, bool):
            yes, no = ("예", "아니요") if self.cast.language == "ko" else ("yes", "no")
            return yes if value else no
        if isinstance(value, int) and abs(value) >= 10_000:
            return f"{value:,}"
        text = plain(value)
        words = 3 if self.cast.language == "ko" else 4
        return f"'{text}'" if len(text.split()) >= words and not re.search(r"\d", text) else text  # a sentence inside a sentence

    def offered(self, *, with_own: bool = True) -> tuple[ToolSpec, ...]:
        """The tool among others that are clearly not it, in any order."""
        others = [c.tool for c in self.casts if c.tool.name != self.tool.name and not _are_alike(c.tool, self.tool)]
        self.rng.shuffle(others)
        distinct = list({tool.name: tool for tool in others}.values())
        number = self.rng.randint(0 if with_own else 1, MOST_OFFERED - 1)
        chosen = [*distinct[:number], *([self.tool] if with_own else [])]
        self.rng.shuffle(chosen)
        return tuple(chosen)

    def call(self, arguments: Mapping[str, Any], number: int = 1, said: str = "") -> Message:
        return Message("assistant", said, tool_calls=(ToolCall(self.tool.name, dict(arguments), f"call_{number}"),))

    def result(self, value: Mapping[str, Any], number: int = 1) -> Message:
        return Message("tool", json.dumps(value, ensure_ascii=False), tool_call_id=f"call_{number}")

    def outcome(self) -> dict[str, Any]:
        """What the tool gives back when all is well."""
        made: dict[str, Any] = {"status": "success"}
        if self.deed.outcome == "done":
            return {**made, "reference": f"R-{self.rng.randint(10_000, 99_999)}"}
        if self.deed.outcome == "found":
            return {**made, "count": self.rng.randint(1, 12)}
        return made

    def ending(self, number: int, request: Mapping[str, Any] | None = None) -> list[Message]:
        """The result of the call and its telling; nothing where only a teacher could make one up."""
        if self.deed.outcome == "unknown":
            return []
        result = self.outcome()
        shown = {**result, "request": dict(request)} if request is not None else result
        return [self.result(shown, number), Message("assistant", self.speech.tell(self.deed, result, self.rng))]

    def asks(self, details: Sequence[Detail], left_out: Sequence[Detail] = ()) -> Message:
        return Message("user", self.speech.request(self.deed, details, left_out, self.rng))

    def draft(self, kind: str, messages: Sequence[Message], unsaid: Sequence[Detail] = ()) -> _Draft:
        return _Draft(kind, tuple(messages), self.offered(), tuple(detail.said for detail in unsaid))


def _call(scene: _Scene) -> _Draft:
    arguments = scene.arguments()
    return scene.draft("call", [scene.asks(scene.details(arguments)), scene.call(arguments)])


def _told(scene: _Scene) -> _Draft:
    arguments = scene.arguments()
    ending = scene.ending(1) or [scene.result(scene.outcome()), Message("assistant", "...")]  # for a teacher to fill in
    return scene.draft("told", [scene.asks(scene.details(arguments)), scene.call(arguments), *ending])


def _missing(scene: _Scene) -> tuple[dict[str, Any], list[Message], list[Detail]]:
    """Arguments, the request without some of them and the question for those, and what they are."""
    arguments = scene.arguments()
    askable = [name for name in required_of(scene.tool) if _is_askable(scene.tool, name)]
    number = 1 if len(askable) == 1 or scene.rng.random() < 0.6 else 2
    names = set(scene.rng.sample(askable, number))
    details = scene.details(arguments)
    missing = [detail for detail in details if detail.path[0] in names]
    asked = scene.asks([detail for detail in details if detail not in missing], missing)
    return arguments, [asked, Message("assistant", scene.speech.ask_back(missing, scene.rng))], missing


def _ask_back(scene: _Scene) -> _Draft:
    _, messages, missing = _missing(scene)
    return scene.draft("ask_back", messages, missing)


def _asked(scene: _Scene) -> _Draft:
    arguments, messages, missing = _missing(scene)
    answer = Message("user", scene.speech.give(missing, scene.rng))
    return scene.draft("asked", [*messages, answer, scene.call(arguments)], missing)


def _no_tool(scene: _Scene) -> _Draft:
    """The request of a tool that is not offered, or one from everyday life."""
    offered = scene.offered(with_own=False)
    if not offered or scene.rng.random() < 0.5:
        offered = offered or (scene.tool,)
        far = [text for text in scene.speech.elsewhere() if not any(_share_words(text, tool) for tool in offered)]
        if not far:
            raise NoValueError("every request at hand could be meant for one of the tools")
        asked = Message("user", scene.rng.choice(far))
    else:
        asked = scene.asks(scene.details(scene.arguments()))
    by_name = {cast.tool.name: cast for cast in scene.casts}
    able = [by_name[tool.name].deed for tool in offered if by_name[tool.name].language == scene.cast.language]
    refusal = Message("assistant", scene.speech.refuse(able[:2], scene.rng))
    return _Draft("no_tool", (asked, refusal), offered)


def _retry(scene: _Scene) -> _Draft:
    arguments = scene.arguments()
    busy = {"error": "unavailable", "message": scene.speech.errors()["busy"]}
    again = scene.call(arguments, 2, scene.speech.retry(scene.rng))
    asked = scene.asks(scene.details(arguments))
    return scene.draft("retry", [asked, scene.call(arguments), scene.result(busy), again, *scene.ending(2)])


def _corrected(scene: _Scene) -> _Draft:
    arguments = scene.arguments()
    name = scene.rng.choice([name for name in required_of(scene.tool) if _is_looked_up(scene.tool, name)])
    wrong = {**arguments, name: _another(scene, name, arguments[name])}
    right = next(detail for detail in scene.details(arguments) if detail.path == (name,))
    mistaken = next(detail for detail in scene.details(wrong) if detail.path == (name,))
    unknown = {"error": "not_found", "field": name, "message": scene.speech.errors()["unknown"]}
    messages = [
        scene.asks(scene.details(wrong)),
        scene.call(wrong),
        scene.result(unknown),
        Message("assistant", scene.speech.not_found(_bare(mistaken), scene.rng)),
        Message("user", scene.speech.correct(right, scene.rng)),
        scene.call(arguments, 2),
        *scene.ending(2),
    ]
    return scene.draft("corrected", messages, [right])


def _wrong_result(scene: _Scene) -> _Draft:
    arguments = scene.arguments()
    name = scene.rng.choice([name for name in required_of(scene.tool) if name in arguments])
    other = {**arguments, name: _another(scene, name, arguments[name])}
    messages = [
        scene.asks(scene.details(arguments)),
        scene.call(arguments),
        scene.result({**scene.outcome(), "request": other}),
        scene.call(arguments, 2, scene.speech.wrong_result(scene.rng)),
        *scene.ending(2, arguments),
    ]
    return scene.draft("wrong_result", messages)


_WRITERS: Mapping[str, Callable[[_Scene], _Draft]] = {
    "call": _call,
    "told": _told,
    "ask_back": _ask_back,
    "asked": _asked,
    "no_tool": _no_tool,
    "retry": _retry,
    "corrected": _corrected,
    "wrong_result": _wrong_result,
}


def _another(scene: _Scene, name: str, value: Any) -> Any:
    for _ in range(12):
        other = draw_value(scene.tool, name, scene.rng, scene.cast.language)
        if other != value:
            return other
    raise NoValueError(f"{scene.tool.name}: a second value for {name}")


def _bare(detail: Detail) -> Detail:
    return replace(detail, said=detail.said.strip("'"))


def _are_alike(one: ToolSpec, other: ToolSpec) -> bool:
    """Whether a request for one might be meant for the other."""
    if fold(one.description) == fold(other.description) or fold(one.name) in fold(other.name) or fold(other.name) in fold(one.name):
        return True
    left, right = _pairs(one.description), _pairs(other.description)
    return len(left & right) > ALIKE * min(len(left), len(right))


@lru_cache(maxsize=4096)
def _pairs(text: str) -> set[str]:
    """Pairs of Korean syllables, and whole words of other scripts."""
    runs = re.findall(r"[가-힣]+", text)
    words = {word for word in re.findall(r"[a-z]{4,}", text.lower()) if word not in _FILLING}
    return {run[at : at + 2] for run in runs for at in range(len(run) - 1)} | words


_FILLING = frozenset(
    ["with", "from", "that", "this", "based", "given", "specified", "using", "their", "which", "provided", "information"]
)


def _share_words(text: str, tool: ToolSpec) -> bool:
    about = f"{tool.name} {tool.description}".lower()
    korean = {word[:2] for word in re.findall("[가-힣]{2,}", text)} - {"주세", "주실", "있나", "해주", "제가", "싶어"}
    english = {word[:5] for word in re.findall("[a-z]{4,}", text.lower())} - {"pleas", "could", "would", "want"}
    return any(word in about for word in korean | english)


# --- the teacher --------------------------------------------------------------------------------------------------------

_PROPOSE = """You prepare training data for an assistant that calls tools. Given one tool, answer with one JSON object and nothing
else: {"arguments": [...]} with up to 8 different objects, each a realistic set of arguments that fits the tool's JSON Schema. Use
values as people would say them in the language of the description. Invent all personal data; use example.com for addresses."""

_REWORD = """You prepare training data for an assistant that calls tools. Given is a stiff draft of a conversation. Word it as real
people would speak, in the same language, keep its meaning, and keep every value (names, numbers, dates) exactly as written. Do not
add facts. Answer with one JSON object and nothing else: {"texts": [...], "results": [...]}.
"texts" holds the new text of each turn that has a "text", in order. "results" holds one JSON object for each turn with a "result",
in order: keep an error as it is; otherwise give what such a tool would plausibly return. The assistant's last text tells only what
the result says, with its numbers as they stand there."""

MOST_RESULT = 2000
"""Longest tool result from a teacher, in characters."""


def _proposed_arguments(
    casts: Sequence[_Cast], order: Order, teacher: Model
) -> tuple[dict[str, list[dict[str, Any]]], list[Refusal]]:
    """For each tool, the sets of arguments from the teacher that fit its schema; and what was refused."""
    questions = ((cast, lesson(_PROPOSE, _tool_row(cast.tool), seed=order.seed)) for cast in casts if properties_of(cast.tool))
    proposed: dict[str, list[dict[str, Any]]] = {}
    refused: list[Refusal] = []
    for cast, reply in ask_all(teacher, questions):
        if isinstance(reply, Refusal):
            refused.append(reply)
            continue
        sets = reply.get("arguments")
        for one in sets[:ARGUMENT_SETS] if isinstance(sets, list) else ():
            fault = call_fault(ToolCall(cast.tool.name, one), cast.tool) if isinstance(one, dict) else f"{one!r} is no object"
            if fault or leaves(one) is None:
                refused.append(Refusal("the teacher's arguments do not fit the schema", fault or "lists of objects"))
            else:
                proposed.setdefault(cast.tool.name, []).append(one)
    return proposed, refused


def _reworded(drafts: Iterator[_Draft | Refusal], order: Order, teacher: Model) -> Iterator[_Draft | Refusal]:
    def questions() -> Iterator[tuple[_Draft | Refusal, Request]]:
        for number, draft in enumerate(drafts):
            if isinstance(draft, _Draft):
                yield draft, lesson(_REWORD, _shown(draft), seed=order.seed + number)

    for draft, reply in ask_all(teacher, questions()):
        assert isinstance(draft, _Draft)
        yield reply if isinstance(reply, Refusal) else _put_back(draft, reply)


def _shown(draft: _Draft) -> dict[str, Any]:
    turns: list[dict[str, Any]] = []
    for message in draft.messages:
        turn: dict[str, Any] = {"role": message.role}
        if message.role == "tool":
            turn["result"] = json.loads(message.content)
        elif message.content:
            turn["text"] = message.content
        if message.tool_calls:
            turn["calls"] = [{"name": call.name, "arguments": call.arguments} for call in message.tool_calls]
        turns.append(turn)
    return {"tools": [_tool_row(tool) for tool in draft.tools], "turns": turns}


def _put_back(draft: _Draft, reply: Mapping[str, Any]) -> _Draft | Refusal:
    """The draft with the teacher's words in the places of its own; errors and calls stay."""
    spoken = [message for message in draft.messages if message.role != "tool" and message.content]
    texts = list_of_texts(reply, "texts", most=len(spoken))
    if isinstance(texts, Refusal):
        return texts
    told = [message for message in draft.messages if message.role == "tool"]
    results = reply.get("results") or [json.loads(message.content) for message in told]
    fits = isinstance(results, list) and len(results) == len(told) and all(isinstance(one, dict) and one for one in results)
    if len(texts) != len(spoken) or not fits:
        return Refusal("the teacher's answer has another shape", f"{len(spoken)} texts and {len(told)} results were asked for")
    if any(len(json.dumps(one, ensure_ascii=False)) > MOST_RESULT for one in results):
        return Refusal("the teacher's answer is too long", "a tool result")
    said, given = iter(texts), iter(results)
    messages: list[Message] = []
    for message in draft.messages:
        if message.role == "tool":
            result = next(given)
            keeps = "error" in message.content or "request" in message.content  # what goes wrong was laid out
            messages.append(message if keeps else replace(message, content=json.dumps(result, ensure_ascii=False)))
        else:
            messages.append(replace(message, content=next(said)) if message.content else message)
    return replace(draft, messages=tuple(messages))


def _tool_row(tool: ToolSpec) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}


# --- from drafts to rows ------------------------------------------------------------------------------------------------


def _finished(drafts: Iterator[_Draft | Refusal], by: str) -> Stream:
    for draft in drafts:
        if isinstance(draft, Refusal):
            yield draft
            continue
        first = fold(draft.messages[0].content)
        early = next((said for said in draft.unsaid if fold(said) in first), None)
        if early is not None:
            yield Refusal("what should be missing is said", f"{early}: {draft.messages[0].content}")
            continue
        name = f"generated-{draft.kind}-{by}-"
        yield Example(name, draft.messages, _reference(draft.messages[-1]), draft.tools, tags=(by, draft.kind, TAG))


def _reference(last: Message) -> Reference:
    calls = tuple(ToolCall(call.name, call.arguments) for call in last.tool_calls)
    return Reference((last.content,) if last.content else (), calls=calls)
