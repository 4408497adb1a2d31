"""Segment mAP at temporal overlap, as ActivityNet defines it.

    segment_map@0.1:0.9     mean over tIoU 0.1, 0.2, ..., 0.9
    segment_map@0.3:0.7     mean over tIoU 0.3, 0.4, ..., 0.7: THUMOS14
    segment_map@0.5:0.95    mean over tIoU 0.5, 0.55, ..., 0.95: ActivityNet

Source: the official evaluation (activitynet/ActivityNet, eval_detection.py). Of each class, proposals of all
videos by falling score; each takes, among the true events of its video, the one that it overlaps most
(intersection over union, at least the threshold) and that is not taken yet, else it is false. AP is the
area under precision made monotonous, over recall; mAP is the mean over the classes that have a true event.

Proposals are events (seconds, ends exclusive, score = mean over the frames) decoded from frame scores by the
`events` settings, or events given. Equal scores share a rank, and in one video the earlier takes first; of
equal overlaps the later event is taken (there: as a sort happens to leave them). In videos in which
nothing happens every proposal is false. A video without scores has no proposal, and its events are missed.
There is no figure for chance.

Shapes: G true events, H thresholds, K classes, N proposals, R ranks, V videos, S resamples.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.protocols.case import Case, Measured, number
from pipeline.protocols.proposals import EventTable, overlaps, tables
from pipeline.protocols.resampling import counts, dense_ranks, in_parts, mean_where, ratio

# name -> thresholds; rounded, so that 0.3 is 0.3 and not the sum of three tenths
RANGES = {
    "0.1:0.9": tuple(round(0.1 * n, 2) for n in range(1, 10)),
    "0.3:0.7": tuple(round(0.1 * n, 2) for n in range(3, 8)),
    "0.5:0.95": tuple(round(0.05 * n, 2) for n in range(10, 20)),
}


@dataclass(frozen=True)
class SegmentMap:
    """A judgement by the AP of each class at each threshold."""

    protocol: str
    case: Case
    thresholds: tuple[float, ...]

    @property
    def videos(self) -> tuple[str, ...]:
        """All videos of the truth."""
        return tuple(self.case.truth)

    def measure(self) -> Measured:
        """Mean over thresholds and classes, that of each threshold, and that of each class."""
        ap_HK, present_K = (table[..., 0] for table in self._table(np.ones((len(self.videos), 1))))
        maps_H = mean_where(ap_HK.T, present_K[:, None])
        per_class = [
            number(float(ap)) if there else None for ap, there in zip(ap_HK.mean(0), present_K, strict=True)
        ]
        proposals, true = self._tables
        return Measured(
            self.protocol,
            number(float(maps_H.mean())),
            None,
            dict(zip(self.case.classes, per_class, strict=True)),
            {
                "unit": "events",
                "missing": list(self.case.missing),
                "events": len(true),
                "proposals": len(proposals),
                "map_at": {f"{h:g}": number(float(m)) for h, m in zip(self.thresholds, maps_H, strict=True)},
            },
            len(self.videos),
        )

    def resample(self, weights_VS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value (S,) with videos weighted; a figure for chance there is not."""
        ap_HKS, present_KS = self._table(weights_VS)
        return mean_where(ap_HKS.mean(axis=0), present_KS), np.full(weights_VS.shape[1], np.nan)

    def _table(self, weights_VS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """AP (H, K, S), and which classes have a true event (K, S)."""
        proposals, true = self._tables
        ap, present = [], []
        for k in range(len(self.case.classes)):
            of_class = proposals.where(proposals.label == k), true.where(true.label == k)
            hits_HN = self._hits[k]
            ap.append([average_precision(of_class[0], of_class[1], hit_N, weights_VS) for hit_N in hits_HN])
            present.append(np.bincount(of_class[1].video, minlength=len(weights_VS)) @ weights_VS > 0)
        return np.array(ap).swapaxes(0, 1), np.array(present)

    @cached_property
    def _tables(self) -> tuple[EventTable, EventTable]:
        return tables(self.case)

    @cached_property
    def _hits(self) -> list[np.ndarray]:
        """Of each class: which of its proposals are true at each threshold: (H, N) bool."""
        proposals, true = self._tables
        return [
            hits(proposals.where(proposals.label == k), true.where(true.label == k), self.thresholds)
            for k in range(len(self.case.classes))
        ]


def hits(proposals: EventTable, true: EventTable, thresholds: tuple[float, ...]) -> np.ndarray:
    """Which proposals of one class take a true event: (H, N) bool."""
    hit_HN = np.zeros((len(thresholds), len(proposals)), dtype=bool)
    for video in np.unique(proposals.video):
        rows = np.flatnonzero(proposals.video == video)
        candidates = np.flatnonzero(true.video == video)[::-1]  # of equal overlaps the later
        rows = rows[np.lexsort((*proposals.span[rows].T[::-1], -proposals.score[rows]))]
        overlap_NG = overlaps(proposals.span[rows], true.span[candidates])
        best_first_NG = np.argsort(-overlap_NG, axis=1, kind="stable")
        for h, threshold in enumerate(thresholds):
            hit_HN[h, rows] = _take(overlap_NG, best_first_NG, threshold)
    return hit_HN


def average_precision(
    proposals: EventTable, true: EventTable, hit_N: np.ndarray, weights_VS: np.ndarray
) -> np.ndarray:
    """Interpolated AP of one class at one threshold: (S,); 0 where there is no true event or no proposal."""
    if not len(true) or not len(proposals):
        return np.zeros(weights_VS.shape[1])
    rank_N = dense_ranks(proposals.score)
    shape = (int(rank_N.max()) + 1, len(weights_VS))
    all_RV = counts(rank_N, proposals.video, shape)
    hit_RV = counts(rank_N[hit_N], proposals.video[hit_N], shape)
    true_V = np.bincount(true.video, minlength=len(weights_VS))

    def figure(part_VS: np.ndarray) -> np.ndarray:
        gained_RS = hit_RV @ part_VS
        precision_RS = ratio(np.cumsum(gained_RS, axis=0), np.cumsum(all_RV @ part_VS, axis=0), 0.0)
        ahead_RS = np.maximum.accumulate(precision_RS[::-1], axis=0)[::-1]  # the best from here on
        return ratio((gained_RS * ahead_RS).sum(axis=0), true_V @ part_VS, 0.0)

    return in_parts(figure, weights_VS, shape[0])


def _take(overlap_NG: np.ndarray, best_first_NG: np.ndarray, threshold: float) -> list[bool]:
    """Proposals of one video, in their order, each take the best true event that is left."""
    taken: set[int] = set()
    found = []
    for overlap_G, order_G in zip(overlap_NG, best_first_NG, strict=True):
        free = (int(g) for g in order_G if overlap_G[g] >= threshold and int(g) not in taken)
        best = next(free, None)
        found.append(best is not None)
        if best is not None:
            taken.add(best)
    return found
