"""Packets and frames of one file: the only code that imports decord and PyAV.

It runs in a child process (`decoder_server`), because both are native code that can hang or crash
on a bad file. Everything is read forward, never sought: seeking is silently wrong on open-GOP video.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from pipeline.containers import AVI, MATROSKA, MOV, cut_short, missing_end, origin_sec, presentation_times

try:
    import decord
except (ImportError, OSError):  # no wheel for this machine: PyAV alone
    decord = None
else:
    decord.logging.set_level(decord.logging.QUIET)

av.logging.set_level(None)

# Where decord 0.6.0 was seen to be right. It opens more, and is then silently wrong: of MPEG-TS it
# drops the first group of pictures and repeats the last frame until the count fits.
_DECORD_CONTAINERS = frozenset([MOV, MATROSKA, AVI])
_DECORD_CODECS = frozenset(["h264", "hevc", "mpeg4", "vp8", "vp9", "mpeg1video", "mpeg2video", "mjpeg"])
# decord fails as soon as it has put one frame in the place of another (a share of the frames).
_DECORD_FAULTS = 1e-9
# It has no limit of its own to how far it decodes ahead.
_DECORD_HOARD_BYTES = 512 << 20
_DECORD_LOG_PREFIX = re.compile(r"\[\d\d:\d\d:\d\d\] \S+:\d+: ")

Tick = Callable[[], None]  # called for every packet and frame: tells a watchdog that work goes on
_ToRgb = Callable[[], np.ndarray]  # converts the current frame, if it is wanted


class DecodeError(Exception):
    """The file cannot be read as video: a short class of reason, and what was found."""

    def __init__(self, reason: str, found: str) -> None:
        super().__init__(found)
        self.reason = reason
        self.found = found


@dataclass(frozen=True)
class Scan:
    """What is known of a video stream: from its packets, or, once counted, from decoding all of it."""

    stream_index: int
    codec: str
    pix_fmt: str
    bit_depth: int
    width: int  # upright
    height: int
    rotation: int  # degrees counter-clockwise that make a decoded frame upright: 0, 90, 180, 270
    time_base: Fraction  # seconds per unit of pts
    rate: Fraction  # average frames per second
    origin_sec: float  # container time that a player shows as zero
    pts_F: np.ndarray | None  # int64, increasing; None where the container's times cannot be used
    first_HWC: np.ndarray  # the first frame, upright RGB
    num_frames: int
    expected_frames: int  # what the container promises
    error: str | None  # why there are fewer
    avoid_decord: str | None  # why PyAV is to decode it
    notes: tuple[str, ...]


def scan(path: Path, tick: Tick) -> Scan:
    """Read all packets without decoding them, and decode the first frame; raises `DecodeError`."""
    with closing(_open(path)) as container:
        stream = _video_stream(container)
        packets = _read_packets(container, stream.index, tick)
        duration_sec = (container.duration or 0) / av.time_base
        error = packets.error or missing_end(path, container.format.name, duration_sec, packets.end_sec)
        first = _first_frame(path, stream.index, error)
        rotation = round(first.rotation / 90) % 4 * 90
        first_HWC = np.rot90(first.to_ndarray(format="rgb24"), rotation // 90)
        pts_F, no_times = presentation_times(packets.pts, packets.dts)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        promised = stream.frames or round(duration_sec * rate)
        first_sec = 0.0 if pts_F is None else float(pts_F[0] * stream.time_base)
        start_sec = (container.start_time or 0) / av.time_base
        return Scan(
            stream_index=stream.index,
            codec=stream.codec_context.codec.canonical_name,
            pix_fmt=first.format.name,
            bit_depth=max(component.bits for component in first.format.components),
            width=first_HWC.shape[1],
            height=first_HWC.shape[0],
            rotation=rotation,
            time_base=stream.time_base,
            rate=rate,
            origin_sec=origin_sec(container.format.name, start_sec, first_sec),
            pts_F=pts_F,
            first_HWC=first_HWC,
            num_frames=len(packets.pts),
            expected_frames=max(len(packets.pts), promised) if error else len(packets.pts),
            error=error,
            avoid_decord=_avoid_decord(container, stream, first, packets.hidden) or no_times,
            notes=_notes(container, stream, no_times, packets.hidden),
        )


def recount(path: Path, known: Scan, tick: Tick) -> Scan:
    """Decode everything with PyAV once, where packets do not tell which frames come.

    The same frames will come when it is decoded again. Where frames are missing, `error` says so,
    except for what is no damage: packets before the first key frame, and fields stored one by one.
    """
    pts: list[int | None] = []
    error = None
    try:
        for frame in _decoded(path, known.stream_index, tick):
            if frame.is_corrupt and known.error is not None:
                break  # the packet where the file was cut
            pts.append(frame.pts)
    except av.FFmpegError as failure:
        error = f"decoding stops: {failure.strerror}"
    error = known.error or error
    found = len(pts)
    if found == 0:
        raise DecodeError("decode_error", error or "no frame can be decoded")
    if error is None and found == known.num_frames:
        return known
    pts_F, no_times = presentation_times(pts)
    if error is None and _is_whole(known, found, pts_F):
        notes = (*known.notes, f"{known.num_frames} packets hold {found} frames", *filter(None, [no_times]))
        return replace(known, num_frames=found, expected_frames=found, pts_F=pts_F, notes=notes)
    head_F = None if known.pts_F is None else known.pts_F[:found]
    return replace(known, num_frames=found, pts_F=head_F, error=error or "decoding ends early")


def _is_whole(known: Scan, found: int, pts_F: np.ndarray | None) -> bool:
    """No frame that a player would show is missing, although packets and frames differ in number."""
    fields = abs(2 * found - known.num_frames) <= 2
    late_start = pts_F is not None and known.pts_F is not None and pts_F[-1] == known.pts_F[-1]
    return found > known.num_frames or fields or late_start


def frames(
    path: Path,
    known: Scan,
    decoder: Literal["decord", "pyav"],
    wanted_F: np.ndarray,
    num_threads: int,
    tick: Tick,
) -> Iterator[np.ndarray]:
    """Upright RGB frames (H, W, 3) uint8 where `wanted_F` (F,) is true, in order.

    Raises `DecodeError` unless exactly F frames of one size come; of a file that is known to be
    damaged, the first F.
    """
    decode = _decord_frames if decoder == "decord" else _pyav_frames
    stop = known.num_frames if known.error else None
    done = 0
    try:
        for to_rgb in islice(decode(path, known, num_threads, tick), stop):
            if done < len(wanted_F) and wanted_F[done]:
                yield to_rgb()
            done += 1
    except DecodeError:
        raise
    except Exception as failure:  # decord and FFmpeg raise a dozen unrelated types
        why = _DECORD_LOG_PREFIX.sub("", str(failure)).strip().partition("\n")[0] or type(failure).__name__
        found = f"{decoder} failed after {done} of {len(wanted_F)} frames: {why}"
        raise DecodeError("decode_error", found) from failure
    if done != len(wanted_F):
        raise DecodeError("decode_error", f"{decoder} gave {done} of {len(wanted_F)} frames")


def _decord_frames(path: Path, known: Scan, num_threads: int, tick: Tick) -> Iterator[_ToRgb]:
    if decord is None:
        raise DecodeError("no_decoder", "decord is not installed")
    cpu = decord.cpu(0)
    reader = decord.VideoReader(str(path), ctx=cpu, num_threads=num_threads, fault_tol=_DECORD_FAULTS)
    shape = known.first_HWC.shape
    for done in count(1):
        try:
            frame = reader.next()
        except StopIteration:
            return
        tick()
        if frame.shape != shape:
            raise DecodeError("decode_error", f"decord gave a frame of shape {frame.shape}, expected {shape}")
        to_rgb = partial(np.from_dlpack, _DecordFrame(frame))
        if done == 1 and known.bit_depth == 8 and not np.array_equal(to_rgb(), known.first_HWC):
            raise DecodeError("decode_error", "decord's first frame is not the first frame")
        if done % 16 == 0 and _private_bytes() > max(_DECORD_HOARD_BYTES, 48 * known.first_HWC.nbytes):
            raise DecodeError("decode_error", "decord fills the memory with frames not yet asked for")
        yield to_rgb


@dataclass(frozen=True)
class _DecordFrame:
    """decord's memory as an array without a copy: it decodes ahead for as long as we copy."""

    frame: Any

    def __dlpack__(self, **_: object) -> Any:
        return self.frame.to_dlpack()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # CPU


