"""Optical flow of consecutive frames: torchvision's RAFT, each frame encoded once.

Z. Teed and J. Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow", ECCV 2020
(arXiv:2003.12039). The layers are torchvision's; what is ours is the order of work:

- A frame's feature map serves the pair before it and the pair after it. This changes no number.
- `reordered`: the GRU's convolutions are linear, and the context's share of their input is the same
  in every update, so it is computed once; the flow is enlarged to full size after the last update
  only. Sums in another order: about 1e-5 px.

Shapes: N pairs, so N + 1 frames; H W pixels; h w = H / 8, W / 8; C channels; flow is x, y in px.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.optical_flow import RAFT, raft_large, raft_small
from torchvision.models.optical_flow._utils import make_coords_grid, upsample_flow
from torchvision.models.optical_flow.raft import ConvGRU, CorrBlock

from extractors.flow_config import RAFTConfig
from extractors.identities import of_raft
from extractors.precision import computing_in
from extractors.raft_checkpoint import load_raft_state
from extractors.weights import load_weights

MIN_PX = 128  # less leaves nothing at the top of the correlation pyramid
_STRIDE = 8  # of the encoders
_MOST_BYTES = 4 << 30  # of correlations at once, where that is more than one pair's
_BUILDERS = {"raft_small": (raft_small, 3), "raft_large": (raft_large, 4)}  # correlation radius


class Correlation(CorrBlock):
    """torchvision's, in float32 whatever the rest runs in: coordinates need more than eight bits."""

    def build_pyramid(self, fmap1: Tensor, fmap2: Tensor) -> None:
        """Correlation of all pairs of feature vectors, and its averages over 2, 4 and 8 pixels."""
        with torch.autocast(fmap1.device.type, enabled=False):
            super().build_pyramid(fmap1.float(), fmap2.float())

    def index_pyramid(self, centroids_coords: Tensor) -> Tensor:
        """Correlations around the given coordinates (N, 2, h, w)."""
        device = centroids_coords.device
        with torch.autocast(device.type, enabled=False), device:  # what it makes is made there, not copied
            return super().index_pyramid(centroids_coords.float())


def build_raft(variant: str) -> RAFT:
    """torchvision's network without weights, its correlation kept in float32."""
    builder, radius = _BUILDERS[variant]
    return builder(weights=None, corr_block=Correlation(num_levels=4, radius=radius))


class FlowNetwork:
    """Flow between consecutive frames of any size.

    `batch_pairs` bounds memory, fewer where frames are large (`pairs_at_once`), and changes nothing but
    rounding.
    """

    def __init__(self, config: RAFTConfig, device: torch.device, batch_pairs: int = 8) -> None:
        """Finds, verifies and loads the weights; WeightsError or ValueError where they do not fit."""
        assert batch_pairs >= 1
        self.config, self.device, self.batch_pairs = config, device, batch_pairs
        loaded = load_weights(config.weights)
        network = build_raft(config.variant)
        self.layout = load_raft_state(network, loaded.state, str(loaded.path))
        self.weights_sha256 = loaded.sha256
        self.network = network.eval().to(device)

    @torch.inference_mode()
    def __call__(self, rgb_NHWC: Tensor) -> Tensor:
        """uint8 frames (N + 1, H, W, 3) to the flow from each to the next: (N, H, W, 2) float32.

        Frames below 128 px are enlarged for the network and their flow brought back; sides are
        padded to multiples of 8 by repeating the border, alike on both sides.
        """
        if rgb_NHWC.dim() != 4 or rgb_NHWC.shape[-1] != 3 or rgb_NHWC.dtype != torch.uint8:
            raise ValueError(f"need uint8 frames (N, H, W, 3), got {rgb_NHWC.dtype} {tuple(rgb_NHWC.shape)}")
        if len(rgb_NHWC) < 2:
            raise ValueError(f"flow is between two frames, got {len(rgb_NHWC)}")
        size = tuple(rgb_NHWC.shape[1:3])
        x_NCHW = rgb_NHWC.to(self.device).permute(0, 3, 1, 2).float().div_(255 / 2).sub_(1)
        enlarged = enlarged_size(size)
        if enlarged != size:
            x_NCHW = F.interpolate(x_NCHW, enlarged, mode="bilinear", align_corners=False)
        left, right, top, bottom = pads = padding(enlarged)
        x_NCHW = F.pad(x_NCHW, pads, mode="replicate")
        with computing_in(self.config.precision, self.device):
            flow_N2HW = consecutive_flow(
                self.network,
                x_NCHW,
                self.config.updates,
                reordered=self.config.arithmetic == "reordered",
                batch_pairs=min(self.batch_pairs, pairs_at_once(x_NCHW.shape[-2:])),
            )
        height, width = flow_N2HW.shape[-2:]
        flow_N2HW = flow_N2HW[..., top : height - bottom, left : width - right]
        if enlarged != size:
            flow_N2HW = F.interpolate(flow_N2HW, size, mode="bilinear", align_corners=False)
            x_NHW, y_NHW = flow_N2HW.unbind(1)
            flow_N2HW = torch.stack([x_NHW * (size[1] / enlarged[1]), y_NHW * (size[0] / enlarged[0])], 1)
        return flow_N2HW.permute(0, 2, 3, 1)

    def identity(self) -> dict[str, Any]:
        """See `identities`."""
        return of_raft(self.config, {self.config.weights: self.weights_sha256}.__getitem__)


def enlarged_size(size: tuple[int, ...]) -> tuple[int, int]:
    """(H, W) with the same shape and no side below 128 px."""
    height, width = size
    factor = max(1.0, MIN_PX / min(height, width))
    return max(height, round(height * factor)), max(width, round(width * factor))


