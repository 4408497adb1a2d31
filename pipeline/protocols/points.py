"""Mean average precision over scored instants (frames, steps, or the few a protocol samples) of all videos.

Shapes: N instants of one video, K classes, V videos, S resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from pipeline.metrics import frame_map
from pipeline.protocols.case import Measured
from pipeline.protocols.resampling import average_precisions, dense_ranks, mean_where, ratio

Mean = Literal["present", "every", "weighted"]


@dataclass(frozen=True)
class Points:
    """A judgement by average precision, in which equal scores share a rank (that of the last of them).

    `scores` and `targets` are (N, K) per video; a score of -inf says that there is none. The mean over
    classes is over those `present` (with a positive), over `every` one (0 for the others), or `weighted`
    by the number of positives. Chance is the prevalence of the positives, averaged likewise.
    """

    protocol: str
    videos: tuple[str, ...]
    scores: Sequence[np.ndarray]
    targets: Sequence[np.ndarray]
    classes: tuple[str, ...]
    mean: Mean = "present"
    details: Mapping[str, Any] = field(default_factory=dict)

    def measure(self) -> Measured:
        """AP of each class by scikit-learn's `average_precision_score`."""
        result = frame_map(self._finite_scores(), self.targets, self.classes, videos=self.videos)
        counted = [c for c in self.classes if self.mean == "every" or result.positives[c]]
        weight = [result.positives[c] if self.mean == "weighted" else 1 for c in counted]

        def average(of: Mapping[str, float | None]) -> float | None:
            return float(np.average([of[c] or 0.0 for c in counted], weights=weight)) if counted else None

        details = {"chance_per_class": result.chance_per_class, "positives": result.positives}
        return Measured(
            protocol=self.protocol,
            value=average(result.ap) if result.frames else None,
            chance=average(result.chance_per_class) if result.frames else None,
            per_class=result.ap,
            details={"frames": result.frames, **details, **self.details},
            videos=len(self.videos),
        )

    def resample(self, weights_VS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and chance (S,) with videos weighted."""
        positives_KS = self._positives_KV @ weights_VS
        instants_S = np.array([len(target) for target in self.targets], dtype=np.float64) @ weights_VS
        ap_KS = np.stack([average_precisions(*self._column(k), weights_VS) for k in range(len(self.classes))])
        return self._average(ap_KS, positives_KS), self._average(positives_KS / instants_S, positives_KS)

    def _average(self, values_KS: np.ndarray, positives_KS: np.ndarray) -> np.ndarray:
        present_KS = positives_KS > 0
        if self.mean == "present":
            return mean_where(values_KS, present_KS)
        values_KS = np.where(present_KS, values_KS, 0.0)
        if self.mean == "every":
            return values_KS.mean(axis=0)
        return ratio((values_KS * positives_KS).sum(axis=0), positives_KS.sum(axis=0))

    def _column(self, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        score_N = np.concatenate([score[:, k] for score in self.scores])
        return score_N, np.concatenate([target[:, k] for target in self.targets]), self._video_N

    @cached_property
    def _video_N(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.videos)), [len(target) for target in self.targets])

    @cached_property
    def _positives_KV(self) -> np.ndarray:
        return np.stack([target.sum(axis=0) for target in self.targets], axis=1).astype(np.float64)

    def _finite_scores(self) -> list[np.ndarray]:
        """The scores; where some are -inf, which scikit-learn refuses, their ranks: AP needs no more."""
        if all(np.isfinite(score).all() for score in self.scores):
            return list(self.scores)
        ranks = [-dense_ranks(self._column(k)[0]) for k in range(len(self.classes))]
        ends = np.cumsum([len(score) for score in self.scores])[:-1]
        return np.split(np.stack(ranks, axis=1), ends)
