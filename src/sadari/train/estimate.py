"""Memory and arithmetic of a model before it is trained or served, from its sizes alone.

Good to about a quarter for decoders with gated feed-forward layers: enough to see that a step takes 60 GB where 16 are there.
`train.dry_run` measures instead. Not covered: experts of which few are used, vision parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sadari.model.shape import ModelShape
from sadari.train.config import AdapterConfig, FullConfig, LoraConfig, SoftPromptConfig, TuneConfig

Method = Literal["lora", "qlora", "adapter", "prompt_tuning", "prefix", "ia3", "full"]
Precision = Literal["float32", "bfloat16", "int4"]

BYTES: dict[Precision, float] = {"float32": 4.0, "bfloat16": 2.0, "int4": 0.5625}
"""Per weight; four bits carry a 16-bit scale and zero point for every 64 weights."""

OVERHEAD = 700 * 2**20
"""Bytes of the libraries and of the tokenizer."""

PASSING, PASSING_CPU = 1.2, 1.5
"""Activations at the peak for those kept: what passes through a layer, and the holes that the C library leaves between tensors.
Measured on a CPU (Qwen3 and Llama of 7 to 40 M weights): 1.45 to 1.65."""

_CONFIGS: Mapping[Method, type[TuneConfig]] = {
    "lora": LoraConfig,
    "qlora": LoraConfig,
    "adapter": AdapterConfig,
    "prompt_tuning": SoftPromptConfig,
    "prefix": SoftPromptConfig,
    "full": FullConfig,
}


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


def trained_weights(shape: ModelShape, method: Method, config: TuneConfig | None = None) -> int:
    """Weights that a method trains; `config` is the method's own, its defaults if None."""
    config = config or _defaults(method)
    blocks = shape.layers * shape.layer_matrices
    if isinstance(config, FullConfig) and config.last_layers is not None:
        return round(blocks * config.last_layers / shape.layers)
    if isinstance(config, LoraConfig):
        return shape.low_rank_parameters(config.rank)
    if isinstance(config, AdapterConfig):
        places = shape.layers * (2 if config.style == "houlsby" else 1)
        return places * (2 * shape.hidden * config.width + shape.hidden + config.width)
    if isinstance(config, SoftPromptConfig):
        return config.tokens * (shape.hidden if method == "prompt_tuning" else 2 * shape.layers * shape.key_value_width)
    if method == "ia3":
        return shape.layers * (2 * shape.key_value_width + shape.intermediate)
    return shape.parameters


@dataclass(frozen=True, slots=True)
class Step:
    """What a training step computes at once.

    Args:
        tokens: Of the largest batch, after shared beginnings are joined: at most `packed_tokens`.
        predictions: Places in it that something learnt is predicted from; None for all.
        precision: Of the weights.
        arithmetic: "bfloat16" over weights in float32 is autocast; None for that of the weights.
        accumulates: Whether a step has several batches, so that gradients stand while the next is computed.
        on_cpu: Whether memory is had from a C library, which leaves holes, and not from torch's own allocator.
    """

    tokens: int
    predictions: int | None = None
    precision: Precision = "float32"
    arithmetic: Precision | None = None
    accumulates: bool = False
    on_cpu: bool = True


