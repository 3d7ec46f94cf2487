"""The shapes that training rows come in, and how each becomes an example. The shape is known by its keys; nothing is registered.

    messages                              OpenAI chat, with `tools`, `tool_calls`, and a `weight` per message
    conversations                         ShareGPT: `from`, `value`
    prompt, chosen, rejected              preference pair; texts or lists of messages
    prompt, completion                    texts or lists of messages
    instruction, input, output            Alpaca, with `system` and `history`
    one of ASKED and one of ANSWERED      a pair: `input`/`output`, `question`/`answer(s)`, `text`/`label`, ...
    text                                  raw text

Any row may also carry `id`, `group`, `tags`, `tools`, `reference`, `references`, `calls`, `accepts`, `facts`, `spans`, `relevant`,
`abstain`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from sadari.task.accepts import check_accepted, read_accepts, simplest_call
from sadari.task.messages import (
    RowProblems,
    check_calls,
    kind_of,
    read_calls,
    read_messages,
    read_sharegpt,
    read_string,
    read_tools,
)
from sadari.types import Example, Message, Reference, Span, System, ToolCall

ASKED = ("input", "question", "query", "prompt", "text", "sentence", "utterance")
ANSWERED = ("output", "answer", "answers", "response", "completion", "label", "category", "intent", "class", "target")
EXTRAS = ("id", "group", "tags", "tools", "reference", "references", "calls", "accepts", "facts", "spans", "relevant", "abstain")
_INSTEAD_OF_ANSWER = ("reference", "references", "calls", "accepts", "facts", "abstain")
_BESIDE = ("system", "history", "context")

ABSTENTION = str(next(f.default for f in fields(System) if f.name == "abstention"))
"""What is learnt from a row that says `abstain` and gives no wording."""


@dataclass(slots=True)
class Draft:
    """A row half read: its conversation, and what the row itself says the answer is."""

    messages: list[Message]
    texts: list[str] = field(default_factory=list)
    kind: Literal["chat", "text", "preference"] = "chat"
    rejected: str | None = None
    starts: list[int | None] = field(default_factory=list)  # of each answer in its passage


@dataclass(frozen=True, slots=True)
class Format:
    """How rows of one shape are read; `uses` are the keys it looks at beside `EXTRAS`."""

    name: str
    uses: tuple[str, ...]
    read: Callable[[Mapping[str, Any], RowProblems], Draft]


def format_of(keys: Collection[str]) -> Format | None:
    """The shape that rows with these keys have, or None if no shape fits."""
    present = set(keys)
    if "messages" in present:
        return Format("messages", ("messages", "functions"), _read_openai)
    if "conversations" in present:
        return Format("conversations", ("conversations", "system"), _read_conversations)
    if {"chosen", "rejected"} <= present:
        return Format("prompt/chosen/rejected", ("prompt", "chosen", "rejected", *_BESIDE), _read_preference)
    if "instruction" in present:
        return Format("instruction/input/output", ("instruction", "input", "output", *_BESIDE), _read_alpaca)
    if {"prompt", "completion"} <= present:
        return Format("prompt/completion", ("prompt", "completion", *_BESIDE), _read_completion)
    asked = next((key for key in ASKED if key in present), None)
    answered = next((key for key in ANSWERED if key in present and key != asked), None)
    if asked and (answered or present & set(_INSTEAD_OF_ANSWER)):
        return pair_format(asked, answered)
    if "text" in present:
        return Format("text", ("text",), _read_raw_text)
    return None


def pair_format(asked: str, answered: str | None) -> Format:
    """Rows of a question and its answer under these two keys."""

    def read(row: Mapping[str, Any], problems: RowProblems) -> Draft:
        given = next((key for key in ANSWERED if key in row and key != asked), answered) if answered in ANSWERED else answered
        return _read_pair(row, asked, given, problems)

    return Format(f"{asked}/...", (asked, *((answered,) if answered else ()), *_BESIDE), read)


def shapes_in_words() -> str:
    """The shapes, for a message about a row that has none of them."""
    return (
        "`messages`, `conversations`, `instruction`/`output`, `prompt`/`completion`, `prompt`/`chosen`/`rejected`, "
        "`question`/`answer`, `input`/`output`, `text`/`label` or `text`"
    )


# --- one function per shape ------------------------------------------------------------------------------------------------


def _read_openai(row: Mapping[str, Any], problems: RowProblems) -> Draft:
    return _conversation(read_messages(row.get("messages"), "messages", problems), "messages", problems)


def _read_conversations(row: Mapping[str, Any], problems: RowProblems) -> Draft:
    messages = _system_turn(row, problems) + read_sharegpt(row.get("conversations"), "conversations", problems)
    return _conversation(messages, "conversations", problems)


def _conversation(messages: list[Message], name: str, problems: RowProblems) -> Draft:
    if messages and all(message.role in ("assistant", "system") for message in messages):
        problems.add(name, "has no user turn, so nothing is asked. Add one, or give the text alone as `text`.")
    if messages and messages[-1].role == "system":
        problems.add(name, "ends in a system turn. End in the assistant's answer, or in the question with a `reference`.")
    last = messages[-1] if messages else None
    texts = [last.content.strip()] if last is not None and last.role == "assistant" and last.content.strip() else []
    return Draft(messages, texts)


def _read_preference(row: Mapping[str, Any], problems: RowProblems) -> Draft:
    chosen, rejected = _turns(row, "chosen", "assistant", problems), _turns(row, "rejected", "assistant", problems)
    prompt = _turns(row, "prompt", "user", problems) if "prompt" in row else []
    if not chosen or not rejected:
        return Draft(prompt)
    if chosen[:-1] != rejected[:-1]:
        problems.add("rejected", "differs from `chosen` before the last turn. Both must answer the same conversation.")
    if chosen[-1] == rejected[-1]:
        problems.add("rejected", "is the same as `chosen`. Give a worse answer or delete the line.")
    messages = _system_turn(row, problems) + (chosen if prompt and chosen[: len(prompt)] == prompt else prompt + chosen)
    draft = _conversation(messages, "prompt", problems)
    return Draft(messages, draft.texts, "preference", rejected[-1].content)


def _read_completion(row: Mapping[str, Any], problems: RowProblems) -> Draft:
    prompt = _system_turn(row, problems) + _history(row, problems) + _turns(row, "prompt", "user", problems)
    return _conversation([*prompt, *_turns(row, "completion", "assistant", problems)], "prompt", problems)


def _read_alpaca(row: Mapping[str, Any], problems: RowProblems) -> Draft:
    instruction = read_string(row.get("instruction"), "instruction", problems, may_be_empty=bool(row.get("input")))
    more = read_string(row.get("input"), "input", problems, may_be_empty=True)
    question = "\n".join(part for part in (instruction, more) if part.strip())
    texts, starts = _answers(row, "output" if "output" in row else None, problems)
    return _pair(row, question, texts, starts, problems)


def _read_pair(row: Mapping[str, Any], asked: str, answered: str | None, problems: RowProblems) -> Draft:
    question = read_string(row.get(asked), asked, problems)
    if row.get("context"):
        question = f"{read_string(row['context'], 'context', problems)}\n\n{question}"
    texts, starts = _answers(row, answered, problems)
    return _pair(row, question, texts, starts, problems)


def _pair(row: Mapping[str, Any], question: str, texts: list[str], starts: list[int | None], problems: RowProblems) -> Draft:
    messages = [*_system_turn(row, problems), *_history(row, problems), Message("user", question)]
    if texts:
        messages.append(Message("assistant", texts[0]))
    return Draft(messages, texts, starts=starts)


def _read_raw_text(row: Mapping[str, Any], problems: RowProblems) -> Draft:
    return Draft([Message("assistant", read_string(row.get("text"), "text", problems))], kind="text")


# --- parts of a row ----------------------------------------------------------------------------------------------------------


def _answers(row: Mapping[str, Any], name: str | None, problems: RowProblems) -> tuple[list[str], list[int | None]]:
    if name is None or (row.get(name) in (None, "", []) and any(row.get(key) for key in _INSTEAD_OF_ANSWER)):
        return [], []
    value = row.get(name)
    if isinstance(value, list):
        if not value:
            problems.add(name, "is empty. Fill it in or delete the line.")
        items, names = value, [f"{name}[{at}]" for at in range(len(value))]
    elif isinstance(value, Mapping) and isinstance(value.get("text"), list):  # SQuAD: {"text": [...], "answer_start": [...]}
        given = value.get("answer_start")
        begins = given if isinstance(given, list) and len(given) == len(value["text"]) else [None] * len(value["text"])
        items = [{"text": text, "answer_start": begin} for text, begin in zip(value["text"], begins, strict=True)]
        names = [f"{name}.text[{at}]" for at in range(len(items))]
    else:
        items, names = [value], [name]
    texts: list[str] = []
    starts: list[int | None] = []
    for item, item_name in zip(items, names, strict=True):
        start = item.get("answer_start") if isinstance(item, Mapping) else None
        text = read_string(item.get("text") if isinstance(item, Mapping) else item, item_name, problems).strip()
        if text and text not in texts:
            texts.append(text)
            starts.append(start if isinstance(start, int) and start >= 0 else None)
    return texts, starts


def _system_turn(row: Mapping[str, Any], problems: RowProblems) -> list[Message]:
    return [Message("system", read_string(row["system"], "system", problems))] if row.get("system") else []


def _history(row: Mapping[str, Any], problems: RowProblems) -> list[Message]:
    turns: list[Message] = []
    past = row.get("history") or []
    if not isinstance(past, list):
        problems.add("history", f"must be a list of pairs [question, answer], but is {kind_of(past)}.")
        past = []
    for at, pair in enumerate(past):
        if not isinstance(pair, list) or len(pair) != 2:
            problems.add(f"history[{at}]", "must be a pair [question, answer].")
            continue
        turns.append(Message("user", read_string(pair[0], f"history[{at}][0]", problems)))
        turns.append(Message("assistant", read_string(pair[1], f"history[{at}][1]", problems)))
    return turns


def _turns(row: Mapping[str, Any], name: str, role: Literal["user", "assistant"], problems: RowProblems) -> list[Message]:
    value = row.get(name)
    if isinstance(value, Mapping):
        value = [value]
    if isinstance(value, list):
        turns = read_messages(value, name, problems)
        if role == "assistant" and turns and turns[-1].role != "assistant":
            problems.add(name, "must end in an assistant turn.")
        return turns
    return [Message(role, read_string(value, name, problems))]


def finish_example(row: Mapping[str, Any], draft: Draft, problems: RowProblems) -> Example:
    """The example, with the extras of its row; its id is still "" unless the row gives one."""
    said = row.get("reference")
    extras = {**row, **said} if isinstance(said, Mapping) else row
    tools = read_tools(row.get("tools") or row.get("functions"), "tools", problems)
    calls = read_calls(extras.get("calls"), "calls", problems)
    check_calls(calls, tools, "calls", problems)
    accepts = read_accepts(extras.get("accepts"), tools, problems)
    for at, message in enumerate(draft.messages):
        check_calls(message.tool_calls, tools, f"messages[{at}].tool_calls", problems)
    if not calls and draft.messages and draft.messages[-1].role == "assistant":
        calls = draft.messages[-1].tool_calls
    calls = calls or tuple(map(simplest_call, accepts))
    check_accepted(calls, accepts, problems)
    texts = _reference_texts(said, extras, problems) or draft.texts
    abstain = _read_abstain(extras.get("abstain"), problems)
    facts = _read_facts(extras.get("facts"), problems)
    if abstain and not texts:
        texts = [ABSTENTION]
    if draft.kind == "chat" and not (texts or calls or facts or abstain) and not problems.found:
        problems.add("reference", "is missing: nothing says what a right answer is. End in an assistant turn, or give `reference`.")
    messages = draft.messages
    if abstain and texts and messages and messages[-1].role == "user":
        messages = [*messages, Message("assistant", texts[0])]
    spans = _read_spans(extras.get("spans"), problems) or _relevant_spans(extras.get("relevant"), draft, problems)
    return Example(
        id=_name(row, "id", problems),
        messages=tuple(messages),
        reference=Reference(tuple(texts), facts, _calls(calls), spans, abstain, accepts),
        tools=tools,
        group=_name(row, "group", problems),
        tags=_read_tags(row.get("tags"), problems),
        kind=draft.kind,
        rejected=draft.rejected,
    )


def _calls(calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(call.name, call.arguments) for call in calls)  # ids say nothing about being right


def _name(row: Mapping[str, Any], key: str, problems: RowProblems) -> str:
    return read_string(row[key], key, problems).strip() if row.get(key) not in (None, "") else ""


def _reference_texts(said: Any, extras: Mapping[str, Any], problems: RowProblems) -> list[str]:
    for name, value in (("references", extras.get("references")), ("reference", said)):
        if isinstance(value, Mapping):
            name, value = "reference.texts", value.get("texts") or value.get("text")
        if value is None:
            if name in extras and not extras.get("abstain"):
                problems.add(name, "is empty. Fill it in or delete the line.")
            continue
        if value == "" and extras.get("abstain"):
            continue
        values = value if isinstance(value, list) else [value]
        if not values:
            problems.add(name, "is empty. Fill it in or delete the line.")
        names = [f"{name}[{at}]" for at in range(len(values))] if isinstance(value, list) else [name]
        return [read_string(item, item_name, problems).strip() for item, item_name in zip(values, names, strict=True)]
    return []


def _read_abstain(value: Any, problems: RowProblems) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False, "": False, "none": False}
    answer = known.get(str(value).strip().lower())
    if answer is None:
        problems.add("abstain", f"is {value!r}. Give true or false.")
    return bool(answer)


def _read_facts(value: Any, problems: RowProblems) -> tuple[tuple[str, ...], ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        problems.add("facts", f"must be a list of facts, each a text or a list of accepted spellings, but is {kind_of(value)}.")
        return ()
    facts = []
    for at, fact in enumerate(value):
        spellings = fact if isinstance(fact, list) else [fact]
        if not spellings:
            problems.add(f"facts[{at}]", "is empty. Give at least one spelling.")
        facts.append(tuple(read_string(spelling, f"facts[{at}]", problems).strip() for spelling in spellings))
    return tuple(facts)


def _read_spans(value: Any, problems: RowProblems) -> tuple[Span, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        problems.add("spans", f"must be a list of {{document, start, end, quote}}, but is {kind_of(value)}.")
        return ()
    spans = []
    for at, item in enumerate(value):
        name = f"spans[{at}]"
        if not isinstance(item, Mapping):
            problems.add(name, f"must be an object with document, start, end, quote, but is {kind_of(item)}.")
            continue
        quote = read_string(item.get("quote"), f"{name}.quote", problems)
        document = read_string(item.get("document"), f"{name}.document", problems)
        start = item.get("start", 0)
        end = item.get("end", start + len(quote) if isinstance(start, int) else None)
        if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start <= end:
            problems.add(name, f"start {start!r} and end {end!r} must be character positions, start first.")
            continue
        spans.append(Span(document, start, end, quote))
    return tuple(spans)


def _relevant_spans(value: Any, draft: Draft, problems: RowProblems) -> tuple[Span, ...]:
    """Spans from `relevant` document ids: the answer's own place where `answer_start` tells it, else an empty span at 0."""
    if value is None or value == "":
        return ()
    names = [
        read_string(item, f"relevant[{at}]", problems) for at, item in enumerate(value if isinstance(value, list) else [value])
    ]
    if len(names) == 1 and draft.starts and draft.starts[0] is not None:
        return (Span(names[0], draft.starts[0], draft.starts[0] + len(draft.texts[0]), draft.texts[0]),)
    return tuple(Span(name, 0, 0, "") for name in names)


def _read_tags(value: Any, problems: RowProblems) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    items = value if isinstance(value, list) else str(value).split("|")
    return tuple(read_string(item, f"tags[{at}]", problems).strip() for at, item in enumerate(items))
