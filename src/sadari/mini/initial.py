"""Starting weights that can already copy, and find a marked sentence by its words.

Copying ("the token that followed this one the last time") needs two attention layers to agree, naming the sentence that
shares words with a question needs four, and a model of this size finds such agreements only after millions of tokens. So
they are written into the starting weights, and training shapes them:

- the embedding keeps a constant coordinate, marks (a line ends, a letter that may name a sentence, a piece that says
  little, a turn begins), random identity coordinates, and empty buffers;
- layer 0 looks one and two tokens back (a constant query turned by the rotary embedding) and writes what it sees into
  two buffers;
- layer 1 writes the first token of the present line into a third buffer, and notes whether it is a letter;
- layer 2 finds the lettered lines in which a token stands and adds their letters to that buffer: a word that stands in
  one line names it, a word of many lines names each a little;
- layers 2 and 3 look for places whose buffers hold the present token (and the one before it) and add the identity
  of the token found there, in the slow rotary coordinates, which distance hardly turns;
- where an answer begins, layers 4 and 5 gather the letters that the tokens of the question have found.

Everything else starts small and random. Source of the copying circuit: Olsson et al. (2022), "In-context learning and
induction heads", arXiv 2209.11895.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import ascii_letters

import torch
from tokenizers import Tokenizer
from torch import Tensor

from sadari.mini.layout import Decoder

_IDENTITY = slice(1, 122)  # its first coordinate marks ends of lines
_LETTER, _COMMON, _TURN = 122, 124, 125  # marks: may name a sentence, says little, a turn begins
_MARKED, _FOUND = 126, 127  # notes: the line begins with a letter, the token stands in such a line
_BEFORE = slice(128, 176)  # the token before
_BEFORE_THAT = slice(176, 200)  # the one before that
_START = slice(200, 256)  # the first token of the line; in a question, the letters found
_WIDTH = _IDENTITY.stop - _IDENTITY.start
_SIZE = _START.stop - _START.start
_HEAD, _HALF = 64, 32  # coordinates of a head; rotary pairs are (i, i + _HALF)
_SLOW = 14  # rotary pairs from here on turn by less than 0.0024 per token
_FAST = 6  # rotary pairs up to here tell one offset from the next
_NEAR = slice(5, 13)  # rotary pairs that, weighted so, fall together with distance up to about 130 tokens
_NEAR_WEIGHTS = (0.25, 0.35, 0.5, 1, 1, 1, 1, 1)
_LATELY = slice(7, 11)  # rotary pairs that tell the last question from earlier ones
_SLOTS = torch.cat((torch.arange(_SLOW, _HALF), torch.arange(_HALF + _SLOW, _HEAD)))
_A, _B, _C = _SLOTS[-3:].tolist()  # slow coordinates for notes and marks
_SCALE = 0.3  # deviation of the identity coordinates
_MARK = 4.0 * _SCALE  # how loud a mark is
_COPIED = 2.0  # how much louder a copied identity is than the present token's own
_NAMED = 6.0  # the same for the letters of an answer
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\S+",
        "합니다 입니다 하세요 있습니다 없습니다 문서 문서에 에서 으로 까지 부터 알려 주세요 수 때 및 또 그리고 등 이 그 저 것 "
        "the The of for to in is and a what What How how do I it It on from be can at documents document",
    )
)


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Ids of the pieces by which a prompt is found its way in."""

    ends: tuple[int, ...]  # after them a line begins
    letters: tuple[int, ...]  # with one of them the line of a marked sentence begins
    common: tuple[int, ...]  # digits, signs and other pieces that say nothing of what a sentence is about
    spaced: tuple[tuple[int, int], ...]  # a piece that begins with a space, and the same piece without it
    turn: int
    assistant: int


def landmarks(tokenizer: Tokenizer) -> Landmarks:
    """The landmarks in the vocabulary of `tokenizer`."""
    texts = {i: tokenizer.decode([i], skip_special_tokens=False) for i in range(9, tokenizer.get_vocab_size())}
    by_text = {t: i for i, t in texts.items() if t and "\ufffd" not in t}
    return Landmarks(
        ends=tuple(i for i, t in texts.items() if t.endswith("\n")),
        letters=tuple(by_text[t] for t in ascii_letters),
        common=tuple(
            i for i, t in texts.items() if not re.search(r"[가-힣A-Za-z]{2}| [가-힣A-Za-z]", t) or t.strip() in _FUNCTION_WORDS
        ),
        spaced=tuple((i, by_text[t[1:]]) for i, t in texts.items() if t[:1] == " " and t[1:] in by_text),
        turn=tokenizer.encode("<|im_start|>", add_special_tokens=False).ids[0],
        assistant=tokenizer.encode("assistant", add_special_tokens=False).ids[0],
    )


