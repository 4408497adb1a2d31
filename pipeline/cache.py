"""Cached products: a key from everything that changes the numbers, atomic write, verified read.

features/<extractor>-<identity, 8 hex>/<relative path with suffix>.npy    (T, D) float32
joints/<detector>-<pose network>-<identity, 8 hex>/<relative path with suffix>.npz
    person_id (S, M), joints (S, M, 17, 3), boxes (S, M, 5), size (2,): see extractors.skeleton_input.Joints

Beside each lies its record, a .json of the same name, written last.
"""

import hashlib
import io
import zipfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.files import digest, read_json, write_atomic, write_json
from pipeline.timeline import Clock, step_sec
from pipeline.tracks import FeatureTrack

if TYPE_CHECKING:  # RGB alone needs nothing of skeletons
    from pipeline.tracks import JointTrack

Record = dict[str, Any]

_RECORD_SHA256 = "record_sha256"  # of the record without it


class CacheError(ValueError):
    """A cached product that is not what its record says; the message names the file and what differs."""


@dataclass(frozen=True)
class CachedFile(ABC):
    """Where one product of one video is kept, and the key it must have."""

    path: Path
    key: str

    @property
    def record_path(self) -> Path:
        """The .json beside the product."""
        return self.path.with_suffix(".json")

    def record(self) -> Record | None:
        """The record of a product with this key; None where there is none or it has another key."""
        record = read_json(self.record_path)
        good = record.get("key") == self.key and record_is_whole(record) and self.path.is_file()
        return record if good else None

    def intact(self) -> str | None:
        """None if the product can be used; else, in a few words, why not ("absent" if there is none)."""
        if self.record() is None:
            return self._damaged_record() or "absent"
        try:
            self.load()
        except CacheError as error:
            return str(error)
        return None

    def load(self) -> tuple[Any, Record]:
        """The product and its record, every byte verified; CacheError where they do not fit."""
        record = self.record()
        if record is None:
            found = self._damaged_record() or f"{self.path}: not there, or made under another key"
            raise CacheError(f"{found}; run extract again")
        try:
            data = self.path.read_bytes()
            found = hashlib.sha256(data).hexdigest()
            if found != record["data_sha256"]:
                raise ValueError(f"content is {found[:12]}, its record says {record['data_sha256'][:12]}")
            return self._parse(data, record), record
        except (OSError, EOFError, ValueError, KeyError, TypeError, MemoryError, zipfile.BadZipFile) as error:
            raise CacheError(f"{self.path}: {error}; delete it or run extract again") from error

    def _damaged_record(self) -> str | None:
        """In a few words, that there is a record and that it is not what was written."""
        if not self.record_path.is_file():
            return None
        record = read_json(self.record_path)
        if record and record_is_whole(record):
            return None
        return f"{self.record_path}: some of its bytes changed since it was written"

    @abstractmethod
    def _parse(self, data: bytes, record: Record) -> Any:
        """The product from its bytes and its record; any error of reading where they do not fit."""

    def _write(self, data: bytes, record: Record) -> Record:
        """The product, then its record, which is returned: whoever finds it finds the whole product."""
        self.record_path.unlink(missing_ok=True)  # of an older product under the same name
        write_atomic(self.path, lambda file: file.write(data))
        record = {"key": self.key, "data_sha256": hashlib.sha256(data).hexdigest(), **record}
        write_json(self.record_path, {**record, _RECORD_SHA256: digest(record)})
        return record


def record_is_whole(record: Record) -> bool:
    """Whether a record is what was written; those of earlier versions do not say, and are taken as whole."""
    rest = {name: value for name, value in record.items() if name != _RECORD_SHA256}
    return record.get(_RECORD_SHA256) in (None, digest(rest))


