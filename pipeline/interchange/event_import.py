"""Events found by any program, from the formats they are handed around in, checked.

| given                                     | format                                            | times   |
|-------------------------------------------|---------------------------------------------------|---------|
| JSON {"results": {video: [...]}}          | ActivityNet, what OpenTAD and ActionFormer write  | seconds |
| JSON {video: [...]}, CSV video,start,...  | our events.json and events.csv                    | seconds |
| folder of <video>.txt: class,start,end,   | proposals as PKU-MMD's and TSU's evaluation takes | frames  |
| score per line                            | them, by the class ids of the data set            |         |

An event as long as nothing is kept: it finds nothing, which counts against whoever wrote it.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.datasets.text_file import TextFile, number, shown
from pipeline.events import COLUMNS, Event, spreadsheet_safe
from pipeline.inputs import printable, unprintable_character
from pipeline.interchange.names import InterchangeError
from pipeline.labels import Annotations, LabelError

Found = dict[str, list[Event]]  # by the name a video has in the file
UNDERSTOOD = (
    'ActivityNet JSON {"results": {video: [{label, score, segment}]}}, our events.json or events.csv, or a '
    "folder of <video>.txt with class,start,end,score per line"
)


@dataclass(frozen=True)
class Numbering:
    """What a text of proposals leaves unsaid."""

    first_id: int  # of the classes, in the order of the annotations
    fps: float  # of its frames


NUMBERINGS: Mapping[str, Numbering] = {"pku-mmd": Numbering(1, 30.0), "tsu": Numbering(0, 25.0)}


def read_events(path: Path, annotations: Annotations | None = None) -> Found:
    """Events by video, in the order of the file; times in seconds.

    `annotations` are needed for a folder of texts alone: their data set says what class ids and frames mean.
    InterchangeError or LabelError names the file, the place, what was found and what was expected.
    """
    if path.is_dir():
        return _read_texts(path, annotations)
    file = TextFile.read(path)
    try:
        if file.text.lstrip().startswith(("{", "[")):
            return _read_json(file)
        return _read_csv(file)
    except (LabelError, InterchangeError) as error:
        where = printable(path)
        raise InterchangeError(f"{str(error) if where in str(error) else f'{where}: {error}'}") from None


def checked_event(start: float, end: float, label: str, score: float) -> Event:
    """InterchangeError for what is no event: reversed, without a name, with a score that is none."""
    if not (math.isfinite(start) and math.isfinite(end)):
        raise InterchangeError(f"from {start} to {end}; expected seconds")
    if end < start:
        raise InterchangeError(f"ends at {end:g}, before it starts at {start:g}; are the two swapped?")
    if not 0 <= score <= 1:  # true for NaN, too
        raise InterchangeError(
            f"score is {score:g}; expected 0 to 1 (the logistic of unbounded scores keeps their order)"
        )
    check_name("label", label)
    return Event(start, end, label, score)


def check_name(what: str, name: str) -> None:
    """InterchangeError where a name is empty or holds what has no place in a line of text."""
    if not name.strip():
        raise InterchangeError(f"{what} is empty; expected a name")
    if problem := unprintable_character(name):
        raise InterchangeError(f"{what} {shown(name)} holds {problem}; expected printable text")


def _read_json(file: TextFile) -> Found:
    document = file.json_object()
    results = document.get("results")
    ours = not isinstance(results, dict)
    videos: dict[str, Any] = document if ours else results  # type: ignore[assignment]
    found: Found = {}
    for video, rows in videos.items():
        check_name("video", video)
        if not isinstance(rows, list):
            raise InterchangeError(f"video {shown(video)}: {shown(rows)}; understood are: {UNDERSTOOD}")
        found[video] = []
        for place, row in enumerate(rows, 1):
            try:
                found[video].append(_json_event(row, ours))
            except (LabelError, InterchangeError) as error:
                raise InterchangeError(f"video {shown(video)}, event {place}: {error}") from None
    return found


def _json_event(row: Any, ours: bool) -> Event:
    fields = row if isinstance(row, dict) else {}
    segment = [fields.get("start"), fields.get("end")] if ours else fields.get("segment")
    label, expected = fields.get("label"), "start, end" if ours else "segment [start, end]"
    if not isinstance(segment, list) or len(segment) != 2 or not isinstance(label, str):
        raise InterchangeError(f"{shown(row)}; expected {expected}, label and score")
    start, end = (number(name, value) for name, value in zip(("start", "end"), segment, strict=True))
    return checked_event(start, end, label, number("score", fields.get("score")))


def _read_csv(file: TextFile) -> Found:
    reader = csv.reader(io.StringIO(file.text, newline=""), strict=True)
    found: Found = {}
    columns: list[str] = []
    try:
        for row in reader:
            if not columns:
                columns = [cell.strip().lower() for cell in row]
                if set(columns) != set(COLUMNS) or len(columns) != len(COLUMNS):
                    raise InterchangeError(
                        f"begins with {shown(','.join(row))}; understood are: {UNDERSTOOD}"
                    )
            elif row:
                _add_row(found, columns, row)
    except (InterchangeError, csv.Error) as error:
        raise InterchangeError(f"line {reader.line_num}: {error}") from None
    if not columns:
        raise InterchangeError(f"is empty; understood are: {UNDERSTOOD}")
    return found


def _add_row(found: Found, columns: list[str], row: list[str]) -> None:
    if len(row) != len(columns):
        raise InterchangeError(f"{len(row)} cells {shown(row)}, expected {len(columns)}; quote commas")
    cells = dict(zip(columns, row, strict=True))
    video, label = _as_written(cells["video"]), _as_written(cells["label"])
    check_name("video", video)
    numbers = [_number(name, cells[name]) for name in ("start", "end", "score")]
    found.setdefault(video, []).append(checked_event(numbers[0], numbers[1], label, numbers[2]))


def _as_written(cell: str) -> str:
    """Without the apostrophe that `spreadsheet_safe` puts in front, where it does."""
    return cell[1:] if cell.startswith("'") and spreadsheet_safe(cell[1:]) == cell else cell


def _read_texts(folder: Path, annotations: Annotations | None) -> Found:
    paths = sorted(folder.glob("*.txt"))
    if not paths:
        raise InterchangeError(f"{printable(folder)}: no .txt in it; understood are: {UNDERSTOOD}")
    dataset = annotations.dataset if annotations else ""
    numbering = next((NUMBERINGS[name] for name in NUMBERINGS if dataset.startswith(name)), None)
    if annotations is None or numbering is None:
        raise InterchangeError(
            f"{printable(folder)}: class ids and frames, whose meaning only annotations of "
            f"{' or '.join(NUMBERINGS)} say; given are those of {dataset or 'no data set'}. Convert "
            f"them: {UNDERSTOOD}"
        )
    return {path.stem: list(_text_events(path, annotations.classes, numbering)) for path in paths}


def _text_events(path: Path, classes: tuple[str, ...], numbering: Numbering) -> Iterator[Event]:
    last = numbering.first_id + len(classes) - 1
    for line, text in enumerate(TextFile.read(path).text.splitlines(), 1):
        if not text.strip():
            continue
        try:
            cells = text.split(",")
            if len(cells) != 4:
                raise InterchangeError(f"{shown(text)}; expected class,start,end,score")
            class_id, start, end, score = map(_number, ("class", "start", "end", "score"), cells)
            if not (class_id.is_integer() and numbering.first_id <= class_id <= last):
                raise InterchangeError(f"class {cells[0].strip()}; expected {numbering.first_id} to {last}")
            label = classes[int(class_id) - numbering.first_id]
            yield checked_event(start / numbering.fps, end / numbering.fps, label, score)
        except InterchangeError as error:
            raise InterchangeError(f"{printable(path)}, line {line}: {error}") from None


def _number(what: str, text: str) -> float:
    try:
        return float(text.replace("_", "?"))  # Python would read 1_2 as 12
    except ValueError:
        raise InterchangeError(f"{what} is {shown(text)}; expected a number") from None