def padding(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, right, top, bottom to multiples of 8; an odd pixel goes after."""
    (top, bottom), (left, right) = (
        (-side % _STRIDE // 2, -side % _STRIDE - -side % _STRIDE // 2) for side in size
    )
    return left, right, top, bottom


def pairs_at_once(size: tuple[int, ...]) -> int:
    """How many pairs of frames (H, W) memory is there for: the correlations of one take
    4 (h w)^2 bytes, and a third more for their averages."""
    height, width = (side // _STRIDE for side in size)
    return max(1, _MOST_BYTES * 3 // (16 * (height * width) ** 2))


def consecutive_flow(
    raft: RAFT, x_NCHW: Tensor, updates: int, *, reordered: bool, batch_pairs: int = 8
) -> Tensor:
    """Frames (N + 1, 3, H, W) in [-1, 1], sides at least 128 px and divisible by 8, to (N, 2, H, W).

    Each is what `raft(frame, next_frame, updates)[-1]` gives.
    """
    assert min(x_NCHW.shape[-2:]) >= MIN_PX
    assert x_NCHW.shape[-2] % _STRIDE == x_NCHW.shape[-1] % _STRIDE == 0
    maps = torch.cat([raft.feature_encoder(part) for part in x_NCHW.split(batch_pairs + 1)])
    updated = _reordered_updates if reordered else _updates
    flows = []
    for start in range(0, len(x_NCHW) - 1, batch_pairs):
        stop = min(start + batch_pairs, len(x_NCHW) - 1)
        raft.corr_block.build_pyramid(maps[start:stop], maps[start + 1 : stop + 1])
        context_out = raft.context_encoder(x_NCHW[start:stop])
        hidden_size = raft.update_block.hidden_state_size
        hidden, context = context_out.split([hidden_size, context_out.shape[1] - hidden_size], dim=1)
        flow_N2hw, hidden = updated(raft, torch.tanh(hidden), torch.relu(context), updates)
        mask = None if raft.mask_predictor is None else raft.mask_predictor(hidden).float()
        flows.append(upsample_flow(flow_N2hw, mask))
    raft.corr_block.corr_pyramid = []  # hundreds of megabytes of large frames
    return torch.cat(flows)


def _updates(raft: RAFT, hidden: Tensor, context: Tensor, updates: int) -> tuple[Tensor, Tensor]:
    """Flow (N, 2, h, w) and hidden state after all updates, as torchvision computes them."""
    start = _grid(hidden)
    coords = start
    for _ in range(updates):
        corr = raft.corr_block.index_pyramid(coords)
        hidden, delta = raft.update_block(hidden, context, corr, coords - start)
        coords = coords + delta
    return coords - start, hidden


def _reordered_updates(raft: RAFT, hidden: Tensor, context: Tensor, updates: int) -> tuple[Tensor, Tensor]:
    """The same, with the context's share of the GRU taken out of the loop."""
    block = raft.update_block.recurrent_block
    cells = [cell for cell in (block.convgru1, block.convgru2) if isinstance(cell, nn.Module)]
    grus = [_GRU.split(cell, context) for cell in cells]
    start = _grid(hidden)
    coords = start
    for _ in range(updates):
        motion = raft.update_block.motion_encoder(coords - start, raft.corr_block.index_pyramid(coords))
        for gru in grus:
            hidden = gru.step(hidden, motion)
        coords = coords + raft.update_block.flow_head(hidden)
    return coords - start, hidden


def _grid(hidden_NChw: Tensor) -> Tensor:
    """Pixel coordinates (N, 2, h, w): float32 also where the network is not."""
    pairs, _, height, width = hidden_NChw.shape
    return make_coords_grid(pairs, height, width, str(hidden_NChw.device))


@dataclass(frozen=True)
class _GRU:
    """A ConvGRU of one batch of pairs: the kernels over hidden state and motion, the rest added up before.

    Its input is (hidden, context, motion). The update and reset gates share theirs: one convolution.
    """

    gates: Tensor  # kernel of z and r
    candidate: Tensor  # kernel of q
    gates_context: Tensor  # their biases included
    candidate_context: Tensor
    padding: tuple[int, int]

    @classmethod
    def split(cls, cell: ConvGRU, context: Tensor) -> "_GRU":
        hidden_size, size = cell.convz.out_channels, context.shape[1]
        padding = cell.convz.padding
        assert isinstance(padding, tuple)

        def share(kernel: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
            """The kernel without its context channels, and their part of its output."""
            before, own, after = kernel.split([hidden_size, size, kernel.shape[1] - hidden_size - size], 1)
            return torch.cat([before, after], 1), F.conv2d(context, own, bias, padding=padding)

        gates = torch.cat([cell.convz.weight, cell.convr.weight])
        gates, gates_context = share(gates, torch.cat([cell.convz.bias, cell.convr.bias]))
        candidate, candidate_context = share(cell.convq.weight, cell.convq.bias)
        return cls(gates, candidate, gates_context, candidate_context, padding)

    def step(self, hidden: Tensor, motion: Tensor) -> Tensor:
        """The next hidden state (N, C, h, w)."""
        both = F.conv2d(torch.cat([hidden, motion], 1), self.gates, padding=self.padding)
        update, reset = torch.sigmoid(both + self.gates_context).chunk(2, 1)
        mixed = torch.cat([reset * hidden, motion], 1)
        candidate = torch.tanh(F.conv2d(mixed, self.candidate, padding=self.padding) + self.candidate_context)
        return (1 - update) * hidden + update * candidate
