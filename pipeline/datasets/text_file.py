"""Reading what others wrote: regular files of a sensible size, strict JSON, numbers that are numbers."""

import hashlib
import json
import reprlib
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.inputs import printable
from pipeline.labels import LabelError

MAX_BYTES = 512 * 2**20  # far beyond any data set's; JSON takes some ten times as much memory

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80


@dataclass(frozen=True)
class TextFile:
    """A text in UTF-8 and where it was read."""

    path: Path
    text: str
    sha256: str

    @classmethod
    def read(cls, path: Path) -> "TextFile":
        """LabelError where it is no regular file, too large, or no text."""
        data = read_bytes(path, MAX_BYTES)
        try:
            return cls(path, data.decode("utf-8-sig"), hashlib.sha256(data).hexdigest())
        except UnicodeDecodeError as error:
            raise LabelError(f"{printable(path)}: cannot be read as text in UTF-8 ({error})") from None

    def json_object(self) -> dict[str, Any]:
        """A JSON object without NaN and without a key given twice, which would hide the first; LabelError."""
        try:
            document = json.loads(self.text, object_pairs_hook=_unique, parse_constant=_no_constant)
        except LabelError as error:
            raise LabelError(f"{printable(self.path)}: {error}") from None
        except (ValueError, RecursionError) as error:  # ValueError: no JSON, or a number of 5000 digits
            raise LabelError(f"{printable(self.path)}: cannot be read as JSON ({error})") from None
        if not isinstance(document, dict):
            raise LabelError(f"{printable(self.path)}: JSON {shown(document)}; expected an object of videos")
        return document


def read_bytes(path: Path, limit: int) -> bytes:
    """A regular file of at most `limit` bytes; LabelError for anything else."""
    try:
        status = path.stat()
        data = path.read_bytes() if stat.S_ISREG(status.st_mode) and status.st_size <= limit else None
    except (OSError, ValueError) as error:  # ValueError: a NUL in a path
        raise LabelError(f"{printable(path)}: cannot be read ({error})") from None
    if data is None:
        raise LabelError(
            f"{printable(path)}: expected a regular file of at most {limit} bytes, found {status.st_size} "
            f"({stat.filemode(status.st_mode)})"
        )
    return data


def digest(files: Iterable[TextFile]) -> str:
    """One sha256 for a data set of several files."""
    return hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest()


def number(what: str, value: object) -> float:
    """A JSON value that has to be a number; whether it makes sense is the matter of who takes it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LabelError(f"{what} is {shown(value)}; expected a number")
    try:
        return float(value)
    except OverflowError:
        raise LabelError(f"{what} is {shown(value)}; too large") from None


def length_sec(value: object, per_second: float = 1.0) -> float | None:
    """The length that a file states; None where it states none."""
    return None if value is None else number("duration", value) / per_second


def shown(value: object) -> str:
    """Any value, short enough for a message."""
    return _repr.repr(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (again, times), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise LabelError(f"{shown(again)} is there {times} times; keep one")
    return found


def _no_constant(name: str) -> float:
    raise LabelError(f"{name} is no number of JSON; expected seconds or frames")
