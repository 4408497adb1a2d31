"""Scores beside truth by a named protocol, and how far the figure would move on other videos.

Shapes: V videos, S resamples.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.config import EventConfig
from pipeline.events import Event
from pipeline.protocols.case import Case, Judgement, Measured, ProtocolError, Truth
from pipeline.protocols.resampling import draw
from pipeline.protocols.table import PROTOCOLS, Judge
from pipeline.tracks import ScoreTrack

Span = tuple[float, float]  # lower and upper end of an interval


def measure(
    protocol: str,
    scores: Mapping[str, ScoreTrack],
    truth: Mapping[str, Truth],
    classes: Sequence[str],
    *,
    grids: Mapping[str, np.ndarray] | None = None,
    rule: EventConfig | None = None,
) -> Measured:
    """Scores of frames set beside the truth of the test videos, both by video.

    `grids` are the times of the model's steps (T,) by video, in seconds on the player's clock: without them,
    protocols on steps take the rows of the scores for the steps. `rule` makes events of scores, for
    protocols on events. Scores of videos that the truth does not have are not looked at; what a video
    without scores counts is the protocol's matter. ValueError where scores and truth do not fit.
    """
    return judge(protocol, scores, truth, classes, grids=grids, rule=rule).measure()


def measure_events(
    protocol: str, events: Mapping[str, Sequence[Event]], truth: Mapping[str, Truth], classes: Sequence[str]
) -> Measured:
    """The same of events that are there already, by video, by an `event_map` or `segment_map` protocol."""
    return judge_events(protocol, events, truth, classes).measure()


def bootstrap(
    protocol: str,
    scores: Mapping[str, ScoreTrack],
    truth: Mapping[str, Truth],
    classes: Sequence[str],
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    grids: Mapping[str, np.ndarray] | None = None,
    rule: EventConfig | None = None,
) -> Span | None:
    """Interval of the figure when the evaluated videos are drawn anew: exact, see `intervals`."""
    judgement = judge(protocol, scores, truth, classes, grids=grids, rule=rule)
    return intervals(judgement, samples=samples, seed=seed, level=level)[0]


def judge(
    protocol: str,
    scores: Mapping[str, ScoreTrack],
    truth: Mapping[str, Truth],
    classes: Sequence[str],
    *,
    grids: Mapping[str, np.ndarray] | None = None,
    rule: EventConfig | None = None,
) -> Judgement:
    """What `measure` measures and `bootstrap` resamples, to do both on one preparation."""
    case = Case(scores, truth, tuple(classes), grids or {}, rule or EventConfig())
    return _known(protocol)(protocol, case)


def judge_events(
    protocol: str, events: Mapping[str, Sequence[Event]], truth: Mapping[str, Truth], classes: Sequence[str]
) -> Judgement:
    """The same for events."""
    build = _known(protocol)
    if not protocol.startswith(("event_map", "segment_map")):
        raise ProtocolError(f"{protocol} judges scores, not events; take event_map or segment_map")
    return build(protocol, Case({}, truth, tuple(classes), events=events))


def resampled(judgement: Judgement, *, samples: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Value and chance (S,) on `samples` draws of V of V videos with replacement; NaN where undefined.

    Judgements of the same videos get the same draws from the same seed, so differences between models, taken
    draw by draw, are paired.
    """
    return judgement.resample(draw(len(judgement.videos), samples, seed))


def intervals(
    judgement: Judgement, *, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[Span | None, Span | None]:
    """Percentile bootstrap over videos: interval of the value, and of chance.

    Every resample is measured as the protocol says, none is approximated; a class that has no positive in
    it is an empty class. So where many classes occur in a video or two, resamples have fewer of them, the
    rare ones are missing, and the interval lies high, as that of chance beside it; then take the difference
    of two models draw by draw (`resampled`), or a protocol over all classes. None where there is no
    figure, or fewer than two videos to draw from.
    """
    if samples < 1 or not 0 < level < 1:
        raise ProtocolError(f"got {samples = }, {level = }; expected at least one sample, a level in (0, 1)")
    if len(judgement.videos) < 2:
        return None, None
    value_S, chance_S = resampled(judgement, samples=samples, seed=seed)
    return span(value_S, level), span(chance_S, level)


def span(figure_S: np.ndarray, level: float = 0.95) -> Span | None:
    """The middle `level` of the figures that are defined; None where none is."""
    defined = figure_S[~np.isnan(figure_S)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _known(protocol: str) -> Judge:
    if protocol not in PROTOCOLS:
        raise ProtocolError(f"there is no protocol {protocol!r}; there is: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[protocol]
