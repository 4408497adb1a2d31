"""Action-conditional precision, recall, F1 and mAP: how well actions are told that go with others.

    action_conditional/tauN/map, .../precision, .../recall, .../f1        for N of 0, 20, 40 steps

Source: MLAD (Tirupattur et al., CVPR 2021; ptirupat/MLAD, cooccur_metric.py). For each ordered pair (i, j) of
different classes, class i is judged only at the steps where class j is active (tau = 0), or is not, but was
at one of the tau - 1 steps before (tau > 0: there the last tau steps include the present one). A pair
counts where that holds a positive of i. AP by scikit-learn; precision and recall with scores >= 0.5,
precision 0 where nothing reaches it. All are means over the pairs; F1 is of mean precision and mean recall.

Steps and labels are those of `grid`: T steps of the model, labels strict. Equal scores share a rank. Videos
in which nothing happens have no step to judge. Videos without scores are left out and listed. Chance of
mAP is the prevalence of i where it is judged, averaged over the pairs; the others have none.

In a resample, pairs drop out that only videos left out have. These are the rare ones, often the hard ones, so
the interval lies high and may miss the figure itself; differences between models are not concerned.

Shapes: N steps, P pairs, T steps of a video, V videos, S resamples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np

from pipeline.protocols.case import Case, Measured, number
from pipeline.protocols.grid import grid_points
from pipeline.protocols.points import Points
from pipeline.protocols.resampling import average_precisions, mean_where, ratio

TAUS = (0, 20, 40)
Figure = Literal["map", "precision", "recall", "f1"]
FIGURES: tuple[Figure, ...] = ("map", "precision", "recall", "f1")
THRESHOLD = 0.5


class _Pair(NamedTuple):
    """Class i at the N steps where class j is its condition."""

    i: int
    j: int
    score_N: np.ndarray
    positive_N: np.ndarray
    video_N: np.ndarray


@dataclass(frozen=True)
class Conditional:
    """A judgement of the points of a feature grid, by pairs of classes."""

    protocol: str
    grid: Points
    tau: int
    figure: Figure

    @property
    def videos(self) -> Sequence[str]:
        """Those with scores."""
        return self.grid.videos

    def measure(self) -> Measured:
        """Mean over the pairs; per class i, that over its pairs."""
        once_V1 = np.ones((len(self.videos), 1))
        counts_P4 = np.array([self._counts(pair, once_V1)[:, 0] for pair in self._pairs]).reshape(-1, 4)
        ap_P = np.zeros(len(self._pairs))
        if self.figure == "map":
            from sklearn.metrics import average_precision_score  # takes long to import

            ap_P = np.array([average_precision_score(pair.positive_N, pair.score_N) for pair in self._pairs])
        of_P = np.array([pair.i for pair in self._pairs])
        values, chance = self._figure(counts_P4.T[..., None], ap_P[:, None])
        per_class = {
            label: number(float(self._figure(counts_P4[of_P == k].T[..., None], ap_P[of_P == k, None])[0][0]))
            for k, label in enumerate(self.grid.classes)
        }
        details: dict[str, Any] = {
            **self.grid.details,
            "frames": sum(map(len, self.grid.targets)),
            "pairs": len(self._pairs),
        }
        return Measured(
            self.protocol,
            number(float(values[0])),
            number(float(chance[0])),
            per_class,
            details,
            len(self.videos),
        )

    def resample(self, weights_VS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and chance (S,) with videos weighted; a pair counts where it has a positive drawn."""
        shape = len(self._pairs), weights_VS.shape[1]
        counts_4PS, ap_PS = np.zeros((4, *shape)), np.zeros(shape)
        for p, pair in enumerate(self._pairs):
            counts_4PS[:, p] = self._counts(pair, weights_VS)
            if self.figure == "map":
                ap_PS[p] = average_precisions(pair.score_N, pair.positive_N, pair.video_N, weights_VS)
        return self._figure(counts_4PS, ap_PS)

    def _counts(self, pair: _Pair, weights_VS: np.ndarray) -> np.ndarray:
        """Steps that are positive, predicted, both, and all: (4, S)."""
        predicted_N = pair.score_N >= THRESHOLD
        rows = (pair.positive_N, predicted_N, predicted_N & pair.positive_N, np.ones_like(predicted_N))
        counts_4V = [np.bincount(pair.video_N, row_N, minlength=len(self.videos)) for row_N in rows]
        return np.array(counts_4V) @ weights_VS

    def _figure(self, counts_4PS: np.ndarray, ap_PS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and chance (S,): means over the pairs that have a positive."""
        positive_PS, predicted_PS, hit_PS, all_PS = counts_4PS
        counted_PS = positive_PS > 0
        if self.figure == "map":
            return mean_where(ap_PS, counted_PS), mean_where(ratio(positive_PS, all_PS, 0.0), counted_PS)
        precision_S = mean_where(ratio(hit_PS, predicted_PS, 0.0), counted_PS)
        recall_S = mean_where(ratio(hit_PS, positive_PS, 0.0), counted_PS)
        both_S = ratio(2 * precision_S * recall_S, precision_S + recall_S, 0.0)
        value_S = {"precision": precision_S, "recall": recall_S, "f1": both_S}[self.figure]
        return value_S, np.full_like(value_S, np.nan)

    @cached_property
    def _pairs(self) -> list[_Pair]:
        return list(chain.from_iterable(map(self._pairs_under, range(len(self.grid.classes)))))

    def _pairs_under(self, j: int) -> Iterator[_Pair]:
        """Pairs (i, j) that count."""
        if not self.videos:
            return
        masks = [condition(target_TK[:, j], self.tau) for target_TK in self.grid.targets]
        score_NK, target_NK = (
            np.concatenate([row_TK[mask_T] for row_TK, mask_T in zip(rows, masks, strict=True)])
            for rows in (self.grid.scores, self.grid.targets)
        )
        video_N = np.repeat(np.arange(len(masks)), [int(mask_T.sum()) for mask_T in masks])
        for i in np.flatnonzero(target_NK.any(axis=0)):
            if i != j:
                yield _Pair(int(i), j, score_NK[:, i], target_NK[:, i], video_N)


def conditional(protocol: str, case: Case, tau: int, figure: Figure) -> Conditional:
    """Scores and targets on the feature grid, to be judged by pairs."""
    return Conditional(protocol, grid_points(protocol, case), tau, figure)


def condition(active_T: np.ndarray, tau: int) -> np.ndarray:
    """Steps of a video where a class is the condition: active, or over for less than tau steps: (T,) bool."""
    if tau == 0:
        return active_T
    seen_T = np.cumsum(active_T)
    before_T = np.concatenate([np.zeros(min(tau, len(seen_T)), seen_T.dtype), seen_T[:-tau]])
    return (seen_T > before_T) & ~active_T
