"""When the steps of features are that come without times: rules by name.

    even           step k is the middle of the k-th of T equal parts of the video
    pdan           its beginning, k * duration / T: where PDAN and MS-TCT take the label of step k
    actionformer   (k * stride + window / 2) / fps: ActionFormer; OpenTAD, whose offset_frames is window / 2

Shapes: T steps.
"""

import math
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from pipeline.interchange.names import InterchangeError

Rule = Literal["even", "pdan", "actionformer"]
_TEXT = re.compile(r"([a-z]+)(?::([0-9.]+)/([0-9.]+))?")


@dataclass(frozen=True)
class GridRule:
    """`stride` and `window`, in frames, belong to "actionformer" alone."""

    name: Rule = "even"
    stride: float | None = None
    window: float | None = None

    def __post_init__(self) -> None:
        numbers = [n for n in (self.stride, self.window) if n is not None]
        needed = 2 if self.name == "actionformer" else 0
        if (
            self.name not in get_args(Rule)
            or len(numbers) != needed
            or not all(0 < n < math.inf for n in numbers)
        ):
            raise InterchangeError(
                f"steps by {self.name!r}, stride {self.stride}, window {self.window}; expected even, pdan, "
                "or actionformer:STRIDE/WINDOW in frames, such as actionformer:4/16"
            )

    @classmethod
    def parse(cls, text: str) -> "GridRule":
        """The rule meant by "even", "pdan" or "actionformer:4/16"; InterchangeError for anything else."""
        match = _TEXT.fullmatch(text)
        try:
            numbers = [float(number) for number in (match.groups()[1:] if match else ()) if number]
        except ValueError:
            match, numbers = None, []
        return cls(match[1] if match else text, *numbers)  # type: ignore[arg-type]  # checked there

    def centers_sec(self, num_steps: int, duration_sec: float, fps: float) -> np.ndarray:
        """Seconds from the first frame: (T,) float64; those of "actionformer" may lie past the end."""
        step_T = np.arange(num_steps, dtype=np.float64)
        if self.name == "actionformer":
            assert self.stride is not None, "checked when made"
            assert self.window is not None, "checked when made"
            return (step_T * self.stride + 0.5 * self.window) / fps
        return (step_T + (0.5 if self.name == "even" else 0.0)) * (duration_sec / num_steps)

    def to_json(self) -> dict[str, Any]:
        """For the identity of features."""
        return {key: value for key, value in asdict(self).items() if value is not None}


EVEN = GridRule()
