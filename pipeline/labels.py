"""Annotation files to validated labels, matched to videos, as targets on a clock.

Labels are intervals in seconds on the player's clock. A parser is a function from a file to
`Annotations`; the project's own format is a CSV:

    video,start,end,label[,subset]
    kitchen/a.mp4,2.5,4.0,pour,training     one interval
    kitchen/b.mp4,,,,testing                labelled, and nothing happens in it
"""

import csv
import hashlib
import io
import math
import reprlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

import numpy as np

from pipeline.inputs import VIDEO_SUFFIXES, unprintable_character
from pipeline.timeline import targets

Subset = Literal["training", "testing", "unlabelled"]

_SUBSETS: Mapping[str, Subset] = {**{s: s for s in get_args(Subset)}, "train": "training", "test": "testing"}
_MOST_CHARACTERS = {"video": 4096, "label": 500}
_REQUIRED = ("video", "start", "end", "label")
_COLUMNS = (*_REQUIRED, "subset")


class LabelError(ValueError):
    """Annotations that cannot be used as they are; the message names the file, the line and the remedy."""


@dataclass(frozen=True)
class Interval:
    """`label` happens at start <= t < end. One that ends before its start may be read: lint drops it."""

    start_sec: float
    end_sec: float
    label: str

    def __post_init__(self) -> None:
        for name, sec in (("start", self.start_sec), ("end", self.end_sec)):
            if not 0 <= sec < math.inf:
                raise LabelError(f"{name} is {sec}; expected seconds, 0 or more")
        _check_name("label", self.label)


@dataclass(frozen=True)
class VideoLabels:
    """All that is said about one video, by its name in the file; `subset` is None where none is given.

    `duration_sec` is the length that the file states, if it does: the video itself is not looked at.
    """

    video: str
    subset: Subset | None
    intervals: tuple[Interval, ...]
    duration_sec: float | None = None

    def __post_init__(self) -> None:
        _check_name("video", self.video)
        if self.duration_sec is not None and not 0 < self.duration_sec < math.inf:
            raise LabelError(f"the length is {self.duration_sec} s; expected more than 0")


@dataclass(frozen=True)
class Annotations:
    """A whole annotation file.

    `classes` is in the order of score columns: sorted, or as a data set numbers them. Either every
    video has a subset or none has. `dataset` and `remarks` are the parser's: which data set it found
    the file to be of, and what the user should know about the file as a whole.
    """

    videos: tuple[VideoLabels, ...]
    classes: tuple[str, ...]
    source: Path
    sha256: str
    dataset: str = ""
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = {video.video for video in self.videos}
        labels = {interval.label for video in self.videos for interval in video.intervals}
        if len(names) < len(self.videos) or len(set(self.classes)) < len(self.classes):
            raise LabelError(f"{self.source}: a video or a class is there twice")
        if unknown := labels - set(self.classes):
            raise LabelError(
                f"{self.source}: label {min(unknown)!r} is none of the {len(self.classes)} classes"
            )
        without = [video.video for video in self.videos if video.subset is None]
        if 0 < len(without) < len(self.videos):
            raise LabelError(
                f"{self.source}: {len(without)} of {len(self.videos)} videos have no subset, the first is "
                f"{without[0]!r}; give every video one ({', '.join(get_args(Subset))}), or none"
            )

    def without(self, labels: Collection[str]) -> "Annotations":
        """The same with some classes left out; LabelError for a name that is no class."""
        if unknown := set(labels) - set(self.classes):
            known = ", ".join(self.classes)
            raise LabelError(f"{self.source}: cannot leave out {min(unknown)!r}; the classes are {known}")
        videos = [
            replace(video, intervals=tuple(i for i in video.intervals if i.label not in labels))
            for video in self.videos
        ]
        return replace(self, videos=tuple(videos), classes=tuple(c for c in self.classes if c not in labels))


@dataclass(frozen=True)
class Match:
    """Annotations set beside the videos that are there, which go by their relative paths."""

    annotations: Annotations
    labels: Mapping[str, VideoLabels]  # relative path of a video -> its labels, in the videos' order
    absent: tuple[str, ...]  # names in the file that no video has
    unlabelled: tuple[str, ...]  # relative paths of videos the file does not name


