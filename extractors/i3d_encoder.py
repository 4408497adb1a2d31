"""Inception-I3D as extractors use it: its weights loaded, no classes, the same bits from the same input.

Shapes: N clips, L frames per clip, H W pixels, C channels, D features, t steps.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from extractors.dense import DenseI3D
from extractors.i3d import I3D, I3DConfig, fold_batch_norm
from extractors.i3d_checkpoint import load_i3d_state
from extractors.precision import dtype_of, exact
from extractors.weights import load_weights


class I3DEncoder:
    """Frames in [-1, 1] to vectors: of clips, or of a whole video. What it returns stays on `device`."""

    def __init__(self, config: I3DConfig, in_channels: int, device: torch.device) -> None:
        """Finds, verifies and loads the weights; WeightsError or ValueError where they do not fit."""
        loaded = load_weights(config.weights)
        network = I3D(in_channels, num_classes=None, width=config.width)
        self.layout = load_i3d_state(network, loaded.state, str(loaded.path))
        self.weights_sha256 = loaded.sha256
        self.dim = network.dim
        self._dtype = dtype_of(config.precision)
        network = fold_batch_norm(network).to(device, self._dtype)
        self._network: I3D = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    @torch.inference_mode()
    def clips(self, x_NLHWC: Tensor) -> Tensor:
        """Clips to the means over their steps: (N, D) float32."""
        with exact():
            return self._network.extract_features(self._input(x_NLHWC)).mean(2)

    def begin(self, num_frames: int) -> Callable[[Tensor], Tensor]:
        """A clip of `num_frames` frames, to be given in pieces (L, H, W, C); see `DenseExtractor`."""
        clip = DenseI3D(self._network, num_frames)

        @torch.inference_mode()
        def push(x_LHWC: Tensor) -> Tensor:
            with exact():
                return clip.push(self._input(x_LHWC[None]))

        return push

    def _input(self, x_NLHWC: Tensor) -> Tensor:
        x_NCLHW = x_NLHWC.permute(0, 4, 1, 2, 3).to(self._dtype)
        return x_NCLHW.contiguous(memory_format=torch.channels_last_3d)
