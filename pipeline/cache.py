"""Feature files: a key from everything that changes the numbers, atomic write, verified read.

features/<extractor>-<identity, 8 hex>/<relative path with suffix>.npy    (T, D) float32
features/<extractor>-<identity, 8 hex>/<relative path with suffix>.json   its record, written last
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import digest, read_json, write_atomic, write_json
from pipeline.timeline import Clock
from pipeline.tracks import FeatureTrack


class CacheError(ValueError):
    """A cached product that is not what its record says; the message names the file and what differs."""


@dataclass(frozen=True)
class FeatureFile:
    """Where one extractor's features of one video are kept, and the key they must have."""

    path: Path  # the .npy
    key: str

    @classmethod
    def locate(
        cls, out: Path, video: str, video_sha256: str, extractor: dict[str, Any], decode: dict[str, Any]
    ) -> "FeatureFile":
        """`video`: its name below OUT; `extractor`, `decode`: what changes the numbers, as JSON."""
        folder = f"{extractor['name']}-{digest([extractor, decode])[:8]}"
        key = digest({"video": video_sha256, "extractor": extractor, "decode": decode})
        return cls(out / "features" / folder / f"{video}.npy", key)

    @property
    def record_path(self) -> Path:
        """The .json beside the array."""
        return self.path.with_name(self.path.name.removesuffix(".npy") + ".json")

    def save(self, track: FeatureTrack, about: dict[str, Any]) -> None:
        """Write the array, then its record: whoever finds the record finds the whole product."""
        buffer = io.BytesIO()
        np.save(buffer, track.data_TD, allow_pickle=False)
        data = buffer.getvalue()
        record = {
            "key": self.key,
            "data_sha256": hashlib.sha256(data).hexdigest(),
            "shape": list(track.data_TD.shape),
            "centers_sec": track.center_sec_T.tolist(),
            "clock": track.clock.to_json(),
            **about,
        }
        self.record_path.unlink(missing_ok=True)  # of an older product under the same name
        write_atomic(self.path, lambda file: file.write(data))
        write_json(self.record_path, record)

    def record(self) -> dict[str, Any] | None:
        """The record of a product with this key; None where there is none or it has another key."""
        record = read_json(self.record_path)
        return record if record.get("key") == self.key and self.path.is_file() else None

    def load(self) -> tuple[FeatureTrack, dict[str, Any]]:
        """The track and its record, every byte verified; CacheError where they do not fit."""
        record = self.record()
        if record is None:
            raise CacheError(f"{self.path}: not there, or made under another key; run extract again")
        try:
            data = self.path.read_bytes()
            found = hashlib.sha256(data).hexdigest()
            if found != record["data_sha256"]:
                raise ValueError(f"content is {found[:12]}, its record says {record['data_sha256'][:12]}")
            array = np.load(io.BytesIO(data), allow_pickle=False)
            if list(array.shape) != record["shape"]:
                raise ValueError(f"shape is {array.shape}, its record says {record['shape']}")
            centers = np.asarray(record["centers_sec"], dtype=np.float64)
            return FeatureTrack(array, centers, Clock.from_json(record["clock"])), record
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CacheError(f"{self.path}: {error}; delete it or run extract again") from error

    def intact(self) -> str | None:
        """None if the product can be used; else, in a few words, why not ("absent" if there is none)."""
        if self.record() is None:
            return "absent"
        try:
            self.load()
        except CacheError as error:
            return str(error)
        return None
