"""Coarse optical flow for the eye: where a preview's picture moves, in a few cells, a few times a second.

It is not what the flow network sees: OpenCV's DIS flow (Kroeger et al., ECCV 2016) between neighbouring
frames of the small preview. The page says so.

Shapes: N moments, R rows and C columns of cells; the last axis is x, y.
"""

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from pipeline.report_video import pack

COLUMNS = 16
MOST_ROWS = 24
_EVERY_SEC, _MOST_MOMENTS = 0.2, 4000
_LONGEST_SEC = 0.5  # between two frames that still show one movement
_WIDTH_PX = 160  # of the picture that is measured


@dataclass
class CoarseFlow:
    """Takes the frames of a preview in order; `duration_sec` is that of the video."""

    duration_sec: float
    _times: list[float] = field(default_factory=list)
    _cells: list[np.ndarray] = field(default_factory=list)
    _before: tuple[float, np.ndarray] | None = None

    def __post_init__(self) -> None:
        self._network = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._every_sec = max(_EVERY_SEC, self.duration_sec / _MOST_MOMENTS)

    def add(self, picture_HWC: np.ndarray, at_sec: float) -> None:
        """A BGR frame and when it is shown, seconds from the first one."""
        if self._before is not None:
            before_sec, before = self._before
            after = _gray(picture_HWC)
            if at_sec - before_sec <= _LONGEST_SEC:
                flow_HW2 = self._network.calc(before, after, None)
                self._times.append(before_sec)
                self._cells.append(_pooled(flow_HW2) / (at_sec - before_sec))
            self._before = None
        if not self._times or at_sec - self._times[-1] >= self._every_sec - 1e-6:
            self._before = at_sec, _gray(picture_HWC)

    def to_json(self) -> dict[str, Any]:
        """Times in milliseconds; cells (N, R, C, 2) int8, 127 being `scale` picture widths a second."""
        cells_NRC2 = np.array(self._cells or np.zeros((0, 0, COLUMNS, 2)), np.float32)
        scale = max(float(np.abs(cells_NRC2).max(initial=0.0)), 1e-6)
        times = np.rint(np.array(self._times) * 1000).astype("<i4")
        return {
            "columns": COLUMNS,
            "rows": cells_NRC2.shape[1],
            "scale": round(scale, 6),
            "times": pack(times),
            "cells": pack(np.rint(cells_NRC2 / scale * 127).astype(np.int8)),
        }


def _gray(picture_HWC: np.ndarray) -> np.ndarray:
    """As it is measured: at least 32 px high, below which DIS has nothing to look at."""
    height, width = picture_HWC.shape[:2]
    size = _WIDTH_PX, min(max(32, round(_WIDTH_PX * height / width)), 4 * _WIDTH_PX)
    return cv2.cvtColor(cv2.resize(picture_HWC, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)


def _pooled(flow_HW2: np.ndarray) -> np.ndarray:
    """Mean of each cell, in picture widths: (R, C, 2)."""
    height, width = flow_HW2.shape[:2]
    rows = min(max(2, round(COLUMNS * height / width)), MOST_ROWS)
    return cv2.resize(flow_HW2, (COLUMNS, rows), interpolation=cv2.INTER_AREA) / width
