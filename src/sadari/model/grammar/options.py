"""Which tokens may come next when the answer has to be one of given options.

The options are tokenised as they would stand in the answer, and laid into a trie; a step looks up the children of a node. What
comes out is one option, or up to `most` different ones joined as the constraint says, exactly: the text is read off the path,
not decoded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sadari.errors import ConfigError, ModelError
from sadari.model.chat import encode, render_text
from sadari.types import Message, OneOf

Tokenise = Callable[[str, Sequence[str]], list[list[int]]]
"""From a context and texts to the token ids of each text where it follows the context."""


@dataclass(frozen=True, slots=True)
class Path:
    """One reading of the tokens so far: the options finished, and the place in the option under way."""

    node: int
    taken: tuple[int, ...] = ()


State = tuple[Path, ...]
"""All readings that are still possible: with options that are prefixes of each other there may be several."""


@dataclass(slots=True)
class _Node:
    children: dict[int, int] = field(default_factory=dict)
    ends: int | None = None  # the option that is complete here
    below: int = 0  # bit set of the options that end here or further down


class OptionTrie:
    """The tokens that keep an answer within a `OneOf`.

    Args:
        constraint: The options.
        tokenise: Gives token ids of texts in a context; "" is the start of the answer.

    Raises:
        ConfigError: If there is no option, or an empty one.
    """

    START = 0
    LATER = 1

    def __init__(self, constraint: OneOf, tokenise: Tokenise) -> None:
        self.options = tuple(dict.fromkeys(constraint.options))
        if not self.options or not all(self.options):
            raise ConfigError("a OneOf constraint needs at least one option, and none may be empty.")
        self.most, self._joint = constraint.most, constraint.joint
        self._nodes = [_Node(), _Node()]
        self._memo: dict[tuple[State, bool], tuple[tuple[int, ...], bool]] = {}
        self._joinable = sum(1 << i for i, o in enumerate(self.options) if o not in constraint.alone)
        self.alone_above = constraint.alone_above
        firsts = tokenise("", self.options)
        for i, ids in enumerate(firsts):
            self._insert(self.START, i, ids)
        laters: list[list[int]] = []
        joinable: list[int] = []
        if self.most > 1 and self._joinable.bit_count() > 1:
            joinable = [i for i in range(len(self.options)) if self._joinable >> i & 1]
            laters = tokenise(self.options[joinable[0]], [self._joint + self.options[i] for i in joinable])
            for i, ids in zip(joinable, laters, strict=True):
                self._insert(self.LATER, i, ids)
        self._firsts, self._laters = firsts, dict(zip(joinable, laters, strict=True)) if laters else {}
        lone = {ids[0] for i, ids in enumerate(firsts) if not self._joinable >> i & 1}
        self.alone_first = lone - {ids[0] for i, ids in enumerate(firsts) if self._joinable >> i & 1}
        """First tokens of `alone` options that no other option begins with."""
        self.longest = max(map(len, firsts)) + (self.most - 1) * max(map(len, laters), default=0)
        """Tokens of the longest answer, at most."""
        self.longest_option = max(map(len, firsts))

    def start(self) -> State:
        """Before the first token."""
        return (Path(self.START),)

    def allowed(self, state: State, *, may_join: bool = True) -> tuple[tuple[int, ...], bool]:
        """The tokens that may follow, in ascending order, and whether the answer may end here.

        Args:
            may_join: Whether another option may be begun.
        """
        key = (state, may_join)
        if key not in self._memo:
            tokens: set[int] = set()
            can_end = False
            for path in state:
                can_end |= self._completed(path) is not None
                tokens.update(token for token, _ in self._moves(path, may_join))
            self._memo[key] = tuple(sorted(tokens)), can_end
        return self._memo[key]

    def step(self, state: State, token: int, *, may_join: bool = True) -> State:
        """The readings left after `token`, which must be an allowed one."""
        return tuple(path for old in state for t, path in self._moves(old, may_join) if t == token)

    def text(self, state: State) -> str:
        """The answer, where it may end; of several readings the one with the fewest options."""
        done = [(*p.taken, o) for p in state if (o := self._completed(p)) is not None]
        return self._joint.join(self.options[i] for i in min(done, key=len))

    def decisions(self, text: str, end: int) -> list[tuple[int, tuple[int, ...]]] | None:
        """How `text` is generated under this constraint: each token with the tokens it was chosen among, the end token last.

        Args:
            end: Token that ends the answer.

        Returns:
            None if `text` cannot be generated.
        """
        options = self._parse(text, ())
        if options is None:
            return None
        path = [*self._firsts[options[0]], *(t for i in options[1:] for t in self._laters[i])]
        made: list[tuple[int, tuple[int, ...]]] = []
        state = self.start()
        for token in [*path, end]:
            tokens, can_end = self.allowed(state)
            made.append((token, (*tokens, end) if can_end else tokens))
            state = self.step(state, token)
        return made

    def _parse(self, text: str, taken: tuple[int, ...]) -> tuple[int, ...] | None:
        for i, option in enumerate(self.options):
            if i in taken or (taken and not self._joinable >> i & 1):
                continue
            if text == option:
                return (*taken, i)
            if len(taken) + 1 < self.most and self._joinable >> i & 1 and text.startswith(option + self._joint):
                rest = self._parse(text[len(option) + len(self._joint) :], (*taken, i))
                if rest is not None:
                    return rest
        return None

    def _completed(self, path: Path) -> int | None:
        option = self._nodes[path.node].ends
        return None if option is None or option in path.taken else option

    def _moves(self, path: Path, may_join: bool) -> list[tuple[int, Path]]:
        wanted = ~sum(1 << i for i in path.taken)
        if path.taken:
            wanted &= self._joinable
        node = self._nodes[path.node]
        moves = [(t, Path(c, path.taken)) for t, c in node.children.items() if self._nodes[c].below & wanted]
        done = self._completed(path)
        if may_join and done is not None and self._joinable >> done & 1 and len(path.taken) + 1 < self.most:
            taken = (*path.taken, done)
            wanted = self._joinable & ~sum(1 << i for i in taken)
            later = self._nodes[self.LATER].children.items()
            moves += [(t, Path(c, taken)) for t, c in later if self._nodes[c].below & wanted]
        return moves

    def _insert(self, root: int, option: int, ids: Sequence[int]) -> None:
        at = root
        self._nodes[at].below |= 1 << option
        for token in ids:
            if token not in self._nodes[at].children:
                self._nodes[at].children[token] = len(self._nodes)
                self._nodes.append(_Node())
            at = self._nodes[at].children[token]
            self._nodes[at].below |= 1 << option
        self._nodes[at].ends = option


def tokeniser_in_place(tokenizer: Any) -> Tokenise:
    """How `tokenizer` splits texts that follow the header of an assistant turn."""
    header = render_text(tokenizer, (Message("user", "x"),), opens_answer=True)
    header_ids = encode(tokenizer, header)
    # The last few characters are context enough, if they tokenise alone as they do in place.
    for n in range(1, len(header)):
        tail_ids = encode(tokenizer, header[-n:])
        if len(tail_ids) >= 3 and tail_ids == header_ids[-len(tail_ids) :]:
            header = header[-n:]
            break

    def tokenise(context: str, texts: Sequence[str]) -> list[list[int]]:
        before = encode(tokenizer, header + context)
        out = []
        for text, ids in zip(
            texts, tokenizer([header + context + t for t in texts], add_special_tokens=False)["input_ids"], strict=True
        ):
            follows = ids[: len(before)] == before
            out.append(ids[len(before) :] if follows else encode(tokenizer, text))
        return out

    return tokenise


class OptionGuide:
    """A `Guide` for one answer of options.

    Args:
        ends: Tokens that end the answer.
        limit: Beyond so many tokens no further option is begun; no option is ever cut.
        is_greedy: Whether the likeliest token is taken: then it is settled first whether an option stands alone.
    """

    def __init__(self, trie: OptionTrie, ends: frozenset[int], limit: int, *, is_greedy: bool) -> None:
        self._trie, self._ends, self._limit, self._is_greedy = trie, sorted(e for e in ends if e >= 0), limit, is_greedy
        self._state, self._written = trie.start(), 0

    @property
    def text(self) -> str:
        """The answer."""
        return self._trie.text(self._state)

    @property
    def is_complete(self) -> bool:
        """Whether the answer may end here."""
        return self._allowed()[1]

    @property
    def is_over(self) -> bool:
        """Whether nothing but the end may follow."""
        return not self._allowed()[0]

    def prepare(self) -> None:
        """Nothing is worth preparing: a step looks up the children of a node."""

    def restrict(self, scores: Tensor) -> None:
        """Leave the scores of what may come next."""
        tokens, can_end = self._allowed()
        if not self._written and self._is_greedy:
            tokens = self._settle_alone(tokens, scores)
        ids = torch.tensor([*tokens, *(self._ends if can_end else ())])
        held = scores[ids]
        scores.fill_(float("-inf"))
        scores[ids] = held

    def accept(self, token: int) -> None:
        """Take one token."""
        state = self._trie.step(self._state, token, may_join=self._written < self._limit)
        if not state:
            raise ModelError(f"token {token} was chosen, but no option goes on with it.")
        self._state, self._written = state, self._written + 1

    def forced(self) -> list[int]:
        """Take the tokens that have no alternative."""
        taken: list[int] = []
        while True:
            tokens, can_end = self._allowed()
            if len(tokens) != 1 or can_end:
                return taken
            self.accept(tokens[0])
            taken.append(tokens[0])

    def _allowed(self) -> tuple[tuple[int, ...], bool]:
        return self._trie.allowed(self._state, may_join=self._written < self._limit)

    def _settle_alone(self, tokens: tuple[int, ...], scores: Tensor) -> tuple[int, ...]:
        """The first tokens that are left once it is settled whether an option stands alone."""
        lone = tuple(t for t in tokens if t in self._trie.alone_first)
        others = tuple(t for t in tokens if t not in self._trie.alone_first)
        if not lone or not others:
            return tokens
        share = torch.softmax(scores[torch.tensor([*lone, *others])].double(), dim=-1)[: len(lone)].sum()
        return lone if float(share) > self._trie.alone_above else others
