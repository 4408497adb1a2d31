"""What is known and decided about one video file: its properties, the policy, the result, the errors."""

import functools
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.timeline import Clock

Decoder = Literal["decord", "pyav"]

_RECIPE = 1  # to be raised when the same file gives other pixels, times or counts


_REMEDIES = {
    "not_found": "expected a video file: check the path",
    "not_a_file": "expected a video file",
    "unreadable": "expected a video file, such as MP4, MKV, WebM or AVI: check what it is (ffprobe)",
    "empty": "expected a video: copy or download it again",
    "no_video_stream": "expected a stream of moving pictures: leave this file out",
    "bad_dimensions": "expected a picture: crop it, or leave this file out",
    "no_decoder": "expected it beside PyAV: install it, or let the decoder be chosen (decoder: auto)",
    "hang": "expected frames: make it anew (ffmpeg -i IN -c:v libx264 OUT.mp4), or allow more time",
    "truncated": "expected the whole file: get it again",
}
_REMAKE = "expected a video that plays to its end: make it anew (ffmpeg -i IN -c:v libx264 OUT.mp4)"
_KEEP = "expected all of them: get or make the file again, or keep what is there (partial: keep)"


class VideoError(ValueError):
    """This file cannot be turned into frames; the message says what was found and what to do.

    `reason` is its short class: not_found, not_a_file, unreadable, empty, no_video_stream, no_frames,
    decode_error, damaged, truncated, no_decoder, hang, crash. `keep` says that a part can be had.
    """

    def __init__(self, path: Path, reason: str, found: str, *, keep: bool = False) -> None:
        super().__init__(f"{path}: {found}; {_KEEP if keep else _REMEDIES.get(reason, _REMAKE)}")
        self.path = path
        self.reason = reason


class RedoWithFallback(Exception):
    """Decoding failed on the way: drop every frame of this video and open it with `after=` this."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class DecodePolicy:
    """What changes the numbers: which decoder, and whether part of a damaged video will do."""

    decoder: Literal["auto", "decord", "pyav"] = "auto"
    partial: Literal["fail", "keep"] = "fail"

    def __post_init__(self) -> None:
        if self.decoder not in ("auto", "decord", "pyav") or self.partial not in ("fail", "keep"):
            raise ValueError(f"decoder is auto, decord or pyav, partial is fail or keep, got {self}")

    def identity(self) -> dict[str, Any]:
        """The policy and the versions of the libraries, for cache keys."""
        return {"recipe": _RECIPE, "decoder": self.decoder, "partial": self.partial, **_library_versions()}


@dataclass(frozen=True)
class VideoMeta:
    """A video stream as it will be decoded: upright, `clock.num_frames` frames."""

    path: Path
    width: int
    height: int
    clock: Clock
    codec: str
    pix_fmt: str
    bit_depth: int
    rotation: int  # degrees counter-clockwise that make a stored frame upright, already applied
    stream_index: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DecodeResult:
    """What came of decoding a video to its end."""

    meta: VideoMeta
    decoder: Decoder
    why: str  # this decoder
    num_sampled: int  # S
    expected_frames: int  # what the container promised
    partial: bool = False
    error: str | None = None  # what is wrong with a partial video

    @property
    def num_frames(self) -> int:
        """F."""
        return self.meta.clock.num_frames


@functools.cache
def _library_versions() -> dict[str, str | None]:
    """Versions as installed, without loading the libraries; None where one is missing."""
    versions: dict[str, str | None] = {}
    for name in ("decord", "av"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions
