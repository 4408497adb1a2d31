"""MS-TCT: the multi-scale temporal ConvTransformer.

R. Dai, S. Das, K. Kahatapitiya, M. S. Ryoo, F. Bremond, "MS-TCT: Multi-Scale Temporal ConvTransformer for
Action Detection", CVPR 2022. Checked against dairui01/MS-TCT @7e5e879. Differences: inputs may be
standardised by statistics of the training set; padded steps are zero before every convolution, no step
attends to them, and coarse stages are brought back to full length by their true factor 2^s, the last real
step held, so that padding changes nothing (there the factor depends on the padded length; the same where
the length is a multiple of 8); a layer of the mixer that it defines and never uses is left out.

Shapes: B videos, T steps (padded), D input size, W width of a stage, S its steps: T / 2^s rounded up,
C size of all stages after the mixer, K classes, M stages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import TemporalModel
from models.conv_transformer import Stage, init_weights
from models.heatmap import centre_heatmap, heatmap_loss
from models.masking import Standardise, masked


@dataclass(frozen=True, kw_only=True)
class MSTCTConfig:
    """Size of the network; its authors train it with a learning rate of 1e-4."""

    widths: tuple[int, ...] = (256, 384, 576, 864)  # of the stages; each after the first halves the steps
    blocks: int = 3  # of each stage
    heads: int = 8
    expansion: int = 8  # of the width, between the two layers around the local convolution
    hidden: int = 512  # C
    dropout: float = 0.5  # of the inputs, and before the classifier
    heatmap_weight: float = 0.05  # of the loss on where actions have their centres; 0: no such branch
    standardise: bool = True  # inputs to zero mean, unit variance over the training steps
    window_steps: int | None = 256  # longer videos: crops in training, overlapping windows after it

    def __post_init__(self) -> None:
        sizes = (*self.widths, self.blocks, self.heads, self.expansion, self.hidden)
        if not self.widths or min(sizes) < 1 or any(width % self.heads for width in self.widths):
            raise ValueError(f"need sizes >= 1 and widths that are multiples of heads, got {self}")
        if not 0 <= self.dropout < 1 or self.heatmap_weight < 0:
            raise ValueError(f"need 0 <= dropout < 1 and heatmap_weight >= 0, got {self}")
        if self.window_steps is not None and self.window_steps < 1:
            raise ValueError(f"need window_steps >= 1 or none, got {self}")


class MSTCT(TemporalModel):
    """(x_BTD, mask_BT) -> logits_BTK; `encode` and `classify` are its two halves."""

    def __init__(self, in_dim: int, num_classes: int, config: MSTCTConfig) -> None:
        super().__init__()
        self.config, self.hidden, self.window_steps = config, config.hidden, config.window_steps
        self.standardise = Standardise(in_dim) if config.standardise else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        widths, total = config.widths, config.hidden * len(config.widths)
        self.stages = nn.ModuleList(
            Stage(before, width, 2 if s else 1, config.blocks, config.heads, config.expansion)
            for s, (before, width) in enumerate(zip((in_dim, *widths), widths, strict=False))
        )
        self.level = nn.ModuleList(nn.Linear(width, config.hidden) for width in widths)
        self.mix = nn.ModuleList(nn.Conv1d(config.hidden, config.hidden, 1) for _ in widths[1:])
        self.fuse = nn.Conv1d(total, config.hidden, 1)
        self.head = nn.Conv1d(config.hidden, num_classes, 1)
        if config.heatmap_weight:
            self.centres = nn.Sequential(
                nn.Conv1d(total, config.hidden, 3, padding=1),
                nn.ReLU(),
                nn.Conv1d(config.hidden, num_classes, 1),
            )
        self.stages.apply(init_weights)

    def encode(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Features before the classifier (B, T, C); zero at padded steps."""
        return self._fused(self._levels(x_BTD, mask_BT), mask_BT)

    def classify(self, h_BTC: Tensor) -> Tensor:
        """Logits (B, T, K) of encoded steps."""
        return self.head(self.dropout(h_BTC).transpose(1, 2)).transpose(1, 2)

    def heatmap(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Logits (B, T, K) of each step being the centre of an action."""
        return self._heatmap(self._levels(x_BTD, mask_BT), mask_BT)

    def encode_with_losses(
        self, x_BTD: Tensor, mask_BT: Tensor, target_BTK: Tensor, labelled_BT: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As `encode`, and the loss of the heat-map branch under the name "heatmap"."""
        levels = self._levels(x_BTD, mask_BT)
        h_BTC = self._fused(levels, mask_BT)
        if not self.config.heatmap_weight:
            return h_BTC, {}
        wanted_BTK = centre_heatmap(target_BTK, labelled_BT)
        loss = heatmap_loss(self._heatmap(levels, mask_BT), wanted_BTK, labelled_BT)
        return h_BTC, {"heatmap": self.config.heatmap_weight * loss}

    def _levels(self, x_BTD: Tensor, mask_BT: Tensor) -> list[Tensor]:
        """What each stage sees, fine to coarse, as C channels at all T steps: M times (B, C, T)."""
        x_BSW = masked(self.dropout(masked(self.standardise(x_BTD), mask_BT)), mask_BT)
        mask_BS, levels = mask_BT, []
        for s, (stage, project) in enumerate(zip(self.stages, self.level, strict=True)):
            mask_BS = mask_BS[:, ::2] if s else mask_BS
            x_BSW = stage(x_BSW, mask_BS)
            levels.append(_to_full_length(project(x_BSW).transpose(1, 2), mask_BS, 2**s, mask_BT.shape[1]))
        return levels

    def _fused(self, levels: Sequence[Tensor], mask_BT: Tensor) -> Tensor:
        """The temporal scale mixer: the coarsest stage is added to all others, then one 1x1 layer."""
        coarsest = levels[-1]
        finer = [mix(coarsest) + level for mix, level in zip(self.mix, reversed(levels[:-1]), strict=True)]
        h_BCT = self.fuse(torch.cat([coarsest, *finer], dim=1))
        return masked(h_BCT.transpose(1, 2), mask_BT)

    def _heatmap(self, levels: Sequence[Tensor], mask_BT: Tensor) -> Tensor:
        all_levels = torch.cat(list(reversed(levels)), dim=1) * mask_BT.unsqueeze(1)
        return self.centres(all_levels).transpose(1, 2)


def _to_full_length(x_BCS: Tensor, mask_BS: Tensor, factor: int, steps: int) -> Tensor:
    """Linear between the centres of `factor` fine steps each, held at both ends of the video: (B, C, T)."""
    last_B1 = (mask_BS > 0).sum(1, keepdim=True).sub(1).clamp(min=0)
    index_BS = torch.arange(x_BCS.shape[2], device=x_BCS.device).minimum(last_B1)
    held_BCS = x_BCS.gather(2, index_BS.unsqueeze(1).expand_as(x_BCS))
    if factor == 1:
        return held_BCS
    return F.interpolate(held_BCS, scale_factor=factor, mode="linear", align_corners=False)[..., :steps]


def from_reference(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a model made by the reference implementation, under the names they have here."""
    return {_own_name(name): tensor for name, tensor in state.items() if ".linear4." not in name}


_OURS = {
    "Global_Relational_Block.": "attention.",
    "Local_Relational_Block.linear1.": "local.expand.",
    "Local_Relational_Block.TC.": "local.conv.",
    "Local_Relational_Block.linear2.": "local.project.",
    "Classfication_Module.linear_fuse.": "fuse.",
    "Classfication_Module.linear_pred.": "head.",
    "Classfication_Module.hm.": "centres.",
    **{f"TemporalEncoder.Temporal_Merging_Block{s + 1}.": f"stages.{s}.merge." for s in range(4)},
    **{f"TemporalEncoder.block{s + 1}.": f"stages.{s}.blocks." for s in range(4)},
    **{f"TemporalEncoder.norm{s + 1}.": f"stages.{s}.norm." for s in range(4)},
    **{f"Temporal_Mixer.linear_f{s + 1}.proj.": f"level.{s}." for s in range(4)},
    **{f"Temporal_Mixer.linear{i + 1}.": f"mix.{i}." for i in range(3)},
}


def _own_name(name: str) -> str:
    for theirs, ours in _OURS.items():
        name = name.replace(theirs, ours)
    return name
