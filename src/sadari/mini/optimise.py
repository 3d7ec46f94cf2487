"""Muon for the matrices, Adam for the rest, in fp32 (torch's own Muon orthogonalises in bf16, ten times slower without AMX)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# Newton-Schulz steps toward the nearest semi-orthogonal matrix, each fitted to the spectrum the last one leaves.
# Source: Amsel et al. (2025), "The Polar Express", arXiv 2505.16932; Muon: Jordan et al. (2024).
_POLAR = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
)


def orthogonalise(matrices: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices to `matrices`, shape (N, rows, columns) with rows <= columns, roughly."""
    x = matrices / (matrices.flatten(1).norm(dim=1)[:, None, None] * 1.01 + 1e-7)
    for a, b, c in _POLAR:
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x


class MuonAdam:
    """One optimiser over a model: matrices inside the layers by Muon, embeddings and norms by Adam."""

    def __init__(
        self,
        model: nn.Module,
        *,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.98),
        weight_decay: float = 0.05,
        muon: bool = True,
    ) -> None:
        named = list(model.named_parameters())
        groups: dict[tuple[int, int], list[nn.Parameter]] = {}
        for name, p in named:
            if p.ndim == 2 and "embed" not in name and muon:
                groups.setdefault((min(p.shape), max(p.shape)), []).append(p)
        self._groups = groups
        chosen = {id(p) for ps in groups.values() for p in ps}
        self._rest = [p for _, p in named if id(p) not in chosen]
        self._momentum = {size: torch.zeros(len(ps), *size) for size, ps in groups.items()}
        self._adam = torch.optim.AdamW(
            [{"params": [p for p in self._rest if p.ndim == 2]}, {"params": [p for p in self._rest if p.ndim < 2]}],
            lr=1.0,
            betas=betas,
            eps=1e-9,
            weight_decay=0.0,
            fused=True,
        )
        self._beta, self._decay = momentum, weight_decay

    @torch.no_grad()
    def step(self, learning_rate: float, embedding_rate: float) -> None:
        """Update once from the gradients; `learning_rate` is in Adam's units (an update of 0.2 times it per element)."""
        for size, parameters in self._groups.items():
            gradients = torch.stack([p.grad if p.shape == size else p.grad.T for p in parameters])
            buffer = self._momentum[size].lerp_(gradients, 1 - self._beta)
            updates = orthogonalise(gradients.lerp_(buffer, self._beta))
            scale = 0.2 * size[1] ** 0.5 * learning_rate
            for p, update in zip(parameters, updates, strict=True):
                p.mul_(1 - learning_rate * self._decay)
                p.add_(update if p.shape == size else update.T, alpha=-scale)
        for group, rate in zip(self._adam.param_groups, (embedding_rate, learning_rate), strict=True):
            group["lr"] = rate
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        return {"momentum": self._momentum, "adam": self._adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for size, buffer in state["momentum"].items():
            self._momentum[size].copy_(buffer)
        self._adam.load_state_dict(state["adam"])
