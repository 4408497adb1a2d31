"""Optical flow through Inception-I3D: RAFT between consecutive frames, then the two-channel I3D.

Shapes: N frames or clips, L frames per clip, H W pixels, D features; flow (..., 2) is x, y in px.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from extractors.base import Window
from extractors.flow_config import FlowConfig, Quantisation
from extractors.i3d_encoder import I3DEncoder
from extractors.identities import of_flow
from extractors.preprocess import center_crop, resize
from extractors.raft import FlowNetwork


class FlowInput:
    """Frames to the flow that the I3D of a `FlowConfig` sees."""

    def __init__(self, config: FlowConfig, device: torch.device) -> None:
        """Loads RAFT's weights; WeightsError or ValueError where they do not fit."""
        self.config, self.device = config, device
        self.network = FlowNetwork(config.raft, device)

    @torch.inference_mode()
    def __call__(self, rgb_NHWC: Tensor) -> Tensor:
        """uint8 (N + 1, H, W, 3) to float32 (N, crop / pool, crop / pool, 2), px of the resized frame.

        Without a crop the whole frame's.
        """
        i3d, pool = self.config.i3d, self.config.pool
        resized = resize(rgb_NHWC.to(self.device), i3d.resize, i3d.geometry)
        if self.config.square:
            resized = center_crop(resized, i3d.resize, i3d.geometry)
        flow_NHW2 = center_crop(self.network(resized), i3d.crop, i3d.geometry)
        if pool == 1:
            return flow_NHW2
        return F.avg_pool2d(flow_NHW2.permute(0, 3, 1, 2), pool).permute(0, 2, 3, 1)


class I3DFlow:
    """Frames -> flow to the next frame -> one vector per window: the mean over its steps.

    A `DenseExtractor` that looks one frame ahead. What it returns stays on `device`.
    """

    name = "flow"
    lookahead = 1

    def __init__(self, config: FlowConfig, device: torch.device) -> None:
        """Finds, verifies and loads both weights; WeightsError or ValueError where they do not fit."""
        self.config, self.device = config, device
        self.grid = config.i3d.grid
        self.window = self.grid if isinstance(self.grid, Window) else config.window
        self.flow = FlowInput(config, device)
        self._encoder = I3DEncoder(config.i3d, in_channels=2, device=device)
        self.layout, self.weights_sha256 = self._encoder.layout, self._encoder.weights_sha256
        self.dim = self._encoder.dim

    @torch.inference_mode()
    def frames(self, rgb_NHWC: Tensor) -> Tensor:
        """uint8 (N + 1, H, W, 3) of any size to the encoded flow (N, crop / pool, crop / pool, 2)."""
        return encode(self.flow(rgb_NHWC), self.config.max_px, self.config.quantisation)

    @torch.inference_mode()
    def clips(self, x_NL: Tensor) -> Tensor:
        """Encoded flow (N, L, H, W, 2) to float32 (N, D)."""
        return self._encoder.clips(self._decoded(x_NL))

    def begin(self, num_frames: int) -> Callable[[Tensor], Tensor]:
        """A clip of `num_frames` frames: takes encoded flow (N, H, W, 2), gives float32 (t, D)."""
        push = self._encoder.begin(num_frames)
        return lambda x_N: push(self._decoded(x_N))

    def _decoded(self, x: Tensor) -> Tensor:
        return decode(x.to(self.device), self.config.max_px, self.config.quantisation)

    def identity(self) -> dict[str, Any]:
        """See `identities`."""
        raft = self.flow.network
        loaded = {self.config.i3d.weights: self.weights_sha256, raft.config.weights: raft.weights_sha256}
        return of_flow(self.config, loaded.__getitem__)


def encode(flow: Tensor, max_px: float, quantisation: Quantisation) -> Tensor:
    """Flow in px, cut to +-`max_px`, as it is kept between the networks.

    - `float`: px, float16
    - `uint8-127.5`: the steps of an 8-bit picture, counted from a zero in the middle of its range; int16
    - `uint8-128`: the same steps with zero at grey level 128, as video_features writes them: 0 .. 256
      (sic: its 8 bits are float), int16
    """
    flow = flow.clamp(-max_px, max_px)
    if quantisation == "float":
        return flow.half()
    zero = 128.0 if quantisation == "uint8-128" else 0.0
    return (zero + 127.5 / max_px * flow).round().short()


def decode(encoded: Tensor, max_px: float, quantisation: Quantisation) -> Tensor:
    """What I3D sees, float32, about -1 .. 1.

    No motion is 0 for `float` and `uint8-127.5`, 0.0039 for `uint8-128`, whose largest is 1.0078.
    """
    if quantisation == "float":
        return encoded.float() / max_px
    if quantisation == "uint8-128":
        return encoded.float() * (2 / 255) - 1
    return (encoded.float() / 127.5).clamp(-1, 1)
