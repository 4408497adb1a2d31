"""What every temporal model is.

Shapes: B videos, T steps (padded), D input size, C hidden, K classes.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn


class Encoded(NamedTuple):
    """What a model makes of steps: features before the classifier (B, T, C), and logits (B, T, K)."""

    h_BTC: Tensor
    logits_BTK: Tensor


class TemporalModel(nn.Module, ABC):
    """Features of consecutive steps to logits of every step; padding changes nothing.

    Its two halves are `encode`, whose result distillation compares, and `classify`, which in eval mode is
    affine at each step, so that features of overlapping windows may be averaged before it.
    """

    hidden: int  # C
    window_steps: int | None = None  # the longest piece it is trained on and given; none: whole videos

    @abstractmethod
    def encode(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Features before the classifier (B, T, C), zero at padded steps.

        mask_BT is 1 at real steps, which come first, and 0 at the padding after them.
        """

    @abstractmethod
    def classify(self, h_BTC: Tensor) -> Tensor:
        """Logits (B, T, K) of encoded steps."""

    def encode_with_losses(
        self,
        x_BTD: Tensor,
        mask_BT: Tensor,
        target_BTK: Tensor,  # noqa: ARG002
        labelled_BT: Tensor,  # noqa: ARG002
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As `encode`, and what the model is trained on beside its logits: weighted terms by name.

        `labelled_BT` is 1 at those real steps whose targets (0 or 1) may be learned. By default no terms.
        """
        return self.encode(x_BTD, mask_BT), {}

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Logits (B, T, K)."""
        return self.classify(self.encode(x_BTD, mask_BT))
