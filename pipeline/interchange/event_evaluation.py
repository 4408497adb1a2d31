"""Events of any origin held against annotations: names and labels matched first, then measured by protocols.

What is judged are the videos of one subset. One that is annotated and has no events counts as a video in
which nothing was found. Protocols on frames see rasterised events: at `fps` frames a second, the score of a
class is that of its highest event then, else 0.

Shapes: F frames, K classes.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pipeline.events import Event
from pipeline.interchange.names import InterchangeError, NameIndex, listed
from pipeline.labels import Annotations, VideoLabels
from pipeline.protocols import (
    Judgement,
    Measured,
    Truth,
    defaults,
    intervals,
    judge,
    judge_events,
)
from pipeline.timeline import Clock
from pipeline.tracks import ScoreTrack

SUBSETS = ("testing", "training", "all")
ON_EVENTS = ("event_map", "segment_map")  # how the names of protocols begin that judge events
_FALLBACK = "segment_map@0.1:0.9"  # where the data set is known for no such protocol


@dataclass(frozen=True)
class Figure:
    """What a protocol measured, and its 95 % interval over videos where there is one."""

    measured: Measured
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Matched:
    """Events and truth of the videos judged, by the names of the annotations, and what was noticed."""

    events: Mapping[str, Sequence[Event]]
    truth: Mapping[str, Truth]
    remarks: tuple[str, ...]


def match_events(
    found: Mapping[str, Sequence[Event]], annotations: Annotations, subset: str = "testing"
) -> Matched:
    """Events set beside annotations; without subsets in them, all labelled videos are judged.

    InterchangeError for labels that are no classes, where a name could mean several videos or several names
    one, and where no video that is judged has an entry.
    """
    _check_labels(found, annotations.classes)
    judged = _judged(annotations, subset)
    names, strangers = _assign(found, annotations)
    events = {video: list(found[names[video]]) if video in names else [] for video in judged}
    if not set(names) & set(judged):
        raise InterchangeError(
            f"none of {len(judged)} {subset} videos has events: they are called {listed(judged)} in "
            f"{annotations.source}, those with events {listed(found)}"
        )
    notes = {
        "with events are not annotated, and not judged": strangers,
        f"with events are not of the subset judged ({subset})": [v for v in names if v not in judged],
        "have no events: all that happens in them counts as missed": [v for v in judged if v not in names],
        "have no length in the annotations: taken to end with the last interval or event": [
            video for video, labels in judged.items() if labels.duration_sec is None
        ],
    }
    remarks = tuple(f"{len(of)} videos {what}: {listed(of)}" for what, of in notes.items() if of)
    truth = {video: _truth(labels, events[video]) for video, labels in judged.items()}
    return Matched(events, truth, remarks)


def event_protocols(dataset: str) -> tuple[str, ...]:
    """Those by which a data set's events are published, else segment mAP."""
    return tuple(name for name in defaults(dataset) if name.startswith(ON_EVENTS)) or (_FALLBACK,)


def measure_matched(
    matched: Matched,
    classes: Sequence[str],
    protocols: Sequence[str],
    *,
    fps: float = 25.0,
    samples: int = 1000,
) -> list[Figure]:
    """Figures by each protocol; those on frames see the events rasterised at `fps`.

    `samples` draws of videos make an interval; 0 leaves it out. ProtocolError for an unknown protocol.
    """
    scores: dict[str, ScoreTrack] = {}
    if not all(name.startswith(ON_EVENTS) for name in protocols):
        scores = {
            video: rasterise(matched.events[video], classes, truth.duration_sec, fps)
            for video, truth in matched.truth.items()
        }
    figures = []
    for name in protocols:
        judgement: Judgement = (
            judge_events(name, matched.events, matched.truth, classes)
            if name.startswith(ON_EVENTS)
            else judge(name, scores, matched.truth, classes)
        )
        interval = intervals(judgement, samples=samples)[0] if samples else None
        figures.append(Figure(judgement.measure(), interval))
    return figures


def rasterise(
    events: Iterable[Event], classes: Sequence[str], duration_sec: float, fps: float = 25.0
) -> ScoreTrack:
    """Scores (F, K) at F frames over the length of a video: a class has that of its highest event, else 0."""
    clock = Clock.constant(max(1, round(duration_sec * fps)), Fraction(fps).limit_denominator(100_000))
    column = {label: k for k, label in enumerate(classes)}
    scores_FK = np.zeros((clock.num_frames, len(classes)), dtype=np.float32)
    for event in events:
        inside_F = (clock.sec_F >= event.start_sec) & (clock.sec_F < event.end_sec)
        rows_F = scores_FK[:, column[event.label]]
        rows_F[inside_F] = np.maximum(rows_F[inside_F], np.float32(event.score))
    return ScoreTrack(scores_FK, clock.sec_F, tuple(classes))


def _judged(annotations: Annotations, subset: str) -> dict[str, VideoLabels]:
    if subset not in SUBSETS:
        raise InterchangeError(f"subset {subset!r}; expected {', '.join(SUBSETS)}")
    labelled = {v.video: v for v in annotations.videos if v.subset != "unlabelled"}
    judged = {name: v for name, v in labelled.items() if subset == "all" or v.subset in (subset, None)}
    if not judged:
        raise InterchangeError(f"{annotations.source}: has no {subset} videos; give another --subset")
    return judged


def _assign(found: Iterable[str], annotations: Annotations) -> tuple[dict[str, str], list[str]]:
    """video of the annotations -> its name among the events; and the names that no video has."""
    index = NameIndex([video.video for video in annotations.videos], "the videos annotated")
    names: dict[str, str] = {}
    strangers = []
    for name in found:
        video = index.find(name)
        if video is None:
            strangers.append(name)
        elif names.setdefault(video, name) != name:
            raise InterchangeError(f"{names[video]!r} and {name!r} both mean the video {video!r}; keep one")
    return names, strangers


def _check_labels(found: Mapping[str, Sequence[Event]], classes: Sequence[str]) -> None:
    known = set(classes)
    unknown = {e.label: video for video, events in found.items() for e in events if e.label not in known}
    if not unknown:
        return
    label, video = next(iter(unknown.items()))
    near = difflib.get_close_matches(label, classes, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected such as {listed(classes)}"
    raise InterchangeError(
        f"{len(unknown)} labels of events are none of the {len(classes)} classes annotated: {label!r} of "
        f"{video!r}; {hint}"
    )


def _truth(labels: VideoLabels, events: Sequence[Event]) -> Truth:
    if labels.duration_sec is not None:
        return Truth(labels.intervals, labels.duration_sec)
    ends = [i.end_sec for i in labels.intervals] + [event.end_sec for event in events]
    return Truth(labels.intervals, max([1.0, *ends]))
