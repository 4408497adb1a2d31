"""Time: one clock, three counts, pure arithmetic.

F  frames decoded from the source, each with its presentation time
S  frames after sampling to the preset's rate
T  steps (features), T = ceil(S / stride)

Seconds count from the first frame; the player's clock, which labels and scores use, is
`start_sec` later.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:  # the decoder's processes need time, not torch
    from extractors.base import Grid

_INT64_SAFE = 2**62


@dataclass(frozen=True)
class Clock:
    """When each of a video's F frames is shown.

    `ticks_F` are integers in units of `time_base` seconds, the first one 0, strictly increasing.
    `kind` is "synthetic" where the container's times were missing or not increasing, and frame i
    was put at i / average rate.
    """

    ticks_F: np.ndarray  # int64
    time_base: Fraction  # seconds per tick
    start_sec: float = 0.0  # time of the first frame on the player's clock
    kind: Literal["pts", "synthetic"] = "pts"

    def __post_init__(self) -> None:
        ticks = self.ticks_F
        if ticks.ndim != 1 or len(ticks) == 0 or ticks.dtype != np.int64:
            raise ValueError(f"need int64 ticks of at least one frame, got {ticks.dtype} {ticks.shape}")
        if ticks[0] != 0 or not np.all(np.diff(ticks) > 0) or self.time_base <= 0:
            raise ValueError("a clock starts at 0 and increases strictly")

    @classmethod
    def constant(cls, num_frames: int, fps: Fraction, start_sec: float = 0.0) -> "Clock":
        """Frame i at i / fps: for containers whose own times cannot be used."""
        return cls(np.arange(num_frames, dtype=np.int64), 1 / fps, start_sec, "synthetic")

    @property
    def num_frames(self) -> int:
        """F."""
        return len(self.ticks_F)

    @property
    def fps(self) -> float:
        """Average rate in frames per second; of a single frame, the rate of its time base or 25."""
        if self.num_frames == 1:
            return float(1 / self.time_base) if self.kind == "synthetic" else 25.0
        return float((self.num_frames - 1) / (int(self.ticks_F[-1]) * self.time_base))

    @property
    def sec_F(self) -> np.ndarray:
        """Seconds from the first frame: (F,) float64."""
        return self.ticks_F * float(self.time_base)

    @property
    def duration_sec(self) -> float:
        """From the first frame to the end of the last one, which lasts as long as the average."""
        return float(self.sec_F[-1] + 1 / self.fps)

    def head(self, num_frames: int) -> "Clock":
        """The clock of the first `num_frames` frames: of a video that ended early."""
        return Clock(self.ticks_F[:num_frames], self.time_base, self.start_sec, self.kind)

    def sample(self, fps: float | None) -> np.ndarray:
        """Decoded frame behind each sampled frame: (S,) int64, not decreasing.

        Sample j is the frame shown nearest to j / fps (of two equally near, the earlier), for
        j = 0 .. floor(last * fps); without a rate every frame is a sample. A prefix of the
        video has a prefix of the samples, so they can be taken before the end is known.
        """
        if fps is None:
            return np.arange(self.num_frames)
        rate = _fraction(fps) * self.time_base  # samples per tick
        ticks_F = self.ticks_F
        if int(ticks_F[-1]) * 4 * rate.numerator * rate.denominator > _INT64_SAFE:
            ticks_F = ticks_F.astype(object)  # exact Python integers: rare, slow, right
        num_sampled = self.num_sampled(fps)
        at_F = ticks_F * (2 * rate.numerator)  # twice the position, in units of 1 / denominator samples
        target_S = np.arange(num_sampled).astype(ticks_F.dtype) * (2 * rate.denominator)
        middle = (at_F[:-1] + at_F[1:]) // 2  # whole: both are even
        return np.searchsorted(middle, target_S, side="left").astype(np.int64)

    def num_sampled(self, fps: float | None) -> int:
        """S, without making the samples."""
        if fps is None:
            return self.num_frames
        return int(int(self.ticks_F[-1]) * _fraction(fps) * self.time_base // 1) + 1

    def to_json(self) -> dict[str, Any]:
        """Exact and short: times as runs of equal steps."""
        runs = [[int(step), len(list(same))] for step, same in groupby(np.diff(self.ticks_F))]
        base = [self.time_base.numerator, self.time_base.denominator]
        return {"time_base": base, "runs": runs, "start_sec": self.start_sec, "kind": self.kind}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Clock":
        """Inverse of `to_json`; ValueError for anything else."""
        steps = [np.full(count, step, dtype=np.int64) for step, count in data["runs"]]
        ticks_F = np.concatenate([np.zeros(1, np.int64), *steps]).cumsum()
        return cls(ticks_F, Fraction(*data["time_base"]), float(data["start_sec"]), data["kind"])


def centers_sec(grid: "Grid", num_sampled: int, clock: Clock, fps: float | None) -> np.ndarray:
    """Middle of what each feature sees in seconds from the first frame: (T,) float64.

    On a sampled grid, sample j is at j / fps. Without a rate, times are those of the frames,
    continued at the average rate where a centre lies past the video.
    """
    centers_T = grid.centers_K(num_sampled)
    if fps is not None:
        return centers_T / float(_fraction(fps))
    sec_F, last = clock.sec_F, clock.num_frames - 1
    beyond_T = (np.minimum(centers_T, 0) + np.maximum(centers_T - last, 0)) / clock.fps
    return np.interp(centers_T, np.arange(last + 1), sec_F) + beyond_T


def step_sec(center_sec_T: np.ndarray, clock: Clock) -> np.ndarray:
    """When each step is, on the player's clock and inside the video: (T,) float64, for labels."""
    return np.clip(center_sec_T, 0.0, clock.sec_F[-1]) + clock.start_sec


def frames_from_steps(scores_TK: np.ndarray, center_sec_T: np.ndarray, sec_F: np.ndarray) -> np.ndarray:
    """Step scores to frame scores (F, K): linear between centres, held at both ends.

    Steps are taken in the order of their centres, which is theirs unless a recipe sees some moments twice.
    """
    order = np.argsort(center_sec_T, kind="stable")
    centers_T = center_sec_T[order]
    return np.stack([np.interp(sec_F, centers_T, score_T[order]) for score_T in scores_TK.T], axis=1)


def targets(intervals: list[tuple[float, float, int]], time_sec: np.ndarray, num_classes: int) -> np.ndarray:
    """Class k is positive at t iff start <= t < end of one of its intervals: (len(time_sec), K) bool.

    `intervals` are (start, end, class) on the clock of `time_sec`, in seconds.
    """
    target = np.zeros((len(time_sec), num_classes), dtype=bool)
    for start, end, k in intervals:
        target[(time_sec >= start) & (time_sec < end), k] = True
    return target


def _fraction(fps: float) -> Fraction:
    """The rate meant by a float: 29.97 is 2997/100, 30000/1001 as a float is 30000/1001."""
    return Fraction(fps).limit_denominator(100_000)
