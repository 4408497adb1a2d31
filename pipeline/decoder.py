"""Frames of one file through decord or PyAV: the only code that imports them.

It runs in a child process (`decoder_server`), because both are native code that can hang or crash
on a bad file. Everything is read forward, never sought: seeking is silently wrong on open-GOP video.
"""

import errno
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import av
import numpy as np
from av.format import ContainerFormat

from pipeline.containers import AVI, MATROSKA, MOV, cut_short

if TYPE_CHECKING:
    from pipeline.scan import Packets, Scan

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
_DECORD_FAULTS = 1e-9  # share of frames it may put in the place of others before it fails: none
# It reads packets as fast as the file system gives them until the first frame is there, and again
# whenever it waits for one: in the end the whole stream is in memory.
_DECORD_PACKET_BYTES = 128 << 20
_DECORD_HOARD_BYTES = 512 << 20  # in all; it has no limit of its own to how far it decodes ahead
_DECORD_LOG_PREFIX = re.compile(r"\[\d\d:\d\d:\d\d\] \S+:\d+: ")
# Formats that are read from other files or devices than the one that was given.
_ELSEWHERE = frozenset(
    {"concat", "dash", "hls", "image2", "imf", "rtp", "rtsp", "sap", "sdp", "vobsub", "webm_dash_manifest"}
    | {"alsa", "fbdev", "kmsgrab", "lavfi", "oss", "video4linux2,v4l2", "x11grab", "tty"}
)
_FORMATS = {form.name for form in map(ContainerFormat, av.formats_available) if form.is_input} - _ELSEWHERE
# Nothing but the file itself is opened, whatever it says.
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(sorted(_FORMATS))}
_PYAV_THREADS = min(4, os.cpu_count() or 1)
_HIGH_DEPTH = re.compile(r"(?<=[py])(9|10|12|14|16)(le|be)$")  # of yuv420p10le, gray12le
_SAME_PIXEL = 4  # grey levels: builds of FFmpeg may round differently, another frame differs by more

ReadError = av.FFmpegError
Tick = Callable[[], None]  # called for every packet and frame: tells a watchdog that work goes on
_ToRgb = Callable[[], np.ndarray]  # converts the current frame, if it is wanted


class DecodeError(Exception):
    """The file cannot be read as video: a short class of reason, and what was found."""

    def __init__(self, reason: str, found: str) -> None:
        super().__init__(found)
        self.reason = reason
        self.found = found


def open_container(path: Path) -> Any:
    """PyAV's container, to be closed; raises `DecodeError`."""
    try:
        return av.open(str(path), options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError, MemoryError) as failure:
        refuse_more_memory(failure)
        if cut_short(path):
            raise DecodeError("truncated", "the file was cut: it ends before its index") from failure
        why = getattr(failure, "strerror", None) or failure
        raise DecodeError("unreadable", f"not a container format that PyAV knows ({why})") from failure


def refuse_more_memory(failure: BaseException) -> None:
    """DecodeError where a failure is that of an allocation; nothing happens where it is another."""
    if isinstance(failure, MemoryError) or getattr(failure, "errno", None) == errno.ENOMEM:
        raise DecodeError("memory", "the decoder needs more memory than it may have") from failure


def decoded(path: Path, stream_index: int, tick: Tick, num_threads: int = 1) -> Iterator[Any]:
    """PyAV's frames. With one thread, where a damaged file breaks does not depend on a race."""
    with closing(open_container(path)) as container:
        stream = container.streams[stream_index]
        stream.thread_type = "AUTO" if num_threads > 1 else "NONE"
        stream.codec_context.thread_count = num_threads
        for frame in container.decode(stream):
            tick()
            yield frame


