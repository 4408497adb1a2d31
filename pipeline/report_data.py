"""What the report shows, as it is handed over; checked, not yet drawn.

Shapes: F frames, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Subset = Literal["training", "validation", "testing", "unlabelled"]


@dataclass(frozen=True)
class VideoPanel:
    """One video: what the model says, and what the labels say.

    `times_sec_F` is the player's clock; `scores_FK` are probabilities, None where the video was not
    scored. `intervals` are (start, end, label) on the same clock: empty where nothing happens, None
    where nobody has labelled the video. `note` is for the reader: decoder used and why, "partial".
    """

    name: str
    subset: Subset | None
    times_sec_F: np.ndarray
    scores_FK: np.ndarray | None
    intervals: tuple[tuple[float, float, str], ...] | None
    note: str
    fps: float
    num_frames: int

    def __post_init__(self) -> None:
        times, scores = self.times_sec_F, self.scores_FK
        if times.ndim != 1 or len(times) == 0 or not (np.diff(times) > 0).all():
            raise ValueError(f"{self.name!r}: need one or more strictly increasing times, got {times.shape}")
        if not self.fps > 0:
            raise ValueError(f"{self.name!r}: need frames per second above 0, got {self.fps}")
        if scores is None:
            return
        if scores.ndim != 2 or len(scores) != len(times):
            raise ValueError(f"{self.name!r}: need scores (F, K) for {len(times)} times, got {scores.shape}")
        if not ((scores >= 0) & (scores <= 1)).all():  # false for NaN, too
            raise ValueError(f"{self.name!r}: scores are probabilities, some are not in [0, 1]")

    @property
    def duration_sec(self) -> float:
        """From the first frame to the end of the last, which lasts as long as the average."""
        return float(self.times_sec_F[-1] - self.times_sec_F[0] + 1 / self.fps)


@dataclass(frozen=True)
class Curve:
    """Training of one model: a row per epoch, each a column name -> number or None.

    `epoch` is the x axis; columns that end in `map` are mean average precision, `lr` is the
    learning rate, every other column is a term of the loss.
    """

    model: str
    rows: tuple[Mapping[str, float | None], ...]


@dataclass(frozen=True)
class ReportData:
    """All the page shows; what is empty is left out.

    `metrics` is model -> a result of metrics.json, with `missing` (test videos without scores) and
    `interval` (95 %) where known; the last one is the headline, and those by its protocol are compared by
    class. `failures` have video, stage, reason, message;
    `stages` stage, done, cached, failed, seconds. `run` is nested settings; preset, device and seed
    at its top are shown first.
    """

    title: str
    classes: tuple[str, ...]
    metrics: Mapping[str, Mapping[str, Any]]
    curves: tuple[Curve, ...]
    videos: tuple[VideoPanel, ...]
    failures: tuple[Mapping[str, Any], ...]
    stages: tuple[Mapping[str, Any], ...]
    lint: tuple[str, ...]
    run: Mapping[str, Any]

    def __post_init__(self) -> None:
        for video in self.videos:
            columns = len(self.classes) if video.scores_FK is None else video.scores_FK.shape[1]
            if columns != len(self.classes):
                raise ValueError(f"{video.name!r}: {columns} columns of scores, {len(self.classes)} classes")
