"""What an extractor is, and which frames each of its features sees.

Shapes: N frames or clips in a batch, L frames per clip, H W pixels, K windows, D feature size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor


class NetworkError(ValueError):
    """A network that there is not, or that cannot work as it was asked to; the message says what can."""


class Grid(Protocol):
    """When the features of a video are. `Window` is one; `extractors.dense_grid` has another."""

    def count(self, num_frames: int) -> int:
        """Number of features T of a video of `num_frames` sampled frames."""
        ...

    def centers_K(self, num_frames: int) -> np.ndarray:
        """Middle of what each feature sees, in (fractional) sampled frames: (K,) float64, not clamped."""
        ...


@dataclass(frozen=True)
class Window:
    """Feature k sees sampled frames k * stride + offset, ..., + length - 1; edges repeat.

    Every video has ceil(S / stride) features, however short it is: frames before the first
    or after the last are the edge frame repeated.

        length=4, stride=2, 5 frames:   k=0 [0 1 2 3]   k=1 [2 3 4 4]   k=2 [4 4 4 4]
        ... and offset=-1:              k=0 [0 0 1 2]   k=1 [1 2 3 4]   k=2 [3 4 4 4]
    """

    length: int  # frames
    stride: int  # frames
    offset: int = 0  # frames, of the first frame seen by feature 0; negative reaches back

    def __post_init__(self) -> None:
        if self.length < 1 or self.stride < 1:
            raise ValueError(f"a window needs length >= 1 and stride >= 1, got {self}")

    def count(self, num_frames: int) -> int:
        """Number of features T of a video of `num_frames` sampled frames: ceil(S / stride)."""
        return -(-num_frames // self.stride)

    def frames_KL(self, num_frames: int) -> np.ndarray:
        """Frame indices behind every feature: (K, L) int64, clamped to the video."""
        starts_K1 = np.arange(self.count(num_frames))[:, None] * self.stride + self.offset
        return np.clip(starts_K1 + np.arange(self.length), 0, num_frames - 1)

    def centers_K(self, num_frames: int) -> np.ndarray:
        """Middle of each window in (fractional) sampled frames: (K,) float64, not clamped."""
        return np.arange(self.count(num_frames)) * float(self.stride) + self.offset + (self.length - 1) / 2


class Extractor(Protocol):
    """Turns frames into vectors. It knows pixels and weights: no files, no seconds, no cache.

    The driver calls `frames` on consecutive batches of one video, cuts windows from what it
    returns, and calls `clips` on batches of those. Batch size must not change a result beyond
    rounding. `lookahead` says that `frames` of N + 1 frames gives N products, product i made of
    frames i and i + 1 (optical flow); the driver repeats the last product.

    Where `grid` is not the window, the extractor is a `DenseExtractor`, and `window` means nothing.
    """

    name: str  # "rgb": also the name of its folder in the cache
    dim: int  # D
    window: Window
    lookahead: int  # 0, or 1 for products made of a frame and the next one
    device: torch.device

    @property
    def grid(self) -> Grid:
        """When its features are."""
        ...

    def frames(self, rgb_NHWC: Tensor) -> Tensor:
        """Per-frame product of uint8 RGB frames (N, H, W, 3) of any size: (N - lookahead, ...)."""
        ...

    def clips(self, x_NL: Tensor) -> Tensor:
        """Windows of per-frame products (N, L, ...) to features (N, D) float32."""
        ...

    def identity(self) -> dict[str, Any]:
        """Everything that changes the numbers, as JSON: name, weights' hash, window, preprocessing."""
        ...


@runtime_checkable
class DenseExtractor(Extractor, Protocol):
    """An extractor that can take a whole video as one clip."""

    def begin(self, num_frames: int) -> Callable[[Tensor], Tensor]:
        """A clip of `num_frames` frames, given in pieces.

        What is returned takes its per-frame products (N, ...) in order, in pieces of any length, and gives
        the features (t, D) float32 that each piece completes; t may be 0.
        """
        ...
