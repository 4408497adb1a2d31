"""What is odd about annotations once the videos are known, and what is done about it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from pipeline.labels import Interval, Match, VideoLabels
from pipeline.splits import Split
from pipeline.timeline import Clock

Kind = Literal[
    "absent_video", "unlabelled_video", "unread_video", "no_action", "length_differs", "reversed",
    "outside", "past_end", "duplicate", "overlap", "between_frames", "not_in_training", "not_in_testing",
]  # fmt: skip

# kind -> what it is, what is done about it
POLICIES: Mapping[Kind, tuple[str, str]] = {
    "absent_video": ("labelled videos that are not in the input", "ignored"),
    "unlabelled_video": ("videos without labels", "scored, not trained on or evaluated"),
    "unread_video": ("labelled videos that could not be read", "left out"),
    "no_action": ("labelled videos in which nothing happens", "kept, without a positive frame"),
    "length_differs": (
        "videos whose length is not the one annotated",
        "times kept; is it the same video, at the same speed?",
    ),
    "reversed": ("intervals that do not end after their start", "dropped"),
    "outside": ("intervals that lie outside the video", "dropped"),
    "past_end": ("intervals that end after the video", "clipped to its end"),
    "duplicate": ("intervals that are there twice", "merged"),
    "overlap": ("intervals that overlap one of the same class", "merged"),
    "between_frames": ("intervals so short that no frame lies in them", "kept, without effect"),
    "not_in_training": (
        "classes without a positive frame in the training videos",
        "kept; they cannot be learned",
    ),
    "not_in_testing": ("classes without a positive frame in the test videos", "not part of the mean"),
}
MAX_EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One kind of oddity: how often, what was done, the first few."""

    kind: Kind
    count: int
    what: str
    policy: str
    examples: tuple[str, ...]

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.count} {self.what}: {self.policy} ({', '.join(self.examples)}{more})"


@dataclass(frozen=True)
class LintReport:
    """All findings, and how many intervals were read and remain."""

    videos: int  # labelled ones that could be read
    intervals_read: int
    intervals_kept: int
    findings: tuple[Finding, ...]

    def lines(self) -> list[str]:
        """For the user: a summary, then a line per finding."""
        kept = f"{self.intervals_kept} of {self.intervals_read} intervals kept"
        return [f"{self.videos} labelled videos, {kept}", *map(str, self.findings)]

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def lint(match: Match, clocks: Mapping[str, Clock], split: Split) -> LintReport:
    """Look at the labels of every video with a clock; `clocks` is by relative path.

    A labelled video without a clock is one that could not be read.
    """
    found: dict[Kind, list[str]] = defaultdict(list)
    found["absent_video"] += match.absent
    found["unlabelled_video"] += match.unlabelled
    found["unread_video"] += [video for video in match.labels if video not in clocks]
    read = {video: labels for video, labels in match.labels.items() if video in clocks}
    found["no_action"] += [
        video for video, labels in read.items() if not labels.intervals and labels.subset != "unlabelled"
    ]
    found["length_differs"] += [
        f"{video} {labels.duration_sec:.2f} s, found {clocks[video].duration_sec:.2f} s"
        for video, labels in read.items()
        if labels.duration_sec is not None and _differs(labels.duration_sec, clocks[video].duration_sec)
    ]
    cleaned = {video: _clean(labels, clocks[video], found) for video, labels in read.items()}
    positive = {video: _positive(video, kept, clocks[video], found) for video, kept in cleaned.items()}
    for part, absent in (
        (split.training, found["not_in_training"]),
        (split.testing, found["not_in_testing"]),
    ):
        seen = {label for video in part for label in positive.get(video, ())}
        absent += [label for label in match.annotations.classes if label not in seen]
    return LintReport(
        videos=len(read),
        intervals_read=sum(len(labels.intervals) for labels in read.values()),
        intervals_kept=sum(len(kept) for kept in cleaned.values()),
        findings=tuple(
            Finding(kind, len(found[kind]), *texts, tuple(found[kind][:MAX_EXAMPLES]))
            for kind, texts in POLICIES.items()
            if found[kind]
        ),
    )


def clean(labels: VideoLabels, clock: Clock) -> tuple[Interval, ...]:
    """The intervals to train on and to evaluate with, sorted, on the player's clock, by the policies above.

    Those that only touch stay apart: two events in a row.
    """
    return _clean(labels, clock, defaultdict(list))


def _clean(labels: VideoLabels, clock: Clock, found: dict[Kind, list[str]]) -> tuple[Interval, ...]:
    inside = []
    for interval in labels.intervals:
        first, end = clock.start_sec, clock.start_sec + clock.duration_sec
        if interval.start_sec >= interval.end_sec:
            found["reversed"].append(_example(labels.video, interval))
        elif interval.start_sec >= end or interval.end_sec <= first:
            found["outside"].append(f"{_example(labels.video, interval)} of {first:.2f}-{end:.2f}")
        else:
            if interval.end_sec > end + 1 / clock.fps:  # less is rounding, and moves no frame
                found["past_end"].append(f"{_example(labels.video, interval)} of {end:.2f}")
            inside.append(replace(interval, end_sec=min(interval.end_sec, end)))
    return _merged(labels.video, inside, found)


def _merged(video: str, intervals: list[Interval], found: dict[Kind, list[str]]) -> tuple[Interval, ...]:
    """Sorted by time; intervals of one class that overlap become one."""
    kept: dict[str, list[Interval]] = defaultdict(list)
    previous = None
    for interval in sorted(intervals, key=lambda i: (i.label, i.start_sec, i.end_sec)):
        of_class = kept[interval.label]
        if of_class and interval.start_sec < of_class[-1].end_sec:
            kind: Kind = "duplicate" if interval == previous else "overlap"
            found[kind].append(_example(video, interval))
            of_class[-1] = replace(of_class[-1], end_sec=max(of_class[-1].end_sec, interval.end_sec))
        else:
            of_class.append(interval)
        previous = interval
    every = [interval for of_class in kept.values() for interval in of_class]
    return tuple(sorted(every, key=lambda i: (i.start_sec, i.end_sec, i.label)))


def _positive(
    video: str, intervals: tuple[Interval, ...], clock: Clock, found: dict[Kind, list[str]]
) -> set[str]:
    """Classes with at least one positive frame."""
    time_sec_F = clock.sec_F + clock.start_sec
    edges = np.array([(i.start_sec, i.end_sec) for i in intervals]).reshape(-1, 2)
    first_N2 = np.searchsorted(time_sec_F, edges)  # the first frame at or after each edge
    holds_N = first_N2[:, 0] < first_N2[:, 1]
    found["between_frames"] += [
        _example(video, i) for i, holds in zip(intervals, holds_N, strict=True) if not holds
    ]
    return {i.label for i, holds in zip(intervals, holds_N, strict=True) if holds}


def _differs(stated_sec: float, found_sec: float) -> bool:
    """By more than rounding and a dropped last frame or two, which data sets' lengths are never free of."""
    return abs(stated_sec - found_sec) > max(1.0, 0.02 * found_sec)


def _example(video: str, interval: Interval) -> str:
    return f"{video} {interval.start_sec:.2f}-{interval.end_sec:.2f} {interval.label}"
