"""What packed training is held against: tiny random models of many families, and rows run one by one through the model itself."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import transformers
from hypothesis import strategies as st
from torch import Tensor

from sadari.train.rows import Row

VOCABULARY = 97

_MIXED = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "qwen2": ("Qwen2", {}),
    "qwen3": ("Qwen3", {"head_dim": 8}),
    "gemma3": ("Gemma3Text", {"head_dim": 8, "sliding_window": 7, "layer_types": _MIXED}),
    "mistral": ("Mistral", {"sliding_window": 7}),
    "exaone4": ("Exaone4", {"sliding_window": 7, "layer_types": _MIXED}),
    "phi3": ("Phi3", {"sliding_window": 9}),
    "granite": ("Granite", {"logits_scaling": 3.0, "residual_multiplier": 0.7, "embedding_multiplier": 1.5}),
    "cohere2": ("Cohere2", {"sliding_window": 7, "layer_types": _MIXED, "logit_scale": 0.3}),
    "smollm3": ("SmolLM3", {"no_rope_layers": [1, 0, 1, 0]}),
}
"""Families whose rows share their beginnings; config class without `Config`, and what is particular to them."""


def tiny(family: str, **changes: Any) -> Any:
    """A model of four layers with random weights, biases and norms, in evaluation mode, float32."""
    name, more = FAMILIES.get(family, (family, {}))
    settings = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        **more,
        **changes,
    }
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**settings)
    model = getattr(transformers, f"{name.removesuffix('Text')}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # far from where initialisation leaves them: every gradient counts
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def losses(model: Any, row: Row, logits: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Weight times cross-entropy of each learnt token of a row, from the model's own logits, float64."""
    ids = torch.tensor([row.ids])
    scores = (model(ids).logits if logits is None else logits(ids))[0].double()
    out = []
    for place in range(1, len(row.ids)):
        if row.weights[place]:
            among = list(row.among[place]) if row.among and row.among[place] else list(range(scores.shape[1]))
            normaliser = scores[place - 1, among].logsumexp(0)
            soft = row.soft[place] if row.soft else ((row.ids[place], 1.0),)
            wanted = sum(share * (scores[place - 1, token] - normaliser) for token, share in soft)
            out.append(-row.weights[place] * wanted)
    return torch.stack([torch.as_tensor(value) for value in out])


def mean_loss(model: Any, rows: Sequence[Row], logits: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Mean over the whole weight of the rows, each run alone."""
    return torch.stack([losses(model, row, logits).sum() for row in rows]).sum() / sum(sum(row.weights[1:]) for row in rows)


def gradients(model: Any) -> dict[str, Tensor]:
    """Gradients by name; taken from the model."""
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def reference(model: Any, rows: Sequence[Row], logits: Callable[[Tensor], Tensor] | None = None) -> tuple[float, dict[str, Tensor]]:
    """Mean loss and gradients of the rows, one by one."""
    model.zero_grad(set_to_none=True)
    loss = mean_loss(model, rows, logits)
    loss.backward()
    return loss.item(), gradients(model)


def assert_same_gradients(found: dict[str, Tensor], expected: dict[str, Tensor], rel: float = 1e-5) -> None:
    """Every gradient agrees in norm; those that are zero but for rounding, as of a key's bias, to the rounding of the others."""
    assert found.keys() == expected.keys()
    largest = max(float(gradient.norm()) for gradient in expected.values())
    for name, gradient in expected.items():
        error = float((found[name] - gradient).norm())
        assert error <= rel * max(float(gradient.norm()), 1e-2 * largest), f"{name}: off by {error} of {float(gradient.norm())}"


def rows_of(*texts: str, learnt: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ") -> list[Row]:
    """Rows by letters, one token each; capital letters are learnt."""
    return [
        Row(f"row {i}", tuple(ord(c.lower()) - 30 for c in text), tuple(float(c in learnt) for c in text))
        for i, text in enumerate(texts)
    ]


@st.composite
def row_sets(draw: st.DrawFn, *, most: int = 8, constrained: bool = False) -> list[Row]:
    """Rows of few different tokens, so that beginnings are shared, rows repeated, and some are the beginning of others.

    Weights are in (0, 1], on the first token and in the middle too. If `constrained`, tokens may be learnt among a few ids, or from
    a teacher's shares.
    """
    texts = draw(st.lists(st.lists(st.integers(1, 3), min_size=2, max_size=9), min_size=1, max_size=most))
    texts = [texts[draw(st.integers(0, i))] + text if draw(st.booleans()) else text for i, text in enumerate(texts)]
    rows = []
    for i, text in enumerate(texts):
        weights = [draw(st.sampled_from((0.0, 0.0, 0.25, 1.0))) for _ in text]
        weights[draw(st.integers(1, len(text) - 1))] = draw(st.sampled_from((0.5, 1.0)))
        row = Row(f"row {i}", tuple(text), tuple(weights))
        rows.append(_constrained(draw, row) if constrained else row)
    return rows


def _constrained(draw: st.DrawFn, row: Row) -> Row:
    among = [tuple(sorted({token, *draw(st.sets(st.integers(4, 6)))})) if draw(st.booleans()) else () for token in row.ids]
    soft = [draw(st.sampled_from([((token, 1.0),), ((token, 0.75),), ((token, 0.5), (2, 0.25))])) for token in row.ids]
    is_soft = draw(st.booleans())
    return Row(row.id, row.ids, row.weights, () if is_soft else tuple(among), tuple(soft) if is_soft else ())
