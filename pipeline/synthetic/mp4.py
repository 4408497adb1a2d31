"""Frames to an H.264 file whose bytes depend on nothing but the frames."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

_X264 = {
    "preset": "veryfast",
    "crf": "21",
    "threads": "1",
    "g": "50",
}  # one thread: the same bytes every time


def write_mp4(path: Path, frames: Iterable[np.ndarray], fps: float, size: tuple[int, int]) -> None:
    """Encode uint8 RGB frames (H, W, 3) of `size` (width, height) as 8-bit yuv420p."""
    import av

    rate = Fraction(fps).limit_denominator(100_000)
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=rate, options=_X264)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for i, frame in enumerate(frames):
            # BT.601, limited range: what decoders assume of small, untagged video
            picture = av.VideoFrame.from_ndarray(
                cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420), format="yuv420p"
            )
            picture.pts, picture.time_base = i, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