def _private_bytes() -> int:
    """Resident memory of this process that it shares with no other."""
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def _pyav_frames(path: Path, known: Scan, num_threads: int, tick: Tick) -> Iterator[_ToRgb]:
    width, height = known.width, known.height
    if known.rotation % 180 == 90:
        width, height = height, width
    for frame in _decoded(path, known.stream_index, tick, 1 if known.error else num_threads):
        to_rgb = partial(frame.to_ndarray, format="rgb24", width=width, height=height)
        yield partial(_upright, to_rgb, known.rotation)


def _upright(to_rgb: _ToRgb, rotation: int) -> np.ndarray:
    return np.rot90(to_rgb(), rotation // 90)


def _decoded(path: Path, stream_index: int, tick: Tick, num_threads: int = 1) -> Iterator[Any]:
    """PyAV's frames. With one thread, where a damaged file breaks does not depend on a race."""
    with closing(_open(path)) as container:
        stream = container.streams[stream_index]
        stream.thread_type = "AUTO" if num_threads > 1 else "NONE"
        stream.codec_context.thread_count = num_threads
        for frame in container.decode(stream):
            tick()
            yield frame


def _open(path: Path) -> Any:
    try:
        return av.open(str(path), options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as failure:
        if cut_short(path):
            raise DecodeError("truncated", "the file was cut: it ends before its index") from failure
        why = getattr(failure, "strerror", None) or failure
        raise DecodeError("unreadable", f"not a container format that PyAV knows ({why})") from failure


def _video_stream(container: Any) -> Any:
    """The stream FFmpeg calls best, which is the one that decord takes as well."""
    best = container.streams.best("video")
    if best is None or _is_picture(best):
        kinds = ["cover picture" if s.type == "video" else s.type for s in container.streams]
        raise DecodeError("no_video_stream", f"no video stream (streams: {', '.join(kinds) or 'none'})")
    return best


@dataclass
class _Packets:
    """What one pass over the packets of a file found; times are the video stream's."""

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    hidden: int = 0  # decoded but not shown: before the start of an edit list
    end_sec: float = 0.0  # of any stream
    error: str | None = None


def _read_packets(container: Any, stream_index: int, tick: Tick) -> _Packets:
    found = _Packets()
    try:
        for packet in container.demux():
            tick()
            if packet.size == 0:  # marks the end, or in AVI "nothing new"
                continue
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                found.end_sec = max(found.end_sec, float(end))
            if packet.stream_index == stream_index:
                if packet.is_discard:
                    found.hidden += 1
                else:
                    found.pts.append(packet.pts)
                    found.dts.append(packet.dts)
    except av.FFmpegError as failure:
        found.error = f"reading stops: {failure.strerror}"
    if not found.pts:
        raise DecodeError("no_frames", f"video stream #{stream_index} has no frames")
    return found


def _first_frame(path: Path, stream_index: int, cut: str | None) -> Any:
    why = "no frame can be decoded"
    try:
        for frame in _decoded(path, stream_index, lambda: None):
            return frame
    except av.FFmpegError as failure:
        why = f"{why}: {failure.strerror}"
    raise DecodeError("truncated" if cut else "decode_error", f"{cut}; {why}" if cut else why)


def _avoid_decord(container: Any, stream: Any, first: Any, hidden: int) -> str | None:
    """Why decord cannot, or cannot rightly, decode this stream."""
    codec = stream.codec_context.codec.canonical_name
    bits = max(component.bits for component in first.format.components)
    others = [s for s in container.streams.video if s.index != stream.index]
    if decord is None:
        return "decord is not installed"
    if codec not in _DECORD_CODECS:
        return f"decord is not used for {codec}"
    if container.format.name not in _DECORD_CONTAINERS:
        return f"decord is not used for {container.format.name} files"
    if bits > 8:
        return f"decord converts {bits}-bit video wrongly"
    if stream.duration is None and container.duration is None:
        return "decord needs a declared duration"
    if hidden:
        return "decord shows frames that an edit list hides"
    if any((s.width, s.height) == (stream.width, stream.height) for s in others):
        return "which one decord takes of several streams of one size cannot be checked"
    return None


def _notes(container: Any, stream: Any, no_times: str | None, hidden: int) -> tuple[str, ...]:
    num_videos = sum(not _is_picture(s) for s in container.streams.video)
    size = f"{stream.width}x{stream.height}"
    notes = [
        f"{num_videos} video streams, took #{stream.index} ({size})" if num_videos > 1 else None,
        no_times,
        f"{hidden} frames hidden by an edit list" if hidden else None,
    ]
    return tuple(note for note in notes if note)


def _is_picture(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)
