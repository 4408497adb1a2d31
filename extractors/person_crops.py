"""The surest person of every frame, cut out as a square: what recipes of home cameras show to I3D.

Each frame is on its own: no tracking, nothing carried over, so how frames are laid out in batches changes
nothing but rounding, and that moves a crop by as little.
Shapes: N frames, H W pixels, P persons of a frame.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from extractors.detector import PersonDetector
from extractors.identities import of_person_crops
from extractors.person_crops_config import PersonCropConfig
from extractors.precision import Precision
from extractors.preprocess import resample_square


@dataclass(frozen=True)
class Square:
    """Where a crop is cut, in px of the frame; it may reach beyond it."""

    left: float
    top: float
    side: float


class PersonCrops:
    """Frames to squares around their surest persons; where nobody is found, to the middle of the frame."""

    def __init__(
        self, config: PersonCropConfig, size: int, device: torch.device, precision: Precision | None = None
    ) -> None:
        """`size` px is the side of what comes out, `precision` that of the detector.

        ValueError for an unknown detector; WeightsError for weights that are missing or do not fit.
        """
        self.config, self.size, self._precision = config, size, precision
        self._detector = PersonDetector(
            config.detector,
            config.detector_weights,
            threshold=config.threshold,
            max_persons=1,
            device=device,
            precision=precision,
        )

    @torch.inference_mode()
    def __call__(self, rgb_NHWC: Tensor) -> Tensor:
        """uint8 (N, H, W, 3) of any size to uint8 (N, size, size, 3)."""
        squares = self.squares(rgb_NHWC)
        crops = [
            resample_square(rgb_HWC, square.left, square.top, square.side, self.size)
            for rgb_HWC, square in zip(rgb_NHWC, squares, strict=True)
        ]
        return torch.stack(crops)

    def squares(self, rgb_NHWC: Tensor) -> list[Square]:
        """What is cut from each of these frames."""
        height, width = rgb_NHWC.shape[1:3]
        found = [boxes_P5[0, :4].tolist() if len(boxes_P5) else None for boxes_P5 in self._detector(rgb_NHWC)]
        return [around(box, self.config.margin) if box else middle(width, height) for box in found]

    @property
    def loaded(self) -> dict[str, str]:
        """SHA-256 of the weights by name."""
        return {self.config.detector_weights: self._detector.weights_sha256}

    def identity(self) -> dict[str, Any]:
        """See `identities`."""
        return of_person_crops(self.config, self._precision, self.loaded.__getitem__)


def around(box: list[float], margin: float) -> Square:
    """The square about the middle of a box x1, y1, x2, y2, `margin` times as large as its longer side."""
    x1, y1, x2, y2 = box
    side = margin * max(x2 - x1, y2 - y1)
    return Square((x1 + x2 - side) / 2, (y1 + y2 - side) / 2, side)


def middle(width: int, height: int) -> Square:
    """The largest square in the middle of a frame."""
    side = min(width, height)
    return Square((width - side) / 2, (height - side) / 2, side)
