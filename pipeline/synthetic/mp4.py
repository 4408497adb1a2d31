"""Frames to an H.264 file whose bytes depend on nothing but the frames."""

import platform
from collections.abc import Iterable
from fractions import Fraction
from typing import IO

import cv2
import numpy as np

# The same bytes every time: one thread, and the assembler that gives what x264's C code gives. Its faster
# assembler reads memory it has not written (core 165, seen on a CPU with AVX-512: encoding the same frames
# again gave other bytes about every third time).
_ASSEMBLER = "sse2" if platform.machine() in ("x86_64", "AMD64") else "0"
_X264 = {"preset": "veryfast", "crf": "21", "g": "50", "threads": "1", "x264-params": f"asm={_ASSEMBLER}"}


def write_mp4(file: IO[bytes], frames: Iterable[np.ndarray], fps: float, size: tuple[int, int]) -> None:
    """Encode uint8 RGB frames (H, W, 3) of `size` (width, height) as 8-bit yuv420p into a seekable file."""
    import av

    rate = Fraction(fps).limit_denominator(100_000)
    # bitexact leaves the library's version and the date out of the file
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=rate, options=_X264)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for i, frame in enumerate(frames):
            # BT.601, limited range: what decoders assume of small, untagged video
            yuv = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420)
            picture = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
            picture.pts, picture.time_base = i, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
