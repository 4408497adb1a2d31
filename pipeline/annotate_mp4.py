"""Pictures to an H.264 file at the times of their source: 8-bit 4:2:0, which every browser plays."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.timeline import Clock

_X264 = {"preset": "veryfast", "g": "60"}  # a key frame at least every 60: quick to seek
_BT709 = 1  # FFmpeg's number for matrix, primaries and transfer alike
_LIMITED = 1
_FINEST = Fraction(1, 90_000)  # seconds; MP4 counts in 32 bits, and some containers in nanoseconds


class Mp4Writer:
    """One picture after the other; see `mp4_writer`."""

    def __init__(self, container: Any, stream: Any, clock: Clock) -> None:
        self._container, self._stream = container, stream
        self._base = clock.time_base if clock.time_base.denominator <= _FINEST.denominator else _FINEST
        self._ticks = _whole(clock, self._base)
        self._done = 0
        stream.time_base = stream.codec_context.time_base = self._base

    def write(self, picture_HWC: np.ndarray) -> None:
        """The next frame, uint8 BGR, of the size that was announced."""
        import av

        frame = av.VideoFrame.from_ndarray(picture_HWC, format="bgr24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts, frame.time_base = int(self._ticks[self._done]), self._base
        self._container.mux(self._stream.encode(frame))
        self._done += 1


@contextmanager
def mp4_writer(path: Path, size: tuple[int, int], clock: Clock, *, crf: int = 20) -> Iterator[Mp4Writer]:
    """A file of `size` (width, height; even), frame i shown when `clock` says, from zero on.

    `crf`: of x264, higher is smaller and worse.
    """
    import av

    width, height = size
    assert width % 2 == height % 2 == 0, size
    # the index in front: a browser can begin before it has the whole file
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        rate = Fraction(clock.fps).limit_denominator(1001)
        options = {**_X264, "crf": str(crf)}
        stream = container.add_stream("libx264", rate=max(rate, Fraction(1)), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        yield Mp4Writer(container, stream, clock)
        container.mux(stream.encode())


def _whole(clock: Clock, base: Fraction) -> np.ndarray:
    """When each frame is shown, in whole units of `base`, strictly increasing: (F,) int64."""
    if base == clock.time_base:
        return clock.ticks_F
    nearest_F = np.rint(clock.ticks_F * float(clock.time_base / base)).astype(np.int64)
    index_F = np.arange(len(nearest_F))
    return np.maximum.accumulate(nearest_F - index_F) + index_F
