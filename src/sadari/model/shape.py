"""The sizes of a decoder-only model from which its memory and its arithmetic follow."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a decoder with grouped-query attention and a gated feed-forward layer (Llama, Qwen, Gemma, Phi, EXAONE, ...).

    Args:
        hidden: Width of the residual stream.
        intermediate: Width of the feed-forward layer.
        query_width: Heads times head width.
        key_value_width: Key-value heads times head width.
        is_tied: Whether the input embedding is the output layer.
        stated: Parameters as counted or as the maker states them; 0 to add them up from the other sizes.
    """

    layers: int
    hidden: int
    intermediate: int
    query_width: int
    key_value_width: int
    vocabulary: int
    is_tied: bool = True
    stated: int = 0

    @property
    def parameters(self) -> int:
        """All weights, embeddings once if they are tied."""
        return self.stated or self.layers * self.layer_matrices + self.embedding * (1 if self.is_tied else 2)

    @property
    def layer_matrices(self) -> int:
        """Weights of the matrices of one layer; norms are left out (a thousandth)."""
        attention = 2 * self.hidden * (self.query_width + self.key_value_width)
        return attention + 3 * self.hidden * self.intermediate

    @property
    def embedding(self) -> int:
        """Weights of the input embedding, or of the output layer."""
        return self.vocabulary * self.hidden

    def low_rank_parameters(self, rank: int) -> int:
        """Weights that LoRA of this rank adds to every linear layer but the output layer."""
        attention = 2 * (self.hidden + self.query_width) + 2 * (self.hidden + self.key_value_width)
        return self.layers * rank * (attention + 3 * (self.hidden + self.intermediate))


def shape_of(model: Any) -> ModelShape:
    """The shape of a loaded `transformers` model; sizes that its config does not name are taken from those it does."""
    config = model.config.get_text_config(decoder=True)
    heads = config.num_attention_heads
    head_width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return ModelShape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        query_width=heads * head_width,
        key_value_width=(getattr(config, "num_key_value_heads", None) or heads) * head_width,
        vocabulary=config.vocab_size,
        is_tied=bool(getattr(config, "tie_word_embeddings", False)),
        stated=sum(p.numel() for p in model.parameters()),
    )
