"""Padding that changes nothing: the mask travels with the tensor.

Shapes: B videos, T steps (padded), D feature size.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


def masked(x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """Zero at padded steps, whatever was there (NaN too)."""
    return torch.where(
        mask_BT.unsqueeze(-1) > 0, x_BTD, torch.zeros((), dtype=x_BTD.dtype, device=x_BTD.device)
    )


class Standardise(nn.Module):
    """Each channel to zero mean and unit variance, by fixed statistics of the training steps."""

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def fit(self, x_ND: Tensor) -> None:
        """Take the statistics of N real steps; a channel that never changes is only centred."""
        self.fit_parts(lambda: [x_ND])

    def fit_parts(self, parts: Callable[[], Iterable[Tensor]]) -> None:
        """The same of steps (N, D) that come in parts, twice: only one has to be in memory at a time."""
        zero = torch.zeros_like(self.mean, dtype=torch.float64)
        count = sum(len(part_ND) for part_ND in parts())
        mean = sum((part_ND.double().sum(0) for part_ND in parts()), zero) / count
        std = (sum(((part_ND.double() - mean).square().sum(0) for part_ND in parts()), zero) / count).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-6, std, torch.ones_like(std)))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return (x_BTD - self.mean) / self.std
