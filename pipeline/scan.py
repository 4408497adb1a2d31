"""What is in a video file: its best video stream, the times of its frames, what is missing.

The times come from the packets, which takes no decoding; where packets and frames do not agree,
from decoding everything once (`recount`).
"""

from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.color import color_matrix, color_range, transfer_note
from pipeline.containers import missing_end, origin_sec, presentation_times
from pipeline.decoder import (
    DecodeError,
    ReadError,
    Tick,
    decoded,
    open_container,
    refuse_more_memory,
    upright_rgb,
    why_not_decord,
)

_AV_TIME_BASE = 1_000_000  # units per second of a container's duration and start
_ATTACHED_PICTURE = 0x400  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC
_RGB = 0  # FFmpeg's AVCOL_SPC_RGB; GIF and others have no tag that says so


@dataclass(frozen=True)
class Scan:
    """What is known of a video stream: from its packets, or, once counted, from decoding all of it."""

    stream_index: int
    codec: str
    pix_fmt: str
    bit_depth: int
    color_range: str  # see `color`
    color_matrix: str
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
    with closing(open_container(path)) as container:
        stream = _video_stream(container)
        packets = _read_packets(container, stream.index, tick)
        duration_sec = (container.duration or 0) / _AV_TIME_BASE
        error = packets.error or missing_end(path, container.format.name, duration_sec, packets.end_sec)
        first = _first_frame(path, stream.index, error)
        bit_depth = max(component.bits for component in first.format.components)
        rotation = round(first.rotation / 90) % 4 * 90
        first_HWC = upright_rgb(first, first.width, first.height, rotation)
        pts_F, no_times = presentation_times(packets.pts, packets.dts)
        rate = next(filter(_is_rate, (stream.average_rate, stream.guessed_rate)), Fraction(25))
        promised = stream.frames or round(duration_sec * rate)
        first_sec = 0.0 if pts_F is None else float(pts_F[0] * stream.time_base)
        start_sec = (container.start_time or 0) / _AV_TIME_BASE
        return Scan(
            stream_index=stream.index,
            codec=stream.codec_context.codec.canonical_name,
            pix_fmt=first.format.name,
            bit_depth=bit_depth,
            color_range=color_range(first.color_range),
            color_matrix=color_matrix(_RGB if first.format.is_rgb else first.colorspace),
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
            avoid_decord=why_not_decord(container, stream, bit_depth, first.interlaced_frame, packets)
            or no_times,
            notes=_notes(container, stream, no_times, packets.hidden, first.color_trc),
        )


def recount(path: Path, known: Scan, tick: Tick) -> Scan:
    """Decode everything with PyAV once, where packets do not tell which frames come.

    The same frames will come when it is decoded again. Where frames are missing, `error` says so,
    except for what is no damage: packets before the first key frame, and fields stored one by one.
    """
    pts: list[int | None] = []
    error = None
    try:
        for frame in decoded(path, known.stream_index, tick):
            if frame.is_corrupt and known.error is not None:
                break  # the packet where the file was cut
            pts.append(frame.pts)
    except ReadError as failure:
        refuse_more_memory(failure)
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


def _video_stream(container: Any) -> Any:
    """The stream FFmpeg calls best, which is the one that decord takes as well."""
    best = container.streams.best("video")
    if best is None or _is_picture(best):
        kinds = ["cover picture" if s.type == "video" else s.type for s in container.streams]
        raise DecodeError("no_video_stream", f"no video stream (streams: {', '.join(kinds) or 'none'})")
    if best.codec_context is None:
        raise DecodeError("decode_error", f"video stream #{best.index} is of no codec that FFmpeg knows")
    return best


def _is_rate(rate: Fraction | None) -> bool:
    """Whether frames per second that a file states can be."""
    return rate is not None and rate > 0


@dataclass
class Packets:
    """What one pass over the packets of a file found; times are the video stream's."""

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    hidden: int = 0  # decoded but not shown: before the start of an edit list
    num_bytes: int = 0
    end_sec: float = 0.0  # of any stream
    error: str | None = None


def _read_packets(container: Any, stream_index: int, tick: Tick) -> Packets:
    found = Packets()
    try:
        for packet in container.demux():
            tick()
            if packet.size == 0:  # marks the end, or in AVI "nothing new"
                continue
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                found.end_sec = max(found.end_sec, float(end))
            if packet.stream_index == stream_index:
                found.num_bytes += packet.size
                if packet.is_discard:
                    found.hidden += 1
                else:
                    found.pts.append(packet.pts)
                    found.dts.append(packet.dts)
    except ReadError as failure:
        refuse_more_memory(failure)
        found.error = f"reading stops: {failure.strerror}"
    if not found.pts:
        raise DecodeError("no_frames", f"video stream #{stream_index} has no frames")
    return found


def _first_frame(path: Path, stream_index: int, cut: str | None) -> Any:
    why = "no frame can be decoded"
    try:
        for frame in decoded(path, stream_index, lambda: None):
            return frame
    except ReadError as failure:
        refuse_more_memory(failure)
        why = f"{why}: {failure.strerror}"
    raise DecodeError("truncated" if cut else "decode_error", f"{cut}; {why}" if cut else why)


def _notes(container: Any, stream: Any, no_times: str | None, hidden: int, transfer: int) -> tuple[str, ...]:
    num_videos = sum(not _is_picture(s) for s in container.streams.video)
    size = f"{stream.width}x{stream.height}"
    notes = [
        f"{num_videos} video streams, took #{stream.index} ({size})" if num_videos > 1 else None,
        no_times,
        f"{hidden} frames hidden by an edit list" if hidden else None,
        transfer_note(transfer),
    ]
    return tuple(note for note in notes if note)


def _is_picture(stream: Any) -> bool:
    """True of the cover of a song, stored as a video of one frame."""
    return bool(stream.disposition & _ATTACHED_PICTURE)
