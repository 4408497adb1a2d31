"""What a comparison of features amounts to, in words."""

from fractions import Fraction
from itertools import product

import numpy as np

from pipeline.alignment import IDENTITY, Line
from pipeline.compare import FOUND, Comparison

_RATES = {  # frames per second, the usual ones first
    text: Fraction(rate)
    for text, rate in (
        *(("25", "25"), ("30", "30"), ("24", "24"), ("29.97", "30000/1001"), ("23.976", "24000/1001")),
        *(("12.5", "12.5"), ("15", "15"), ("50", "50"), ("60", "60"), ("59.94", "60000/1001")),
        *(("10", "10"), ("12", "12"), ("20", "20"), ("48", "48")),
    )
}


def verdict(found: Comparison) -> str:
    """One sentence."""
    return f"{_main(found)}{_scaled(found)}{_clocked(found)}."


def remarks(found: Comparison) -> list[str]:
    """What else is worth knowing: what was assumed, and what was left out."""
    lines = []
    names = {"td": "(T, D)", "dt": "(D, T)"}
    if "dt" in found.layouts:
        lines.append(f"A was read as {names[found.layouts[0]]}, B as {names[found.layouts[1]]}")
    longer = [video for video in found.videos if video.steps_a != video.steps_b]
    if found.line == IDENTITY and longer:
        one = longer[0]
        lines.append(
            f"{len(longer)} videos differ in their number of steps, such as {one.name}: {one.steps_a} in A, "
            f"{one.steps_b} in B"
        )
    for side, only in (("A", found.only_a), ("B", found.only_b)):
        if only:
            lines.append(f"{len(only)} files of {side} have no counterpart, such as {only[0]}")
    return lines


def _main(found: Comparison) -> str:
    videos = f"{len(found.videos)} video{'s' if len(found.videos) > 1 else ''}"
    there, as_is = f"{found.cosine():.4f}", f"{found.cosine(as_is=True):.4f}"
    cosines = f"median cosine {there} there, {as_is} at equal steps"
    if found.kind == "equal":
        size = f"{found.largest:.0e} of the largest number" if found.largest else "0"
        return f"The same features in {videos}: largest difference {size}"
    if found.kind == "close":
        return (
            f"The same features up to small differences in {videos}: same steps, same rate, median cosine "
            f"{there}"
        )
    if found.kind == "shift":
        return f"B is A shifted: step i of B is step {_formula(found.line)} of A{_seconds(found)}; {cosines}"
    if found.kind == "rate":
        return (
            f"B runs at another rate: step i of B is step {_formula(found.line)} of A"
            f"{_rates(found.line)}; {cosines}"
        )
    if found.kind == "pieces":
        return _pieces(found)
    if found.kind == "alike":
        return (
            f"Alike, not the same, in {videos}: median cosine {there}, and no shift or other rate makes it "
            "more; other preprocessing, another decoder or a shift of a small part of a step would look so"
        )
    if found.kind == "still":
        return (
            "Nothing can be said about shift and rate: the features do not change over time; median cosine "
            f"at equal steps {as_is}"
        )
    return (
        f"Different features in {videos}: under no shift or rate does what changes over time agree "
        f"(mean cosine {1 - found.difference:.2f})"
    )


def _formula(line: Line) -> str:
    """The line as one would write it: "i + 1", "25/24 i - 0.5"."""
    exact = _fraction(line)
    plain = f"({exact})" if exact and exact.denominator in range(2, 100) else f"{line.ratio:.5g}"
    slope = "" if line.ratio == 1 else f"{plain} "
    shift = f"{abs(line.shift):.2f}".rstrip("0").rstrip(".")
    sign = "-" if line.shift < 0 else "+"
    return f"{slope}i" if shift == "0" else f"{slope}i {sign} {shift}"


def _fraction(line: Line) -> Fraction | None:
    """The ratio as a fraction, if it is a plain one and not merely fitted."""
    near = Fraction(line.ratio).limit_denominator(2000)
    return near if abs(float(near) - line.ratio) < 1e-9 else None


def _seconds(found: Comparison) -> str:
    if found.step_sec is None:
        return ""
    when = "later" if found.line.shift > 0 else "earlier"
    return f" ({abs(found.line.shift) * found.step_sec:.2f} s {when} in the video)"


def _rates(line: Line) -> str:
    """What may have led to the ratio: steps of A per step of B, so A's rate by B's."""
    exact = _fraction(line)
    if exact is None:
        return ""
    if 1 in (exact.numerator, exact.denominator):
        return ", as with another stride, or another frame rate"
    for (name_a, rate_a), (name_b, rate_b) in product(_RATES.items(), _RATES.items()):
        if rate_a / rate_b == exact:
            return f", as of {name_a} frames per second in A and {name_b} in B"
    return ""


def _pieces(found: Comparison) -> str:
    off, there = [], []
    for video in found.videos:
        there.append(video.match.likeness_N >= FOUND)
        off.append((video.match.found_N - video.match.step_N)[there[-1]])
    low, high = np.percentile(np.concatenate(off), [2, 98])
    share = np.concatenate(there).mean()
    return (
        f"No one shift: {share:.0%} of the steps of B are in A, but from {low:+.0f} to {high:+.0f} steps "
        "away, as where pieces that overlap, or leave gaps, were joined"
    )


def _scaled(found: Comparison) -> str:
    if np.isnan(found.scale) or abs(found.scale - 1) < 0.05 or found.kind in ("different", "still"):
        return ""
    return f"; vectors of B are {found.scale:.3g} times as long as those of A"


def _clocked(found: Comparison) -> str:
    """Whether the features' own times agree, where that says something."""
    if found.clock is None or found.kind in ("different", "still", "pieces"):
        return ""
    if not found.clock_agrees:
        clock = f"{found.clock.ratio:.4g} i {found.clock.shift:+.2f}"
        return f"; but their own times put step i of B at step {clock} of A: one of the two clocks is wrong"
    if found.line != IDENTITY:
        return "; their own times say the same"
    apart = abs(found.clock.shift)
    return f"; their own times are {apart:.2f} steps apart" if found.kind == "alike" and apart > 0.01 else ""