class FeatureFile(CachedFile):
    """One extractor's features of one video."""

    @classmethod
    def locate(
        cls, out: Path, video: str, video_sha256: str, extractor: dict[str, Any], decode: dict[str, Any]
    ) -> "FeatureFile":
        """`video`: its name below OUT; `extractor`, `decode`: what changes the numbers, as JSON."""
        folder = f"{extractor['name']}-{digest([extractor, decode])[:8]}"
        key = digest({"video": video_sha256, "extractor": extractor, "decode": decode})
        return cls(out / "features" / folder / f"{video}.npy", key)

    def save(self, track: FeatureTrack, about: dict[str, Any]) -> None:
        """Write the features; `about` goes into the record."""
        buffer = io.BytesIO()
        np.save(buffer, track.data_TD, allow_pickle=False)
        record = {
            "shape": list(track.data_TD.shape),
            "centers_sec": track.center_sec_T.tolist(),
            "clock": track.clock.to_json(),
        }
        self._write(buffer.getvalue(), {**record, **about})

    def load(self) -> tuple[FeatureTrack, Record]:
        """See CachedFile."""
        return super().load()

    def map(self) -> "tuple[MappedTrack, Record]":
        """As `load`, every byte verified; but the features stay in their file."""
        state = _state(self.path)
        track, record = self.load()
        return MappedTrack(self, record["data_sha256"], track.center_sec_T, track.clock, state), record

    def _parse(self, data: bytes, record: Record) -> FeatureTrack:
        array = np.load(io.BytesIO(data), allow_pickle=False)
        if list(array.shape) != record["shape"]:
            raise ValueError(f"shape is {array.shape}, its record says {record['shape']}")
        centers = np.asarray(record["centers_sec"], dtype=np.float64)
        return FeatureTrack(array, centers, Clock.from_json(record["clock"]))


@dataclass(frozen=True)
class MappedTrack:
    """Features in their file, mapped into memory for as long as someone holds them; see `tracks.Track`."""

    file: FeatureFile
    data_sha256: str
    center_sec_T: np.ndarray
    clock: Clock
    state: tuple[int, ...]  # of the file when it was verified

    @property
    def data_TD(self) -> np.ndarray:
        """float32; what is written to it is not kept. CacheError where the file became another one."""
        try:
            if _state(self.file.path) == self.state:
                return np.load(self.file.path, mmap_mode="c", allow_pickle=False)
        except OSError as error:
            raise CacheError(f"{self.file.path}: {error.strerror}; run extract again") from error
        track, record = self.file.load()
        if record["data_sha256"] != self.data_sha256:
            raise CacheError(f"{self.file.path}: was made anew while it was in use; run again")
        return track.data_TD

    @property
    def step_sec_T(self) -> np.ndarray:
        """See `FeatureTrack`."""
        return step_sec(self.center_sec_T, self.clock)


def _state(path: Path) -> tuple[int, ...]:
    """Changes with the content, unless someone sees to it that it does not."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()  # who reads it next says so
    return found.st_ino, found.st_size, found.st_mtime_ns


class JointFile(CachedFile):
    """Everyone found in one video, tracked."""

    @classmethod
    def locate(
        cls, out: Path, video: str, video_sha256: str, pose: dict[str, Any], decode: dict[str, Any]
    ) -> "JointFile":
        """`video`: its name below OUT; `pose`, `decode`: what changes the numbers, as JSON."""
        folder = f"{pose['detector']['name']}-{pose['pose']}-{digest([pose, decode])[:8]}"
        key = digest({"video": video_sha256, "pose": pose, "decode": decode})
        return cls(out / "joints" / folder / f"{video}.npz", key)

    def save(self, track: "JointTrack", about: dict[str, Any]) -> Record:
        """Write the joints; `about` goes into the record, which is returned."""
        found, buffer = track.joints, io.BytesIO()
        np.savez_compressed(
            buffer,
            person_id=found.person_id_SM,
            joints=found.joints_SMJ3,
            boxes=found.boxes_SM5,
            size=np.array([found.width, found.height]),
        )
        return self._write(buffer.getvalue(), {"clock": track.clock.to_json(), **about})

    def load(self) -> "tuple[JointTrack, Record]":
        """See CachedFile."""
        return super().load()

    def _parse(self, data: bytes, record: Record) -> "JointTrack":
        from extractors.skeleton_input import Joints
        from pipeline.tracks import JointTrack

        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            width, height = map(int, arrays["size"])
            found = Joints(arrays["person_id"], arrays["joints"], arrays["boxes"], width, height)
        return JointTrack(found, Clock.from_json(record["clock"]))
