"""RGB stacks through Inception-I3D.

Shapes: N frames or clips, L frames per clip, H W pixels, D features.
"""

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from extractors.i3d import I3D, I3DConfig, fold_batch_norm
from extractors.i3d_checkpoint import load_i3d_state
from extractors.preprocess import INTERPOLATION, center_crop, resize_short_side
from extractors.weights import load_weights

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class I3DRGB:
    """Frames -> resized, cropped uint8 frames -> one vector per window: the mean over its steps.

    An `Extractor`. What it returns stays on `device`.
    """

    name = "rgb"
    lookahead = 0

    def __init__(self, config: I3DConfig, device: torch.device) -> None:
        """Finds, verifies and loads the weights; WeightsError or ValueError where they do not fit."""
        self.config, self.device, self.window = config, device, config.window
        loaded = load_weights(config.weights)
        network = I3D(in_channels=3, num_classes=None, width=config.width)
        self.layout = load_i3d_state(network, loaded.state, str(loaded.path))
        self.weights_sha256 = loaded.sha256
        self.dim = network.dim
        self._dtype = _DTYPES[config.precision]
        network = fold_batch_norm(network).to(device, self._dtype)
        self._network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    @torch.inference_mode()
    def frames(self, rgb_NHWC: Tensor) -> Tensor:
        """uint8 (N, H, W, 3) of any size to uint8 (N, crop, crop, 3), uncropped where no crop is set."""
        resized = resize_short_side(rgb_NHWC.to(self.device), self.config.resize)
        return center_crop(resized, self.config.crop).contiguous()

    @torch.inference_mode()
    def clips(self, x_NL: Tensor) -> Tensor:
        """uint8 (N, L, crop, crop, 3) to float32 (N, D)."""
        x_NLHWC = x_NL.to(self.device).float().div_(255 / 2).sub_(1)
        x_NCLHW = x_NLHWC.permute(0, 4, 1, 2, 3).to(self._dtype)  # channels-last strides already
        # float32 means it: no TF32, and an algorithm that gives the same bits again
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            return self._network.extract_features(x_NCLHW).mean(2)

    def identity(self) -> dict[str, Any]:
        """Everything that changes the numbers, as JSON. The weights count by content, not by name."""
        config = {**asdict(self.config), "weights": self.weights_sha256}
        return {"name": self.name, "version": 1, "network": "i3d", "interpolation": INTERPOLATION, **config}
