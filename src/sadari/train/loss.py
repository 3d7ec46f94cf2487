"""Cross-entropy over the tokens that count, and over no others, without ever holding all scores."""

from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sadari.train.trie import Trie

SCORES_BYTES = 2**28
"""Most memory for the scores of one chunk."""


def prediction_losses(model: Any, hidden: Tensor, trie: Trie) -> Tensor:
    """Cross-entropy of each prediction, in nats, shape (M,), float32; not yet weighted.

    Scores are computed in chunks and computed again for the gradient, so memory does not grow with the vocabulary.

    Args:
        model: A `transformers` causal language model.
        hidden: Final hidden states at `trie.at`, shape (M, D).
        trie: The batch.
    """
    rows = _chunk_rows(model)
    parts = []
    for start in range(0, len(trie.at), rows):
        targets = targets_of(trie, slice(start, start + rows), model.get_output_embeddings().weight)
        parts.append(checkpoint(_losses, model, hidden[start : start + rows], *targets, use_reentrant=False))
    return torch.cat(parts)


def summed_loss(model: Any, hidden: Tensor, trie: Trie) -> Tensor:
    """Sum over the predictions of weight times cross-entropy, in nats, float32 scalar.

    The same number as `(weights * prediction_losses).sum()`. Since the weights are known beforehand, the gradient is formed while
    the scores are there: nothing is computed twice.

    Source:
        Forming the gradient in the forward pass: Hsu et al. (2024), arXiv 2410.10989, section 3.2.
    """
    weights = torch.as_tensor(trie.weights, device=hidden.device)
    head = model.get_output_embeddings()
    if not _is_plain(model):
        return (prediction_losses(model, hidden, trie) * weights).sum()
    if torch.is_autocast_enabled(hidden.device.type):
        hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
    loss: Tensor = _FusedLoss.apply(hidden, head.weight, head.bias, weights, trie, _chunk_rows(model))
    return loss


class _FusedLoss(torch.autograd.Function):
    """Output layer, cross-entropy and their gradient, chunk by chunk."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, weights: Tensor, trie: Trie, rows: int) -> Tensor:
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        layer = weight.to(hidden.dtype)
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        grad_weight = torch.zeros_like(weight) if needs_weight else None
        grad_bias = torch.zeros_like(bias) if needs_bias and bias is not None else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), rows):
            some = hidden[start : start + rows]
            targets, shares, forbidden = targets_of(trie, slice(start, start + rows), weight)
            scores = F.linear(some, layer, None if bias is None else bias.to(hidden.dtype)).float()
            wanted = _wanted(scores, targets, shares, forbidden)
            largest = scores.amax(dim=1, keepdim=True)
            # In place: a tensor of this size is slower to be had than to be computed.
            sums = scores.sub_(largest).exp_().sum(dim=1, keepdim=True)
            coefficient = weights[start : start + rows, None]
            whole = shares.sum(dim=1, keepdim=True)
            total += (coefficient * ((largest + sums.log()) * whole - wanted)).sum()
            if not any(ctx.needs_input_grad[:3]):
                continue
            # d loss / d score = softmax * (sum of shares) - shares
            grad = scores.mul_(coefficient * whole / sums)
            grad.scatter_add_(1, targets, -coefficient * shares)
            grad = grad.to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(grad, layer, out=grad_hidden[start : start + rows])
            if grad_weight is not None:
                grad_weight.addmm_(grad.T.to(weight.dtype), some.to(weight.dtype))
            if grad_bias is not None:
                grad_bias += grad.sum(dim=0)
        ctx.grads = grad_hidden, grad_weight, grad_bias
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grads = tuple(None if g is None else g.mul_(grad.to(g.dtype)) for g in ctx.grads)
        del ctx.grads
        return (*grads, None, None, None)


def _losses(model: Any, hidden: Tensor, targets: Tensor, shares: Tensor, forbidden: Tensor | None) -> Tensor:
    scores = scores_of(model, hidden)
    wanted = _wanted(scores, targets, shares, forbidden)
    return scores.logsumexp(dim=1) * shares.sum(dim=1) - wanted[:, 0]


def _wanted(scores: Tensor, targets: Tensor, shares: Tensor, forbidden: Tensor | None) -> Tensor:
    """Scores of the targets, weighted by their shares, shape (C, 1); forbidden scores become -inf in place."""
    if forbidden is not None:
        scores.masked_fill_(forbidden, float("-inf"))
    wanted = scores.gather(1, targets)
    if shares.shape[1] > 1:  # padding may stand where a constraint forbids: 0 times infinity
        wanted = torch.where(shares > 0, wanted, 0.0)
    return (wanted * shares).sum(dim=1, keepdim=True)


def scores_of(model: Any, hidden: Tensor) -> Tensor:
    """Scores of the vocabulary, float32, as the model itself makes them of hidden states."""
    if _is_plain(model):
        return model.get_output_embeddings()(hidden).float()
    return _own_scores(model, hidden)


_PLAIN: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def _is_plain(model: Any) -> bool:
    """Whether scores are the output layer applied to hidden states and nothing else: no scale, no soft cap, no adapter.

    Found by trying: some families divide by a setting by which others multiply, and many carry settings that they never read.
    """
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear:
        return False
    if model not in _PLAIN:
        with torch.no_grad():
            large = 1000 * torch.arange(head.weight.shape[1], device=head.weight.device).cos()  # a soft cap shows
            hidden = large.to(head.weight.dtype)[None]
            direct, own = head(hidden).float(), _own_scores(model, hidden)
        _PLAIN[model] = bool((own - direct).norm() <= 1e-3 * direct.norm())
    return _PLAIN[model]


def _own_scores(model: Any, hidden: Tensor) -> Tensor:
    """What the model's own forward pass makes of hidden states that its decoder is said to have given."""
    decoder = model.get_decoder()
    before = vars(decoder).get("forward")
    decoder.forward = lambda *args, **kwargs: _Given((hidden[None],))
    try:
        ids = torch.zeros(1, len(hidden), dtype=torch.long, device=hidden.device)
        return model(input_ids=ids, use_cache=False).logits[0].float()
    finally:
        del decoder.forward
        if before is not None:
            decoder.forward = before


class _Given(tuple[Tensor]):
    """The output of a decoder of any family; what it does not hold is None."""

    def __getattr__(self, name: str) -> Tensor | None:
        return self[0] if name == "last_hidden_state" else None


def _chunk_rows(model: Any) -> int:
    vocabulary: int = model.get_output_embeddings().weight.shape[0]
    return max(16, SCORES_BYTES // (4 * vocabulary))


def targets_of(trie: Trie, some: slice, head: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Ids, shares and what is forbidden, of some predictions; None if all ids are free."""
    targets, shares = (torch.as_tensor(values[some], device=head.device) for values in (trie.targets, trie.shares))
    among = trie.among[some]
    if not any(among):
        return targets, shares, None
    forbidden = torch.zeros(len(among), head.shape[0], dtype=torch.bool)
    for at, ids in enumerate(among):
        if ids:
            forbidden[at] = True
            forbidden[at, list(ids)] = False
    return targets, shares, forbidden.to(head.device)
