"""What a model's token ids say: text, ends of answers, options; and text as it grows."""

from collections.abc import Callable, Sequence
from typing import Any

from sadari.model.chat import find_end_of_turn
from sadari.model.grammar.options import OptionTrie, Tokenise, tokeniser_in_place
from sadari.model.toolcalls import CallFormat, format_of
from sadari.types import OneOf

TRIES_KEPT = 64
"""Label sets repeat; quoted passages differ for every request."""

CUT_CHARACTER = "\ufffd"
"""What a character gives of which only some bytes are there."""


class Speech:
    """The tokenizer's side of a model.

    Args:
        tokenizer: Of `transformers`.
        configs: Whose `eos_token_id` end an answer too: of the model, of its generation.
    """

    def __init__(self, tokenizer: Any, configs: Sequence[Any]) -> None:
        self.tokenizer, self._configs = tokenizer, (*configs, tokenizer)
        self._ends: frozenset[int] | None = None
        self._tries: dict[OneOf, OptionTrie] = {}
        self._in_place: Tokenise | None = None
        self._hidden: frozenset[int] | None = None

    @property
    def format(self) -> CallFormat:
        """How tool calls are written."""
        return format_of(self.tokenizer)

    @property
    def end(self) -> int:
        """The token that ends an answer in this template, else the tokenizer's end of text, else -1."""
        marker = find_end_of_turn(self.tokenizer)
        token = self.tokenizer.convert_tokens_to_ids(marker) if marker else self.tokenizer.eos_token_id
        return -1 if token is None else int(token)

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer: of the configs, the tokenizer, and the template's end of turn."""
        if self._ends is None:
            ends: set[int] = set()
            for where in self._configs:
                value = getattr(where, "eos_token_id", None)
                ends.update([value] if isinstance(value, int) else value or [])
            self._ends = frozenset(ends | {self.end} - {-1})
        return self._ends

    def text(self, ids: Sequence[int], *, shows_all: bool = False) -> str:
        """Generated tokens as text, without special tokens other than those that mark tool calls.

        Args:
            shows_all: Keep special tokens, for a reader that goes by them.
        """
        if self._hidden is None:
            special = self.tokenizer.all_special_ids
            kept = (i for i in special if self.format.keeps(str(self.tokenizer.convert_ids_to_tokens(i))))
            self._hidden = frozenset(special) - frozenset(kept)
        shown = ids if shows_all else [i for i in ids if i not in self._hidden]
        return str(self.tokenizer.decode(shown, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def token(self, id: int) -> str:
        """One token as text."""
        return str(self.tokenizer.decode([id]))

    def until(self, stops: Sequence[str]) -> Callable[[Sequence[int], int], str | None] | None:
        """What finds the text before the first of these texts, given the tokens of an answer and how many are new."""
        wanted = tuple(s for s in stops if s)
        reach = max((len(s.encode()) for s in wanted), default=0) + 4  # a token is a byte or more; 4 for a character cut in two

        def find(out: Sequence[int], new: int) -> str | None:
            tail = self.text(out[-reach - new :])
            if not any(s in tail for s in wanted):
                return None
            text = self.text(out)
            cuts = [text.index(s) for s in wanted if s in text]
            return text[: min(cuts)] if cuts else None

        return find if wanted else None

    def in_place(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts as they stand at the beginning of an answer."""
        return self._tokenise("", texts)

    def trie(self, constraint: OneOf) -> OptionTrie:
        """The options of a constraint as tokens.

        Raises:
            ConfigError: If there are none.
        """
        if constraint not in self._tries:
            if len(self._tries) >= TRIES_KEPT:
                self._tries.pop(next(iter(self._tries)))
            self._tries[constraint] = OptionTrie(constraint, self._tokenise)
        return self._tries[constraint]

    @property
    def _tokenise(self) -> Tokenise:
        if self._in_place is None:
            self._in_place = tokeniser_in_place(self.tokenizer)
        return self._in_place


class Transcript:
    """An answer's text as it grows: what can be told of it without having to take it back.

    Held back are characters that are not whole, and what may be the beginning of a stop string.
    """

    def __init__(self, speech: Speech, stops: Sequence[str], *, shows_all: bool = False) -> None:
        self._speech, self._stops, self._shows_all = speech, tuple(s for s in stops if s), shows_all
        self._from = self._read = 0
        self._held = ""
        self.told = ""
        """The text that was told."""

    def more(self, ids: Sequence[int]) -> str:
        """What can be told now that these are the tokens of the answer."""
        before, now = (
            self._speech.text(some, shows_all=self._shows_all) for some in (ids[self._from : self._read], ids[self._from :])
        )
        if len(now) <= len(before) or now.endswith(CUT_CHARACTER):
            return ""
        self._from, self._read = self._read, len(ids)
        text = self._held + now[len(before) :]
        held = max((n for s in self._stops for n in range(1, min(len(s), len(text) + 1)) if text.endswith(s[:n])), default=0)
        text, self._held = text[: len(text) - held], text[len(text) - held :]
        self.told += text
        return text

    def rest(self, whole: str) -> str:
        """What is left to tell of the whole text."""
        rest = whole[len(self.told) :] if whole.startswith(self.told) else ""
        self.told += rest
        return rest