def read_annotations(path: Path) -> Annotations:
    """The project's CSV: UTF-8, commas, a header; classes sorted; LabelError for anything unclear.

    Spaces around a cell do not count, empty rows neither. Names are only names: nothing they point
    to is opened. A subset may be given on any row of a video; if one video has one, all must:
    silence is no way to leave a video out of training.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(f"{path}: cannot be read as text in UTF-8 ({error})") from error
    intervals: dict[str, list[Interval]] = {}
    subsets: dict[str, Subset] = {}
    for line, row in _rows(path, text):
        try:
            video, found, subset = _parse(row)
            if subset and subsets.setdefault(video, subset) != subset:
                raise LabelError(f"{video!r} is {subset} here and {subsets[video]} before; keep one")
        except LabelError as error:
            raise LabelError(f"{path}, line {line}: {error}") from None
        intervals.setdefault(video, []).extend(found)
    if not intervals:
        raise LabelError(f"{path}: names no video; expected rows of {','.join(_COLUMNS)}")
    videos = tuple(VideoLabels(name, subsets.get(name), tuple(found)) for name, found in intervals.items())
    classes = tuple(sorted({interval.label for video in videos for interval in video.intervals}))
    return Annotations(videos, classes, path, hashlib.sha256(data).hexdigest())


def match_videos(annotations: Annotations, videos: Sequence[str]) -> Match:
    """Which labels belong to which video; `videos` are relative POSIX paths.

    A name means the video of exactly that path, else the one whose path without suffix it is, else
    the only one with its stem; a name may itself end in a video's suffix, the same or another.
    LabelError where a name could mean several videos, or several names mean one.
    """
    index = _VideoIndex(videos)
    owners: dict[str, VideoLabels] = {}
    absent = []
    for labels in annotations.videos:
        video = index.find(labels.video, annotations.source)
        if video is None:
            absent.append(labels.video)
        elif video in owners:
            raise LabelError(
                f"{annotations.source}: {owners[video].video!r} and {labels.video!r} both mean {video!r}; "
                "name videos by their paths relative to the input folder"
            )
        else:
            owners[video] = labels
    matched = {video: owners[video] for video in videos if video in owners}
    return Match(annotations, matched, tuple(absent), tuple(v for v in videos if v not in owners))


def interval_targets(
    intervals: Iterable[Interval], time_sec: np.ndarray, classes: Sequence[str]
) -> np.ndarray:
    """Class k is positive at t iff start <= t < end of one of its intervals: (len(time_sec), K) bool.

    `time_sec` is on the player's clock. LabelError for an interval of none of the classes.
    """
    column = {label: k for k, label in enumerate(classes)}
    try:
        rows = [(i.start_sec, i.end_sec, column[i.label]) for i in intervals]
    except KeyError as error:
        raise LabelError(f"label {error} is none of the classes {', '.join(classes)}") from None
    return targets(rows, time_sec, len(classes))


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of each row that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    columns: list[str] = []
    try:
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            cells = [cell.strip(" \t") for cell in row]
            if not any(cells):
                continue
            if not columns:
                columns = [cell.lower() for cell in cells]
                _check_header(columns, where)
            elif len(cells) != len(columns):
                found = f"{len(cells)} cells {reprlib.repr(cells)}"
                raise LabelError(f"{where}: {found}, expected {len(columns)}; quote commas")
            else:
                yield reader.line_num, dict(zip(columns, cells, strict=True))
    except csv.Error as error:  # an open quote, a cell beyond csv's limit of 128 KiB
        raise LabelError(f"{path}, line {reader.line_num}: not a CSV file ({error})") from error


def _check_header(columns: Sequence[str], where: str) -> None:
    """Unknown columns are refused: a misspelt `subset` would quietly train on the test videos."""
    if not set(_REQUIRED) <= set(columns) <= set(_COLUMNS) or len(set(columns)) < len(columns):
        found = ",".join(columns)[:500]
        raise LabelError(f"{where}: the columns are {found!r}; expected video,start,end,label[,subset]")


def _parse(row: Mapping[str, str]) -> tuple[str, tuple[Interval, ...], Subset | None]:
    """Video, one interval or none, and subset of a row."""
    _check_name("video", row["video"])
    subset = row.get("subset", "").lower()
    if subset and subset not in _SUBSETS:
        raise LabelError(f"subset is {row['subset']!r}; expected one of {', '.join(_SUBSETS)}")
    start, end, label = row["start"], row["end"], row["label"]
    intervals: tuple[Interval, ...] = ()
    if start and end and label:
        intervals = (Interval(_seconds("start", start), _seconds("end", end), label),)
    elif start or end or label:
        raise LabelError(f"{start=}, {end=}, {label=}; give all three, or none to say that nothing happens")
    return row["video"], intervals, _SUBSETS.get(subset)


def _seconds(column: str, text: str) -> float:
    try:
        return float(text.replace("_", "?"))  # Python would read 1_2 as 12
    except ValueError:
        raise LabelError(f"{column} is {text!r}; expected seconds, such as 12.5") from None


def _check_name(what: str, name: str) -> None:
    if not name:
        raise LabelError(f"{what} is empty; expected a name")
    if len(name) > _MOST_CHARACTERS[what]:
        found = f"{what} {name[:60]!r}... has {len(name)} characters"
        raise LabelError(f"{found}; expected at most {_MOST_CHARACTERS[what]}")
    if not name.isprintable() and (unprintable := unprintable_character(name)):  # the first is fast
        raise LabelError(f"{what} {name!r} holds {unprintable}; expected printable text")


class _VideoIndex:
    """Videos by path, by path without suffix, and by stem."""

    def __init__(self, videos: Sequence[str]) -> None:
        self._path: dict[str, list[str]] = defaultdict(list)
        self._bare: dict[str, list[str]] = defaultdict(list)
        self._stem: dict[str, list[str]] = defaultdict(list)
        for video in videos:
            path = PurePosixPath(video)
            self._path[str(path)].append(video)
            self._bare[str(path.with_suffix(""))].append(video)
            self._stem[path.stem].append(video)

    def find(self, name: str, source: Path) -> str | None:
        """The one video meant by a name of an annotation file; None where there is none."""
        path = PurePosixPath(name)
        # a dot in a name is not always a suffix: S01.cam2 is not S01
        bare = path.with_suffix("") if path.suffix.lower() in VIDEO_SUFFIXES else path
        exact = [(self._path, str(path)), (self._bare, str(path)), (self._bare, str(bare))]
        for index, key in (*exact, (self._stem, path.name), (self._stem, bare.name)):
            hits = index.get(key, [])
            if len(hits) > 1:
                raise LabelError(
                    f"{source}: {name!r} could mean {len(hits)} videos: {', '.join(map(repr, hits[:5]))}; "
                    "name videos by their paths relative to the input folder, with suffix"
                )
            if hits:
                return hits[0]
        return None
