"""Evaluation protocols under their own names: scores and truth to figures, with chance and intervals.

Each file says of its protocols where they come from, their units, and what becomes of ties, classes without
a positive, videos in which nothing happens, and videos without scores.
"""

from pipeline.protocols.case import Judgement, Measured, ProtocolError, Truth
from pipeline.protocols.measure import (
    bootstrap,
    intervals,
    judge,
    judge_events,
    measure,
    measure_events,
    resampled,
    span,
)
from pipeline.protocols.table import DEFAULT, DEFAULTS, PROTOCOLS, defaults, resolve

__all__ = [
    "DEFAULT",
    "DEFAULTS",
    "PROTOCOLS",
    "Judgement",
    "Measured",
    "ProtocolError",
    "Truth",
    "bootstrap",
    "defaults",
    "intervals",
    "judge",
    "judge_events",
    "measure",
    "measure_events",
    "resampled",
    "resolve",
    "span",
]
