"""Features of a whole video as one clip: frames in, in chunks; memory does not grow with the video.

Shapes: N frames of a chunk, t steps, D feature size.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from extractors.base import DenseExtractor
from extractors.dense_grid import DenseGrid
from pipeline.streams import Products


class DenseStream:
    """One extractor on one video, which goes through it whole: chunks of frames in, features out.

    `num_frames` has to be right before the first frame: it moves every feature. Of per-frame products
    only those of a batch are held, as the extractor encodes them; of the network, what the next features
    need. Batches are laid out from the video's first frame, so that what else is extracted changes no bit.
    """

    def __init__(self, extractor: DenseExtractor, num_frames: int, batch_frames: int) -> None:
        grid = extractor.grid
        assert isinstance(grid, DenseGrid)
        assert num_frames > 0, "a video has at least one frame"
        self._num_frames, self._batch = num_frames, batch_frames
        self._products = Products(extractor)
        self._clips = [_Clip(extractor, start, stop) for start, stop in grid.spans(num_frames)]
        self._held: list[Tensor] = []  # products of frames _first, _first + 1, ...
        self._first = 0

    def push(self, rgb_NHWC: Tensor) -> None:
        """The next frames, uint8, on the extractor's device. ValueError where they are too many."""
        self._take(self._products.of(rgb_NHWC))

    def finish(self) -> np.ndarray:
        """After the last frame: all features, (T, D) float32. ValueError where the frames were too few."""
        self._take(self._products.rest())
        received = self._first + len(self._held)
        if received != self._num_frames:
            raise _wrong_length(self._num_frames, str(received))
        missing = max(clip.stop for clip in self._clips) - received
        self._held.extend(self._held[-1:] * missing)
        self._flush(len(self._held))
        return torch.cat([row for clip in self._clips for row in clip.rows]).cpu().numpy()

    def _take(self, products: Sequence[Tensor]) -> None:
        self._held.extend(products)
        if self._first + len(self._held) > self._num_frames:
            raise _wrong_length(self._num_frames, "more")
        while len(self._held) > self._batch:  # one stays: a short video repeats its last frame
            self._flush(self._batch)

    def _flush(self, count: int) -> None:
        """Give the oldest products to the clips that see them."""
        batch_N = torch.stack(self._held[:count])
        for clip in self._clips:
            clip.push(batch_N[max(0, clip.start - self._first) : max(0, clip.stop - self._first)])
        del self._held[:count]
        self._first += count


class _Clip:
    """Frames [start, stop) of a video on their way through an extractor, and what came of them."""

    def __init__(self, extractor: DenseExtractor, start: int, stop: int) -> None:
        self.start, self.stop = start, stop
        self.rows: list[Tensor] = []  # (t, D) each
        self._extractor = extractor
        self._missing = stop - start
        self._push: Callable[[Tensor], Tensor] | None = None

    def push(self, products_N: Tensor) -> None:
        """The next products of this clip; there may be none in a batch."""
        if len(products_N) == 0:
            return
        self._push = self._push or self._extractor.begin(self.stop - self.start)
        self.rows.append(self._push(products_N))
        self._missing -= len(products_N)
        if self._missing == 0:
            self._push = None  # and what the network held for it


def _wrong_length(announced: int, came: str) -> ValueError:
    return ValueError(
        f"{announced} frames were announced, {came} came; the length moves every feature of a whole video: "
        "do it again with the right one"
    )
