"""A linear classifier of each step on its own: the probe that features are judged by, and what scores with
the classifier that came with a network's weights.

Shapes: B videos, T steps (padded), D input size, C = D, K classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.base import TemporalModel
from models.masking import Standardise, masked


@dataclass(frozen=True, kw_only=True)
class LinearConfig:
    """What there is to choose."""

    standardise: bool = True  # inputs to zero mean, unit variance over the training steps
    exclusive: bool = False  # one class at a time: logits are those of a softmax over the classes
    window_steps: int | None = None  # longer videos: crops in training; moves no score

    def __post_init__(self) -> None:
        if self.window_steps is not None and self.window_steps < 1:
            raise ValueError(f"need window_steps >= 1 or none, got {self}")


class Linear(TemporalModel):
    """(x_BTD, mask_BT) -> logits_BTK, step by step; with `exclusive`, `classify` is not affine."""

    def __init__(self, in_dim: int, num_classes: int, config: LinearConfig) -> None:
        super().__init__()
        # of exclusive classes nothing may be averaged before `classify`, and no step sees another anyway
        self.hidden, self.window_steps = in_dim, None if config.exclusive else config.window_steps
        self.standardise = Standardise(in_dim) if config.standardise else nn.Identity()
        self.head = nn.Linear(in_dim, num_classes)
        self.exclusive = config.exclusive

    def encode(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """The inputs, standardised; zero at padded steps."""
        return masked(self.standardise(x_BTD), mask_BT)

    def classify(self, h_BTC: Tensor) -> Tensor:
        """Logits (B, T, K); their sigmoids are scores."""
        logits_BTK = self.head(h_BTC)
        return softmax_log_odds(logits_BTK) if self.exclusive else logits_BTK


def softmax_log_odds(logits: Tensor) -> Tensor:
    """What has the softmax over the last axis as its sigmoid: each logit less the log-sum-exp of all others.

    From sums over those before and those after it, so that no digits are lost where a class is almost sure.
    """
    before = _shifted(logits.logcumsumexp(-1))
    after = _shifted(logits.flip(-1).logcumsumexp(-1)).flip(-1)
    return logits - torch.logaddexp(before, after)


def _shifted(sums: Tensor) -> Tensor:
    """Running sums, without the element itself."""
    return torch.cat([torch.full_like(sums[..., :1], -torch.inf), sums[..., :-1]], dim=-1)
