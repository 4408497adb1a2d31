"""JSON {video: {subset, duration, actions: [[class id, start, end], ...]}}: Charades, MultiTHUMOS, TSU.

The layout goes back to super-events (Piergiovanni and Ryoo, CVPR 2018) and is what PDAN and MS-TCT read. It
says neither the unit of its times nor its first class id, so only files of known data sets are accepted, told
apart by how their videos are named:

| data set | videos | class ids | times |
|---|---|---|---|
| Charades | 7UPGT | 0 to 156 | seconds |
| MultiTHUMOS | video_test_0000896, video_validation_0000051 | 1 to 65 | seconds |
| TSU | P02T01C06: subject, take, camera | 0 to 50 | frames, the duration too |

TSU: seconds = frames / 25, the rate at which the released videos play by the reports of their users (recorded
at 20 fps, they play 1.25 times as fast: the mean of 25,018 frames is the paper's 21 minutes at 20 fps). The
annotations name no rate; lint says where a video is not as long as they state, as happens at any other.
Cross-subject and cross-view files differ in their subsets alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.datasets.class_names import ClassList
from pipeline.datasets.protocol import protocol_of
from pipeline.datasets.text_file import TextFile, length_sec, number, shown
from pipeline.inputs import printable
from pipeline.labels import Annotations, Interval, LabelError, Subset, VideoLabels

CHARADES_CLASSES = ClassList(range(157), "Charades_v1_classes.txt", "c{:03d}")
_SUBSETS: Mapping[str, Subset] = {"training": "training", "testing": "testing"}


@dataclass(frozen=True)
class Layout:
    """What such a file leaves unsaid."""

    dataset: str
    video: re.Pattern[str]
    classes: ClassList
    fps: float = 1.0  # of its times; 1: seconds
    remarks: tuple[str, ...] = ()


LAYOUTS = (
    Layout("charades", re.compile(r"[A-Z0-9]{5}"), CHARADES_CLASSES),
    Layout(
        "multithumos",
        re.compile(r"video_(test|validation)_[0-9]{7}"),
        ClassList(range(1, 66), "class_list.txt", "class_{:02d}"),
    ),
    Layout(
        "tsu",
        re.compile(r"P[0-9]{2}T[0-9]{2}C[0-9]{2}"),
        ClassList(range(51), "Action_list", "class_{:02d}"),
        fps=25.0,
        remarks=(
            "frames are read as 25 per second; the official CSV is the reference where it differs from this",
        ),
    ),
)


def read_action_json(file: TextFile) -> Annotations:
    """LabelError where the videos are of no known data set, or anything is not as it should be."""
    document = file.json_object()
    layout = _layout(file, document)
    names, remarks = layout.classes.names(file.path.parent)
    videos = []
    for name, entry in document.items():
        try:
            videos.append(_video(name, entry, layout, names))
        except LabelError as error:
            raise LabelError(f"{printable(file.path)}, video {shown(name)}: {error}") from None
    dataset = layout.dataset
    if dataset == "tsu":
        dataset += protocol_of(videos, subject=lambda video: video[:3], view=lambda video: video[-3:])
    return Annotations(tuple(videos), names, file.path, file.sha256, dataset, (*layout.remarks, *remarks))


def _layout(file: TextFile, document: Mapping[str, Any]) -> Layout:
    """By the name of the first video."""
    first = next(iter(document), "")
    for layout in LAYOUTS:
        if layout.video.fullmatch(first):
            return layout
    raise LabelError(
        f"{printable(file.path)}: lists actions by class id for videos such as {shown(first)}, which are "
        "none of Charades, MultiTHUMOS or TSU, so whether it counts in seconds or frames, and from 0 or 1, "
        "is not known; convert it to CSV (video,start,end,label[,subset]; seconds) or ActivityNet-style JSON"
    )


def _video(name: str, entry: Any, layout: Layout, names: tuple[str, ...]) -> VideoLabels:
    if not layout.video.fullmatch(name):
        raise LabelError(f"is no video of {layout.dataset}, as the first one is")
    if not isinstance(entry, dict) or not isinstance(entry.get("actions"), list):
        raise LabelError(f"{shown(entry)}; expected subset, duration and a list of actions")
    subset = entry.get("subset")
    if not isinstance(subset, str) or subset not in _SUBSETS:
        raise LabelError(f"subset is {shown(subset)}; expected training or testing")
    intervals = tuple(_interval(action, layout, names) for action in entry["actions"])
    return VideoLabels(name, _SUBSETS[subset], intervals, length_sec(entry.get("duration"), layout.fps))


def _interval(action: Any, layout: Layout, names: tuple[str, ...]) -> Interval:
    if not isinstance(action, list) or len(action) != 3:
        raise LabelError(f"action {shown(action)}; expected [class id, start, end]")
    class_id, start, end = action
    ids = layout.classes.ids
    if type(class_id) is not int or class_id not in ids:
        raise LabelError(f"class id {shown(class_id)}; expected {ids[0]} to {ids[-1]}")
    start_sec, end_sec = number("start", start) / layout.fps, number("end", end) / layout.fps
    return Interval(start_sec, end_sec, names[ids.index(class_id)])
