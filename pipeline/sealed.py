"""Zip archives (.npz, .ckpt) that carry the SHA-256 of their own bytes, as the archive's comment.

Who opens them as archives sees no difference; who reads them through here notices every changed byte, which
zip does not (torch reads its own without looking at the checksums of the parts).
"""

import hashlib
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO

from pipeline.files import write_atomic

_MARK = b"augrgb sha256 "
_COMMENT = len(_MARK) + 64
_NO_COMMENT = struct.pack("<H", 0)  # how an archive without a comment ends: the length of none


class SealError(ValueError):
    """Bytes that are not those that were written."""


def write_sealed(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """As `write_atomic`; what `write(file)` gives is a zip archive without a comment."""
    buffer = io.BytesIO()
    write(buffer)
    data = seal(buffer.getvalue())
    write_atomic(path, lambda file: file.write(data))


def seal(data: bytes) -> bytes:
    """The archive with its seal."""
    assert data.endswith(_NO_COMMENT), "a zip archive without a comment"
    data = data[: -len(_NO_COMMENT)] + struct.pack("<H", _COMMENT)
    return data + _MARK + hashlib.sha256(data).hexdigest().encode()


def is_sealed(data: bytes) -> bool:
    """Whether there is a seal, broken or not."""
    return data[-_COMMENT:].startswith(_MARK)


def check_seal(data: bytes) -> None:
    """SealError where there is no seal, or the archive before it is another than when it was sealed."""
    if not is_sealed(data):
        raise SealError("carries no seal: its end is missing or changed, or another version wrote it")
    if hashlib.sha256(data[:-_COMMENT]).hexdigest().encode() != data[-64:]:
        raise SealError("some of its bytes changed since it was written")