@torch.no_grad()
def initialise(model: Decoder, seed: int, *, marks: Landmarks) -> None:
    """Fill `model` with the starting weights; the same `seed` gives the same weights.

    Args:
        model: A decoder of the shape that ships (256 wide, 4 heads of 64, 2 of keys and values, 6 layers or more).
        seed: Of the random parts.
        marks: Landmarks of the vocabulary.

    Raises:
        ValueError: If `model` has another shape.
    """
    shape = model.shape
    fits = (shape.hidden_size, shape.head_dim, shape.num_attention_heads, shape.num_key_value_heads) == (256, 64, 4, 2)
    if not fits or shape.num_hidden_layers < 6:
        raise ValueError(f"these starting weights are laid out for the shape that ships, not for {shape}")
    circuits = _Circuits(model, torch.Generator().manual_seed(seed))
    circuits.embed(marks)
    circuits.look_back()
    circuits.carry_the_start_of_the_line()
    circuits.find_the_lines_of_a_token()
    circuits.copy_what_followed()
    circuits.name_what_was_found()


class _Circuits:
    """Writes one circuit after another into a model that is otherwise random."""

    def __init__(self, model: Decoder, generator: torch.Generator) -> None:
        self._model, self._generator = model, generator
        self._attention = [layer.self_attn for layer in model.model.layers]
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                scale = 0.004 if name.endswith(("o_proj.weight", "down_proj.weight")) else weight.shape[1] ** -0.5
                weight.copy_(self._normal(*weight.shape) * scale)
        self._basis = torch.zeros(_WIDTH, _WIDTH)  # rows: directions of identity, the mark of ends first
        self._gate = torch.empty(0)  # what `_BEFORE` holds where an answer begins, scaled to give 1

    def embed(self, marks: Landmarks) -> None:
        table = self._model.model.embed_tokens.weight
        table.zero_()
        table[:, 0] = 1.0
        table[:, _IDENTITY] = self._normal(table.shape[0], _WIDTH) * _SCALE
        for spaced, bare in marks.spaced:  # the same word with and without a space before it
            table[spaced, _IDENTITY] = 0.9 * table[bare, _IDENTITY] + 0.44 * table[spaced, _IDENTITY]
        table[:, _IDENTITY.start] = 0.0
        table[list(marks.ends), _IDENTITY.start] = _MARK
        table[[*marks.common, 2], _COMMON] = _MARK
        table[list(marks.letters), _LETTER] = _MARK
        table[marks.turn, _IDENTITY] = 0.0  # what rests on the start of a turn reads nothing there
        table[marks.turn, _TURN] = _MARK
        self._model.model.norm.weight.fill_(0.25)
        self._basis[0, 0] = 1.0
        self._basis[1:, 1:] = torch.linalg.qr(self._normal(_WIDTH - 1, _WIDTH - 1))[0]
        codes = table[:, _IDENTITY] @ self._basis.T
        codes[:, -_SIZE:] *= 0.1  # where lines are told apart, only letters are loud, and no letter sounds like another
        table[:, _IDENTITY] = codes @ self._basis
        letters = codes[list(marks.letters)]
        letters[:, -_SIZE:] = torch.linalg.qr(self._normal(_SIZE, _SIZE))[0][: len(letters)] * _SCALE * _SIZE**0.5
        table[list(marks.letters), _IDENTITY] = letters @ self._basis
        assistant = self._basis[:48] @ table[marks.assistant, _IDENTITY]
        self._gate = assistant / assistant.norm() ** 2

    def look_back(self) -> None:
        turns = self._model.shape.rope_theta ** (-torch.arange(_FAST, dtype=torch.float32) / _HALF)
        for head, back, buffer in ((0, 1, _BEFORE), (2, 2, _BEFORE_THAT)):
            q, k, v, o = self._head(0, head)
            q[:_FAST, 0] += 1.0
            k[:_FAST, 0] += torch.cos(back * turns)
            k[_HALF : _HALF + _FAST, 0] += torch.sin(back * turns)
            room = buffer.stop - buffer.start
            v[:room, _IDENTITY] = self._basis[:room]
            o[buffer, :room] += torch.eye(room) * _SCALE
        norm = self._attention[0].q_norm.weight
        norm[:_FAST] = norm[_HALF : _HALF + _FAST] = 4.0

    def carry_the_start_of_the_line(self) -> None:
        q, k, v, o = self._head(1, 0)
        q[_A, 0] += 3.0
        k[_A, _BEFORE.start] += 3.0  # the token before ended a line
        q[_NEAR, 0] += 1.5 * torch.tensor(_NEAR_WEIGHTS)
        k[_NEAR, 0] += 1.0
        k[_B, 0] += 3.0  # keeps the lengths of keys alike, and so their recency
        v[:_SIZE, _IDENTITY] = self._basis[-_SIZE:]
        o[_START, :_SIZE] += torch.eye(_SIZE) * _SCALE
        v[_SIZE, _LETTER] = 1.0
        o[_MARKED, _SIZE] = _SCALE
        norm = self._attention[1].q_norm.weight
        norm[[_A, _B, _C]] = torch.tensor([9.0, 4.0, 4.0])
        norm[_NEAR] = norm[_HALF + _NEAR.start : _HALF + _NEAR.stop] = 9.0

    def find_the_lines_of_a_token(self) -> None:
        q, k, v, o = self._head(2, 2)
        slots = _SLOTS[:-3]
        self._match(q, slots, _IDENTITY, self._basis[1 : len(slots) + 1])
        self._match(k, slots, _IDENTITY, self._basis[1 : len(slots) + 1])
        q[_B, 0], k[_B, _MARKED] = 2.0, 3.0  # rather in a marked line than in the token itself
        q[_C, 0], q[_C, _COMMON], k[_C, _TURN] = 2.0, 3.0, 2.0  # nothing found, or nothing to find: rest on starts of turns
        v[:_SIZE, _START] = torch.eye(_SIZE)
        v[_SIZE, _MARKED] = 1.0
        o[_START, :_SIZE] += torch.eye(_SIZE) * 2.0
        o[_FOUND, _SIZE] = 1.0
        self._attention[2].q_norm.weight[_SLOTS] = 4.0

    def copy_what_followed(self) -> None:
        slots, first, last = _SLOTS[:-1], self._basis[:_HEAD], self._basis[-_HEAD:]
        count = len(slots)
        for layer, values, offset in ((2, first, 0), (3, last, 48 - count)):  # what followed this token
            q, k = self._copying_head(layer, 0, values)
            self._match(q, slots, _IDENTITY, self._basis[offset : offset + count])
            k[slots, torch.arange(_BEFORE.start + offset, _BEFORE.start + offset + count)] += 1.0
        q, k = self._copying_head(3, 2, first)  # what followed this token and the one before it
        part = count // 2
        even, odd = slots[: 2 * part : 2], slots[1 : 2 * part : 2]
        self._match(q, even, _IDENTITY, self._basis[:part])
        k[even, torch.arange(_BEFORE.start, _BEFORE.start + part)] += 1.0
        q[odd, torch.arange(_BEFORE.start, _BEFORE.start + part)] += 1.0
        k[odd, torch.arange(_BEFORE_THAT.start, _BEFORE_THAT.start + part)] += 1.0

    def name_what_was_found(self) -> None:
        for layer in (4, 5):
            q, k, v, o = self._head(layer, 0)
            q[_A, _BEFORE] += self._gate
            q[_B, _BEFORE] += self._gate
            q[_C, 0] += 0.3
            k[_A, _FOUND], k[_B, _MARKED], k[_C, _TURN] = 3.0, -3.0, 3.0
            q[_LATELY, _BEFORE] += 0.5 * self._gate
            k[_LATELY, 0] = 2.0
            self._attention[layer].q_norm.weight[[_A, _B, _C]] = 2.0
            v[:_SIZE, _START] = torch.eye(_SIZE)
            o[_IDENTITY, :_SIZE] += self._basis[-_SIZE:].T * _SCALE * _NAMED

    def _copying_head(self, layer: int, head: int, values: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v, o = self._head(layer, head)
        self._attention[layer].q_norm.weight[_SLOTS] = 4.0
        q[_C, _BEFORE] += 4 * self._gate  # where an answer begins there is nothing to go on with
        k[_C, _TURN] += 2.0
        v[:, _IDENTITY] = values
        o[_IDENTITY] += values.T * _SCALE * _COPIED
        return q, k

    def _head(self, layer: int, head: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Views on the query, key, value and output weights of one head, made quiet. Heads share keys and values in pairs."""
        attention = self._attention[layer]
        own, shared = slice(head * 64, head * 64 + 64), slice(head // 2 * 64, head // 2 * 64 + 64)
        q, k, v = attention.q_proj.weight[own], attention.k_proj.weight[shared], attention.v_proj.weight[shared]
        q.mul_(0.02)
        k.mul_(0.02)
        v.zero_()
        return q, k, v, attention.o_proj.weight[:, own]

    @staticmethod
    def _match(weight: Tensor, slots: Tensor, columns: slice, directions: Tensor) -> None:
        weight[slots[:, None], torch.arange(columns.start, columns.stop)] += directions

    def _normal(self, *size: int) -> Tensor:
        return torch.randn(*size, generator=self._generator)
