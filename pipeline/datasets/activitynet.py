"""ActivityNet-style JSON: {"database": {video: {subset, duration, annotations: [{segment, label}, ...]}}}.

The object of videos may also stand alone, without "database" around it. Segments are [start, end] in seconds.
Classes are in the order of `label_id` where every annotation has one, else sorted by name, which is the
official order of THUMOS14. Other keys (taxonomy, version, fps, url, frames) are not needed and not read.

Subsets are called what the data set calls them. "validation" is read as training where test videos with
annotations are there to judge by (THUMOS14), else as testing (ActivityNet, whose test annotations are
withheld: those videos are read as unlabelled). A remark says so.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pipeline.datasets.text_file import TextFile, length_sec, number, shown
from pipeline.inputs import printable
from pipeline.labels import Annotations, Interval, LabelError, Subset, VideoLabels

_NAMES = {"train": "training", "val": "validation", "valid": "validation", "test": "testing"}
_KNOWN = ("training", "validation", "testing", "unlabelled")
_THUMOS14 = re.compile(r"video_(test|validation)_[0-9]{7}")
_THUMOS14_CLASSES = 20


def read_activitynet(file: TextFile) -> Annotations:
    """LabelError names the file, the video and what is not as it should be."""
    document = file.json_object()
    database = document.get("database", document)
    if not isinstance(database, dict):
        raise LabelError(
            f"{printable(file.path)}: database is {shown(database)}; expected an object of videos"
        )
    videos, subsets, ids = [], {}, _ClassIds()
    for name, entry in database.items():
        try:
            videos.append(_video(name, entry, ids))
            subsets[name] = _subset(entry)
        except LabelError as error:
            raise LabelError(f"{printable(file.path)}, video {shown(name)}: {error}") from None
    roles, remarks = _roles({subsets[video.video] for video in videos if video.intervals}, subsets.values())
    videos = [replace(video, subset=roles[subsets[video.video]]) for video in videos]
    classes = ids.ordered(file)
    thumos = len(classes) == _THUMOS14_CLASSES and all(_THUMOS14.fullmatch(name) for name in database)
    dataset = "thumos14" if thumos else "activitynet"
    return Annotations(tuple(videos), classes, file.path, file.sha256, dataset, remarks)


class _ClassIds:
    """Labels as they come, with the ids the file gives them."""

    def __init__(self) -> None:
        self._of: dict[str, set[int | None]] = {}

    def add(self, label: str, class_id: object) -> None:
        if class_id is not None and (not isinstance(class_id, int) or isinstance(class_id, bool)):
            raise LabelError(f"label_id is {shown(class_id)}; expected a whole number")
        self._of.setdefault(label, set()).add(class_id)

    def ordered(self, file: TextFile) -> tuple[str, ...]:
        """By id if all have one, else by name; LabelError where ids contradict each other."""
        if any(None in ids for ids in self._of.values()):
            return tuple(sorted(self._of))
        pairs = [(i, label) for label, ids in self._of.items() for i in ids if i is not None]
        if len({class_id for class_id, _ in pairs}) < len(pairs) or len(pairs) > len(self._of):
            raise LabelError(
                f"{printable(file.path)}: label and label_id do not belong together one to one; mend "
                "label_id, or leave it out"
            )
        return tuple(label for _, label in sorted(pairs))


def _video(name: str, entry: Any, ids: _ClassIds) -> VideoLabels:
    if not isinstance(entry, dict) or not isinstance(entry.get("annotations", []), list):
        raise LabelError(f"{shown(entry)}; expected subset, duration and a list of annotations")
    intervals = tuple(_interval(annotation, ids) for annotation in entry.get("annotations", []))
    return VideoLabels(name, None, intervals, length_sec(entry.get("duration")))


def _interval(annotation: Any, ids: _ClassIds) -> Interval:
    fields = annotation if isinstance(annotation, dict) else {}
    segment, label = fields.get("segment"), fields.get("label")
    if not isinstance(segment, list) or len(segment) != 2 or not isinstance(label, str):
        raise LabelError(
            f"annotation {shown(annotation)}; expected a segment [start, end] in seconds and a label"
        )
    ids.add(label, fields.get("label_id"))
    return Interval(number("start", segment[0]), number("end", segment[1]), label)


def _subset(entry: Mapping[str, Any]) -> str | None:
    subset = entry.get("subset")
    if subset is None:
        return None
    name = subset.lower() if isinstance(subset, str) else ""
    if _NAMES.get(name, name) not in _KNOWN:
        raise LabelError(f"subset is {shown(subset)}; expected {', '.join(_KNOWN)}")
    return _NAMES.get(name, name)


def _roles(
    annotated: set[str | None], found: Iterable[str | None]
) -> tuple[dict[str | None, Subset | None], tuple[str, ...]]:
    """What each subset is read as; `annotated` are those with at least one annotation."""
    roles: dict[str | None, Subset | None] = {None: None, "training": "training", "unlabelled": "unlabelled"}
    roles["testing"] = "testing" if "testing" in annotated else "unlabelled"
    roles["validation"] = "training" if "testing" in annotated else "testing"
    names = sorted({name for name in found if name is not None})
    return roles, tuple(f"subset {name} is read as {roles[name]}" for name in names if roles[name] != name)
