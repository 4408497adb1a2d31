"""Events of all videos in one table, for protocols that match events with events.

Shapes: N proposals, G true events.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.protocols.case import Case


@dataclass(frozen=True)
class EventTable:
    """One row per event."""

    video: np.ndarray  # int64, position among the videos of the truth
    label: np.ndarray  # int64, position among the classes
    span: np.ndarray  # (rows, 2): start, end in seconds
    score: np.ndarray  # of true events 0

    @classmethod
    def of(cls, rows: list[tuple[int, int, float, float, float]]) -> "EventTable":
        """From rows of video, label, start, end, score."""
        table = np.array(rows, dtype=np.float64).reshape(-1, 5)
        return cls(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:4], table[:, 4])

    def where(self, chosen: np.ndarray) -> "EventTable":
        """Some of its rows."""
        return EventTable(self.video[chosen], self.label[chosen], self.span[chosen], self.score[chosen])

    def alone(self) -> "EventTable":
        """The rows of one video, as those of the only one."""
        return EventTable(np.zeros_like(self.video), self.label, self.span, self.score)

    def __len__(self) -> int:
        return len(self.video)


def tables(case: Case) -> tuple[EventTable, EventTable]:
    """Proposals and true events of all videos of the truth; the true ones of a video in order of time."""
    column = {label: k for k, label in enumerate(case.classes)}
    proposals = [
        (v, column[event.label], event.start_sec, event.end_sec, event.score)
        for v, video in enumerate(case.truth)
        for event in case.proposals(video)
    ]
    true = [
        (v, column[interval.label], interval.start_sec, interval.end_sec, 0.0)
        for v, truth in enumerate(case.truth.values())
        for interval in truth.intervals
    ]
    return EventTable.of(proposals), EventTable.of(sorted(true))


def overlaps(span_N2: np.ndarray, span_G2: np.ndarray) -> np.ndarray:
    """Intersection over union of every two spans: (N, G); 0 where they do not meet, or one is reversed."""
    start_NG = np.maximum.outer(span_N2[:, 0], span_G2[:, 0])
    end_NG = np.minimum.outer(span_N2[:, 1], span_G2[:, 1])
    first_NG = np.minimum.outer(span_N2[:, 0], span_G2[:, 0])
    last_NG = np.maximum.outer(span_N2[:, 1], span_G2[:, 1])
    meet_NG = np.maximum(end_NG - start_NG, 0.0)
    return np.divide(meet_NG, last_NG - first_NG, out=np.zeros_like(meet_NG), where=meet_NG > 0)
