"""The features a benchmark starts from: our cache, or folders of other toolboxes; read where needed.

A source is small and goes to every process that trains; each reads the features once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pipeline.cache import FeatureFile, MappedTrack
from pipeline.files import digest
from pipeline.inputs import UsageError
from pipeline.interchange.axes import steps_and_size
from pipeline.interchange.feature_layouts import Found, Layout, find_files, load_foreign
from pipeline.interchange.foreign_arrays import ForeignArray
from pipeline.interchange.grids import GridRule
from pipeline.products import Features
from pipeline.track_set import TrackSet


class FeatureSource(Protocol):
    """Where features are."""

    @property
    def videos(self) -> tuple[str, ...]:
        """Videos that have them in every modality, in the order of the input."""

    @property
    def sha256(self) -> str:
        """Of their numbers and what made them."""

    def load(self) -> TrackSet:
        """Read them all."""


@dataclass(frozen=True)
class CachedFeatures:
    """Features in our cache: modality -> video -> file, of videos that have them all."""

    files: Mapping[str, Mapping[str, FeatureFile]]
    identities: Mapping[str, dict[str, Any]]
    sha256: str  # of identities and data

    @classmethod
    def of(cls, features: Features) -> "CachedFeatures":
        """What an extraction left behind."""
        files: dict[str, dict[str, FeatureFile]] = {name: {} for name in features.recipe.modalities}
        data: dict[str, list[str]] = {}
        for video, of_video in features.files.items():
            records = [file.record() for file in of_video.values()]
            if all(records):
                data[video] = [record["data_sha256"] for record in records if record]
                for modality, file in of_video.items():
                    files[modality][video] = file
        identities = features.recipe.identities
        return cls(files, identities, digest([data, identities]))

    @property
    def videos(self) -> tuple[str, ...]:
        return tuple(next(iter(self.files.values())))

    def load(self) -> TrackSet:
        tracks = {
            modality: {video: _verified(file) for video, file in of_video.items()}
            for modality, of_video in self.files.items()
        }
        return TrackSet(tracks, dict(self.identities))


@dataclass(frozen=True)
class ForeignFeatures:
    """Folders of arrays, one per modality; `durations_sec` by the videos' names in the annotations."""

    folders: Mapping[str, Path]
    layout: Layout
    durations_sec: Mapping[str, float]
    fps: float  # of the frames that scores are given for
    grid: GridRule
    sha256: str  # of identities and data

    @classmethod
    def read(
        cls,
        folders: Mapping[str, Path],
        layout: Layout,
        durations_sec: Mapping[str, float],
        fps: float,
        grid: GridRule,
        say: Callable[[str], object],
    ) -> "ForeignFeatures":
        """Read once to find out whether they are what they should be; what is odd goes to `say`."""
        given = cls(folders, layout, durations_sec, fps, grid, "")
        tracks = given._load(say)
        data = {modality: {v: sha for v, (_, sha) in of.items()} for modality, of in tracks.tracks.items()}
        return replace(given, sha256=digest([data, dict(tracks.identities)]))

    @property
    def videos(self) -> tuple[str, ...]:
        return tuple(self.durations_sec)

    def load(self) -> TrackSet:
        return self._load(lambda _: None)

    def _load(self, say: Callable[[str], object]) -> TrackSet:
        return load_foreign(
            self.folders,
            layout=self.layout,
            videos=self.videos,
            durations_sec=self.durations_sec,
            fps=self.fps,
            grid=self.grid,
            say=say,
        )


def find_foreign(folders: Mapping[str, Path], videos: tuple[str, ...]) -> dict[str, Found]:
    """Files by modality and video; UsageError for a folder that is not there."""
    for modality, folder in folders.items():
        if not folder.is_dir():
            raise UsageError(f"--features {modality}={folder}: no such folder")
    return {modality: find_files(folder, videos, modality) for modality, folder in folders.items()}


def lengths_from_steps(
    found: Mapping[str, Found], layout: Layout, steps_per_sec: float, videos: tuple[str, ...]
) -> dict[str, float]:
    """Length of every video in seconds, from its number of steps in the first modality."""
    if not steps_per_sec > 0:
        raise UsageError(f"--steps-per-sec {steps_per_sec}: expected more than 0")
    files, lengths = next(iter(found.values())).files, {}
    for video in videos:
        size = steps_and_size(ForeignArray.open(files[video]).shape, layout)
        lengths[video] = max(1, size[0] if size else 1) / steps_per_sec
    return lengths


def _verified(file: FeatureFile) -> tuple[MappedTrack, str]:
    track, record = file.map()
    return track, str(record["data_sha256"])
