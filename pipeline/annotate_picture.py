"""One frame of an annotated video: the picture with persons and active labels, the score strip below.

Shapes: F frames, K classes.
"""

import cv2
import numpy as np

from pipeline.annotate_panel import Panel, Strip, choose_rows, class_color
from pipeline.annotate_source import Shown
from pipeline.annotate_text import kept_tag, paste, text_px
from pipeline.timeline import targets

_NARROWEST, _LONGEST = 640, 1920  # px: text can be read, browsers can play
_MOST_ACTIVE = 6  # labels on the picture


class Painter:
    """Draws frame after frame of one video; every array it returns is its own."""

    def __init__(self, shown: Shown, source_size: tuple[int, int], top: int) -> None:
        """`source_size`: width and height of the frames to come; `top`: how many classes the strip has."""
        self._shown = shown
        self._picture_size = picture_size(*source_size)
        width = self._picture_size[0]
        rows = choose_rows(shown.scores, top, shown.truth)
        self._panel = Panel(Strip(shown.scores, rows, shown.events, shown.truth), width)
        self._font_px, self._place = text_px(width), {k: place for place, k in enumerate(rows)}
        column = {label: k for k, label in enumerate(shown.scores.classes)}
        events = [(e.start_sec, e.end_sec, column[e.label]) for e in shown.events]
        self._active_FK = targets(events, shown.scores.times_sec_F, len(column))
        if shown.people is not None:
            from pipeline.annotate_people import PeoplePainter

            people_px = shown.people.size
            self._people = PeoplePainter(width)
            self._scale = width / people_px[0], self._picture_size[1] / people_px[1]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what `draw` returns; even."""
        return self._picture_size[0], self._picture_size[1] + self._panel.height

    def draw(self, frame: int, rgb_HWC: np.ndarray) -> np.ndarray:
        """A decoded frame, uint8 RGB, annotated: uint8 BGR of `size`."""
        bgr_HWC = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2BGR)
        if (bgr_HWC.shape[1], bgr_HWC.shape[0]) != self._picture_size:
            shrinks = bgr_HWC.shape[1] > self._picture_size[0]
            how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            bgr_HWC = cv2.resize(bgr_HWC, self._picture_size, interpolation=how)
        if self._shown.people is not None:
            self._people.draw(bgr_HWC, self._shown.people.at(frame), self._scale)
        self._draw_active(bgr_HWC, frame)
        return np.concatenate([bgr_HWC, self._panel.at(frame)])

    def _draw_active(self, picture_HWC: np.ndarray, frame: int) -> None:
        """Labels of the events of this frame with their scores, the surest first."""
        score_K = self._shown.scores.scores_FK[frame]
        active = np.flatnonzero(self._active_FK[frame])
        margin = self._font_px // 2
        top = margin
        for k in active[np.argsort(-score_K[active], kind="stable")][:_MOST_ACTIVE]:
            color = class_color(self._place[k]) if k in self._place else "#ffffff"
            text = f"{self._shown.scores.classes[k]}  {score_K[k]:.2f}"
            tag_HWC = kept_tag(text, self._font_px, color=color)
            paste(picture_HWC, tag_HWC, margin, top)
            top += tag_HWC.shape[0] + margin // 2


def picture_size(width: int, height: int) -> tuple[int, int]:
    """Width and height, even, at which a video's frames are shown: its own where text can be read on it."""
    scale = max(1.0, _NARROWEST / width)
    scale = min(scale, _LONGEST / max(width, height))
    return _nearest_even(width * scale), _nearest_even(height * scale)


def _nearest_even(size: float) -> int:
    return max(2, 2 * round(size / 2))
