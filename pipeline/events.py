"""Frame scores to events, by a named rule of the `events` settings.

    threshold              per class, maximal runs of frames whose score reaches `threshold`
    background-grouping    runs of frames in which something happens: each is one event, of the class whose
                           mean score over the run is highest

background-grouping is the rule of Graph Distillation (Luo et al., ECCV 2018; google/graph_distillation,
detection/evaluation/map.py) for PKU-MMD, where actions follow one another: a step belongs to a run iff 1 -
P(background) >= 0.4 (`activity`). There P(background) is an output of the softmax. Scores here are one
Bernoulli per class and have no background, so the highest score stands for 1 - P(background); that is
our reading. There `min_sec` and `merge_gap_sec` are 0.

Shapes: F frames, K classes.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.files import write_atomic, write_json

if TYPE_CHECKING:  # settings know the networks, events need none
    from pipeline.config import EventConfig

COLUMNS = ("video", "start", "end", "label", "score")
# what spreadsheets take for the start of a formula; and the apostrophe itself, so that it can be undone
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠", "'")
_ROUNDING_SEC = 1e-6  # five frames of 0.04 s last 0.2 s, whatever their times add up to
_SINGLE_FRAME_SEC = 0.04  # of a video that has one frame, as `Clock.fps` has it


@dataclass(frozen=True)
class Event:
    """`label` is seen at start <= t < end on the player's clock; `score` is the mean over its frames."""

    start_sec: float
    end_sec: float
    label: str
    score: float


def decode(
    scores_FK: np.ndarray, times_sec_F: np.ndarray, classes: Sequence[str], rule: "EventConfig"
) -> list[Event]:
    """Events of one video by the rule of the settings; ValueError as `events_from_scores`."""
    if rule.rule == "background-grouping":
        return grouped_events(
            scores_FK, times_sec_F, classes, rule.activity, rule.min_sec, rule.merge_gap_sec
        )
    return events_from_scores(
        scores_FK, times_sec_F, classes, rule.threshold, rule.min_sec, rule.merge_gap_sec
    )


def events_from_scores(
    scores_FK: np.ndarray,
    times_sec_F: np.ndarray,
    classes: Sequence[str],
    threshold: float = 0.5,
    min_sec: float = 0.0,
    merge_gap_sec: float = 0.0,
) -> list[Event]:
    """Runs of frames with score >= threshold, in order of time.

    An event ends where the frame after its last one begins; the last frame of a video lasts as
    long as the average. Runs of one class at most `merge_gap_sec` apart are one event, whose score
    counts the gap, too; then, events shorter than `min_sec` are dropped. ValueError for scores that
    are not (F, K) finite numbers, and times that do not increase.
    """
    _check(scores_FK, times_sec_F, classes)
    edge_sec = frame_edges(times_sec_F)
    events = []
    for k, label in enumerate(classes):
        for first, end in _runs(scores_FK[:, k] >= threshold, edge_sec, min_sec, merge_gap_sec):
            score = float(np.mean(scores_FK[first:end, k], dtype=np.float64))
            events.append(Event(float(edge_sec[first]), float(edge_sec[end]), label, score))
    return sorted(events, key=lambda event: event.start_sec)  # stable: classes in order at one time


def grouped_events(
    scores_FK: np.ndarray,
    times_sec_F: np.ndarray,
    classes: Sequence[str],
    activity: float = 0.4,
    min_sec: float = 0.0,
    merge_gap_sec: float = 0.0,
) -> list[Event]:
    """Runs of frames whose best score is >= activity, in order of time; one class each.

    Of two classes with the same mean, the first. Ends, gaps, short events and errors as in
    `events_from_scores`.
    """
    _check(scores_FK, times_sec_F, classes)
    edge_sec = frame_edges(times_sec_F)
    events = []
    for first, end in _runs((scores_FK >= activity).any(axis=1), edge_sec, min_sec, merge_gap_sec):
        mean_K = np.mean(scores_FK[first:end], axis=0, dtype=np.float64)
        k = int(mean_K.argmax())
        events.append(Event(float(edge_sec[first]), float(edge_sec[end]), classes[k], float(mean_K[k])))
    return events


def write_events(csv_path: Path, json_path: Path, events: Mapping[str, Sequence[Event]]) -> None:
    """Both files, each whole or not there; numbers are exact, names safe for spreadsheets in the csv.

    json: video -> its events, a video without any included. csv: a row per event.
    """
    rows = {video: [_row(event) for event in found] for video, found in events.items()}
    write_json(json_path, rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for video, found in events.items():
        for event in found:
            names = spreadsheet_safe(video), spreadsheet_safe(event.label)
            writer.writerow([names[0], event.start_sec, event.end_sec, names[1], event.score])
    data = text.getvalue().encode()
    write_atomic(csv_path, lambda file: file.write(data))


def spreadsheet_safe(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe in front.

    To read a name back, remove one leading apostrophe, or read the json, which has it as it is.
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def _row(event: Event) -> dict[str, float | str]:
    return {"start": event.start_sec, "end": event.end_sec, "label": event.label, "score": event.score}


def frame_edges(times_sec_F: np.ndarray) -> np.ndarray:
    """When each frame begins, and when the last one ends: (F + 1,)."""
    if len(times_sec_F) == 0:
        return np.zeros(1)
    spans = len(times_sec_F) - 1
    last = (times_sec_F[-1] - times_sec_F[0]) / spans if spans else _SINGLE_FRAME_SEC
    return np.append(times_sec_F, times_sec_F[-1] + last)


def _check(scores_FK: np.ndarray, times_sec_F: np.ndarray, classes: Sequence[str]) -> None:
    if scores_FK.shape != (len(times_sec_F), len(classes)) or not np.isfinite(scores_FK).all():
        raise ValueError(
            f"need finite scores (F, K) for {len(times_sec_F)} times and {len(classes)} classes, "
            f"got {scores_FK.shape}"
        )
    if not np.isfinite(times_sec_F).all() or not (np.diff(times_sec_F) > 0).all():
        raise ValueError("times do not increase strictly")


def _runs(
    active_F: np.ndarray, edge_sec: np.ndarray, min_sec: float, merge_gap_sec: float
) -> list[tuple[int, int]]:
    """First frame and end (the frame after the last) of each run of true values, joined, short ones gone."""
    changes = np.flatnonzero(np.diff(active_F, prepend=False, append=False))
    runs = list(zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True))
    return [
        (first, end)
        for first, end in _merge(runs, edge_sec, merge_gap_sec)
        if edge_sec[end] - edge_sec[first] >= min_sec - _ROUNDING_SEC
    ]


def _merge(runs: list[tuple[int, int]], edge_sec: np.ndarray, gap_sec: float) -> list[tuple[int, int]]:
    """Join runs where the gap between them is at most `gap_sec`."""
    merged: list[tuple[int, int]] = []
    for first, end in runs:
        if merged and edge_sec[first] - edge_sec[merged[-1][1]] <= gap_sec + _ROUNDING_SEC:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((first, end))
    return merged
