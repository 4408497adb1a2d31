"""What the report shows, as it is handed over; checked, not yet drawn.

Shapes: F frames, K classes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Subset = Literal["training", "validation", "testing", "unlabelled"]
# every run of frames at or above one half is an event
THRESHOLD_RULE = {
    "rule": "threshold",
    "threshold": 0.5,
    "activity": 0.4,
    "min_sec": 0.0,
    "merge_gap_sec": 0.0,
}


_OWN_FILE = re.compile(r"[a-z]+/[0-9a-f]{16}[a-z0-9.-]*")  # no name of a user's can be in it


@dataclass(frozen=True)
class Media:
    """What a panel plays: a file in the page's folder, made for it or linked to.

    `offset_sec` is the time on the player's clock at which the file begins; `flow` is the script that holds
    the coarse flow of a preview.
    """

    kind: Literal["preview", "source"]
    file: str
    offset_sec: float
    flow: str | None = None

    def __post_init__(self) -> None:
        for file in filter(None, (self.file, self.flow)):
            if not _OWN_FILE.fullmatch(file):
                raise ValueError(f"{file!r}: a file of the page is named by its hash, as media/<16 hex>.mp4")


@dataclass(frozen=True)
class VideoPanel:
    """One video: what the models say, and what the labels say.

    `times_sec_F` is the player's clock; `scores_FK` are probabilities of the final model, None where the
    video was not scored, `others` those of other models by name. `intervals` are (start, end, label) on the
    same clock: empty where nothing happens, None where nobody has labelled the video. `note` is for the
    reader: decoder used and why, "partial". `joints` is the script that holds them; `seconds` is how long
    extraction took.
    """

    name: str
    subset: Subset | None
    times_sec_F: np.ndarray
    scores_FK: np.ndarray | None
    intervals: tuple[tuple[float, float, str], ...] | None
    note: str
    fps: float
    num_frames: int
    others: Mapping[str, np.ndarray] = field(default_factory=dict)
    media: Media | None = None
    joints: str | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        times, scores = self.times_sec_F, self.scores_FK
        if times.ndim != 1 or len(times) == 0 or not (np.diff(times) > 0).all():
            raise ValueError(f"{self.name!r}: need one or more strictly increasing times, got {times.shape}")
        if not self.fps > 0:
            raise ValueError(f"{self.name!r}: need frames per second above 0, got {self.fps}")
        if scores is None:
            return
        shape = len(times), scores.shape[-1]
        for some in (scores, *self.others.values()):
            if some.shape != shape:
                raise ValueError(f"{self.name!r}: need scores (F, K) for {shape[0]} times, got {some.shape}")
            if not ((some >= 0) & (some <= 1)).all():  # false for NaN, too
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
    at its top are shown first. `final` is the model whose scores the panels hold; `events` are the fields
    of EventConfig; `label_curve` has a line per model: name, x (labelled videos), y, std (both in %), rgb.
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
    final: str = "scores"
    events: Mapping[str, Any] = field(default_factory=lambda: dict(THRESHOLD_RULE))
    label_curve: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        for video in self.videos:
            columns = len(self.classes) if video.scores_FK is None else video.scores_FK.shape[1]
            if columns != len(self.classes):
                raise ValueError(f"{video.name!r}: {columns} columns of scores, {len(self.classes)} classes")
