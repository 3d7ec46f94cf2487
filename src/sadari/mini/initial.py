"""Starting weights that can already copy, and find a sentence by its words.

Copying ("the token that followed this one the last time") needs two attention layers to agree, quoting the sentence
that shares words with a question needs five, and a model of this size finds such agreements only after millions of
tokens. So they are written into the starting weights, and training shapes them:

- the embedding keeps a constant coordinate, marks of sentence ends, of "documents begin" and of turn starts, random
  identity coordinates, and empty buffers;
- layer 0 looks one and two tokens back (a constant query turned by the rotary embedding) and writes what it sees into
  two buffers;
- layer 1 writes the first token of the present sentence into a third buffer, and notes whether the documents have begun;
- layer 2 notes whether a token also stands before the documents, that is, in the question;
- layers 2 and 3 look for places whose buffers hold the present token (and the one before it) and add the identity
  of the token found there, in the slow rotary coordinates, which distance hardly turns;
- where an answer begins, layers 4 and 5 look at the noted tokens of the documents and add the first tokens of their
  sentences: the sentence that shares most words with the question wins.

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
_LETTER, _COMMON, _TURN = 122, 124, 125  # marks: names a sentence, says little, a turn begins
_MARKED, _FOUND = 126, 127  # notes: the line begins with a letter, the token stands in such a line
_BEFORE = slice(128, 176)  # the token before
_BEFORE_THAT = slice(176, 200)  # the one before that
_START = slice(200, 256)  # the first token of the sentence
_SLOW = 14  # rotary pairs from here on turn by less than 0.0024 per token
_FAST = 6  # rotary pairs up to here tell one offset from the next
_NEAR = slice(5, 13)  # rotary pairs that together fall with distance, up to about 130 tokens
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\S+",
        "합니다 입니다 하세요 있습니다 없습니다 문서 문서에 에서 으로 까지 부터 알려 주세요 수 때 및 또 그리고 등 이 그 저 것 "
        "the The of for to in is and a what What How how do I it It on from be can at documents document",
    )
)
_LATELY = slice(7, 11)
_MARK = 4.0  # how much louder a mark is than an identity coordinate


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
def initialise(
    model: Decoder, seed: int, *, marks: Landmarks, embedding_scale: float = 0.3, copied: float = 2.0, found: float = 6.0
) -> None:
    """Fill `model` with the starting weights; the same `seed` gives the same weights.

    Args:
        model: A decoder of the shape that ships (256 wide, 4 heads of 64, 2 of keys and values, 6 layers or more).
        seed: Of the random parts.
        marks: Landmarks of the vocabulary.
        embedding_scale: Deviation of the identity coordinates.
        copied: How much louder a copied identity is than the present token's own.
        found: The same for the first token of a sentence found.
    """
    g = torch.Generator().manual_seed(seed)

    def normal(*size: int, scale: float = 1.0) -> Tensor:
        return torch.randn(*size, generator=g) * scale

    shape = model.shape
    fits = (shape.hidden_size, shape.head_dim, shape.num_attention_heads, shape.num_key_value_heads) == (256, 64, 4, 2)
    if not fits or shape.num_hidden_layers < 6:
        raise ValueError(f"these starting weights are laid out for the shape that ships, not for {shape}")
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            scale = 0.004 if name.endswith(("o_proj.weight", "down_proj.weight")) else weight.shape[1] ** -0.5
            weight.copy_(normal(*weight.shape, scale=scale))
    width = _IDENTITY.stop - _IDENTITY.start
    table = model.model.embed_tokens.weight
    table.zero_()
    table[:, 0] = 1.0
    table[:, _IDENTITY] = normal(shape.vocab_size, width, scale=embedding_scale)
    for spaced, bare in marks.spaced:  # a sentence is quoted without the space that stands before it in the document
        table[spaced, _IDENTITY] = 0.9 * table[bare, _IDENTITY] + 0.44 * table[spaced, _IDENTITY]
    table[:, _IDENTITY.start] = 0.0
    table[list(marks.ends), _IDENTITY.start] = _MARK * embedding_scale
    table[[*marks.common, 2], _COMMON] = _MARK * embedding_scale
    table[list(marks.letters), _LETTER] = _MARK * embedding_scale
    table[marks.turn, _IDENTITY] = 0.0  # what rests on the start of a turn reads nothing there
    table[marks.turn, _TURN] = _MARK * embedding_scale
    model.model.norm.weight.fill_(0.25)
    basis = torch.zeros(width, width)  # rows: directions of identity, the mark of ends first
    basis[0, 0] = 1.0
    basis[1:, 1:] = torch.linalg.qr(normal(width - 1, width - 1))[0]
    size = _START.stop - _START.start
    codes = table[:, _IDENTITY] @ basis.T
    codes[:, -size:] *= 0.1
    table[:, _IDENTITY] = codes @ basis
    letters = codes[list(marks.letters)]  # told apart exactly where they are carried along
    letters[:, -size:] = torch.linalg.qr(normal(size, size))[0][: len(letters)] * embedding_scale * size**0.5
    table[list(marks.letters), _IDENTITY] = letters @ basis
    identity = torch.arange(_IDENTITY.start, _IDENTITY.stop)
    half = shape.head_dim // 2
    turn = shape.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
    layers = [layer.self_attn for layer in model.model.layers]
    slots = torch.cat((torch.arange(_SLOW, half), torch.arange(half + _SLOW, 64)))
    n, (a, b, c) = len(slots), slots[-3:].tolist()  # a, b, c: slow coordinates for notes and marks

    def head_of(layer: int, head: int, kv: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Views on the query, key, value and output weights of one head, made quiet."""
        attention = layers[layer]
        q, k = attention.q_proj.weight[head * 64 : head * 64 + 64], attention.k_proj.weight[kv * 64 : kv * 64 + 64]
        v, o = attention.v_proj.weight[kv * 64 : kv * 64 + 64], attention.o_proj.weight[:, head * 64 : head * 64 + 64]
        q.mul_(0.02)
        k.mul_(0.02)
        v.zero_()
        return q, k, v, o

    # layer 0: one and two tokens back
    for head, kv, back, buffer in ((0, 0, 1, _BEFORE), (2, 1, 2, _BEFORE_THAT)):
        q, k, v, o = head_of(0, head, kv)
        q[:_FAST, 0] += 1.0
        k[:_FAST, 0] += torch.cos(back * turn[:_FAST])
        k[half : half + _FAST, 0] += torch.sin(back * turn[:_FAST])
        room = buffer.stop - buffer.start
        v[:room, _IDENTITY] = basis[:room]
        o[buffer, :room] += torch.eye(room) * embedding_scale
    layers[0].q_norm.weight[:_FAST] = layers[0].q_norm.weight[half : half + _FAST] = 4.0

    # layer 1, head 0: the first token of the sentence
    q, k, v, o = head_of(1, 0, 0)
    q[a, 0] += 3.0
    k[a, _BEFORE.start] += 3.0
    q[_NEAR, 0] += 1.5 * torch.tensor([0.25, 0.35, 0.5, 1, 1, 1, 1, 1])
    k[_NEAR, 0] += 1.0
    k[b, 0] += 3.0  # keeps the lengths of keys alike, and so their recency
    v[:size, _IDENTITY] = basis[-size:]
    o[_START, :size] += torch.eye(size) * embedding_scale
    v[size, _LETTER] = 1.0
    o[_MARKED, size] = embedding_scale
    layers[1].q_norm.weight[[a, b, c]] = torch.tensor([9.0, 4.0, 4.0])
    layers[1].q_norm.weight[_NEAR] = layers[1].q_norm.weight[half + _NEAR.start : half + _NEAR.stop] = 9.0

    # layer 2, head 2: the letters of the lines in which this token stands; else it rests on the starts of turns
    q, k, v, o = head_of(2, 2, 1)
    rows = slots[: n - 3]
    q[rows[:, None], identity] += basis[1 : n - 2]
    k[rows[:, None], identity] += basis[1 : n - 2]
    q[b, 0], q[c, 0], q[c, _COMMON] = 2.0, 2.0, 3.0
    k[b, _MARKED], k[c, _TURN] = 3.0, 2.0
    v[:size, _START] = torch.eye(size)
    v[size, _MARKED] = 1.0
    o[_START, :size] += torch.eye(size) * 2.0
    o[_FOUND, size] = 1.0

    assistant = basis[:48] @ table[marks.assistant, _IDENTITY]
    gate = assistant / assistant.norm() ** 2

    # layers 2 and 3: what followed this token, and these two tokens, the last time
    for layer, head, kv, values, first in (
        (2, 0, 0, slice(0, 64), 0),
        (3, 0, 0, slice(width - 64, width), 49 - n),
        (3, 2, 1, slice(0, 64), -1),
    ):
        q, k, v, o = head_of(layer, head, kv)
        layers[layer].q_norm.weight[slots] = 4.0
        plain = slots[:-1]  # the last one rests the head on the starts of turns where an answer begins
        q[c, _BEFORE] += 4 * gate
        k[c, _TURN] += 2.0
        if first >= 0:
            q[plain[:, None], identity] += basis[first : first + n - 1]
            k[plain, torch.arange(_BEFORE.start + first, _BEFORE.start + first + n - 1)] += 1.0
        else:
            part = (n - 1) // 2
            even, odd = plain[: 2 * part : 2], plain[1 : 2 * part : 2]
            q[even[:, None], identity] += basis[:part]
            k[even, torch.arange(_BEFORE.start, _BEFORE.start + part)] += 1.0
            q[odd, torch.arange(_BEFORE.start, _BEFORE.start + part)] += 1.0
            k[odd, torch.arange(_BEFORE_THAT.start, _BEFORE_THAT.start + part)] += 1.0
        v[:, _IDENTITY] = basis[values]
        o[_IDENTITY] += basis[values].T * embedding_scale * copied

    # layers 4 and 5: where an answer begins, the letters that the tokens of the question have found
    for layer in (4, 5):
        q, k, v, o = head_of(layer, 0, 0)
        q[a, _BEFORE] += gate
        q[b, _BEFORE] += gate
        q[c, 0] += 0.3
        k[a, _FOUND], k[b, _MARKED], k[c, _TURN] = 3.0, -3.0, 3.0
        q[_LATELY, _BEFORE] += 0.5 * gate
        k[_LATELY, 0] = 2.0
        layers[layer].q_norm.weight[[a, b, c]] = 2.0
        v[:size, _START] = torch.eye(size)
        o[_IDENTITY, :size] += basis[-size:].T * embedding_scale * found
