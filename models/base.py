"""What every temporal model is.

Shapes: B videos, T steps (padded), D input size, C hidden, K classes.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class TemporalModel(nn.Module, ABC):
    """Features of consecutive steps to logits of every step; padding changes nothing.

    Its two halves are `encode`, whose result distillation compares, and `classify`.
    """

    hidden: int  # C

    @abstractmethod
    def encode(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Features before the classifier (B, T, C), zero at padded steps; mask_BT is 1 at real steps."""

    @abstractmethod
    def classify(self, h_BTC: Tensor) -> Tensor:
        """Logits (B, T, K) of encoded steps."""

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Logits (B, T, K)."""
        return self.classify(self.encode(x_BTD, mask_BT))
