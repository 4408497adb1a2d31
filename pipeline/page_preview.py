"""A preview of a video that every browser plays, and the coarse flow drawn over it; made in one decode.

H.264 in MP4, 8-bit 4:2:0, upright, no sound; at most 480 px high and 854 px wide (or turned), at most 30
frames a second; its first frame is at 0 s, and the others come when they come in the source.
"""

import math
from pathlib import Path
from typing import IO

import cv2
import numpy as np

from pipeline.annotate_mp4 import mp4_writer
from pipeline.files import write_atomic
from pipeline.page_flow import CoarseFlow
from pipeline.report_video import put_script
from pipeline.timeline import Clock
from pipeline.video import DecodeLimits, DecodePolicy, VideoStream, decode

RECIPE = 1  # to be raised when the same video gives another preview
_SHORT_PX, _LONG_PX = 480, 854
_MOST_FPS = 31.0  # 30, give or take
_CRF = 28  # small: people and what they do stay recognisable


def make_preview(
    source: Path,
    mp4: Path,
    flow: Path,
    name: str,
    *,
    policy: DecodePolicy = DecodePolicy(),
    limits: DecodeLimits = DecodeLimits(),
) -> None:
    """Write the preview of a video, then its flow as a script that puts it under `name`; each file whole.

    Raises `VideoError` where the video cannot be decoded.
    """
    found: list[CoarseFlow] = []

    def write(file: IO[bytes]) -> None:
        def consume(stream: VideoStream) -> CoarseFlow:
            return _encode(stream, Path(file.name))

        found.append(decode(source, consume, fps=None, policy=policy, limits=limits)[0])

    write_atomic(mp4, write)
    script = put_script(name, found[0].to_json())
    write_atomic(flow, lambda file: file.write(script))


def _encode(stream: VideoStream, path: Path) -> CoarseFlow:
    """Called again, into the same file, where the video turned out to be another than announced."""
    clock = stream.meta.clock
    kept_F = thinned(clock)
    size = preview_size(stream.meta.width, stream.meta.height)
    ticks_N = clock.ticks_F[kept_F]
    flow = CoarseFlow(clock.duration_sec)
    with mp4_writer(path, size, Clock(ticks_N, clock.time_base), crf=_CRF) as writer:
        for frame_HWC, at_sec, kept in zip(stream, clock.sec_F, kept_F, strict=True):
            if kept:
                small = cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA)
                picture_HWC = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
                writer.write(picture_HWC)
                flow.add(picture_HWC, float(at_sec))
    return flow


def thinned(clock: Clock) -> np.ndarray:
    """Which frames a preview shows, (F,) bool: of a fast video every second, third ..., the first always."""
    every = max(1, math.ceil(clock.fps / _MOST_FPS))
    return np.arange(clock.num_frames) % every == 0


def preview_size(width: int, height: int) -> tuple[int, int]:
    """Width and height, even, never enlarged (but to 2 px)."""
    scale = min(1.0, _SHORT_PX / min(width, height), _LONG_PX / max(width, height))
    return _even(width * scale), _even(height * scale)


def _even(px: float) -> int:
    return max(2, 2 * round(px / 2))
