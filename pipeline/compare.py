"""`augrgb compare-features`: are these the same features, and if not, what is different about them?

Per video the cosine of every step; of all videos together the shift and the ratio of rates under which B is
most like A (`alignment`), and from that a verdict in one sentence. Half a step of shift is found; less may
pass for one of the other differences that make features merely alike.

Shapes: T steps, N steps compared, D feature size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.alignment import (
    IDENTITY,
    Aligned,
    Alignment,
    Line,
    Match,
    Pair,
    align,
    along,
    as_good,
    difference,
)
from pipeline.feature_folders import (
    CompareError,
    FeatureArray,
    Layout,
    find_layouts,
    pair_up,
    read_features,
)

# Largest difference of equal features, in units of the largest number: rounding.
EQUAL = 1e-5
# 1 minus the mean cosine of what changes over time, along the line. Seen with a narrow I3D and nine real
# videos: half precision 1e-4; another resize, windows 1 frame later, another frame rate 0.15 to 0.25; other
# videos 1.0.
CLOSE, ALIKE = 0.02, 0.5
FOUND = 0.9  # cosine of a step of B and the one in A that is most like it, if it is there at all
_AGREES = 0.3  # steps of A

Kind = Literal["equal", "close", "alike", "shift", "rate", "pieces", "different", "still"]
SAME: tuple[Kind, ...] = ("equal", "close")


@dataclass(frozen=True)
class VideoComparison:
    """One video: cosines of its features as they are, and where its steps were found."""

    name: str
    steps_a: int
    steps_b: int
    as_is: Aligned  # at equal steps
    aligned: Aligned  # along the line
    match: Match

    def off_line(self, line: Line) -> float | None:
        """Median distance, in steps of A, from the line to where steps were found; None where none was."""
        there_N = self.match.likeness_N >= FOUND
        off_N = (self.match.found_N - line.at(self.match.step_N))[there_N]
        return float(np.median(off_N)) if len(off_N) else None


@dataclass(frozen=True)
class Comparison:
    """The outcome; `only_a` and `only_b` name files without a counterpart."""

    kind: Kind
    line: Line
    difference: float  # 1 minus the mean cosine of what changes, along the line; NaN where nothing does
    largest: float | None  # difference, of the largest number; None where steps differ in number
    scale: float  # length of B's vectors in units of A's
    step_sec: float | None  # of A, where its times are known
    clock: Line | None  # what the features' own times say the line is
    by_clock: float  # difference along that one; NaN where there is none
    videos: tuple[VideoComparison, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    dim: int
    layouts: tuple[Layout, Layout]

    @property
    def clock_agrees(self) -> bool:
        """Whether the features' own times fit the line from its beginning to its end, or fit A and B as well.

        The line is a simple one: of features that are merely alike, shifts of parts of a step are not found.
        """
        if self.clock is None or as_good(self.by_clock, self.difference):
            return True
        ends = np.array([0.0, max(video.steps_b for video in self.videos) - 1])
        return bool(
            np.abs(self.clock.at(ends) - self.line.at(ends)).max() <= _AGREES * max(self.line.ratio, 1)
        )

    def cosine(self, *, as_is: bool = False) -> float:
        """Median over all steps of all videos, along the line or at equal steps; NaN where there is none."""
        found = [(video.as_is if as_is else video.aligned).cosine_N for video in self.videos]
        known = np.concatenate(found)
        known = known[~np.isnan(known)]
        return float(np.median(known)) if len(known) else float("nan")


def compare_features(
    path_a: Path,
    path_b: Path,
    *,
    layout_a: Layout = "auto",
    layout_b: Layout = "auto",
    videos: int = 50,
) -> Comparison:
    """Compare two folders or files of features; of more than `videos` pairs, so many at even distances.

    CompareError where they cannot be compared: nothing to pair, no common feature size.
    """
    a, b = read_features(path_a), read_features(path_b)
    one, other, dim = find_layouts(a, b, layout_a, layout_b)
    names = pair_up(a, b)
    if not names:
        raise CompareError(
            f"no file of {path_a} has a counterpart in {path_b}: {next(iter(a))} ... against "
            f"{next(iter(b))} ...; name them alike, or give two files"
        )
    matched_a, matched_b = ({pair[side] for pair in names} for side in (0, 1))
    names = names[:: -(-len(names) // videos)]
    pairs = [Pair(name_a, a[name_a].steps(one), b[name_b].steps(other)) for name_a, name_b in names]
    alignment = align(pairs)
    found = tuple(_video(*args, alignment.line) for args in zip(pairs, alignment.matches, strict=True))
    largest, clock = _largest(pairs), _clock(a, b, names)
    return Comparison(
        kind=_kind(alignment, found, largest),
        line=alignment.line,
        difference=alignment.difference,
        largest=largest,
        scale=_scale(found),
        step_sec=_step_sec([a[name] for name, _ in names]),
        clock=clock,
        by_clock=difference(pairs, clock) if clock else float("nan"),
        videos=found,
        only_a=tuple(name for name in a if name not in matched_a),
        only_b=tuple(name for name in b if name not in matched_b),
        dim=dim,
        layouts=(one, other),
    )


def _video(pair: Pair, match: Match, line: Line) -> VideoComparison:
    sides = along(pair, IDENTITY), along(pair, line)
    return VideoComparison(pair.name, len(pair.a_TD), len(pair.b_TD), *sides, match)


def _kind(alignment: Alignment, videos: Sequence[VideoComparison], largest: float | None) -> Kind:
    line, left = alignment.line, alignment.difference
    if line == IDENTITY and largest is not None and largest <= EQUAL:
        return "equal"
    if np.isnan(left) and np.isnan(alignment.difference_as_is):
        return "still"
    if left <= CLOSE and line == IDENTITY:
        return "close"
    if not left <= CLOSE and _in_pieces(line, videos):
        return "pieces"
    if not left <= ALIKE:
        return "different"
    if line == IDENTITY:
        return "alike"
    return "shift" if line.ratio == 1 else "rate"


def _in_pieces(line: Line, videos: Sequence[VideoComparison]) -> bool:
    """Whether most steps of B are in A, but many of them not where the line says."""
    likeness_N = np.concatenate([video.match.likeness_N for video in videos])
    off_N = np.concatenate([video.match.found_N - line.at(video.match.step_N) for video in videos])
    there_N = likeness_N >= FOUND
    return bool(there_N.mean() > 0.5 and (np.abs(off_N[there_N]) > max(line.ratio, 1)).mean() > 0.3)


def _largest(pairs: Sequence[Pair]) -> float | None:
    if any(len(pair.a_TD) != len(pair.b_TD) for pair in pairs):
        return None
    scale = max(max(np.abs(pair.a_TD).max(), np.abs(pair.b_TD).max()) for pair in pairs)
    return float(max(np.abs(pair.a_TD - pair.b_TD).max() for pair in pairs) / scale) if scale > 0 else 0.0


def _scale(videos: Sequence[VideoComparison]) -> float:
    """Median of |B| / |A| along the line; NaN where A is zero throughout."""
    lengths_N2 = np.concatenate(
        [
            np.linalg.norm(np.stack([v.aligned.a_ND, v.aligned.b_ND], axis=1).astype(np.float64), axis=2)
            for v in videos
        ]
    )
    lengths_N2 = lengths_N2[lengths_N2[:, 0] > 0]
    return float(np.median(lengths_N2[:, 1] / lengths_N2[:, 0])) if len(lengths_N2) else float("nan")


def _step_sec(features: Sequence[FeatureArray]) -> float | None:
    """Median time from step to step; None where no times are known."""
    steps = [np.diff(one.sec_T) for one in features if one.sec_T is not None and len(one.sec_T) > 1]
    return float(np.median(np.concatenate(steps))) if steps else None


def _clock(
    a: Mapping[str, FeatureArray], b: Mapping[str, FeatureArray], names: Sequence[tuple[str, str]]
) -> Line | None:
    """Step of A at the time of each step of B, as a line; None where not both know their times."""
    step, at = [np.zeros(0)], [np.zeros(0)]
    for name_a, name_b in names:
        sec_a, sec_b = a[name_a].sec_T, b[name_b].sec_T
        if sec_a is None or sec_b is None or len(sec_a) < 2 or not (np.diff(sec_a) > 0).all():
            continue
        inside_T = (sec_b >= sec_a[0]) & (sec_b <= sec_a[-1])
        step.append(np.flatnonzero(inside_T).astype(np.float64))
        at.append(np.interp(sec_b[inside_T], sec_a, np.arange(len(sec_a))))
    step_N, at_N = np.concatenate(step), np.concatenate(at)
    if len(np.unique(step_N)) < 2:
        return None
    ratio, shift = np.polyfit(step_N, at_N, 1)
    return Line(float(ratio), float(shift))
