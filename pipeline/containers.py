"""What container formats promise about time and length, and what their promises are worth.

Pure functions of numbers and file headers; `decoder` reads the numbers. Format names are FFmpeg's.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

MOV = "mov,mp4,m4a,3gp,3g2,mj2"
MATROSKA = "matroska,webm"
AVI = "avi"

# Elsewhere the duration is guessed from the bit rate or absent.
_DECLARE_DURATION = frozenset([MATROSKA, AVI, "flv", "asf"])
# At the start of a QuickTime or MP4 file.
_FIRST_BOXES = frozenset([b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"])
_MOST_BOXES = 1 << 20  # of a file; one that has more was made to be counted
_LONGEST = 1 << 62  # ticks from the first frame to the last: differences fit into 64 bits
_EBML, _SEGMENT = bytes.fromhex("1A45DFA3"), bytes.fromhex("18538067")  # at the start of a Matroska file


def presentation_times(
    pts: Sequence[int | None], dts: Sequence[int | None] = ()
) -> tuple[np.ndarray | None, str | None]:
    """Times of packets or frames in order of presentation, int64, or None and why there are none.

    Times are unusable where one is missing, where two are the same, where decoding times jump
    back (then two recordings follow one another, and sorting would mix them), and where they are absurd.
    """
    known = sorted(time for time in pts if time is not None)
    if len(known) < len(pts):
        return None, f"times synthetic: {len(pts) - len(known)} of {len(pts)} are missing"
    if known and known[-1] - known[0] >= _LONGEST:
        return None, f"times synthetic: they go from {known[0]} to {known[-1]}"
    times = np.array(known, dtype=np.int64)
    repeated = int((np.diff(times) == 0).sum())
    if repeated:
        return None, f"times synthetic: {repeated} of {len(pts)} are repeated"
    order = np.array([time for time in dts if time is not None], dtype=np.int64)
    if (np.diff(order) < 0).any():
        return None, "times synthetic: they jump back on the way"
    return times, None


def origin_sec(format_name: str, container_start_sec: float, first_sec: float) -> float:
    """Container time that a player shows as zero.

    MP4 and Matroska have a zero of their own: a video may start late. MPEG-TS and others start
    anywhere, so the earliest stream is zero. AVI stores no times: they are made from the order of
    decoding, and the first frame is zero.
    """
    if format_name in (MOV, MATROSKA):
        return 0.0
    return first_sec if format_name == AVI else container_start_sec


def missing_end(path: Path, format_name: str, declared_sec: float, end_sec: float) -> str | None:
    """What says that the file was cut: a part that ends beyond it, or a declared duration not reached."""
    if cut_short(path):
        return "the file was cut: its last part is incomplete"
    if format_name in _DECLARE_DURATION and declared_sec - end_sec > max(0.5, 0.01 * declared_sec):
        return f"the file was cut: {end_sec:.1f} of {declared_sec:.1f} s are there"
    return None


def cut_short(path: Path) -> bool:
    """True of an MP4, MOV or Matroska file whose last top-level part is longer than what is left."""
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(8)
        if magic[4:] in _FIRST_BOXES:
            return _boxes_end(file, size) > size
        return magic[:4] == _EBML and _segment_end(file) > size


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Where the last box ends that begins within the file.

    A box is 4 bytes of length, including itself, and 4 of type; length 1: 8 more bytes hold it,
    length 0: it reaches to the end (ISO/IEC 14496-12, 4.2).
    """
    end = 0
    for _ in range(_MOST_BOXES):
        if end + 8 > size:
            break
        file.seek(end)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if length < 8 or not header[4:8].isascii():
            break  # the last box, or bytes that are none
        end += length
    return end


def _segment_end(file: BinaryIO) -> int:
    """Where the segment that follows the EBML header ends, 0 where it does not say (RFC 8794, RFC 9559)."""
    file.seek(len(_EBML))
    header = _ebml_size(file)
    file.seek(file.tell() + (header or 0))
    if header is None or file.read(4) != _SEGMENT:
        return 0
    length = _ebml_size(file)
    return 0 if length is None else file.tell() + length


def _ebml_size(file: BinaryIO) -> int | None:
    """Size of variable length: as many bytes as the first has leading zero bits, plus one; None: unknown."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    extra = 8 - first[0].bit_length()
    bits = 7 * (extra + 1)
    value = int.from_bytes(first + file.read(extra), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
