"""A benchmark's report as one picture: PNG, SVG, PDF, or a page that holds the SVG."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.files import write_atomic
from pipeline.speed.report import Report, ScalingRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>augrgb bench</title></head>
<body>
{svg}
</body></html>
"""


def write_plot(report: Report, path: Path) -> None:
    """By the suffix of `path`: see `options.PLOT_SUFFIXES`."""
    figure, suffix, buffer = draw(report), path.suffix.lower()[1:], io.BytesIO()
    figure.savefig(buffer, format="svg" if suffix == "html" else suffix)
    data = buffer.getvalue()
    if suffix == "html":
        text = data.decode()
        data = _PAGE.format(svg=text[text.index("<svg") :]).encode()
    write_atomic(path, lambda file: file.write(data))


def draw(report: Report) -> "Figure":
    """Rates and ratios of each stage, a column per precision; below, time per frame against size."""
    from matplotlib.figure import Figure

    count = len(report.precisions)
    figure = Figure(figsize=(7 * count, 10), layout="constrained")
    axes = figure.subplots(3, count, squeeze=False)
    for i, one in enumerate(report.precisions):
        names = [row.stage for row in one.stages]
        rates, bare = (
            [row.frames_per_sec for row in one.stages],
            [row.bare_frames_per_sec for row in one.stages],
        )
        ratios = [row.ratio for row in one.stages]
        _bars(axes[0, i], names, {"pipeline": rates, "bare network": bare})
        axes[0, i].set(title=f"frames/s, precision {one.precision}", xscale="log")
        axes[0, i].axvline(report.decoder.frames_per_sec.median, color="gray", linestyle=":", label="decoder")
        axes[0, i].legend()
        _bars(axes[1, i], names, {"pipeline / bare network": ratios})
        axes[1, i].axvline(0.9, color="gray", linestyle=":")
        axes[1, i].set(title="pipeline / bare network")
        _scaling(axes[2, i], {"one video": one.lengths, "short videos": one.counts})
    return figure


def _bars(axis: Any, names: list[str], groups: dict[str, list[Any]]) -> None:
    """Horizontal bars, first one on top, with the range of all rounds."""
    at, height = np.arange(len(names)), 0.8 / len(groups)
    for k, (label, figures) in enumerate(groups.items()):
        medians = np.array([figure.median for figure in figures])
        spread = [
            [figure.median - figure.low for figure in figures],
            [figure.high - figure.median for figure in figures],
        ]
        axis.barh(at + (k + 0.5) * height - 0.4, medians, height, xerr=spread, label=label)
    axis.set_yticks(at, names)
    axis.invert_yaxis()


def _scaling(axis: Any, kinds: dict[str, tuple[ScalingRow, ...]]) -> None:
    rows = [row for rows in kinds.values() for row in rows]
    axis.set(title="cost", xlabel="minutes of video", ylabel="ms per frame")
    if not rows:
        return
    for label, of_kind in kinds.items():
        minutes = [row.minutes for row in of_kind]
        axis.plot(minutes, [row.ms_per_frame.median for row in of_kind], marker="o", label=label)
    axis.set_xscale("log")
    axis.set_xticks([row.minutes for row in rows], [f"{row.minutes:.2g}" for row in rows])
    axis.minorticks_off()
    axis.set_ylim(0, 1.2 * max(row.ms_per_frame.median for row in rows))
    axis.legend()
