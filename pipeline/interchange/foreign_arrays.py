"""One array of a .npy or .npz file: its header is checked first, nothing is unpickled, no size believed."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from pipeline.inputs import printable
from pipeline.interchange.names import InterchangeError

SUFFIXES = (".npy", ".npz")
MAX_UNPACKED_BYTES = 4 * 2**30  # of an array in a .npz, which cannot be read piece by piece
_OPENTAD_KEY = "feats.npy"  # the one array that OpenTAD reads of a .npz
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True)
class ForeignArray:
    """An array of floating-point numbers as its file's header has it, not read yet."""

    path: Path
    shape: tuple[int, ...]

    @classmethod
    def open(cls, path: Path) -> "ForeignArray":
        """Reads the header. InterchangeError where it is no such array, is empty, or the file cut off."""
        with _reading(path), _array_file(path) as (file, size):
            version = npy.read_magic(file)
            if version not in _HEADERS:
                raise ValueError(f"version {version} of the format; expected 1.0 or 2.0")
            shape, _, dtype = _HEADERS[version](file)
            if dtype.hasobject:
                raise ValueError("it holds Python objects, which are not read; save plain numbers")
            if dtype.kind != "f":
                raise ValueError(f"it holds {dtype}, expected floating-point numbers")
            there, expected = size - file.tell(), math.prod(shape) * dtype.itemsize
            if there < expected:
                raise ValueError(f"cut off: {there} of {expected} bytes of an array {shape} are there")
            if expected == 0:
                raise ValueError(f"it is empty, an array {shape}")
            return cls(path, shape)

    def load(self) -> np.ndarray:
        """The array: mapped from a .npy, so that only what is used is read; in memory from a .npz."""
        with _reading(self.path):
            if self.path.suffix == ".npy":
                return np.load(self.path, mmap_mode="r", allow_pickle=False)
            with _array_file(self.path) as (file, _):
                return npy.read_array(file, allow_pickle=False)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise InterchangeError(f"{printable(path)}: cannot be read as features ({error})") from error


@contextmanager
def _array_file(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """The bytes of the array, and how many there are."""
    if path.suffix == ".npy":
        with path.open("rb") as file:
            yield file, path.stat().st_size
        return
    with zipfile.ZipFile(path) as archive:
        member = _member(archive)
        if member.file_size > MAX_UNPACKED_BYTES:
            raise ValueError(f"{member.filename} unpacks to {member.file_size} bytes; keep it as .npy")
        with archive.open(member) as file:
            yield file, member.file_size


def _member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The only array, or the one called `feats`."""
    arrays = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    chosen = [m for m in arrays if m.filename == _OPENTAD_KEY] if len(arrays) > 1 else arrays
    if len(chosen) != 1:
        names = ", ".join(m.filename.removesuffix(".npy")[:40] for m in arrays[:5])
        raise ValueError(f"{len(arrays)} arrays in it ({names}); expected one, or one called feats")
    return chosen[0]
