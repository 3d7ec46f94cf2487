"""Which decoder a model can have, found by trying.

A model that takes its attention from the registry of `transformers` runs all rows of a step as one line of tokens. Whether it can
is found by trying: a few steps over a shared beginning must give the scores that the model itself gives. Any other model (recurrent
layers, ALiBi, layers with masks of their own) runs its rows one by one, with the cache that `transformers` makes for it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from sadari.errors import ModelError
from sadari.model.engine.decoder import Decoder, Turn
from sadari.model.engine.flat import FlatDecoder
from sadari.model.engine.isolated import IsolatedDecoder
from sadari.model.engine.memory import SHORTEST, Kind
from sadari.model.engine.row import Row
from sadari.model.prefix import VirtualPrefix

AGREEMENT = 1e-3
"""Largest relative difference of the probe's scores; a wrong mask differs by far more, another kernel by far less."""

COARSE_AGREEMENT = 3e-2
"""The same where weights are in 16 bits."""


def decoder_for(model: Any, cache_bytes: int, prefix: VirtualPrefix | None = None) -> Decoder:
    """The fastest decoder that is exact for this model, found by trying.

    Args:
        cache_bytes: Most memory for keys and values.
        prefix: Learnt vectors before every row; only models that attend plainly take them.

    Raises:
        ModelError: If learnt vectors stand before rows of a model that cannot share beginnings.
    """
    fault = "its layers hold keys and values of several shapes"
    try:
        kind, probe, expected = _expected(model)
        if kind is not None:
            tokens = cache_bytes // kind.bytes_per_token
            decoder = FlatDecoder(model, kind, tokens)
            fault = "" if _agrees(decoder, probe, expected) else "its scores differ from those row by row"
            if not fault:
                _make_lean_if_it_agrees(decoder, probe, expected)
                decoder.begin_with(kind, tokens, prefix)
                return decoder
    except Exception as error:  # whatever a layer makes of it
        fault = str(error).splitlines()[0] if str(error) else type(error).__name__
    if prefix is not None:
        raise ModelError(f"{model.name_or_path}: rows of a {type(model).__name__} cannot begin with learnt vectors ({fault}).")
    return IsolatedDecoder(model)


def _make_lean_if_it_agrees(decoder: FlatDecoder, probe: Sequence[Sequence[int]], expected: Sequence[Tensor]) -> None:
    decoder.be_lean(True)
    try:
        agrees = _agrees(decoder, probe, expected)
    except (AttributeError, TypeError, RuntimeError):  # the model is built otherwise
        agrees = False
    decoder.be_lean(agrees)


def _expected(model: Any) -> tuple[Kind | None, list[list[int]], list[Tensor]]:
    """What keys and values of this model are, None if not the same in all layers; two rows and the scores of their tokens."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(0)
    shared, *tails = (torch.randint(vocabulary, (n,), generator=generator).tolist() for n in (2 * SHORTEST, 5, 3))
    rows = [shared + tail for tail in tails]
    cache = DynamicCache(config=model.config)
    expected = [model(input_ids=torch.tensor([rows[0]], device=model.device), past_key_values=cache, use_cache=True).logits[0]]
    expected += [model(input_ids=torch.tensor([row], device=model.device), use_cache=False).logits[0] for row in rows[1:]]
    shapes = {(t.shape[1], t.shape[3]) for layer in cache.layers for t in (layer.keys, layer.values)}
    layers = model.config.get_text_config(decoder=True).num_hidden_layers
    if len(shapes) != 1 or len(cache.layers) != layers:
        return None, rows, expected
    (heads, width), held = shapes.pop(), cache.layers[0].keys
    return Kind(layers, heads, width, held.dtype, held.device), rows, expected


def _agrees(decoder: FlatDecoder, probe: Sequence[Sequence[int]], expected: Sequence[Tensor]) -> bool:
    """Whether steps that share, go on and write give the expected scores."""
    decoder.begin_with(decoder.memory.kind, decoder.memory.most)
    first, second = (Row(ids, limit=1) for ids in probe)
    first.shared = second.shared = 2 * SHORTEST
    filler = Row(probe[0][: 2 * SHORTEST])
    found: list[list[Tensor]] = [[], []]
    decoder.admit(filler)
    decoder.run([Turn(filler, 20, 0)])
    decoder.run([Turn(filler, 2 * SHORTEST - 20, 0)])
    decoder.leave(filler)
    for row in (first, second):
        decoder.admit(row)
    for counts in ((3, 1), (1, 1), (1, 1)):
        scores = decoder.run([Turn(row, n, n) for row, n in zip((first, second), counts, strict=True)])
        for lines, part in zip(found, scores.split(counts), strict=True):
            lines.append(part)
    for lines, wanted in zip(found, expected, strict=True):
        wanted = wanted[2 * SHORTEST :].float()
        error = (torch.cat(lines) - wanted).norm() / wanted.norm()
        most = COARSE_AGREEMENT if expected[0].dtype.itemsize < 4 else AGREEMENT
        if bool(error > most):  # not so where weights are damaged and nothing is a number: that is seen later
            return False
    return True
