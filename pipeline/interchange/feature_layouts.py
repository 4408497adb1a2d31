"""Folders of features as other toolboxes keep them, one array per video: to a `TrackSet`, and from tracks.

Files go by the names of videos: a video's path, with or without its suffix, or its stem, in subfolders,
too; or with the modality behind, as in v_rgb.npy. They do not say when their steps are: `grids` has rules.

Shapes: T steps, D feature size.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.files import write_atomic
from pipeline.inputs import printable
from pipeline.interchange.axes import LAYOUTS, Layout, check_layout, from_layout, steps_and_size, to_layout
from pipeline.interchange.foreign_arrays import SUFFIXES, ForeignArray
from pipeline.interchange.grids import EVEN, GridRule
from pipeline.interchange.names import (
    InterchangeError,
    NameIndex,
    listed,
    refuse_others,
    video_ids,
    without_suffix,
)
from pipeline.timeline import Clock
from pipeline.track_set import TrackSet
from pipeline.tracks import FeatureTrack

MAX_TRIM_STEPS = 2  # by which modalities of one video may differ: windows of another length at its end
Arrays = Mapping[str, Mapping[str, ForeignArray]]  # modality -> video -> its array

__all__ = [
    "LAYOUTS",
    "Found",
    "Layout",
    "MissingFeaturesError",
    "export_features",
    "find_files",
    "load_foreign",
]


class MissingFeaturesError(InterchangeError):
    """Videos without a file; `videos` has them by modality."""

    def __init__(self, message: str, videos: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__(message)
        self.videos = videos


@dataclass(frozen=True)
class Found:
    """Files of a folder by video, and the videos that have none."""

    files: Mapping[str, Path]
    missing: tuple[str, ...]


def find_files(folder: Path, videos: Sequence[str], modality: str) -> Found:
    """Which .npy or .npz below `folder` is which video's; nothing is opened.

    InterchangeError where there is none, and where a video could mean several files or two videos one.
    """
    by_name = _by_name(folder)
    index = NameIndex(by_name, f"the files in {printable(folder)}")
    files: dict[str, Path] = {}
    owner: dict[str, str] = {}
    for video in videos:
        name = index.find(video) or index.find(f"{without_suffix(video)}_{modality}")
        if name is None:
            continue
        if other := owner.get(name):
            raise InterchangeError(
                f"{printable(by_name[name])}: is the file of {other!r} and of {video!r}; name files by paths"
            )
        owner[name], files[video] = video, by_name[name]
    return Found(files, tuple(video for video in videos if video not in files))


def load_foreign(
    folders: Mapping[str, Path],
    *,
    layout: Layout,
    videos: Sequence[str],
    durations_sec: Mapping[str, float],
    fps: float,
    grid: GridRule = EVEN,
    allow_missing: bool = False,
    max_trim_steps: int = MAX_TRIM_STEPS,
    say: Callable[[str], object] | None = None,
) -> TrackSet:
    """Features of `videos` (names as in the annotations) from a folder for each modality, in memory.

    The clock of a video is synthetic: `fps` frames a second over its length. Where modalities of a video
    differ by up to `max_trim_steps` steps, the longer lose their last ones, so that all have the same steps.
    `allow_missing` leaves out the videos that lack a modality. What is trimmed, left out or not used goes
    to `say`. InterchangeError where a folder is not what `layout` says, and where a number is not finite.
    """
    say = say or (lambda _: None)
    found = {modality: find_files(folder, videos, modality) for modality, folder in folders.items()}
    if any(each.missing for each in found.values()):
        problem = _missing(found, folders, len(videos))
        if not allow_missing:
            raise problem
        say(f"left out: {problem}")
    complete = [video for video in videos if all(video in each.files for each in found.values())]
    if not complete:
        raise InterchangeError(f"no video has a file in {listed(map(printable, folders.values()))}")
    clocks = {video: _clock(video, durations_sec.get(video), fps) for video in complete}
    frames = {video: clock.num_frames for video, clock in clocks.items()}
    arrays: Arrays = {
        modality: {video: ForeignArray.open(each.files[video]) for video in complete}
        for modality, each in found.items()
    }
    for modality, of_video in arrays.items():
        check_layout(of_video, layout, frames, printable(folders[modality]))
    steps = _common_steps(arrays, layout, max_trim_steps, say)
    centers = {video: grid.centers_sec(steps[video], durations_sec[video], fps) for video in complete}
    tracks = {
        modality: {
            video: _track(of_video[video], layout, centers[video], clocks[video]) for video in complete
        }
        for modality, of_video in arrays.items()
    }
    about = {"layout": layout, "grid": grid.to_json(), "fps": fps}
    return TrackSet(tracks, {modality: {"name": modality, "foreign": about} for modality in folders})


def export_features(tracks: Mapping[str, FeatureTrack], out: Path, layout: Layout) -> dict[str, str]:
    """Write an array (float32) for each video below `out`; returns what each video is called there.

    Tracks are taken one at a time: a mapping may load them as they are asked for. InterchangeError where
    names collide, and where `out` holds other arrays.
    """
    ids = video_ids(list(tracks))
    paths = {video: out / f"{name}.npy" for video, name in ids.items()}
    refuse_others(out, paths.values(), ".npy")
    for video, path in paths.items():
        write_atomic(path, partial(_save, to_layout(tracks[video].data_TD, layout)))
    return ids


def _save(array: np.ndarray, file: IO[bytes]) -> None:
    np.save(file, array, allow_pickle=False)


def _by_name(folder: Path) -> dict[str, Path]:
    """Arrays below a folder, by path without .npy or .npz."""
    if not folder.is_dir():
        raise InterchangeError(f"{printable(folder)}: is no folder; expected one with a file for each video")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in SUFFIXES and path.is_file():
            name = path.relative_to(folder).as_posix().removesuffix(path.suffix)
            if name in found:
                raise InterchangeError(f"{printable(path)}: there as .npy, too; remove one")
            found[name] = path
    if not found:
        raise InterchangeError(f"{printable(folder)}: no .npy or .npz in it; expected a file for each video")
    return found


def _missing(found: Mapping[str, Found], folders: Mapping[str, Path], total: int) -> MissingFeaturesError:
    videos = {modality: each.missing for modality, each in found.items() if each.missing}
    text = "; ".join(
        f"{len(missing)} of {total} videos have no {modality} features in {printable(folders[modality])}: "
        f"{listed(missing)}"
        for modality, missing in videos.items()
    )
    return MissingFeaturesError(text, videos)


def _clock(video: str, duration_sec: float | None, fps: float) -> Clock:
    if not 0 < fps < np.inf:
        raise InterchangeError(f"{fps} frames per second; expected more than 0")
    if duration_sec is None or not 0 < duration_sec < np.inf:
        raise InterchangeError(
            f"video {video!r}: its length is {duration_sec}; features without times need lengths in seconds"
        )
    return Clock.constant(max(1, round(duration_sec * fps)), Fraction(fps).limit_denominator(100_000))


def _common_steps(
    arrays: Arrays, layout: Layout, max_trim_steps: int, say: Callable[[str], object]
) -> dict[str, int]:
    """T of each video: of its shortest modality."""
    steps, trimmed = {}, []
    for video in next(iter(arrays.values())):
        counts = {modality: _count(of_video[video], layout) for modality, of_video in arrays.items()}
        steps[video] = min(counts.values())
        told = f"{video} ({', '.join(f'{modality} {count}' for modality, count in counts.items())})"
        if max(counts.values()) - steps[video] > max_trim_steps:
            raise InterchangeError(
                f"video {told}: modalities differ by more than {max_trim_steps} steps; expected "
                "features of one window and stride for all"
            )
        if max(counts.values()) > steps[video]:
            trimmed.append(told)
    if trimmed:
        say(f"trimmed to the shorter modality: {len(trimmed)} videos: {listed(trimmed)}")
    return steps


def _count(array: ForeignArray, layout: Layout) -> int:
    size = steps_and_size(array.shape, layout)
    assert size is not None, "checked before"
    return size[0]


def _track(
    array: ForeignArray, layout: Layout, center_sec_T: np.ndarray, clock: Clock
) -> tuple[FeatureTrack, str]:
    whole_TD = from_layout(array.load(), layout)
    with np.errstate(over="ignore"):  # beyond float32: not finite, and said so
        # a copy: no file stays open, and nobody changes the numbers under our feet
        data_TD = np.array(whole_TD[: len(center_sec_T)], dtype=np.float32, order="C")
    try:
        track = FeatureTrack(data_TD, center_sec_T, clock)
    except ValueError as error:
        raise InterchangeError(f"{printable(array.path)}: {error}") from error
    sha256 = hashlib.sha256(repr(data_TD.shape).encode())
    sha256.update(data_TD.data)
    return track, sha256.hexdigest()
