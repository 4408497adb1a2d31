"""Features of one kind in OUT: which there are, when their steps are, and the arrays as they are asked for.

Shapes: T steps, D feature size.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.cache import CacheError, FeatureFile
from pipeline.files import read_json
from pipeline.inputs import printable
from pipeline.interchange.names import InterchangeError
from pipeline.timeline import Clock
from pipeline.tracks import FeatureTrack


@dataclass(frozen=True)
class VideoSteps:
    """What the record of a video's features says of them; `fps` is the rate of the frames they count in."""

    center_sec_T: np.ndarray
    dim: int
    clock: Clock
    fps: float
    partial: bool


class StoredFeatures(Mapping[str, FeatureTrack]):
    """video -> track, read and verified anew each time, so that one at a time is in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = sorted(path for path in folder.rglob("*.npy") if path.with_suffix(".json").is_file())
        self._paths = {path.relative_to(folder).as_posix().removesuffix(".npy"): path for path in paths}
        if not self._paths:
            raise InterchangeError(f"{printable(folder)}: no features in it; run extract")

    @property
    def modality(self) -> str:
        """ "rgb", of a folder rgb-2c6f2174."""
        return self.folder.name.rpartition("-")[0]

    @cached_property
    def steps(self) -> dict[str, VideoSteps]:
        """By video, what its record says; CacheError where that cannot be read."""
        return {video: _steps(path) for video, path in self._paths.items()}

    def __getitem__(self, video: str) -> FeatureTrack:
        path = self._paths[video]
        return FeatureFile(path, str(read_json(path.with_suffix(".json")).get("key"))).load()[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def find_stored(out: Path, modality: str) -> StoredFeatures:
    """The features of a modality ("rgb") in OUT, or those of a folder of it by name ("rgb-2c6f2174").

    InterchangeError where there are none, and where there are several kinds to choose from.
    """
    folders = sorted(path for path in (out / "features").glob("*") if path.is_dir())
    found = [folder for folder in folders if modality in (folder.name, folder.name.rpartition("-")[0])]
    there = ", ".join(folder.name for folder in found or folders) or "nothing"
    if not found:
        raise InterchangeError(f"{printable(out)}: no {modality} features in it; there is {there}")
    if len(found) > 1:
        raise InterchangeError(
            f"{printable(out)}: holds {len(found)} kinds of {modality} features; give one of them as "
            f"--modality: {there}"
        )
    return StoredFeatures(found[0])


def _steps(path: Path) -> VideoSteps:
    record = read_json(path.with_suffix(".json"))
    try:
        clock = Clock.from_json(record["clock"])
        return VideoSteps(
            np.asarray(record["centers_sec"], dtype=np.float64),
            int(record["shape"][1]),
            clock,
            float(record.get("fps") or clock.fps),
            bool(record.get("partial")),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CacheError(
            f"{path}: its record is not whole ({type(error).__name__}: {error}); run extract again"
        ) from error
