"""What is known and decided about one video file: its properties, the policy, the result, the errors."""

import functools
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.timeline import Clock

Decoder = Literal["decord", "pyav"]

_RECIPE = 1  # to be raised when the same file gives other pixels, times or counts


_ANEW = "make it anew (ffmpeg -i IN -c:v libx264 OUT.mp4)"
# What may be wrong with a video: the classes of `failures.jsonl`.
REASONS: Mapping[str, str] = {
    "not_found": "no such file",
    "not_a_file": "a folder, a pipe, a socket or a device",
    "unreadable": "no right to read it, or no container format that is known",
    "empty": "0 bytes",
    "no_video_stream": "sound, subtitles or a cover picture alone",
    "no_frames": "a video stream without a packet",
    "truncated": "the file ends too early",
    "damaged": "frames are missing, or decoding stops on the way",
    "decode_error": "no frame can be decoded, or other frames come than were announced",
    "bad_dimensions": "a picture much longer than wide, or too large for the memory that a decoder may have",
    "bad_times": "times by which its frames would last for many seconds or days",
    "no_decoder": "the decoder that was asked for is not installed",
    "hang": "the decoder stood still for `work.hang_sec`",
    "deadline": "the decoder was waited for longer than `work.deadline_sec` in all",
    "memory": "the decoder needed more than `work.decoder_mb`",
    "crash": "the decoder process ended without a word",
    "changed": "its content changed while it was decoded",
    "out_of_memory": "the networks need more memory than there is, even for one frame at a time",
    "unusable": "a name or a path that cannot be an input",
    "no_features": "an earlier stage left nothing of it",
}

_REMEDIES = {
    "not_found": "expected a video file: check the path",
    "not_a_file": "expected a video file",
    "unreadable": "expected a video file, such as MP4, MKV, WebM or AVI: check what it is (ffprobe)",
    "empty": "expected a video: copy or download it again",
    "no_video_stream": "expected a stream of moving pictures: leave this file out",
    "bad_dimensions": "expected a picture: crop it, or leave this file out",
    "no_decoder": "expected it beside PyAV: install it, or let the decoder be chosen (decoder: auto)",
    "bad_times": "expected plausible times: give it a rate (ffmpeg -r 25 -i IN OUT.mp4), or, if it really "
    "stands still for so long, all frames (ffmpeg -i IN -vf fps=25 OUT.mp4)",
    "hang": f"expected frames: {_ANEW}, or allow more time (work.hang_sec)",
    "deadline": f"expected its last frame: {_ANEW}, or allow more time (work.deadline_sec)",
    "memory": "expected a smaller picture: scale it down (ffmpeg -i IN -vf scale=1280:-2 OUT.mp4), or allow "
    "more memory (work.decoder_mb)",
    "truncated": "expected the whole file: get it again",
    "out_of_memory": "expected room for it: make the picture smaller, or take another --device",
    "changed": "expected it to stay as it is: run again when whoever writes it is done",
}
_REMAKE = f"expected a video that plays to its end: {_ANEW}"
_KEEP = "expected all of them: get or make the file again, or keep what is there (partial: keep)"


class VideoError(ValueError):
    """This file cannot be turned into frames; the message says what was found and what to do.

    `reason` is its short class, one of REASONS. `keep` says that a part can be had.
    """

    def __init__(self, path: Path, reason: str, found: str, *, keep: bool = False) -> None:
        assert reason in REASONS, reason
        super().__init__(f"{path}: {found}; {_KEEP if keep else _REMEDIES.get(reason, _REMAKE)}")
        self.path = path
        self.reason = reason


class RedoWithFallback(Exception):
    """Decoding failed on the way: drop every frame of this video and open it with `after=` this."""

    def __init__(self, why: str, waited_sec: float = 0.0) -> None:
        super().__init__(why)
        self.why = why
        self.waited_sec = waited_sec  # for its decoder


@dataclass(frozen=True, kw_only=True)
class DecodeLimits:
    """What the decoder of one video may cost: no number depends on it."""

    hang_sec: float = 60.0  # how long it may stand still
    deadline_sec: float = 4 * 3600.0  # how long it may be waited for in all
    memory_bytes: int = 2 << 30  # of its process: what it allocates, and the frames that wait
    queue_bytes: int = 64 << 20  # of frames that wait for their reader (at least 4 frames, at most 64)


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
    color_range: str  # "limited" or "full", and "(assumed)" where the file does not say; see `color`
    color_matrix: str  # "bt601", "bt709", ..., likewise
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
