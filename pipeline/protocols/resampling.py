"""Figures on resampled videos, exactly and fast: counts per video, multiplied by how often each was drawn.

A resample draws V of V videos with replacement, so it is a weight per video: how often it was drawn. Ranks
do not change, only how often a row counts. So rows are sorted once, and cumulated counts of all resamples
come from one product of sparse counts per rank and video, (R, V), with the weights, (V, S).

Shapes: R ranks (rows of equal score are one), V videos, S resamples.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

_CELLS = 2_000_000  # of a table (R, S) held at once: 16 MB


def draw(num_videos: int, samples: int, seed: int) -> np.ndarray:
    """How often each video is drawn: (V, S) float64, each column summing to V; same seed, same draws."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_videos, np.full(num_videos, 1 / num_videos), size=samples).T.astype(np.float64)


def counts(rank_N: np.ndarray, video_N: np.ndarray, shape: tuple[int, int]) -> "csr_array":
    """How many of N rows are of each rank and video: sparse (R, V)."""
    from scipy.sparse import csr_array  # takes long to import, and only evaluation needs it

    return csr_array((np.ones(len(rank_N)), (rank_N, video_N)), shape=shape)


def dense_ranks(score_N: np.ndarray) -> np.ndarray:
    """0 for the highest score, equal scores the same rank; -inf is a score like others."""
    levels, level_N = np.unique(score_N, return_inverse=True)
    return len(levels) - 1 - level_N


def in_parts(
    figure: Callable[[np.ndarray], np.ndarray], weights_VS: np.ndarray, num_ranks: int
) -> np.ndarray:
    """`figure` of the weights (S,), some resamples at a time, so that memory stays bounded."""
    size = max(1, _CELLS // max(num_ranks, 1))
    starts = range(0, weights_VS.shape[1], size)
    parts = [figure(np.ascontiguousarray(weights_VS[:, start : start + size])) for start in starts]
    return np.concatenate(parts) if parts else np.zeros(0)


def ratio(above: np.ndarray, below: np.ndarray, otherwise: float = np.nan) -> np.ndarray:
    """above / below, `otherwise` where that is 0."""
    shape = np.broadcast_shapes(above.shape, below.shape)
    return np.divide(above, below, out=np.full(shape, otherwise), where=below != 0)


def mean_where(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean over the first axis of the values that count; NaN where none does."""
    return ratio(np.where(counted, values, 0.0).sum(axis=0), counted.sum(axis=0).astype(np.float64))


def average_precisions(
    score_N: np.ndarray, positive_N: np.ndarray, video_N: np.ndarray, weights_VS: np.ndarray
) -> np.ndarray:
    """Average precision of each resample: (S,); NaN where it has no positive.

    That of scikit-learn with `sample_weight = weights[video]`. Precision is needed at ranks that hold a
    positive alone; the rows between two of them are counted with the later one.
    """
    rank_N = dense_ranks(score_N)
    kept_R = np.unique(rank_N[positive_N])  # ascending: the highest score first
    row_N = np.searchsorted(kept_R, rank_N)
    seen_N = row_N < len(kept_R)  # below the last positive nothing matters
    shape = (len(kept_R), len(weights_VS))
    all_RV = counts(row_N[seen_N], video_N[seen_N], shape)
    positive_RV = counts(row_N[positive_N], video_N[positive_N], shape)

    def figure(part_VS: np.ndarray) -> np.ndarray:
        if not len(kept_R):
            return np.full(part_VS.shape[1], np.nan)
        gained_RS = positive_RV @ part_VS
        found_RS = np.cumsum(gained_RS, axis=0)
        precision_RS = ratio(found_RS, np.cumsum(all_RV @ part_VS, axis=0), 0.0)
        return ratio((gained_RS * precision_RS).sum(axis=0), found_RS[-1])

    return in_parts(figure, weights_VS, len(kept_R))
