"""Which format an annotation file has, told by its content."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pipeline.datasets.action_json import read_action_json
from pipeline.datasets.activitynet import read_activitynet
from pipeline.datasets.charades_csv import COLUMNS as CHARADES_COLUMNS
from pipeline.datasets.charades_csv import read_charades_csv
from pipeline.datasets.pku_mmd import HEADING as PKU_MMD_HEADING
from pipeline.datasets.pku_mmd import read_pku_mmd
from pipeline.datasets.review import review, summary
from pipeline.datasets.text_file import TextFile
from pipeline.inputs import printable
from pipeline.labels import Annotations, LabelError, read_annotations

UNDERSTOOD = (
    "CSV (video,start,end,label[,subset]; seconds), ActivityNet-style JSON (THUMOS14), the JSON files of "
    "Charades, MultiTHUMOS and TSU, Charades_v1_train.csv or Charades_v1_test.csv, and PKU-MMD's "
    "cross-subject.txt or cross-view.txt"
)


def load_annotations(path: Path) -> Annotations:
    """Any annotation file that is understood; LabelError says what is.

    What was found out about the file of a data set is in the `remarks`: what it was taken for, how it was
    read, and what is odd about it.
    """
    if path.is_dir():
        raise LabelError(_folder(path))
    file = TextFile.read(path)
    read = _reader(file)
    if read is None:
        return read_annotations(path)
    annotations = read(file)
    if not annotations.videos:
        raise LabelError(f"{printable(path)}: names no video")
    remarks = (summary(annotations), *annotations.remarks, *map(str, review(annotations)))
    return replace(annotations, remarks=tuple(f"{printable(path.name)}: {remark}" for remark in remarks))


def _reader(file: TextFile) -> Callable[[TextFile], Annotations] | None:
    """The parser for a file of a data set; None for the project's own CSV."""
    if file.text.lstrip().startswith(("{", "[")):
        return _json_reader(file)
    head = next((line for line in file.text.splitlines() if line.strip(", \t")), "")[:10_000]
    if PKU_MMD_HEADING.fullmatch(head):
        return read_pku_mmd
    columns = {cell.strip().lower() for cell in next(csv.reader([head]), [])}
    if columns >= CHARADES_COLUMNS:
        return read_charades_csv
    if "video" in columns:
        return None
    raise LabelError(f"{printable(file.path)}: begins with {head[:80]!r}; understood are: {UNDERSTOOD}")


def _json_reader(file: TextFile) -> Callable[[TextFile], Annotations]:
    document = file.json_object()
    if "database" in document:
        return read_activitynet
    keys = set().union(*(entry for entry in document.values() if isinstance(entry, dict)))
    if "actions" in keys:
        return read_action_json
    if "annotations" in keys:
        return read_activitynet
    raise LabelError(
        f"{printable(file.path)}: JSON without a video that has actions or annotations; understood are: "
        f"{UNDERSTOOD}"
    )


def _folder(path: Path) -> str:
    """The message for a folder: what in it could have been meant."""
    files = [f for f in sorted(path.iterdir()) if f.suffix.lower() in (".json", ".csv", ".txt")]
    some = ", ".join(printable(f.name) for f in files[:8]) or "none that looks like it"
    return f"{printable(path)}: is a folder; give the file itself ({some}). Understood are: {UNDERSTOOD}"
