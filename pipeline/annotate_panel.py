"""The score strip below an annotated video: a chart of the whole video, and a cursor at the frame shown.

The chart is drawn once, by matplotlib; of each frame only the cursor and the numbers are new. Whatever the
length of the video, it holds no more points than a few per column of pixels.

Shapes: F frames, K classes, R rows (classes that are shown), B bins of time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from pipeline.annotate_text import kept_tag, paste, tag, text_px
from pipeline.events import Event, frame_edges
from pipeline.labels import Interval
from pipeline.tracks import ScoreTrack

# Okabe and Ito's colours, which colour-blind people tell apart, without the two that are dark on dark
COLORS = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#d55e00", "#cc79a7")
_DARK, _LIGHT, _GRID = "#10151d", "#e8edf4", "#3a4656"
_LEFT, _RIGHT = 0.24, 0.09  # of the width: names, and numbers
_DPI = 100
_LONGEST = 22  # characters of a name that is shown
_BINS = 2000


@dataclass(frozen=True)
class Strip:
    """What the chart shows: one row for each of `rows` (columns of the scores, in order)."""

    scores: ScoreTrack
    rows: tuple[int, ...]
    events: Sequence[Event]
    truth: Sequence[Interval] | None  # None: no labels are known


def choose_rows(scores: ScoreTrack, most: int, truth: Sequence[Interval] | None = None) -> tuple[int, ...]:
    """At most so many classes, in their own order: those that labels name, then those that score highest."""
    best_K = scores.scores_FK.max(axis=0)
    labelled = {interval.label for interval in truth or ()}
    named_K = np.array([label in labelled for label in scores.classes])
    return tuple(sorted(np.lexsort((-best_K, ~named_K))[:most].tolist()))


def class_color(row: int) -> str:
    """Of the row-th class that is shown; colours come again after the last."""
    return COLORS[row % len(COLORS)]


class Panel:
    """The strip as a picture: `at(frame)`."""

    def __init__(self, strip: Strip, width_px: int) -> None:
        self._strip, self._font_px = strip, text_px(width_px)
        edge_sec = frame_edges(strip.scores.times_sec_F)
        row_px, foot_px = round(2.1 * self._font_px), 2 * self._font_px
        height_px = _even(len(strip.rows) * row_px + foot_px + self._font_px)
        figure = Figure(figsize=(width_px / _DPI, height_px / _DPI), dpi=_DPI, facecolor=_DARK)
        canvas = FigureCanvasAgg(figure)
        with mpl.rc_context({"font.size": self._font_px * 72 / _DPI, "text.color": _LIGHT}):
            axes = self._axes(figure, height_px, foot_px)
            binned = _binned(strip.scores, edge_sec)
            for row, one in enumerate(axes):
                self._draw_row(one, row, binned, edge_sec)
            axes[-1].tick_params(axis="x", bottom=True, labelbottom=True, colors=_LIGHT, labelsize="small")
            span_sec = edge_sec[-1] - edge_sec[0]
            decimals = 0 if span_sec >= 8 else 1 if span_sec >= 1 else 2
            axes[-1].xaxis.set_major_formatter(
                FuncFormatter(lambda sec, _: clock_text(sec, decimals=decimals))
            )
            canvas.draw()
        self._picture = cv2.cvtColor(np.asarray(canvas.buffer_rgba()), cv2.COLOR_RGBA2BGR)
        boxes = [one.get_window_extent() for one in axes]
        self._middle_R = [height_px - (box.y0 + box.y1) / 2 for box in boxes]
        self._top, self._bottom = round(height_px - boxes[0].y1), round(height_px - boxes[-1].y0)
        times_F = strip.scores.times_sec_F
        share_F = (times_F - edge_sec[0]) / (edge_sec[-1] - edge_sec[0])
        for k, middle in zip(strip.rows, self._middle_R, strict=True):
            self._write(self._picture, _short(strip.scores.classes[k]), boxes[0].x0, middle, ends=True)
        self._cursor_F = np.rint(boxes[0].x0 + share_F * boxes[0].width).astype(int)

    @property
    def height(self) -> int:
        """px; even."""
        return int(self._picture.shape[0])

    def at(self, frame: int) -> np.ndarray:
        """The strip with its cursor at a frame, and the scores there: (height, width, 3) uint8 BGR."""
        picture, scores = self._picture.copy(), self._strip.scores
        x = int(self._cursor_F[frame])
        cv2.line(picture, (x, self._top), (x, self._bottom), (255, 255, 255), max(1, self._font_px // 8))
        right = round(picture.shape[1] * (1 - _RIGHT))
        for k, middle in zip(self._strip.rows, self._middle_R, strict=True):
            self._write(picture, f"{scores.scores_FK[frame, k]:.2f}", right, middle)
        now = clock_text(scores.times_sec_F[frame])
        self._write(picture, now, 0, self.height - self._font_px, kept=False)
        return picture

    def _write(
        self,
        picture: np.ndarray,
        text: str,
        at: float,
        middle: float,
        *,
        ends: bool = False,
        kept: bool = True,
    ) -> None:
        """Text that begins, or `ends`, at a column; `kept`: it comes again."""
        text_HWC = (kept_tag if kept else tag)(text, self._font_px, color=_DARK, ink=_LIGHT)
        left = at - text_HWC.shape[1] if ends else at
        paste(picture, text_HWC, max(0, round(left)), round(middle - len(text_HWC) / 2))

    def _axes(self, figure: Figure, height_px: int, foot_px: int) -> list[Axes]:
        grid = figure.subplots(len(self._strip.rows), 1, sharex=True, squeeze=False)
        top = 1 - 0.5 * self._font_px / height_px
        figure.subplots_adjust(_LEFT, foot_px / height_px, 1 - _RIGHT, top, hspace=0.25)
        return list(grid[:, 0])

    def _draw_row(
        self, axes: Axes, row: int, binned: tuple[np.ndarray, np.ndarray], edge_sec: np.ndarray
    ) -> None:
        strip, color = self._strip, class_color(row)
        k = strip.rows[row]
        label, (at_sec_B, score_BK) = strip.scores.classes[k], binned
        axes.set(xlim=(edge_sec[0], edge_sec[-1]), ylim=(0, 1), facecolor=_DARK)
        axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
        for side in axes.spines.values():
            side.set_color(_GRID)
        axes.fill_between(at_sec_B, score_BK[:, k], step="mid", color=color, alpha=0.55, linewidth=0)
        found = [(e.start_sec, e.end_sec - e.start_sec) for e in strip.events if e.label == label]
        true = [(i.start_sec, i.end_sec - i.start_sec) for i in strip.truth or () if i.label == label]
        axes.broken_barh(found, (0, 0.16), color=color, linewidth=0)
        axes.broken_barh(true, (0.86, 0.14), color=_LIGHT, linewidth=0)


def clock_text(sec: float, *, decimals: int = 2) -> str:
    """1:02:03.45, or 2:03.45 below an hour."""
    ticks = round(abs(sec) * 10**decimals)
    whole, part = divmod(ticks, 10**decimals)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{'-' if sec < 0 and ticks else ''}{text}{f'.{part:0{decimals}}' if decimals else ''}"


def _binned(scores: ScoreTrack, edge_sec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times (B,) and the highest scores (B, K) about them: of a long video no peak is lost."""
    starts_B = np.unique(np.linspace(0, len(scores.times_sec_F), _BINS, endpoint=False).astype(int))
    ends_B = np.append(starts_B[1:], len(scores.times_sec_F))
    at_sec_B = (edge_sec[starts_B] + edge_sec[ends_B]) / 2
    highest_BK = np.maximum.reduceat(scores.scores_FK, starts_B, axis=0)
    # held to both edges, as the first and the last frame last
    return np.r_[edge_sec[0], at_sec_B, edge_sec[-1]], np.concatenate(
        [highest_BK[:1], highest_BK, highest_BK[-1:]]
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _even(size: int) -> int:
    return size + size % 2
