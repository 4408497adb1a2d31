"""RGB through Inception-I3D: in stacks, or whole videos.

Shapes: N frames or clips, L frames per clip, H W pixels, D features, t steps.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from extractors.base import Window
from extractors.i3d import I3DConfig
from extractors.i3d_encoder import I3DEncoder
from extractors.identities import of_rgb
from extractors.preprocess import center_crop, resize

if TYPE_CHECKING:  # who sees whole frames needs nothing of detectors
    from extractors.person_crops import PersonCrops


class I3DRGB:
    """Frames -> resized, cropped uint8 frames -> one vector per window: the mean over its steps.

    A `DenseExtractor`. What it returns stays on `device`.
    """

    name = "rgb"
    lookahead = 0

    def __init__(self, config: I3DConfig, device: torch.device) -> None:
        """Finds, verifies and loads the weights; WeightsError or ValueError where they do not fit."""
        self.config, self.device = config, device
        self.grid = config.grid
        self.window = self.grid if isinstance(self.grid, Window) else config.window
        self._encoder = I3DEncoder(config, in_channels=3, device=device)
        self.layout, self.weights_sha256 = self._encoder.layout, self._encoder.weights_sha256
        self.dim = self._encoder.dim
        self._persons = _person_crops(config, device) if config.geometry == "person" else None

    @torch.inference_mode()
    def frames(self, rgb_NHWC: Tensor) -> Tensor:
        """uint8 (N, H, W, 3) of any size to uint8 (N, crop, crop, 3), uncropped where no crop is set."""
        config = self.config
        rgb_NHWC = rgb_NHWC.to(self.device)
        if self._persons:
            resized = self._persons(rgb_NHWC)
        else:
            resized = resize(rgb_NHWC, config.resize, config.geometry)
        return center_crop(resized, config.crop, config.geometry).contiguous()

    @torch.inference_mode()
    def clips(self, x_NL: Tensor) -> Tensor:
        """uint8 (N, L, crop, crop, 3) to float32 (N, D)."""
        return self._encoder.clips(_scaled(x_NL.to(self.device)))

    def begin(self, num_frames: int) -> Callable[[Tensor], Tensor]:
        """A clip of `num_frames` frames: takes uint8 (N, crop, crop, 3), gives float32 (t, D)."""
        push = self._encoder.begin(num_frames)
        return lambda x_N: push(_scaled(x_N.to(self.device)))

    def identity(self) -> dict[str, Any]:
        """See `identities`."""
        loaded = {self.config.weights: self.weights_sha256}
        if self._persons:
            loaded.update(self._persons.loaded)
        return of_rgb(self.config, loaded.__getitem__)


def _scaled(rgb: Tensor) -> Tensor:
    """0 .. 255 to -1 .. 1."""
    return rgb.float().div_(255 / 2).sub_(1)


def _person_crops(config: I3DConfig, device: torch.device) -> "PersonCrops":
    from extractors.person_crops import PersonCrops

    return PersonCrops(config.person, config.resize, device, config.precision)