def upright_rgb(frame: Any, width: int, height: int, rotation: int) -> np.ndarray:
    """A frame of PyAV as the networks were shown theirs, which came from 8-bit video.

    More bits are first rounded to eight in the same layout: colour stored at half the size is then
    enlarged the same way, instead of being smoothed.
    """
    eight_bit = _HIGH_DEPTH.sub("", frame.format.name)
    if eight_bit != frame.format.name:
        frame = frame.reformat(format=eight_bit)
    return np.rot90(frame.to_ndarray(format="rgb24", width=width, height=height), rotation // 90)


def frames(
    path: Path,
    known: "Scan",
    decoder: Literal["decord", "pyav"],
    wanted_F: np.ndarray,
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
        for to_rgb in islice(decode(path, known, tick), stop):
            if done < len(wanted_F) and wanted_F[done]:
                yield to_rgb()
            done += 1
    except DecodeError:
        raise
    except Exception as failure:  # decord and FFmpeg raise a dozen unrelated types
        refuse_more_memory(failure)
        why = _DECORD_LOG_PREFIX.sub("", str(failure)).strip().partition("\n")[0] or type(failure).__name__
        found = f"{decoder} failed after {done} of {len(wanted_F)} frames: {why}"
        raise DecodeError("decode_error", found) from failure
    if done != len(wanted_F):
        raise DecodeError("decode_error", f"{decoder} gave {done} of {len(wanted_F)} frames")


def _decord_frames(path: Path, known: "Scan", tick: Tick) -> Iterator[_ToRgb]:
    """With one thread of decord's: more fill the memory whenever this one has to wait for a core."""
    if decord is None:
        raise DecodeError("no_decoder", "decord is not installed")
    cpu = decord.cpu(0)
    reader = decord.VideoReader(str(path), ctx=cpu, num_threads=1, fault_tol=_DECORD_FAULTS)
    shape = known.first_HWC.shape
    most_bytes = _private_bytes() + max(_DECORD_HOARD_BYTES, 48 * known.first_HWC.nbytes)
    for done in count(1):
        try:
            frame = reader.next()
        except StopIteration:
            return
        tick()
        if frame.shape != shape:
            raise DecodeError("decode_error", f"decord gave a frame of shape {frame.shape}, expected {shape}")
        if done == 1:
            _prefer_this_thread()
        to_rgb = partial(np.from_dlpack, _DecordFrame(frame))
        if done == 1 and np.abs(to_rgb().astype(np.int16) - known.first_HWC).max() > _SAME_PIXEL:
            raise DecodeError("decode_error", "decord's first frame is not the first frame")
        if done % 16 == 0 and _private_bytes() > most_bytes:
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


def _prefer_this_thread() -> None:
    """Lower the priority of decord's threads: on a busy machine they must not get far ahead."""
    nice = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
    for task in Path("/proc/self/task").iterdir():
        if int(task.name) != threading.get_native_id():
            os.setpriority(os.PRIO_PROCESS, int(task.name), nice)


def _private_bytes() -> int:
    """Resident memory of this process that it shares with no other."""
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def _pyav_frames(path: Path, known: "Scan", tick: Tick) -> Iterator[_ToRgb]:
    width, height = known.width, known.height
    if known.rotation % 180 == 90:
        width, height = height, width
    for frame in decoded(path, known.stream_index, tick, 1 if known.error else _PYAV_THREADS):
        yield partial(upright_rgb, frame, width, height, known.rotation)


def why_not_decord(
    container: Any, stream: Any, bit_depth: int, interlaced: bool, packets: "Packets"
) -> str | None:
    """Why decord cannot, or cannot rightly, decode this stream."""
    codec = stream.codec_context.codec.canonical_name
    others = [s for s in container.streams.video if s.index != stream.index]
    if decord is None:
        return "decord is not installed"
    if codec not in _DECORD_CODECS:
        return f"decord is not used for {codec}"
    if container.format.name not in _DECORD_CONTAINERS:
        return f"decord is not used for {container.format.name} files"
    if bit_depth > 8:
        return f"decord converts {bit_depth}-bit video wrongly"
    if interlaced:
        return "decord mixes the colours of the two fields of interlaced video"
    if stream.duration is None and container.duration is None:
        return "decord needs a declared duration"
    if packets.hidden:
        return "decord shows frames that an edit list hides"
    if packets.num_bytes > _DECORD_PACKET_BYTES:
        return f"decord would hold all of {packets.num_bytes >> 20} MiB of packets in memory"
    if any((s.width, s.height) == (stream.width, stream.height) for s in others):
        return "which one decord takes of several streams of one size cannot be checked"
    return None
