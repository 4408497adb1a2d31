"""Event mAP of PKU-MMD, which TSU uses too: how well whole events are found.

    event_map/action@THETA    AP per class, over all videos; mean over all classes
    event_map/video@THETA     AP per video, over all classes; mean over all videos
                              THETA (overlap) of 0.1, 0.3, 0.5, 0.7

Source: the official evaluation (ECHO960/PKU-MMD, evaluate.py), in the form with matching that Graph
Distillation (google/graph_distillation) and TSU (dairui01/TSU_evaluation, Event_based_map.py) publish. Each
proposal belongs to the true event of its class and video that it overlaps most (intersection over union,
at least theta; of equal ones the later in time, there in the file). A true event is found as long as one of
its proposals is kept, the others are false. AP: proposals are dropped from the lowest score up; whenever
one that belongs to a true event goes, recall falls and is counted with the best precision seen so far.
Precision is looked at in the beginning and after such proposals go, not after others: a little less than
the usual interpolation. Counts are of annotated events: also of those that are reversed or there twice.

Proposals are events (seconds, ends exclusive, score = mean over the frames) decoded from frame scores by the
`events` settings, or events given. Events of equal score are dropped together. A class without a true
event counts 0, also one never predicted; so does a video in which nothing happens. A video without scores
has no proposal, and its events are missed. There is no figure for chance.

Shapes: G true events, N proposals, R ranks, V videos, S resamples.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from pipeline.protocols.case import Case, Measured, number
from pipeline.protocols.proposals import EventTable, overlaps, tables
from pipeline.protocols.resampling import counts, dense_ranks, in_parts, ratio

THETAS = (0.1, 0.3, 0.5, 0.7)
By = Literal["action", "video"]


@dataclass(frozen=True)
class EventMap:
    """A judgement by the AP of each class or of each video."""

    protocol: str
    case: Case
    theta: float
    by: By

    @property
    def videos(self) -> tuple[str, ...]:
        """All videos of the truth."""
        return tuple(self.case.truth)

    def measure(self) -> Measured:
        """Mean AP, that of each class, and the mean over the classes that have a true event."""
        once_V1 = np.ones((len(self.videos), 1))
        ap_K = self._by_action(once_V1)[:, 0]
        proposals, true = self._tables
        value_1, _ = self.resample(once_V1)
        present = np.isin(np.arange(len(ap_K)), true.label)
        details = {
            "unit": "events",
            "missing": list(self.case.missing),
            "events": len(true),
            "proposals": len(proposals),
            "map_of_present_classes": float(ap_K[present].mean()) if present.any() else None,
        }
        per_class = [float(ap) if there else None for ap, there in zip(ap_K, present, strict=True)]
        return Measured(
            self.protocol,
            number(float(value_1[0])),
            None,
            dict(zip(self.case.classes, per_class, strict=True)),
            details,
            len(self.videos),
        )

    def resample(self, weights_VS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value (S,) with videos weighted, NaN without a true event; a figure for chance there is not."""
        nothing_S = np.full(weights_VS.shape[1], np.nan)
        if self.by == "action":
            value_S = self._by_action(weights_VS).mean(axis=0)
        else:
            value_S = ratio(self._ap_by_video_V @ weights_VS, weights_VS.sum(axis=0))
        true_V = np.bincount(self._tables[1].video, minlength=len(self.videos))
        return np.where(true_V @ weights_VS > 0, value_S, nothing_S), nothing_S

    def _by_action(self, weights_VS: np.ndarray) -> np.ndarray:
        """(K, S)."""
        proposals, true = self._tables
        return np.stack(
            [
                average_precision(*_chosen(proposals, true, self._owner_N, "label", k), weights_VS)
                for k in range(len(self.case.classes))
            ]
        )

    @cached_property
    def _ap_by_video_V(self) -> np.ndarray:
        proposals, true = self._tables
        once_VS = np.ones((len(self.videos), 1))
        groups = [_chosen(proposals, true, self._owner_N, "video", v) for v in range(len(self.videos))]
        return np.array([average_precision(*group, once_VS)[0] for group in groups])

    @cached_property
    def _tables(self) -> tuple[EventTable, EventTable]:
        return tables(self.case)

    @cached_property
    def _owner_N(self) -> np.ndarray:
        return owners(*self._tables, self.theta)


def owners(proposals: EventTable, true: EventTable, theta: float) -> np.ndarray:
    """The true event each proposal belongs to: (N,) positions among the true events, -1 for none."""
    owner_N = np.full(len(proposals), -1)
    for video, label in {*zip(proposals.video.tolist(), proposals.label.tolist(), strict=True)}:
        rows = np.flatnonzero((proposals.video == video) & (proposals.label == label))
        candidates = np.flatnonzero((true.video == video) & (true.label == label))[::-1]  # later ones first
        if len(candidates):
            overlap_NG = overlaps(proposals.span[rows], true.span[candidates])
            best = candidates[overlap_NG.argmax(axis=1)]
            owner_N[rows] = np.where(overlap_NG.max(axis=1) >= theta, best, -1)
    return owner_N


def average_precision(
    proposals: EventTable, true: EventTable, owner_N: np.ndarray, weights_VS: np.ndarray
) -> np.ndarray:
    """AP of one class or video: (S,); 0 where there is no true event or no proposal.

    `owner_N` are positions among these true events.
    """
    if not len(true) or not len(proposals):
        return np.zeros(weights_VS.shape[1])
    rank_N = dense_ranks(-proposals.score)  # 0 for the lowest score, which is dropped first
    matched_N = owner_N >= 0
    last_G = np.full(len(true), -1)  # rank of its best proposal: with that, a true event is lost
    np.maximum.at(last_G, owner_N[matched_N], rank_N[matched_N])
    shape = (int(rank_N.max()) + 1, len(weights_VS))
    proposals_RV = counts(rank_N, proposals.video, shape)
    matched_RV = counts(rank_N[matched_N], proposals.video[matched_N], shape)
    lost_RV = counts(last_G[last_G >= 0], true.video[last_G >= 0], shape)
    true_V = np.bincount(true.video, minlength=len(weights_VS))

    def figure(part_VS: np.ndarray) -> np.ndarray:
        dropped_RS, lost_RS = proposals_RV @ part_VS, lost_RV @ part_VS
        all_S, found_S = dropped_RS.sum(axis=0), lost_RS.sum(axis=0)
        kept_RS = found_S - np.cumsum(lost_RS, axis=0)
        precision_RS = ratio(kept_RS, all_S - np.cumsum(dropped_RS, axis=0), 0.0)
        looked_RS = np.where(matched_RV @ part_VS > 0, precision_RS, 0.0)
        best_RS = np.maximum.accumulate(np.maximum(looked_RS, ratio(found_S, all_S, 0.0)), axis=0)
        return ratio((best_RS * lost_RS).sum(axis=0), true_V @ part_VS, 0.0)

    return in_parts(figure, weights_VS, shape[0])


def _chosen(
    proposals: EventTable, true: EventTable, owner_N: np.ndarray, key: Literal["label", "video"], value: int
) -> tuple[EventTable, EventTable, np.ndarray]:
    """Those of one class or of one video, which is then video 0."""
    column = (proposals.label, true.label) if key == "label" else (proposals.video, true.video)
    rows, kept = column[0] == value, np.flatnonzero(column[1] == value)
    owners_N = owner_N[rows]
    local_N = np.where(owners_N >= 0, np.searchsorted(kept, owners_N), -1)
    found, truth = proposals.where(rows), true.where(kept)
    return (found, truth, local_N) if key == "label" else (found.alone(), truth.alone(), local_N)
