"""Our events for others: ActivityNet JSON, which evaluation tools read, and SRT, which players show.

Subtitles follow one another: where events overlap, a subtitle lists all that are going on, and a new one
begins wherever one of them begins or ends. Characters that players take for mark-up are written in their
full-width form.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO

from pipeline.events import Event
from pipeline.files import write_atomic, write_json
from pipeline.inputs import printable
from pipeline.interchange.names import InterchangeError, refuse_others, video_ids

# <i>, {\an8}; and --> must stand in the line of times alone
_MARK_UP = str.maketrans({"<": "＜", ">": "＞", "{": "｛", "}": "｝", "\\": "＼"})
_VERSION = "VERSION 1.3"  # of the format


def write_activitynet(path: Path, events: Mapping[str, Sequence[Event]]) -> None:
    """One JSON for all videos, those without an event included; numbers are exact."""
    if path.is_dir():
        raise InterchangeError(f"{printable(path)}: is a folder; name a .json file")
    ids = video_ids(list(events))
    results = {
        ids[video]: [
            {"label": event.label, "score": event.score, "segment": [event.start_sec, event.end_sec]}
            for event in found
        ]
        for video, found in events.items()
    }
    write_json(
        path,
        {"version": _VERSION, "results": results, "external_data": {"used": False, "details": "augrgb"}},
    )


def write_srt(folder: Path, events: Mapping[str, Sequence[Event]]) -> list[str]:
    """A .srt for each video by its name; returns the videos without an event, which get none.

    Subtitles without content are no valid file.
    """
    if folder.exists() and not folder.is_dir():
        raise InterchangeError(
            f"{printable(folder)}: is a file; name a folder, a .srt is made for each video"
        )
    ids = video_ids(list(events))
    texts = {folder / f"{ids[video]}.srt": subtitles(found) for video, found in events.items()}
    texts = {path: text for path, text in texts.items() if text}
    refuse_others(folder, texts, ".srt")
    for path, text in texts.items():
        write_atomic(path, partial(_write, text))
    return [video for video, name in ids.items() if folder / f"{name}.srt" not in texts]


def subtitles(events: Sequence[Event]) -> str:
    """SubRip text: number, from --> to, a line `label (score)` for each event then, the surest first.

    Times are whole milliseconds; an event shorter than one lasts one. Nothing is shown before 0.
    """
    spans = [(start, end, event) for event in events for start, end in [_milliseconds(event)] if end > 0]
    edges = sorted({edge for start, end, _ in spans for edge in (start, end)})
    blocks: list[str] = []
    for start, end in pairwise(edges):
        going_on = [event for first, last, event in spans if first <= start and end <= last]
        if going_on:
            lines = [_line(event) for event in sorted(going_on, key=lambda e: (-e.score, e.label))]
            text = "\n".join([str(len(blocks) + 1), f"{_time(start)} --> {_time(end)}", *lines])
            blocks.append(f"{text}\n")
    return "\n".join(blocks)


def _write(text: str, file: IO[bytes]) -> None:
    file.write(text.encode())


def _milliseconds(event: Event) -> tuple[int, int]:
    start, end = (max(0, round(sec * 1000)) for sec in (event.start_sec, event.end_sec))
    return start, end if end > start or event.end_sec < 0 else start + 1


def _line(event: Event) -> str:
    """One line, whatever the label holds."""
    return f"{' '.join(event.label.split()).translate(_MARK_UP)} ({event.score:.2f})"


def _time(milliseconds: int) -> str:
    seconds, ms = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d},{ms:03d}"
