"""From frames to features and joints: one pass over a video feeds everyone who wants its frames.

Shapes: N frames in a chunk, L frames per clip, H W pixels, T steps, D feature size.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from extractors.base import Extractor
from pipeline.chunks import on_device
from pipeline.stopwatch import Stopwatch


class Stream(Protocol):
    """Takes the frames of one video, chunk after chunk, then says what it made of them.

    FeatureStream is one, dense_stream.DenseStream and extractors.tracking.JointStream are others.
    """

    def push(self, rgb_NHWC: Tensor) -> None:
        """The next frames, uint8, on the device of the job."""

    def finish(self) -> Any:
        """After the last frame."""


class Products:
    """An extractor's per-frame products of one video: in the end as many as it has frames."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self._unpaired: Tensor | None = None  # the last frame, where products look one frame ahead
        self._last: Tensor | None = None  # product

    def of(self, rgb_NHWC: Tensor) -> Sequence[Tensor]:
        """What the next frames, uint8, complete."""
        if self._extractor.lookahead:
            if self._unpaired is not None:
                rgb_NHWC = torch.cat([self._unpaired, rgb_NHWC])
            self._unpaired = rgb_NHWC[-1:]
            if len(rgb_NHWC) == 1:
                return []
        products = self._extractor.frames(rgb_NHWC).unbind()
        self._last = products[-1]
        return products

    def rest(self) -> Sequence[Tensor]:
        """After the last frame, what waits for a next one: the last product again; a single frame's own."""
        if not self._extractor.lookahead:
            return []
        assert self._unpaired is not None, "a video has at least one frame"
        if self._last is None:
            self._last = self._extractor.frames(torch.cat([self._unpaired] * 2))[0]
        return [self._last]


class FeatureStream:
    """One extractor on one video: chunks of frames in, one feature per window out.

    Holds only the per-frame products that a window still needs. Batches are laid out from the
    video's first window, so that what else is extracted changes no bit.
    """

    def __init__(self, extractor: Extractor, batch_clips: int) -> None:
        self._extractor, self._batch = extractor, batch_clips
        self._products = Products(extractor)
        self._held: list[Tensor] = []  # products of frames _first, _first + 1, ...
        self._first = 0
        self._next_window = 0
        self._clips: list[list[Tensor]] = []  # products of each, not copied before the batch is full
        self._rows: list[Tensor] = []

    def push(self, rgb_NHWC: Tensor) -> None:
        """The next frames of the video, uint8, on the extractor's device."""
        self._held.extend(self._products.of(rgb_NHWC))
        window = self._extractor.window
        received = self._first + len(self._held)
        while (end := self._next_window * window.stride + window.offset + window.length) <= received:
            self._add_clip(end - window.length, received)

    def finish(self) -> np.ndarray:
        """After the last frame: the rows of all windows, (T, D) float32."""
        self._held.extend(self._products.rest())
        window = self._extractor.window
        received = self._first + len(self._held)
        while self._next_window < window.count(received):
            self._add_clip(self._next_window * window.stride + window.offset, received)
        self._flush()
        return torch.cat(self._rows).float().cpu().numpy()

    def _add_clip(self, start: int, received: int) -> None:
        """The window that starts at frame `start`; outside the video its edge frames repeat."""
        window = self._extractor.window
        frames_L = np.clip(np.arange(start, start + window.length), 0, received - 1) - self._first
        self._clips.append([self._held[i] for i in frames_L])
        if len(self._clips) == self._batch:
            self._flush()
        self._next_window += 1
        needed = max(0, self._next_window * window.stride + window.offset)
        # a padded window past the end still repeats the last frame: keep one
        drop = min(needed - self._first, len(self._held) - 1)
        if drop > 0:
            del self._held[:drop]
            self._first += drop

    def _flush(self) -> None:
        if self._clips:
            self._rows.append(encoded(self._extractor, self._clips))
            self._clips.clear()


def encoded(extractor: Extractor, clips: Sequence[Sequence[Tensor]]) -> Tensor:
    """Features (N, D) of N clips, each given as the products of its frames, which are copied once."""
    x_N = torch.stack([product for clip in clips for product in clip])
    return extractor.clips(x_N.unflatten(0, (len(clips), -1)))


def run_streams(
    frames: Iterable[np.ndarray],
    streams: Sequence[Stream],
    *,
    device: torch.device,
    chunk_frames: int,
    waited: Stopwatch | None = None,
) -> list[Any]:
    """What each stream makes of one pass over sampled frames (H, W, 3) uint8.

    Frames cross to the device once, `chunk_frames` at a time, as uint8. At least one frame is needed.
    `waited` counts the time in which streams had none.
    """
    waited = waited or Stopwatch()
    with torch.inference_mode(), on_device(frames, device, chunk_frames) as arriving:
        for rgb_NHWC in waited.around(arriving):
            for stream in streams:
                stream.push(rgb_NHWC)
        return [stream.finish() for stream in streams]
