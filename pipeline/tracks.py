"""Arrays over a video's time, each with its own clock: what stages hand to one another.

Shapes: F frames, T steps, D feature size, K classes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pipeline.timeline import Clock, step_sec

if TYPE_CHECKING:  # RGB alone needs nothing of skeletons
    from extractors.skeleton_input import Joints


class Track(Protocol):
    """One extractor's features of one video: in memory (`FeatureTrack`), or left in their file (`cache`)."""

    @property
    def data_TD(self) -> np.ndarray:
        """float32, one row per window."""

    @property
    def center_sec_T(self) -> np.ndarray:
        """See `FeatureTrack`."""

    @property
    def clock(self) -> Clock:
        """When the video's frames are shown."""

    @property
    def step_sec_T(self) -> np.ndarray:
        """See `FeatureTrack`."""


@dataclass(frozen=True)
class FeatureTrack:
    """One extractor's output for one video.

    `data_TD` is float32, one row per window; `center_sec_T` (float64) is the middle of each window
    in seconds from the first frame; `clock` says when the video's F frames are shown.
    """

    data_TD: np.ndarray
    center_sec_T: np.ndarray
    clock: Clock

    def __post_init__(self) -> None:
        data, centers = self.data_TD, self.center_sec_T
        if data.ndim != 2 or data.dtype != np.float32 or centers.shape != data.shape[:1] or len(data) == 0:
            raise ValueError(
                f"need (T, D) float32 with one centre per row, got {data.dtype} {data.shape}, {centers.shape}"
            )
        if not np.isfinite(data).all():
            bad = int((~np.isfinite(data)).any(axis=1).sum())
            raise ValueError(f"{bad} of {len(data)} feature rows are not finite")

    @property
    def step_sec_T(self) -> np.ndarray:
        """When each step is, on the player's clock and inside the video: (T,) float64, for labels."""
        return step_sec(self.center_sec_T, self.clock)


@dataclass(frozen=True)
class JointTrack:
    """Everyone found in the sampled frames of one video; `clock` says when its F frames are shown."""

    joints: "Joints"
    clock: Clock


@dataclass(frozen=True)
class ScoreTrack:
    """Per-frame action scores of one video.

    `scores_FK` is float32 in [0, 1], one row per decoded frame; `times_sec_F` (float64) is the
    player's clock, strictly increasing; `classes` names the columns.
    """

    scores_FK: np.ndarray
    times_sec_F: np.ndarray
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        scores, times = self.scores_FK, self.times_sec_F
        if scores.shape != (len(times), len(self.classes)) or scores.dtype != np.float32 or len(times) == 0:
            raise ValueError(
                f"need (F, K) float32 for {len(times)} times and {len(self.classes)} classes, "
                f"got {scores.dtype} {scores.shape}"
            )
        if not np.isfinite(scores).all():
            raise ValueError("scores are not finite")
        if not (np.diff(times) > 0).all():
            raise ValueError("times do not increase strictly")
