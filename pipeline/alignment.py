"""Which step of one feature sequence is which of another: step i of B is step ratio * i + shift of A.

Features of one network are alike at all times (they are positive), so likeness is the cosine of features
with their mean over time taken away. Every step of B is first looked for in all of A; a line is fitted to
what was found, in all videos together, against outliers; of all lines in question the one along which A
and B are most alike wins, and a simpler one where it does as well: no shift before whole steps before
parts of steps, one rate before two.

Shapes: T steps of A or of B, N steps compared, D feature size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

MIN_RATIO, MAX_RATIO = 1 / 8, 8.0
FRAME_RATES = (10, 12, 12.5, 15, 20, 24000 / 1001, 24, 25, 30000 / 1001, 30, 48, 50, 60000 / 1001, 60)
_PROPOSALS = 2000  # lines through two matches, drawn at random
_SHIFTS = 1000  # of matches, tried for a ratio
_QUERIES = 2000  # steps of B that are looked for in A, at most, evenly from each video ...
_MATCHES = 4000  # ... and from all of them
_BLOCK = 512  # at once
_AS_GOOD = 1.5  # a simpler line may leave so many times the difference
_SAME_RATIO = 0.75  # steps by which two ratios may come apart until the end
_NOISE = 1e-6  # of a row's length: less change than this is none


@dataclass(frozen=True)
class Line:
    """Step i of B is step ratio * i + shift of A."""

    ratio: float = 1.0  # steps of A per step of B
    shift: float = 0.0  # steps of A

    def at(self, step_N: np.ndarray) -> np.ndarray:
        """Steps of A for steps of B, fractional."""
        return self.ratio * step_N + self.shift


IDENTITY = Line()


@dataclass(frozen=True)
class Pair:
    """Features of one video from both sides: (T, D) float32 of any two T, and the same D."""

    name: str
    a_TD: np.ndarray
    b_TD: np.ndarray


@dataclass(frozen=True)
class Aligned:
    """A and B side by side along a line: only steps of B that A reaches."""

    step_N: np.ndarray  # of B
    a_ND: np.ndarray  # between two steps: linear
    b_ND: np.ndarray

    @property
    def cosine_N(self) -> np.ndarray:
        """Of the features as they are; NaN where one of them is zero."""
        return cosine(self.a_ND, self.b_ND)

    @property
    def likeness_N(self) -> np.ndarray:
        """Cosine of what changes over time; NaN where nothing does."""
        return cosine(_changes(self.a_ND), _changes(self.b_ND))


@dataclass(frozen=True)
class Match:
    """Steps of B that were found in A, of one video."""

    step_N: np.ndarray  # of B
    found_N: np.ndarray  # steps of A, fractional
    likeness_N: np.ndarray  # there


@dataclass(frozen=True)
class Alignment:
    """The line, and how alike A and B are: 1 minus the mean likeness, of all videos together."""

    line: Line
    difference: float  # along the line; NaN where no feature changes over time
    difference_as_is: float  # at equal steps
    matches: tuple[Match, ...]  # in the order of the pairs


def align(pairs: Sequence[Pair]) -> Alignment:
    """The line that fits all videos best. At least one pair; all have the same D."""
    matches = tuple(_match(pair) for pair in pairs)
    found = _thin(matches)
    candidates = [IDENTITY, *_lines_of_ratio(1.0, found)]
    fitted = _fit(found)
    if fitted is not None:
        longest = max(len(pair.b_TD) for pair in pairs)
        for ratio in plain_ratios(fitted.ratio, longest):
            candidates += _lines_of_ratio(float(ratio), found)
        candidates.append(fitted)
    left = [difference(pairs, line) for line in candidates]
    best = np.nanmin(left) if np.isfinite(left).any() else np.nan
    chosen = next((i for i, d in enumerate(left) if as_good(d, best)), 0)
    return Alignment(candidates[chosen], left[chosen], left[0], matches)


def as_good(left: float, best: float) -> bool:
    """Whether a line that leaves this difference can stand for the one that leaves `best`; NaN cannot."""
    return left <= _AS_GOOD * best + _NOISE


def difference(pairs: Sequence[Pair], line: Line) -> float:
    """1 minus the mean likeness along a line; NaN where nothing changes, or half of a video is not joined."""
    likeness = []
    for pair in pairs:
        aligned = along(pair, line)
        reachable = min(len(pair.b_TD), (len(pair.a_TD) - 1) / line.ratio + 1)
        if len(aligned.step_N) * 2 < reachable:
            return np.nan
        likeness.append(aligned.likeness_N)
    known = np.concatenate(likeness)
    known = known[~np.isnan(known)]
    return 1 - float(known.mean()) if len(known) else np.nan


def along(pair: Pair, line: Line) -> Aligned:
    """A and B side by side: where A has no step, the mean of its neighbours by their distance."""
    step_N = np.arange(len(pair.b_TD))
    at_N, last = line.at(step_N), len(pair.a_TD) - 1
    reached_N = (at_N > -1e-6) & (at_N < last + 1e-6)
    step_N, at_N = step_N[reached_N], at_N[reached_N].clip(0, last)
    before_N = np.floor(at_N).astype(np.int64)
    share_N1 = (at_N - before_N)[:, None].astype(np.float32)
    a_ND = pair.a_TD[before_N] * (1 - share_N1) + pair.a_TD[np.minimum(before_N + 1, last)] * share_N1
    return Aligned(step_N, a_ND, pair.b_TD[step_N])


def cosine(one_ND: np.ndarray, other_ND: np.ndarray) -> np.ndarray:
    """Of each row with its like: (N,) float64, NaN where a row is zero."""
    one_ND, other_ND = one_ND.astype(np.float64), other_ND.astype(np.float64)
    length_N = np.linalg.norm(one_ND, axis=1) * np.linalg.norm(other_ND, axis=1)
    product_N = (one_ND * other_ND).sum(axis=1)
    return np.divide(product_N, length_N, out=np.full(len(product_N), np.nan), where=length_N > 0).clip(-1, 1)


def plain_ratios(ratio: float, steps: int) -> list[Fraction]:
    """Ratios of two usual frame rates, or of two small numbers, that are the same over so many steps.

    At most five, those of the smallest numbers first.
    """
    rates = [Fraction(rate).limit_denominator(1001) for rate in FRAME_RATES]
    plain = {a / b for a in rates for b in rates} | {Fraction(a, b) for a in range(1, 9) for b in range(1, 9)}
    near = [one for one in plain if abs(float(one) - ratio) * steps < _SAME_RATIO]
    return sorted(near, key=lambda one: (one.numerator + one.denominator, one))[:5]


def _changes(x_ND: np.ndarray) -> np.ndarray:
    """Rows without their mean over time, exactly zero where that leaves rounding."""
    if len(x_ND) == 0:
        return x_ND
    changes_ND = x_ND - x_ND.mean(axis=0, dtype=np.float64)
    noise_N = np.linalg.norm(changes_ND, axis=1) <= _NOISE * np.linalg.norm(x_ND, axis=1)
    changes_ND[noise_N] = 0
    return changes_ND


def _match(pair: Pair) -> Match:
    """Every step of B that changes, and where in A it is most like."""
    a_TD, b_TD = _unit(_changes(pair.a_TD)), _unit(_changes(pair.b_TD))
    step_N = np.flatnonzero(b_TD.any(axis=1))
    step_N = step_N[:: -(-len(step_N) // _QUERIES) or 1]
    found, likeness = [np.zeros(0)], [np.zeros(0)]
    for start in range(0, len(step_N), _BLOCK):
        like_NT = b_TD[step_N[start : start + _BLOCK]] @ a_TD.T
        best_N = like_NT.argmax(axis=1)
        found.append(best_N + _peak(like_NT, best_N))
        likeness.append(np.take_along_axis(like_NT, best_N[:, None], 1)[:, 0])
    return Match(step_N, np.concatenate(found), np.concatenate(likeness))


def _peak(like_NT: np.ndarray, best_N: np.ndarray) -> np.ndarray:
    """From the best step to the top of the parabola through it and its neighbours, in steps (-0.5 .. 0.5)."""
    last = like_NT.shape[1] - 1
    inside_N = (best_N > 0) & (best_N < last)
    at = np.arange(len(best_N))
    left_N, middle_N, right_N = (like_NT[at, np.clip(best_N + k, 0, last)] for k in (-1, 0, 1))
    bend_N = left_N - 2 * middle_N + right_N
    top_N = np.divide(left_N - right_N, 2 * bend_N, out=np.zeros_like(bend_N), where=inside_N & (bend_N < 0))
    return top_N.clip(-0.5, 0.5)


def _unit(x_TD: np.ndarray) -> np.ndarray:
    length_T1 = np.linalg.norm(x_TD, axis=1, keepdims=True)
    return np.divide(x_TD, length_T1, out=np.zeros_like(x_TD), where=length_T1 > 0).astype(np.float32)


def _thin(matches: Sequence[Match]) -> list[Match]:
    """At most _MATCHES of them, evenly from all videos."""
    every = -(-sum(len(match.step_N) for match in matches) // _MATCHES)
    kept = [Match(m.step_N[::every], m.found_N[::every], m.likeness_N[::every]) for m in matches if every]
    return [match for match in kept if len(match.step_N)]


def _lines_of_ratio(ratio: float, matches: Sequence[Match]) -> list[Line]:
    """Lines of this ratio: with the shift that most matches agree with, in whole steps and exact."""
    step_N, found_N, weight_N = _pooled(matches)
    if not len(step_N):
        return []
    shift_N = found_N - ratio * step_N
    reach = max(ratio, 1)
    votes_M = [
        (weight_N * np.maximum(0, 1 - ((shift_N - shift) / reach) ** 2)).sum() for shift in shift_N[:_SHIFTS]
    ]
    near_N = np.abs(shift_N - shift_N[int(np.argmax(votes_M))]) <= reach
    exact = float(np.average(shift_N[near_N], weights=weight_N[near_N]))
    return [Line(ratio, float(round(exact))), Line(ratio, exact)]


def _fit(matches: Sequence[Match]) -> Line | None:
    """RANSAC: the line through two matches of a video that most others agree with, then least squares."""
    step_N, found_N, weight_N = _pooled(matches)
    best, votes = None, 0.0
    for line in _proposals(matches):
        off_N = (found_N - line.at(step_N)) / max(line.ratio, 1)
        vote = float((weight_N * np.maximum(0, 1 - off_N**2)).sum())
        if vote > votes:
            best, votes = line, vote
    for _ in range(10):
        if best is None or not MIN_RATIO <= best.ratio <= MAX_RATIO:
            return None
        near_N = np.abs(found_N - best.at(step_N)) <= max(best.ratio, 1)
        if len(np.unique(step_N[near_N])) < 3:
            break
        ratio, shift = np.polyfit(step_N[near_N], found_N[near_N], 1, w=np.sqrt(weight_N[near_N]))
        best = Line(float(ratio), float(shift))
    return best


def _proposals(matches: Sequence[Match]) -> Iterator[Line]:
    """Lines through two matches, far apart, of one video; videos in proportion to their matches."""
    draw = np.random.default_rng(0)
    counts = np.array([len(match.step_N) for match in matches])
    for video in draw.choice(len(matches), _PROPOSALS, p=counts / counts.sum()) if len(matches) else ():
        match = matches[video]
        one, other = draw.integers(0, len(match.step_N), 2)
        apart = match.step_N[other] - match.step_N[one]
        if apart == 0 or abs(apart) * 4 < np.ptp(match.step_N):
            continue
        ratio = float(match.found_N[other] - match.found_N[one]) / float(apart)
        if MIN_RATIO <= ratio <= MAX_RATIO:
            yield Line(ratio, float(match.found_N[one] - ratio * match.step_N[one]))


def _pooled(matches: Sequence[Match]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All matches in one row: steps, where they were found, and what each counts."""
    none = np.zeros(0)
    step_N = np.concatenate([none, *(match.step_N for match in matches)])
    found_N = np.concatenate([none, *(match.found_N for match in matches)])
    return step_N, found_N, np.concatenate([none, *(m.likeness_N for m in matches)]).clip(1e-6, 1) ** 2
