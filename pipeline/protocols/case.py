"""What is measured and what comes out: scores and truth of the test videos, and one protocol's figures.

Shapes: F frames, T steps, K classes, V videos, S resamples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from pipeline.config import EventConfig
from pipeline.events import Event, decode
from pipeline.labels import Interval
from pipeline.timeline import frames_from_steps
from pipeline.tracks import ScoreTrack


class ProtocolError(ValueError):
    """A protocol that does not exist, or cannot judge what it is given; the message says what to do."""


@dataclass(frozen=True)
class Truth:
    """What is true of one test video: `intervals` on the player's clock, `duration_sec` its length.

    As annotated: a protocol has its own way with intervals that are reversed, doubled or past the end. Where
    a data set states the length, that is the one its protocols count with.
    """

    intervals: tuple[Interval, ...]
    duration_sec: float

    def __post_init__(self) -> None:
        if not 0 < self.duration_sec < math.inf:
            raise ProtocolError(f"the length of a video is {self.duration_sec} s; expected more than 0")


@dataclass(frozen=True)
class Measured:
    """Figures in [0, 1] by one protocol; None where undefined.

    `per_class` is in the order of the columns; `videos` counts those that were evaluated. `details` are
    JSON: `missing` (videos without scores), `unit` and the protocol's own.
    """

    protocol: str
    value: float | None
    chance: float | None  # expected of scores drawn at random; None where there is no such figure
    per_class: dict[str, float | None]
    details: dict[str, Any]
    videos: int

    def to_json(self) -> dict[str, Any]:
        """As JSON, without NaN."""
        return asdict(self)


class Judgement(Protocol):
    """Scores set beside truth by one protocol, ready to be measured, also on resampled videos."""

    @property
    def videos(self) -> Sequence[str]:
        """The V videos evaluated: what resampling draws from."""

    def measure(self) -> Measured:
        """The figures on all videos, each counted once."""

    def resample(self, weights_VS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and chance (S,) where video v counts `weights_VS[v, s]` times; NaN where undefined."""


@dataclass(frozen=True)
class Case:
    """Scores beside truth, checked.

    `grids` has, by video, when the steps of the model are (T,), in seconds on the player's clock: protocols
    on feature steps read the scores there. Of a video that has none, the rows of its scores are its steps.
    `events`, where given, are taken instead of those decoded from the scores by `rule`.
    """

    scores: Mapping[str, ScoreTrack]
    truth: Mapping[str, Truth]
    classes: tuple[str, ...]
    grids: Mapping[str, np.ndarray] = field(default_factory=dict)
    rule: EventConfig = field(default_factory=EventConfig)
    events: Mapping[str, Sequence[Event]] | None = None

    def __post_init__(self) -> None:
        if len(set(self.classes)) < len(self.classes):
            raise ProtocolError(f"a class is there twice: {', '.join(self.classes)}")
        for video in self.scored:
            if (found := self.scores[video].classes) != self.classes:
                raise ProtocolError(
                    f"{video}: scores of the classes {', '.join(found)}; expected {', '.join(self.classes)}"
                )
        for video, truth in self.truth.items():
            self._check_labels(video, {i.label for i in truth.intervals})
            self._check_labels(video, {e.label for e in (self.events or {}).get(video, ())})

    @property
    def scored(self) -> tuple[str, ...]:
        """Videos that have both, in the order of the truth."""
        return tuple(video for video in self.truth if video in self.scores)

    @property
    def missing(self) -> tuple[str, ...]:
        """Videos of the truth that nothing was predicted for."""
        there = self.scores if self.events is None else self.events
        return tuple(video for video in self.truth if video not in there)

    def steps(self, video: str) -> tuple[np.ndarray, np.ndarray]:
        """Scores (T, K) at the steps of the model, and when they are (T,) on the player's clock."""
        track = self.scores[video]
        grid_T = self.grids.get(video)
        if grid_T is None:
            return track.scores_FK, track.times_sec_F
        return frames_from_steps(track.scores_FK, track.times_sec_F, grid_T), grid_T

    def proposals(self, video: str) -> Sequence[Event]:
        """Events of a video: those given, else decoded from its scores; none where it has none."""
        if self.events is not None:
            return self.events.get(video, ())
        track = self.scores.get(video)
        if track is None:
            return ()
        return decode(track.scores_FK, track.times_sec_F, track.classes, self.rule)

    def _check_labels(self, video: str, labels: set[str]) -> None:
        if unknown := labels - set(self.classes):
            raise ProtocolError(
                f"{video}: label {min(unknown)!r} is none of the classes {', '.join(self.classes)}"
            )


def number(value: float) -> float | None:
    """For JSON: None instead of NaN."""
    return None if math.isnan(value) else float(value)
