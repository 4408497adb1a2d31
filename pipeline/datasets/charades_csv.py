"""The official Charades CSV: a row per video, actions "c092 11.90 21.20;c147 0.00 12.60", length in seconds.

Charades_v1_train.csv and Charades_v1_test.csv belong together: whichever is given, the other is read, too,
if it lies beside it, and the subset is what the name of the file says. The other columns (script, objects,
descriptions, ...) are not needed and not read.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping

from pipeline.datasets.action_json import CHARADES_CLASSES
from pipeline.datasets.text_file import TextFile, digest, shown
from pipeline.inputs import printable
from pipeline.labels import Annotations, Interval, LabelError, Subset, VideoLabels

COLUMNS = frozenset({"id", "actions", "length"})
_ACTION = re.compile(r"c([0-9]{3}) ([0-9.]{1,20}) ([0-9.]{1,20})")
_PART = re.compile(r"(train|test)(?!.*(train|test))", re.IGNORECASE)  # the last one
_SUBSETS: Mapping[str, Subset] = {"train": "training", "test": "testing"}


def read_charades_csv(file: TextFile) -> Annotations:
    """Both parts where both are there; LabelError names the file, the line and what was expected."""
    names, remarks = CHARADES_CLASSES.names(file.path.parent)
    files = _parts(file)
    videos: dict[str, VideoLabels] = {}
    for subset, part in files.items():
        for where, row in _rows(part):
            try:
                video = _video(row, subset, names)
                if video.video in videos:
                    raise LabelError(f"{shown(video.video)} is there twice; keep one")
            except LabelError as error:
                raise LabelError(f"{where}: {error}") from None
            videos[video.video] = video
    absent = [part for part, subset in _SUBSETS.items() if subset not in files]
    remarks += tuple(f"no CSV of the {part} videos beside it: they are unknown" for part in absent)
    found = tuple(videos.values())
    return Annotations(found, names, file.path, digest(files.values()), "charades", remarks)


def _parts(file: TextFile) -> dict[Subset, TextFile]:
    """The files by subset, training first."""
    match = _PART.search(file.path.name)
    if not match:
        raise LabelError(
            f"{printable(file.path)}: which videos it is of is said by its name alone; expected "
            "Charades_v1_train.csv or Charades_v1_test.csv"
        )
    found: dict[Subset, TextFile] = {}
    for part, subset in _SUBSETS.items():
        if match[1].lower() == part:
            found[subset] = file
            continue
        path = file.path.with_name(_PART.sub(part, file.path.name, count=1))
        if path.is_file():
            found[subset] = TextFile.read(path)
    return found


def _rows(file: TextFile) -> Iterator[tuple[str, dict[str, str]]]:
    """Where a row is, and its cells by column."""
    name, reader = printable(file.path), csv.reader(io.StringIO(file.text, newline=""), strict=True)
    try:
        columns = next(reader, [])
        if not set(columns) >= COLUMNS:
            raise LabelError(f"{name}: the columns are {shown(columns)}; expected id, actions, length")
        for row in reader:
            where = f"{name}, line {reader.line_num}"
            if len(row) != len(columns):
                raise LabelError(f"{where}: {len(row)} cells, expected {len(columns)}")
            yield where, dict(zip(columns, row, strict=True))
    except csv.Error as error:
        raise LabelError(f"{name}, line {reader.line_num}: not a CSV file ({error})") from None


def _video(row: Mapping[str, str], subset: Subset, names: tuple[str, ...]) -> VideoLabels:
    intervals = tuple(_interval(action, names) for action in row["actions"].split(";") if action)
    return VideoLabels(row["id"], subset, intervals, _seconds("length", row["length"]))


def _interval(action: str, names: tuple[str, ...]) -> Interval:
    match = _ACTION.fullmatch(action)
    if not match or int(match[1]) not in CHARADES_CLASSES.ids:
        raise LabelError(f"action {shown(action)}; expected such as c092 11.90 21.20, c000 to c156")
    return Interval(_seconds("start", match[2]), _seconds("end", match[3]), names[int(match[1])])


def _seconds(what: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise LabelError(f"{what} is {shown(text)}; expected seconds, such as 12.5") from None
