"""Tokenizers of several kinds, and answers drawn at random among what a guide allows."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from layouts import CORPUS
from sadari.mini import MINI_PATH
from sadari.model.grammar import Grammars, Guide, grammars_of

END = "</s>"


@pytest.fixture(scope="session")
def mini() -> Any:
    """The tokenizer of mini."""
    import transformers

    return transformers.AutoTokenizer.from_pretrained(MINI_PATH)


@pytest.fixture(scope="session")
def grammars(mini: Any) -> Grammars:
    """Of mini."""
    return grammars_of(mini, ends_of(mini))


def ends_of(tokenizer: Any) -> frozenset[int]:
    return frozenset({tokenizer.eos_token_id})


@pytest.fixture(scope="session")
def sentencepiece() -> Callable[[str], Any]:
    """A small tokenizer built as those of Llama 2 and Mistral ("prefixed") or of Gemma ("plain")."""
    return _sentencepiece


def _sentencepiece(kind: str) -> Any:
    import transformers

    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, show_progress=False))
    learnt = json.loads(trained.to_str())["model"]
    first = ["<unk>", "<s>", END, *(f"<0x{b:02X}>" for b in range(256))]
    vocab = {piece: i for i, piece in enumerate(first + list(learnt["vocab"]))}
    merges = [tuple(m) for m in learnt["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if kind == "prefixed":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
        steps.append(decoders.Strip(" ", 1, 0))
    else:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_special_tokens([AddedToken(s, special=True) for s in ("<unk>", "<s>", END, "[TOOL_CALLS]", "[ARGS]")])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, unk_token="<unk>")


Draw = Callable[..., str]


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Draws an answer: `draw(guide, tokenizer, seed)`, each token uniformly among those allowed."""
    return _draw


def _draw(guide: Guide, tokenizer: Any, seed: int = 0, limit: int = 4000) -> str:
    return str(tokenizer.decode(_draw_ids(guide, tokenizer, seed, limit)))


def _draw_ids(guide: Guide, tokenizer: Any, seed: int, limit: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    out = list(guide.forced())
    while not guide.is_over:
        assert len(out) < limit, f"no end after {limit} tokens: {tokenizer.decode(out)[-200:]}"
        scores = torch.rand(len(tokenizer), generator=generator)
        guide.prepare()
        guide.restrict(scores)
        token = int(scores.argmax())
        if token == tokenizer.eos_token_id:
            assert guide.is_complete
            break
        guide.accept(token)
        out += [token, *guide.forced()]
    return out
