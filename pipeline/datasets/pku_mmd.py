"""PKU-MMD, phase 1: a split (cross-subject.txt, cross-view.txt), a label file per video, Actions.xlsx.

The split is the file to give. It has two lists, "Training videos:" and "Validation videos:" (the test videos
of the published figures, so read as testing), of names such as 0002-L: recording and view (left, middle,
right). The labels of 0002-L are in 0002-L.txt, in a folder with "label" in its name, beside the split or one
level up: class,start,end,confidence per line, classes 1 to 51, in frames at 30 fps. The confidence is
not read. Class names come from Actions.xlsx beside the split, else they are A01 to A51.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.datasets.class_names import ClassList
from pipeline.datasets.protocol import protocol_of
from pipeline.datasets.text_file import TextFile, digest, shown
from pipeline.datasets.workbook import read_workbook
from pipeline.inputs import printable
from pipeline.labels import Annotations, Interval, LabelError, Subset, VideoLabels

FPS = 30.0
HEADING = re.compile(r"\s*(training|valid\w*)\s+videos\s*:\s*", re.IGNORECASE)  # theirs: "Validataion"
_CLASSES = ClassList(range(1, 52), "Actions.xlsx", "A{:02d}")
_VIDEO = re.compile(r"[0-9]{4}-[LMR]")
_LINE = re.compile(r"([0-9]{1,2}),([0-9]{1,9}),([0-9]{1,9}),[0-9]{1,2}")


def read_pku_mmd(split: TextFile) -> Annotations:
    """LabelError where a list, a label file or a line of one is not as it should be."""
    subsets = _subsets(split)
    names, remarks = _class_names(split.path.parent)
    folder = _label_folder(split.path, next(iter(subsets)))
    files = {video: TextFile.read(folder / f"{video}.txt") for video in subsets}
    videos = tuple(
        VideoLabels(video, subset, tuple(_intervals(files[video], names)))
        for video, subset in subsets.items()
    )
    if unused := {path.stem for path in folder.glob("*.txt")} - set(subsets):
        remarks += (f"{len(unused)} label files of videos that are in neither list are not read",)
    dataset = "pku-mmd" + protocol_of(videos, subject=lambda video: video[:4], view=lambda video: video[-1])
    sha256 = digest([split, *files.values()])
    return Annotations(videos, names, split.path, sha256, dataset, remarks)


def _subsets(split: TextFile) -> dict[str, Subset]:
    """Subset of each video, as listed."""
    found: dict[str, Subset] = {}
    subset: Subset | None = None
    for line, text in enumerate(split.text.splitlines(), 1):
        where = f"{printable(split.path)}, line {line}"
        if heading := HEADING.fullmatch(text):
            subset = "training" if heading[1].lower() == "training" else "testing"
            continue
        for video in filter(None, (name.strip() for name in text.split(","))):
            if subset is None or not _VIDEO.fullmatch(video):
                raise LabelError(f"{where}: {shown(video)}; expected a heading or a video such as 0002-L")
            if video in found:
                raise LabelError(f"{where}: {video} is there twice; keep one")
            found[video] = subset
    if not found:
        raise LabelError(f"{printable(split.path)}: names no video; expected lists such as 0002-L, 0002-M")
    return found


def _label_folder(split: Path, video: str) -> Path:
    """The one folder of labels; skeleton files go by the same names, so its own name decides."""
    here = split.absolute().parent
    for near in (here, here.parent):
        folders = [f for f in sorted(near.iterdir()) if "label" in f.name.lower()]
        folders = [f for f in folders if (f / f"{video}.txt").is_file()]
        if len(folders) > 1:
            found = ", ".join(printable(folder) for folder in folders)
            raise LabelError(f"{printable(split)}: several folders hold labels ({found}); keep one there")
        if folders:
            return folders[0]
    raise LabelError(
        f"{printable(split)}: found no folder with 'label' in its name that holds {video}.txt, neither "
        "beside it nor one level up; put the extracted labels there"
    )


def _class_names(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    path = folder / _CLASSES.file
    if not path.is_file():
        return _CLASSES.by_id()
    rows = read_workbook(path)[1:]  # below the headings "Label", "Action"
    named = {int(row[0]): row[1] for row in rows if len(row) > 1 and re.fullmatch("[0-9]{1,2}", row[0])}
    return _CLASSES.complete(named, path), ()


def _intervals(file: TextFile, names: tuple[str, ...]) -> Iterator[Interval]:
    for line, text in enumerate(file.text.splitlines(), 1):
        if not text.strip():
            continue
        match = _LINE.fullmatch(text.strip())
        if not match or int(match[1]) not in _CLASSES.ids:
            raise LabelError(
                f"{printable(file.path)}, line {line}: {shown(text)}; expected class,start,end,confidence: "
                "a class of 1 to 51, frames, whole numbers"
            )
        yield Interval(int(match[2]) / FPS, int(match[3]) / FPS, names[int(match[1]) - 1])