def step_memory(shape: ModelShape, method: Method, step: Step, config: TuneConfig | None = None) -> Memory:
    """Peak memory of a training step of sadari.

    What is trained has, for each weight in float32, a gradient and two moments of AdamW: 16 bytes with the weight itself. The best
    look at validation is kept on disk. Scores of the vocabulary never take more than a few chunks of `train.loss`.

    Args:
        config: The method's own settings, its defaults if None; `checkpointing` keeps the input of each block and one whole block.

    Source:
        Bytes per trained weight: Rajbhandari et al. (2020), ZeRO, arXiv 1910.02054. QLoRA: Dettmers et al. (2023),
        arXiv 2305.14314. Checkpointing: Chen et al. (2016), arXiv 1604.06174. Activations: counted from the operations of a
        layer as Korthikanti et al. (2022), arXiv 2205.05198, do.
    """
    config = config or _defaults(method)
    trained = trained_weights(shape, method, config)
    arithmetic = step.arithmetic or ("bfloat16" if method == "qlora" else step.precision)
    predictions = step.tokens if step.predictions is None else min(step.predictions, step.tokens)
    kept = kept_bytes(shape, method, config, arithmetic) * step.tokens
    is_autocast = arithmetic == "bfloat16" and step.precision == "float32" and method != "qlora"
    frozen = shape.parameters - trained if method == "full" else shape.parameters
    weights = weight_bytes(shape, "int4") if method == "qlora" else BYTES[step.precision] * frozen
    # The gradient of a tied or untied output layer is had with the loss, beside that of the embedding.
    head = 2 * 4.0 * shape.embedding if trained == shape.parameters and method == "full" else 0.0
    gradients = 4.0 * trained if step.accumulates or not head else max(head, 4.0 * trained - kept)
    return Memory(
        weights=weights + 4.0 * trained + (2.0 * shape.layers * shape.layer_matrices if is_autocast else 0.0),
        gradients=gradients,
        optimizer=8.0 * trained,
        activations=kept * (PASSING_CPU if step.on_cpu else PASSING),
        logits=scores_bytes(shape.vocabulary, predictions, arithmetic, leaves_holes=step.on_cpu),
    )


def training_memory(
    shape: ModelShape,
    method: Method,
    *,
    batch_tokens: int,
    learnt_tokens: int | None = None,
    rank: int = 16,
    precision: Precision = "float32",
) -> Memory:
    """`step_memory` of a method at its defaults, LoRA at a rank; QLoRA holds weights in four bits and computes in bfloat16."""
    config = LoraConfig.model_validate({"rank": rank}) if method in ("lora", "qlora") else None
    return step_memory(shape, method, Step(batch_tokens, learnt_tokens, precision), config)


def kept_bytes(shape: ModelShape, method: Method, config: TuneConfig, arithmetic: Precision) -> float:
    """Bytes for each token that are kept for the backward pass."""
    layers = shape.layers
    if isinstance(config, FullConfig) and config.last_layers is not None:
        layers = min(layers, config.last_layers)
    values = activation_values(shape, method, config)
    kept: float = layers * values
    if isinstance(config, AdapterConfig):
        kept -= _frozen_values(shape)  # nothing is learnt before the first adapter
    if config.checkpointing:
        kept = layers * shape.hidden + values
    return (kept + 2 * shape.hidden) * (4.0 if arithmetic == "float32" else 2.0)


def activation_values(shape: ModelShape, method: Method, config: TuneConfig | None = None) -> int:
    """Numbers that one layer keeps per token for the backward pass.

    In a frozen layer both norms keep their input (2 hidden), attention keeps queries, keys and values before and after their own
    norms and its output (3 query widths, 3 key-value widths), the gated feed-forward part gate, activation and up (3 intermediate).
    Layers whose weights, or a low-rank update of them, are trained keep their inputs besides: both normed inputs and the product of
    the feed-forward part. Attention scores are not kept: the kernel recomputes them.
    """
    config = config or _defaults(method)
    frozen = _frozen_values(shape)
    inputs = 2 * shape.hidden + shape.intermediate
    if isinstance(config, LoraConfig):
        return frozen + inputs + 7 * config.rank
    if method == "full":
        return frozen + inputs + 2 * shape.hidden + shape.query_width + shape.key_value_width  # the norms' own inputs, scaled
    if isinstance(config, AdapterConfig):
        return frozen + (2 if config.style == "houlsby" else 1) * (2 * shape.hidden + config.width)
    return frozen + (2 * shape.key_value_width + shape.intermediate if method == "ia3" else 0)


def _defaults(method: Method) -> TuneConfig:
    return _CONFIGS.get(method, TuneConfig).model_validate({})


def _frozen_values(shape: ModelShape) -> int:
    return 2 * shape.hidden + 3 * (shape.query_width + shape.key_value_width) + 3 * shape.intermediate


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
            those of this one: on a CPU it was a chunk more or none, from run to run, and half of one is counted.
    """
    from sadari.train.loss import SCORES_BYTES

    chunk = max(16, SCORES_BYTES // (4 * vocabulary))
    first, second = min(predictions, chunk), min(max(0.0, predictions - chunk), chunk)
    return (4 if precision == "float32" else 6) * vocabulary * (first + second + 0.5 * first * leaves_holes)
