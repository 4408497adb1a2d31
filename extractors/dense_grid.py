"""When features are in recipes that count otherwise than `Window`, which gives every video ceil(S / stride).

- `windows-whole`: windows that lie within the video, and no others
- `dense`: I3D run over all frames as one clip, a step every 8 of them; `dense-public`: as a script cuts it

"SAME" padding goes by the length of the clip, so its length modulo 4 shifts every step: 9 frames and
multiples of 8 in from the start where it divides by 4, up to 3 frames earlier else. Whoever cuts a video
into clips of another length gets other features.

Shapes: K steps, L frames of a window.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from extractors.base import Grid, Window

Mode = Literal["windows", "windows-whole", "dense", "dense-public"]
MODES: tuple[Mode, ...] = get_args(Mode)
STEP = 8  # frames from one feature to the next
MIN_FRAMES = 9  # fewer leave one step after the trunk, and the last pool spans two

# The public script: pieces of 1,600 frames, begun 48 earlier and ended 56 later, of frames 1 to T - 2
_PIECE, _EARLIER, _LATER = 1600, 48, 56


@dataclass(frozen=True)
class WholeWindow(Window):
    """Only windows within the video: (S - length) // stride + 1 of them, and a padded one if it is shorter.

    The frames left over at the end are in no window. One that begins before its stride's first frame
    (`offset` < 0) may hang over by as many frames at both ends: what counts are the length + 2 offset
    frames in its middle. So windows of several lengths about the same moments are as many.

        length=4, stride=2, 7 frames:   k=0 [0 1 2 3]       k=1 [2 3 4 5]       (frame 6: in none)
        length=6, offset=-1, stride=2:  k=0 [0 0 1 2 3 4]   k=1 [1 2 3 4 5 6]   (about the same moments)
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.offset > 0 or self._middle < 1:
            raise ValueError(f"need offset <= 0 and a middle of length + 2 offset >= 1 frames, got {self}")

    @property
    def _middle(self) -> int:
        return self.length + 2 * self.offset

    def count(self, num_frames: int) -> int:
        """Number of features T of a video of `num_frames` sampled frames."""
        return max(1, (num_frames - self._middle) // self.stride + 1)


@dataclass(frozen=True)
class DenseGrid:
    """A step every 8 frames: ceil(T / 8) - 1 of them, and one for any video below 9 frames.

    `public`: longer videos as `extract_features.py` of piergiaj/pytorch-i3d (commit 05783d1) cuts them:
    over 1,600 frames, into overlapping clips, whose features are joined untrimmed. So at every joint the
    last 12 moments come again, and the first and the last frame are left out. Centres are those of the
    frames that were seen: at the joints they go back.
    """

    public: bool = False

    def spans(self, num_frames: int) -> list[tuple[int, int]]:
        """Frames (start, stop) of each clip; past the end of the video its last frame repeats."""
        if not self.public or num_frames <= _PIECE:
            return [(0, max(num_frames, MIN_FRAMES))]
        starts = range(1, num_frames - _LATER, _PIECE)
        return [(max(1, at - _EARLIER), min(num_frames - 1, at + _PIECE + _LATER)) for at in starts]

    def count(self, num_frames: int) -> int:
        """Number of features T of a video of `num_frames` sampled frames."""
        return sum(_steps(stop - start) for start, stop in self.spans(num_frames))

    def centers_K(self, num_frames: int) -> np.ndarray:
        """Middle of what each feature sees, in sampled frames: (K,) float64, all of them whole."""
        return np.concatenate(
            [
                start + STEP * np.arange(_steps(stop - start)) + 9.0 - (start - stop) % 4
                for start, stop in self.spans(num_frames)
            ]
        )


@dataclass(frozen=True)
class CenteredWindow:
    """Windows of `length` frames around the steps of dense features; outside the video its edges repeat."""

    length: int  # frames, odd: steps lie on frames
    grid: DenseGrid

    def __post_init__(self) -> None:
        if self.length < 1 or self.length % 2 == 0:
            near = f"{max(self.length - 1, 1)} or {max(self.length, 0) + 1}"
            raise ValueError(f"a window around a frame has an odd length, such as {near}, got {self.length}")

    def count(self, num_frames: int) -> int:
        """Number of windows of a video of `num_frames` sampled frames."""
        return self.grid.count(num_frames)

    def centers_K(self, num_frames: int) -> np.ndarray:
        """Middle of each window in sampled frames: (K,) float64."""
        return self.grid.centers_K(num_frames)

    def frames_KL(self, num_frames: int) -> np.ndarray:
        """Frame indices behind every window: (K, L) int64, clamped to the video."""
        starts_K1 = self.centers_K(num_frames).astype(np.int64)[:, None] - self.length // 2
        return np.clip(starts_K1 + np.arange(self.length), 0, num_frames - 1)


def same_steps(one: Grid, other: Grid) -> bool:
    """Whether two grids give every video as many features.

    Seen at lengths of up to 1,000 frames one by one, which tells windows of up to as many apart.
    """
    lengths = (*range(1, 1001), 10_000, 1_000_000)
    return all(one.count(length) == other.count(length) for length in lengths)


def grid_of(mode: Mode, window: Window) -> Window | DenseGrid:
    """The grid of features made in this mode; ValueError for a mode that does not exist."""
    if mode not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}, got {mode!r}")
    if mode == "windows":
        return window
    if mode == "windows-whole":
        return WholeWindow(window.length, window.stride, window.offset)
    return DenseGrid(public=mode == "dense-public")


def _steps(num_frames: int) -> int:
    return -(-num_frames // STEP) - 1
