"""Where in free text a call opens, found token by token."""

from dataclasses import dataclass
from typing import Literal

from sadari.model.grammar.vocabulary import Vocabulary
from sadari.model.toolcalls.formats import PYTHON_TAG, CallFormat

_THINK, _THOUGHT = b"<think>", b"</think>"


@dataclass(frozen=True, slots=True)
class Reached:
    """How far free text has come.

    Args:
        where: "start" while there is only whitespace, or a thought that has ended; "thought"; "text".
        held: The end of the text, where a marker may have begun.
    """

    where: Literal["start", "thought", "text"]
    held: bytes = b""


AT_START = Reached("start")


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens a call in one format.

    Args:
        markers: Any of these, anywhere but in a thought.
        bare: This at the start of the answer, where it is the beginning of the call itself; empty for none.
    """

    markers: tuple[bytes, ...]
    bare: bytes = b""

    @classmethod
    def of(cls, format: CallFormat) -> "Opening":
        """What opens a call in this format, as the reader of calls has it."""
        opens = format.opens.strip()
        tags = (PYTHON_TAG,) if format.family == "llama" else ()
        bare = "" if opens else "[" if format.layout == "list" else "{"
        return cls(tuple(m.encode() for m in (opens, *tags) if m), bare.encode())

    def follow(self, reached: Reached, data: bytes) -> tuple[Reached, bytes | None]:
        """How far the text has come with `data`, and what stands after the opening of a call if it opens one."""
        where, text = reached.where, reached.held + data
        if where == "text" and not reached.held and not any(m[0] in data for m in self.markers):
            return reached, None
        while True:
            if where == "thought":
                _, ended, rest = text.partition(_THOUGHT)
                if not ended:
                    return Reached(where, _begun(text, (_THOUGHT,))), None
                where, text = "start", rest
            if where == "start":
                text = text.lstrip()
                if self.bare and text.startswith(self.bare):
                    return AT_START, text
                if text.startswith(_THINK):
                    where, text = "thought", text[len(_THINK) :]
                    continue
                if _THINK.startswith(text):
                    return Reached(where, text), None
            found = [(text.index(m), m) for m in self.markers if m in text]
            if found:
                at, marker = min(found)
                return AT_START, text[at + len(marker) :]
            return Reached("text", _begun(text, self.markers)), None

    def completed_by(self, vocabulary: Vocabulary, reached: Reached) -> list[tuple[int, bytes]]:
        """The tokens that open a call here, each with what it holds after the opening."""
        ends = [self.bare] if self.bare and reached.where != "text" else []
        ends += {m[-1:] for m in self.markers}
        found: dict[int, bytes] = {}
        for token in {token for end in ends for token in vocabulary.holding(end)}:
            data = vocabulary.data[token]
            if self.bare or any(m in reached.held + data for m in self.markers):
                _, rest = self.follow(reached, data)
                if rest is not None:
                    found[token] = rest
        return sorted(found.items())


def _begun(text: bytes, markers: tuple[bytes, ...]) -> bytes:
    """The longest end of `text` with which one of the markers begins."""
    longest = max(map(len, markers), default=0) - 1
    for n in range(min(longest, len(text)), 0, -1):
        if any(m.startswith(text[-n:]) for m in markers):
            return text[-n:]
    return b""
