"""PDAN: the pyramid dilated attention network.

R. Dai, S. Das, L. Minciullo, L. Garattoni, G. Francesca, F. Bremond, "PDAN: Pyramid Dilated Attention Network
for Action Detection", WACV 2021. Checked against dairui01/PDAN @90c3c70 with one stage, which is what its
authors train. Differences: inputs may be standardised by statistics of the training set, and padded steps are
zero from the first layer on, so that padding changes nothing (there the first layer sees its bias in them).

Shapes: B videos, T steps (padded), D input size, C hidden, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import TemporalModel
from models.masking import Standardise, masked


@dataclass(frozen=True, kw_only=True)
class PDANConfig:
    """Size of the network."""

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


class PDAN(TemporalModel):
    """(x_BTD, mask_BT) -> logits_BTK; `encode` and `classify` are its two halves."""

    def __init__(self, in_dim: int, num_classes: int, config: PDANConfig) -> None:
        super().__init__()
        self.hidden, self.window_steps = config.hidden, config.window_steps
        self.standardise = Standardise(in_dim) if config.standardise else nn.Identity()
        self.embed = nn.Conv1d(in_dim, config.hidden, 1)
        self.blocks = nn.ModuleList(
            AttentionBlock(config.hidden, 2**i, config.dropout) for i in range(config.layers)
        )
        self.head = nn.Conv1d(config.hidden, num_classes, 1)

    def encode(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Features before the classifier (B, T, C); zero at padded steps."""
        x_BDT = masked(self.standardise(x_BTD), mask_BT).transpose(1, 2)
        mask_B1T = mask_BT.unsqueeze(1)
        h_BCT = self.embed(x_BDT) * mask_B1T
        for block in self.blocks:
            h_BCT = block(h_BCT) * mask_B1T
        return h_BCT.transpose(1, 2)

    def classify(self, h_BTC: Tensor) -> Tensor:
        """Logits (B, T, K) of encoded steps."""
        return self.head(h_BTC.transpose(1, 2)).transpose(1, 2)


class AttentionBlock(nn.Module):
    """x + Dropout(1x1 convolution(ReLU(dilated attention(x)))): (B, C, T) -> (B, C, T)."""

    def __init__(self, dim: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.attention = DilatedAttention(dim, dilation)
        self.project = nn.Conv1d(dim, dim, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BCT: Tensor) -> Tensor:
        return x_BCT + self.dropout(self.project(self.attention(x_BCT).relu()))


class DilatedAttention(nn.Module):
    """Each channel of a step attends to the same channel of three: t - dilation, t, t + dilation.

    The values carry a learned relative position. What lies outside the video has key and value 0, and takes
    part in the softmax with the position alone, as in the reference.
    """

    def __init__(self, dim: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.query, self.key, self.value = (nn.Conv1d(dim, dim, 1, bias=False) for _ in range(3))
        self.position = nn.Parameter(torch.randn(dim, 1, 3))
        for projection in (self.query, self.key, self.value):
            nn.init.kaiming_normal_(projection.weight, mode="fan_out")

    def forward(self, x_BCT: Tensor) -> Tensor:
        """(B, C, T), zero at padded steps, -> (B, C, T)."""
        attention_BCT3 = (self.query(x_BCT).unsqueeze(-1) * self._taps(self.key(x_BCT))).softmax(-1)
        return (attention_BCT3 * (self._taps(self.value(x_BCT)) + self.position)).sum(-1)

    def _taps(self, x_BCT: Tensor) -> Tensor:
        """Before, here, after: (B, C, T, 3)."""
        steps, d = x_BCT.shape[-1], self.dilation
        padded = F.pad(x_BCT, (d, d))
        return torch.stack([padded[..., i * d : i * d + steps] for i in range(3)], dim=-1)


# of the reference's names, what ours are called
_OURS = {
    "stage1.": "",
    "conv_out.": "head.",
    "layers.": "blocks.",
    "conv_attention.": "attention.",
    "rel_t": "position",
    "key_conv.": "key.",
    "query_conv.": "query.",
    "value_conv.": "value.",
}


def from_reference(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a model made by the reference implementation, under the names they have here."""
    return {_own_name(name): tensor for name, tensor in state.items()}


def _own_name(name: str) -> str:
    for theirs, ours in _OURS.items():
        name = name.replace(theirs, ours)
    inside = name.startswith("blocks.")
    return name.replace("conv_1x1.", "project." if inside else "embed.")
