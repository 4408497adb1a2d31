"""The plain temporal convolutional network used by the authors of the method.

Shapes: B videos, T steps (padded), D input size, C hidden, K classes.

Source: public code of R. Dai et al. for PDAN and Toyota Smarthome Untrimmed: 1x1 convolution to C,
blocks x + Dropout(ReLU(dilated convolution)) with kernel 3 and dilation 2^i, 1x1 convolution to K.
Differences: inputs may be standardised by statistics of the training set, and padded steps are set
to zero before every convolution, so that padding changes nothing.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from models.base import TemporalModel
from models.masking import Standardise, masked


@dataclass(frozen=True, kw_only=True)
class TCNConfig:
    """Size of the temporal model."""

    hidden: int = 512  # C
    layers: int = 5  # receptive field 2^(layers + 1) - 1 steps
    dropout: float = 0.5
    standardise: bool = True  # inputs to zero mean, unit variance over the training steps
    window_steps: int | None = None  # longer videos: crops in training, overlapping windows after it

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.layers < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"need hidden >= 1, layers >= 1 and 0 <= dropout < 1, got {self}")
        if self.window_steps is not None and self.window_steps < 1:
            raise ValueError(f"need window_steps >= 1 or none, got {self}")


class TCN(TemporalModel):
    """(x_BTD, mask_BT) -> logits_BTK; `encode` and `classify` are its two halves."""

    def __init__(self, in_dim: int, num_classes: int, config: TCNConfig) -> None:
        super().__init__()
        self.hidden, self.window_steps = config.hidden, config.window_steps
        self.standardise = Standardise(in_dim) if config.standardise else nn.Identity()
        self.embed = nn.Conv1d(in_dim, config.hidden, 1)
        self.blocks = nn.ModuleList(
            nn.Conv1d(config.hidden, config.hidden, 3, padding=2**i, dilation=2**i)
            for i in range(config.layers)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Conv1d(config.hidden, num_classes, 1)

    def encode(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Features before the classifier (B, T, C); zero at padded steps."""
        x_BDT = masked(self.standardise(x_BTD), mask_BT).transpose(1, 2)
        mask_B1T = mask_BT.unsqueeze(1)
        h_BCT = self.embed(x_BDT) * mask_B1T
        for conv in self.blocks:
            h_BCT = (h_BCT + self.dropout(conv(h_BCT).relu())) * mask_B1T
        return h_BCT.transpose(1, 2)

    def classify(self, h_BTC: Tensor) -> Tensor:
        """Logits (B, T, K) of encoded steps."""
        return self.head(h_BTC.transpose(1, 2)).transpose(1, 2)
