"""Video files to frames: the one way to get them.

    with open_video("a.mp4", fps=25) as stream:
        stream.meta, stream.frame_index_S       # known before the first frame
        for frame_HWC in stream: ...            # uint8, upright, one per sample, in order
        stream.result                           # what was decoded, and how

A video is decoded once, forward, in a process of its own (`decoder_server`) that stops while its
reader is busy, so memory does not grow with the length; it is killed when it hangs. decord decodes
what it decodes rightly, PyAV the rest. After any error of decord everything is decoded again from
the first frame with PyAV; `decode` does that for you.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from pipeline.decoder_client import ChildDied, ChildHung, ChildLate, DecoderProcess
from pipeline.timeline import Clock
from pipeline.video_types import (
    DecodeLimits,
    DecodePolicy,
    Decoder,
    DecodeResult,
    RedoWithFallback,
    VideoError,
    VideoMeta,
)

__all__ = [
    "DecodeLimits",
    "DecodePolicy",
    "DecodeResult",
    "RedoWithFallback",
    "VideoError",
    "VideoMeta",
    "VideoStream",
    "decode",
    "open_video",
    "probe",
]

T = TypeVar("T")

_MIN_SLOTS, _MAX_SLOTS = 4, 64  # frames that wait; more of them only leave the processor's caches
# A frame may last: a slide, a recording of what moves. But a few frames of a broken file that stand for
# thousands each would keep the networks busy for days.
_MOST_REPEATS, _FEW_SAMPLES = 250, 5_000


def probe(
    path: str | os.PathLike[str],
    *,
    policy: DecodePolicy = DecodePolicy(),
    limits: DecodeLimits = DecodeLimits(),
) -> VideoMeta:
    """Read all packets, decode one frame: size, clock, codec. Raises `VideoError`."""
    with open_video(path, fps=None, policy=policy, limits=limits) as stream:
        return stream.meta


def decode(
    path: str | os.PathLike[str],
    consume: Callable[["VideoStream"], T],
    *,
    fps: float | None,
    policy: DecodePolicy = DecodePolicy(),
    limits: DecodeLimits = DecodeLimits(),
    opened: "VideoStream | None" = None,
) -> tuple[T, DecodeResult]:
    """Call `consume` with the stream and return its value, and how the video was decoded.

    `consume` must read the stream to its end. Where decoding fails on the way, what it did is
    dropped and it is called once more, with all frames from PyAV. `opened` is the stream to begin with,
    where there is one already; it is closed here. Raises `VideoError`.
    """
    after, again = None, opened
    while True:
        with again or open_video(path, fps=fps, policy=policy, limits=limits, after=after) as stream:
            try:
                return consume(stream), stream.result
            except RedoWithFallback as failure:
                after, again = failure, None


def open_video(
    path: str | os.PathLike[str],
    *,
    fps: float | None,
    policy: DecodePolicy = DecodePolicy(),
    limits: DecodeLimits = DecodeLimits(),
    after: RedoWithFallback | None = None,
    stop: threading.Event | None = None,
) -> "VideoStream":
    """Scan a video and plan its samples; frames come by iterating. `fps` None takes every frame.

    Where it is opened in a thread, another one sets `stop` once it is not wanted: then nothing is waited
    for any more (`decoder_client.NoLongerWanted`).
    """
    if fps is not None and not fps > 0:
        raise ValueError(f"fps is a rate above 0 or None for every frame, got {fps}")
    return VideoStream(Path(path), fps, policy, limits, after, stop)


class VideoStream:
    """One forward pass over the sampled frames of a video; a context manager.

    Iterating yields S arrays (H, W, 3) uint8, frame `frame_index_S[j]` as the j-th. An array is a
    view into shared memory: it is valid until the next one is asked for, so copy what you keep.
    Raises `VideoError`, or `RedoWithFallback` where frames may have been handed out in vain.
    """

    meta: VideoMeta
    frame_index_S: np.ndarray  # int64, not decreasing

    def __init__(
        self,
        path: Path,
        fps: float | None,
        policy: DecodePolicy,
        limits: DecodeLimits,
        after: RedoWithFallback | None,
        stop: threading.Event | None = None,
    ) -> None:
        self._path, self._policy, self._limits, self._after = path, policy, limits, after
        self._decoder: Decoder = "pyav"  # scans
        self._started = self._read = self._ended = False
        self._result: DecodeResult | None = None
        _check_file(path)
        self._child = DecoderProcess(path.absolute(), limits, after.waited_sec if after else 0.0, stop)
        try:
            scan = self._scan()
            self._decoder, self._why = self._choose(scan)
            self._error: str | None = scan["error"]
            self._expected_frames: int = scan["expected_frames"]
            self.meta = _meta(path, scan)
            _check_plausible(self.meta, fps, limits)
            self.frame_index_S = self.meta.clock.sample(fps)
        except BaseException:
            self.close()
            raise

    @property
    def num_sampled(self) -> int:
        """S."""
        return len(self.frame_index_S)

    @property
    def result(self) -> DecodeResult:
        """What was decoded: once iteration has come to its end."""
        assert self._result is not None, "the stream was not read to its end"
        return self._result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the decoder process; called by leaving the context."""
        self._child.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        assert not self._read, "a stream is read once"
        self._read = True
        self.start()
        ring = self._child.ring
        _, repeats = np.unique(self.frame_index_S, return_counts=True)
        for repeat in repeats.tolist():
            self._await_frame()
            frame_HWC = ring.oldest()
            for _ in range(repeat):
                yield frame_HWC
            ring.take()
            if ring.low:
                self._child.resume()
        while not self._ended:
            self._ended = self._expect("frame", "end")["is"] == "end"
        assert not ring.waiting, "more frames came than were planned"
        self._result = DecodeResult(
            meta=self.meta,
            decoder=self._decoder,
            why=self._why,
            num_sampled=self.num_sampled,
            expected_frames=self._expected_frames,
            partial=self._error is not None,
            error=self._error,
        )

    def start(self) -> None:
        """Have as many frames decoded as may wait: whoever asks for them later has them at once."""
        if self._started:
            return
        self._started = True
        height, width = self.meta.height, self.meta.width
        wanted_F = np.zeros(self.meta.clock.num_frames, dtype=bool)
        wanted_F[self.frame_index_S] = True
        most_bytes = min(self._limits.queue_bytes, self._limits.memory_bytes // 4)
        slots = min(max(_MIN_SLOTS, most_bytes // (height * width * 3)), _MAX_SLOTS)
        self._child.ring.allocate(slots, height, width)
        plan = {"do": "decode", "decoder": self._decoder, "slots": slots}
        self._child.send(plan, wanted_F.tobytes())

    def _scan(self) -> dict[str, Any]:
        """The packets' story; where it does not hold, that of a whole decode."""
        scan = self._receive_scan()
        if scan["error"] is not None and self._policy.partial == "fail":
            raise VideoError(self._path, "truncated", _shortage(scan), keep=True)
        if self._after is not None or scan["error"] is not None:
            self._child.send({"do": "recount"})
            scan = self._receive_scan()
            if scan["error"] is not None and self._policy.partial == "fail":
                raise VideoError(self._path, "damaged", _shortage(scan), keep=True)
        return scan

    def _choose(self, scan: dict[str, Any]) -> tuple[Decoder, str]:
        if self._after is not None:
            return "pyav", f"again from the first frame: {self._after.why}"
        if self._policy.decoder != "auto":
            return self._policy.decoder, "asked for"
        if scan["error"] is not None:
            return "pyav", "the file is damaged"
        if scan["avoid_decord"] is not None:
            return "pyav", scan["avoid_decord"]
        return "decord", "default"

    def _receive_scan(self) -> dict[str, Any]:
        scan = self._expect("scan")
        with self._own_errors():
            pts = np.frombuffer(self._child.receive_bytes(), dtype=np.int64)
        return {**scan, "pts_F": pts if scan["has_pts"] else None}

    def _await_frame(self) -> None:
        """Until one waits in the ring.

        The decoder says so only where none waited before. What it says and what is taken may cross: then
        there is a frame of which nothing was said, or none where one was taken without being told.
        """
        while not self._child.ring.waiting:
            assert not self._ended, "fewer frames came than were planned"
            with self._own_errors():
                message = self._child.receive_or_frame()
            if message is not None:
                self._ended = self._checked(message, "frame", "end")["is"] == "end"

    def _expect(self, *kinds: str) -> dict[str, Any]:
        """The next message, which must be of these kinds, else what went wrong as the right exception."""
        with self._own_errors():
            message = self._child.receive()
        return self._checked(message, *kinds)

    def _checked(self, message: dict[str, Any], *kinds: str) -> dict[str, Any]:
        if message["is"] == "error":
            raise self._failure(message["reason"], message["found"])
        assert message["is"] in kinds, f"expected {' or '.join(kinds)}, got {message}"
        return message

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """What went wrong with the process, as the right exception."""
        try:
            yield
        except ChildLate as late:
            raise VideoError(self._path, "deadline", f"{self._decoder} is too slow: {late}") from None
        except ChildHung as hang:
            raise self._failure("hang", f"{self._decoder} hangs: {hang}") from None
        except ChildDied as crash:
            raise self._failure("crash", f"{self._decoder} crashed: {crash}") from None

    def _failure(self, reason: str, found: str) -> VideoError | RedoWithFallback:
        if self._started and self._after is None and self._policy.decoder != "decord":
            return RedoWithFallback(found, self._child.waited_sec)
        return VideoError(self._path, reason, found)


def _check_file(path: Path) -> None:
    """What can be said without a decoder."""
    if not path.exists():
        raise VideoError(path, "not_found", "no such file")
    if not path.is_file():
        raise VideoError(path, "not_a_file", "is a folder" if path.is_dir() else "is not a regular file")
    if not os.access(path, os.R_OK):
        raise VideoError(path, "unreadable", "no permission to read")
    if path.stat().st_size == 0:
        raise VideoError(path, "empty", "0 bytes")


def _check_plausible(meta: VideoMeta, fps: float | None, limits: DecodeLimits) -> None:
    """Refuse what would cost memory or time without measure on our side of the decoder process."""
    if _MIN_SLOTS * meta.height * meta.width * 3 > limits.memory_bytes // 2:
        found = f"{_MIN_SLOTS} frames of {meta.width}x{meta.height} px take too much memory"
        raise VideoError(meta.path, "bad_dimensions", found)
    num_frames, num_sampled = meta.clock.num_frames, meta.clock.num_sampled(fps)
    if num_sampled > max(_FEW_SAMPLES, _MOST_REPEATS * num_frames):
        found = f"its {num_frames} frames would be {num_sampled} at {fps:g} fps"
        raise VideoError(meta.path, "bad_times", found)


def _meta(path: Path, scan: dict[str, Any]) -> VideoMeta:
    return VideoMeta(
        path=path,
        width=scan["width"],
        height=scan["height"],
        clock=_clock(scan),
        codec=scan["codec"],
        pix_fmt=scan["pix_fmt"],
        bit_depth=scan["bit_depth"],
        color_range=scan["color_range"],
        color_matrix=scan["color_matrix"],
        rotation=scan["rotation"],
        stream_index=scan["stream_index"],
        notes=tuple(scan["notes"]),
    )


def _clock(scan: dict[str, Any]) -> Clock:
    pts_F = scan["pts_F"]
    if pts_F is None:
        return Clock.constant(scan["num_frames"], Fraction(*scan["rate"]))
    time_base = Fraction(*scan["time_base"])
    start_sec = float(int(pts_F[0]) * time_base) - scan["origin_sec"]
    return Clock(pts_F - pts_F[0], time_base, start_sec)


def _shortage(scan: dict[str, Any]) -> str:
    return f"{scan['num_frames']} of {scan['expected_frames']} frames ({scan['error']})"
