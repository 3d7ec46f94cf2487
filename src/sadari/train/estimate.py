"""Memory and arithmetic of a model before it is trained or served, from its sizes alone.

Good to about a quarter for decoders with gated feed-forward layers: enough to see that a step takes 60 GB where 16 are there. Not
covered: experts of which few are used, vision parts, memory that an allocator wastes.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sadari.model.shape import ModelShape

Method = Literal["full", "lora", "qlora"]
Precision = Literal["float32", "bfloat16", "int4"]

BYTES: dict[Precision, float] = {"float32": 4.0, "bfloat16": 2.0, "int4": 0.5625}
"""Per weight; four bits carry a 16-bit scale and zero point for every 64 weights."""

OVERHEAD = 700 * 2**20
"""Bytes of the libraries and of the tokenizer."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes at the peak, part by part."""

    weights: float
    gradients: float = 0.0
    optimizer: float = 0.0
    activations: float = 0.0
    logits: float = 0.0
    cache: float = 0.0
    overhead: float = float(OVERHEAD)

    @property
    def total(self) -> float:
        """Bytes together."""
        held = self.weights + self.gradients + self.optimizer + self.activations + self.logits
        return held + self.cache + self.overhead

    @property
    def gib(self) -> float:
        """GiB together."""
        return self.total / 2**30


def weight_bytes(shape: ModelShape, precision: Precision) -> float:
    """Bytes of the weights; in four bits the embeddings and norms stay in bfloat16."""
    if precision != "int4":
        return BYTES[precision] * shape.parameters
    quantized = min(shape.parameters, shape.layers * shape.layer_matrices)
    return BYTES["int4"] * quantized + BYTES["bfloat16"] * (shape.parameters - quantized)


def training_memory(
    shape: ModelShape,
    method: Method,
    *,
    batch_tokens: int,
    learnt_tokens: int | None = None,
    rank: int = 16,
    precision: Precision = "float32",
) -> Memory:
    """Peak memory of a training step of sadari.

    What is trained has, for each weight in float32, a gradient, two moments of AdamW, and a copy of the best look at validation:
    20 bytes with the weight itself. Activations are those that autograd keeps, without checkpointing.

    Args:
        batch_tokens: Tokens of a step, padding included.
        learnt_tokens: Those of them that are predicted and so meet the output layer; None for all.
        rank: Of LoRA.
        precision: Of the weights and the activations; QLoRA holds its weights in four bits and computes in bfloat16.

    Source:
        Bytes per trained weight: Rajbhandari et al. (2020), ZeRO, arXiv 1910.02054. QLoRA: Dettmers et al. (2023),
        arXiv 2305.14314. Activations: counted from the operations of a layer as Korthikanti et al. (2022), arXiv 2205.05198, do.
    """
    trained = shape.parameters if method == "full" else shape.low_rank_parameters(rank)
    held: Precision = "int4" if method == "qlora" else precision
    width = BYTES["bfloat16"] if method == "qlora" else BYTES[precision]
    learnt = batch_tokens if learnt_tokens is None else min(learnt_tokens, batch_tokens)
    return Memory(
        weights=weight_bytes(shape, held) + (0 if method == "full" else 4 * trained),
        gradients=4.0 * trained,
        optimizer=(8.0 + 4.0) * trained,
        activations=batch_tokens * (shape.layers * activation_values(shape) + 4 * shape.hidden) * width,
        logits=3.0 * 4.0 * learnt * shape.vocabulary,  # scores, their softmax and its gradient, in float32
    )


def activation_values(shape: ModelShape) -> int:
    """Numbers that one layer keeps per token for the backward pass.

    Two norms keep input, scaled input and output each (6 hidden); attention keeps queries, rotated queries, the repeated keys and
    values, and its output (5 query widths) and keys, rotated keys and values (3 key-value widths); the gated feed-forward layer
    keeps gate, activation, up and product (4 intermediate). Attention scores are not kept: the kernel recomputes them.
    """
    return 6 * shape.hidden + 5 * shape.query_width + 3 * shape.key_value_width + 4 * shape.intermediate


def serving_memory(shape: ModelShape, precision: Precision = "float32", *, held_tokens: int = 0) -> Memory:
    """Memory of answering: weights, and a key and a value per layer for each of the `held_tokens` of a batch."""
    width = BYTES["float32"] if precision == "float32" else BYTES["bfloat16"]
    return Memory(weights=weight_bytes(shape, precision), cache=2 * held_tokens * shape.layers * shape.key_value_width * width)


def training_flops(shape: ModelShape, method: Method, tokens: float, *, learnt_share: float = 1.0, length: float = 0.0) -> float:
    """Floating-point operations of training on `tokens` tokens.

    Forward takes 2 per weight and token, the gradient of the activations 2, that of the weights 2 more; a low-rank update goes
    without the last. The output layer counts for the tokens that are learnt. Attention adds 2 for each pair of places twice.

    Args:
        learnt_share: Share of the tokens that are predicted, in [0, 1].
        length: Mean row length in tokens.

    Source:
        Kaplan et al. (2020), arXiv 2001.08361, section 2.1.
    """
    per_pass = _matrix_weights(shape, learnt_share) + shape.layers * shape.query_width * length
    return (6.0 if method == "full" else 4.0) * per_pass * tokens


def answering_flops(shape: ModelShape, prompt_tokens: float, new_tokens: float, *, length: float = 0.0) -> float:
    """Floating-point operations of reading `prompt_tokens` and writing `new_tokens`; only written tokens meet the output layer."""
    attention = shape.layers * shape.query_width * length
    body = shape.layers * shape.layer_matrices + attention
    return 2.0 * (body * (prompt_tokens + new_tokens) + shape.embedding * new_tokens)


def _matrix_weights(shape: ModelShape, learnt_share: float) -> float:
    return shape.layers * shape.layer_matrices + learnt_share * shape.embedding


def scores_bytes(vocabulary: int, predictions: float, precision: Precision = "float32", *, leaves_holes: bool = True) -> float:
    """Bytes that the scores of the vocabulary take at most while the loss of `predictions` is computed.

    The scores of a chunk are let go when those of the next are there: two chunks.

    Args:
        precision: Of the arithmetic; in bfloat16 the scores stand in both precisions.
        leaves_holes: Whether memory is had from a C library, where the hole that the scores of another batch left is too small for
            those of this one: a chunk more.
    """
    from sadari.train.loss import SCORES_BYTES

    chunk = max(16, SCORES_BYTES // (4 * vocabulary))
    first, second = min(predictions, chunk), min(max(0.0, predictions - chunk), chunk)
    return (4 if precision == "float32" else 6) * vocabulary * (first + second + first * leaves_holes)
