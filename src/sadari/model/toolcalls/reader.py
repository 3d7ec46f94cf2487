"""Tool calls read while the answer is written, by a state machine over its characters.

Covered: every layout of `CallFormat`; pieces cut anywhere; markers within strings (they are content); calls within a thought that
opens the answer (they are text); malformed calls (they stay as they were written); hostile nesting and length.
Not covered: layouts that write arguments one by one (`<parameter=...>`), which `TemplateReader` reads, or as Python code.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sadari.model.toolcalls.formats import PYTHON_TAG, CallFormat
from sadari.model.toolcalls.nesting import Nesting, stands_at
from sadari.model.toolcalls.payload import Payload, PayloadReader
from sadari.types import ToolCall, ToolSpec

CALL_CHARS = 2**20
"""Longest call, in characters; what is longer stays text."""

AGAIN_CHARS = 2**20
"""So many characters of malformed calls are searched again, in one answer, for calls that stand within them."""

HEAD_CHARS = 256
"""Longest name with what stands around it, in the layout "named"."""

_KEY_CHARS = 40
_KEYS = ("name", "arguments", "parameters", "type", "function", "id")
_THOUGHT = ("<think>", "</think>")

Piece = str | ToolCall


@dataclass(frozen=True, slots=True)
class _Opening:
    """One way in which calls begin.

    Args:
        must_know: The marker also opens what is no call: only a tool that is known is called by it.
    """

    marker: str
    closes: str = ""
    where: Literal["anywhere", "start", "after a call"] = "anywhere"
    must_know: bool = False


@dataclass(slots=True)
class _Call:
    """A call under way. Places are indices into the characters that are held."""

    opening: _Opening
    start: int
    nesting: Nesting
    state: Literal["lead", "head", "value", "close"] = "lead"
    body: int = 0
    end: int = 0
    head: str | None = None
    is_fenced: bool = False
    is_closed_early: bool = False
    surplus: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def closes(self) -> str:
        return self.opening.closes or ("```" if self.is_fenced else "")


class CallReader:
    """Takes an answer in pieces; gives text that belongs to no call at once, and calls when they are complete.

    However the answer is cut into pieces, texts joined and calls are the same. Whitespace at a call is kept only between two
    texts. A malformed call is text, exactly as written. A well-formed call of a tool that nobody knows is a call, so that it can
    be answered; one that had to be mended, or that bears no marker, is a call only if its tool is known. Each character is looked
    at a bounded number of times.

    Args:
        format: How the model writes calls.
        tools: What may be called; None where that is not known, as in a log: then any name will do.
        mend_truncated: Also mend a call that was cut off within its arguments. Off by default: a cut value may be wrong, a cut
            list incomplete, and a call that is acted upon cannot be taken back. A call that only lacks the brackets and the
            marker after its arguments is mended anyway.
    """

    def __init__(self, format: CallFormat, tools: Iterable[ToolSpec] | None, *, mend_truncated: bool = False) -> None:
        known = None if tools is None else {t.name: t for t in tools}
        self._format = format
        self._payloads = PayloadReader(format, known, mend_truncated)
        self._openings = _openings(format)
        self._firsts = {"<"} | {c for o in self._openings for c in (o.marker[:1] or "{[")}  # "<" of a thought
        self._keys = {*_KEYS, format.name_key, format.arguments_key}
        self._chars: list[str] = []  # what is not yet decided, from the opening marker of the call under way
        self._at = 0
        self._call: _Call | None = None
        self._out: list[Piece] = []
        self._text: list[str] = []  # to be handed out
        self._space: list[str] = []  # whitespace that stands before text, or before a call or the end
        self._last: Literal["start", "text", "call"] = "start"
        self._thinks = False
        self._ended = False
        self._again = AGAIN_CHARS
        self._calls = 0
        self._repairs: list[str] = []

    @property
    def repairs(self) -> tuple[str, ...]:
        """What was mended so far, each with the id of its call."""
        return tuple(self._repairs)

    def keeps(self, token: str) -> bool:
        """Whether a special token has to be among the text for the calls to be read."""
        return self._format.keeps(token)

    def feed(self, piece: str) -> list[Piece]:
        """What the answer gives up with this piece, in order."""
        self._chars.extend(piece)
        return self._run()

    def end(self) -> list[Piece]:
        """What is left once no piece follows."""
        self._ended = True
        out = self._run()
        if self._space and self._last != "call":
            out.append("".join(self._space))
        self._space.clear()
        return out

    def take(self, calls: Sequence[ToolCall]) -> list[ToolCall]:
        """Calls that were read elsewhere, counted as the next ones of this answer; ids are given to those without."""
        if self._last == "start":
            self._space.clear()
        self._last = "call"
        taken = []
        for call in calls:
            self._calls += 1
            taken.append(ToolCall(call.name, call.arguments, call.id or f"call_{self._calls}"))
        return taken

    # --- the states --------------------------------------------------------------------------------------------------

    def _run(self) -> list[Piece]:
        self._out = []
        while self._step():
            pass
        self._hand_out()
        kept = self._call.start if self._call else self._at
        if kept:
            del self._chars[:kept]
            self._at -= kept
            if self._call:
                self._call.start, self._call.body, self._call.end = 0, self._call.body - kept, self._call.end - kept
        return self._out

    def _step(self) -> bool:
        """Go on until the state changes; False where more text is needed."""
        call = self._call
        if call is None:
            return self._read_text()
        return {"lead": self._read_lead, "head": self._read_head, "value": self._read_value, "close": self._read_close}[call.state](
            call
        )

    def _read_text(self) -> bool:
        while self._at < len(self._chars):
            if self._thinks or self._last == "start":
                marker = _THOUGHT[self._thinks]
                turns = self._stands(marker)
                if turns is None:
                    return False
                if turns:
                    self._say(len(marker))
                    self._thinks = not self._thinks
                    self._last = "text" if self._thinks else "start"
                    continue
            opening = None if self._thinks else self._opening()
            if opening == "perhaps":
                return False
            if isinstance(opening, _Opening):
                self._call = _Call(opening, self._at, Nesting(self._format.quote))
                self._at += len(opening.marker)
                return True
            end = self._at + 1
            while end < len(self._chars) and self._chars[end] not in self._firsts:
                end += 1
            self._say(end - self._at)
        return False

    def _read_lead(self, call: _Call) -> bool:
        """Between the marker and the value: whitespace, perhaps a code fence."""
        while self._at < self._limit(call):
            c = self._chars[self._at]
            if c in "{[":
                return self._begin_value(call)
            if c == "`" and not call.is_fenced:
                fence = self._stands("```")
                if not fence:
                    return fence is not None and self._fail(call)
                call.is_fenced = True
                self._at += 3
            elif c.isspace() or (call.is_fenced and (c.isalnum() or c == "_")):
                self._at += 1
            elif self._format.layout == "named":
                call.state, call.body = "head", self._at
                return True
            else:
                return self._fail(call)
        return self._wait(call)

    def _read_head(self, call: _Call) -> bool:
        while self._at < self._limit(call):
            if self._chars[self._at] == "{":
                call.head = "".join(self._chars[call.body : self._at])
                return self._begin_value(call)
            if self._at - call.body == HEAD_CHARS:
                return self._fail(call)
            self._at += 1
        return self._wait(call)

    def _begin_value(self, call: _Call) -> bool:
        if call.opening.must_know and self._chars[self._at] == "{":
            is_key = self._begins_as_call()
            if not is_key:
                return is_key is not None and self._fail(call)
        call.state, call.body = "value", self._at
        return True

    def _read_value(self, call: _Call) -> bool:
        self._at, verdict = call.nesting.follow(self._chars, self._at, self._limit(call))
        if verdict == "open":
            if self._ended and self._at < call.start + CALL_CHARS:
                call.end = self._at = len(self._chars)
                return self._finish(call, is_cut=True)
            return self._wait(call)
        if verdict == "foreign" and call.closes:
            ends = self._stands(call.closes)
            if ends is None:
                return False
            call.is_closed_early = ends
        if verdict == "broken" or (verdict == "foreign" and not call.is_closed_early):
            return self._fail(call)
        call.state, call.end = "close", self._at
        return True

    def _read_close(self, call: _Call) -> bool:
        """Between the value and the closing marker: whitespace, a fence, brackets too many."""
        if not call.closes:
            return self._finish(call)
        while self._at < self._limit(call):
            c = self._chars[self._at]
            closes = stands_at(self._chars, self._at, call.closes)
            if closes:
                self._at += len(call.closes)
                return self._finish(call)
            if closes is None:
                if not self._ended:
                    return False
                self._at = len(self._chars)  # the marker was cut off
            elif c.isspace():
                self._at += 1
            elif c in "}]":
                call.surplus += 1
                self._at += 1
            elif call.is_fenced and self._stands("```") is not False:
                if self._stands("```") is None:
                    return False
                self._at += 3
            else:
                opening = self._opening()
                if isinstance(opening, _Opening):
                    return self._finish(call, is_unclosed=True)
                return opening is None and self._fail(call)
        if self._ended and self._at < call.start + CALL_CHARS:
            return self._finish(call, is_unclosed=True)
        return self._wait(call)

    # --- what the states share ---------------------------------------------------------------------------------------

    def _finish(self, call: _Call, *, is_cut: bool = False, is_unclosed: bool = False) -> bool:
        notes = []
        if call.is_fenced or call.opening.marker.startswith("```"):
            notes.append("took the call out of a code fence")
        if call.surplus:
            notes.append(f"dropped {call.surplus} bracket{'s' * (call.surplus > 1)} too many")
        if is_unclosed or (is_cut and call.closes):
            notes.append("added the missing closing marker")
        payload = Payload("".join(self._chars[call.body : call.end]), call.head, is_cut, call.is_closed_early)
        read = self._payloads.read(payload, notes, call.opening.must_know)
        if read is None:
            return self._fail(call)
        self._call = None
        self._hand_out()
        calls = self.take(read[0])
        self._out.extend(calls)
        named = ", ".join(c.id for c in calls)
        self._repairs.extend(f"{named}: {note}." for note in dict.fromkeys(read[1]))
        return True

    def _fail(self, call: _Call) -> bool:
        """The marker is text; what follows it is searched again, unless too much was searched again already."""
        self._call = None
        begin = call.start + max(1, len(call.opening.marker))
        seen = max(0, self._at - begin)
        stop = begin if seen <= self._again else self._at
        if stop == begin:
            self._again -= seen
        self._at = call.start
        self._say(stop - call.start)
        return True

    def _wait(self, call: _Call) -> bool:
        """False, to wait for more text; where none may come, the call has failed."""
        if self._ended or self._at >= call.start + CALL_CHARS:
            return self._fail(call)
        return False

    def _limit(self, call: _Call) -> int:
        return min(len(self._chars), call.start + CALL_CHARS)

    def _opening(self) -> _Opening | Literal["perhaps"] | None:
        """What opens a call here; "perhaps" where more text has to tell."""
        if self._chars[self._at] not in self._firsts:
            return None
        may = False
        for opening in self._openings:
            if (opening.where == "start" and self._last == "text") or (opening.where == "after a call" and self._last != "call"):
                continue
            stands = self._stands(opening.marker) if opening.marker else self._chars[self._at] in "{["
            if stands:
                return opening
            may |= stands is None
        return "perhaps" if may else None

    def _begins_as_call(self) -> bool | None:
        """Whether the first key of the object here may be one of a call; None where more text has to tell."""
        text = "".join(self._chars[self._at + 1 : self._at + 1 + _KEY_CHARS])
        is_all = len(text) == _KEY_CHARS or self._ended
        text = text.lstrip()
        end = text.find(text[0], 1) if text else -1
        if end > 0 or text[:1] not in ("", '"', "'"):
            return text[0] in "\"'" and text[1:end] in self._keys
        return False if is_all else None

    def _stands(self, marker: str) -> bool | None:
        """Whether `marker` stands here; None where more text has to tell."""
        stands = stands_at(self._chars, self._at, marker)
        return False if stands is None and self._ended else stands

    def _say(self, count: int) -> None:
        """The next characters are text."""
        for c in self._chars[self._at : self._at + count]:
            if c.isspace():
                self._space.append(c)
            else:
                self._text += self._space
                self._text.append(c)
                self._space.clear()
                self._last = "text"
        self._at += count

    def _hand_out(self) -> None:
        if self._text:
            self._out.append("".join(self._text))
            self._text.clear()


def _openings(format: CallFormat) -> tuple[_Opening, ...]:
    opens, closes = format.opens.strip(), format.closes.strip()
    bare = _Opening("", where="start", must_know=True)
    openings = [_Opening(opens, closes)] if opens else [bare]
    if format.family == "llama":
        openings.append(_Opening(PYTHON_TAG))
    if format.joint.strip() and format.layout != "list":
        openings.append(_Opening(format.joint.lstrip() + opens, closes, "after a call", must_know=not opens))
    if format.family == "none":
        openings += [_Opening(f"```{language}\n", "```", must_know=True) for language in ("json", "tool_code", "tool_call")]
        openings.append(bare)
    return tuple(openings)
