"""The page of a comparison of features: verdict, cosine per step, where steps of B are in A.

Like the report one file that opens from disk and loads nothing; names come from users and are escaped.
"""

from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from plotly.offline import get_plotlyjs

from pipeline.alignment import IDENTITY
from pipeline.compare import Comparison, VideoComparison
from pipeline.compare_verdict import remarks, verdict
from pipeline.files import write_atomic
from pipeline.report import content_security_policy, json_for_script, read_template, trusted

MAX_POINTS = 2000  # of a line: more cannot be told apart


def write_comparison(found: Comparison, path: Path, *, name_a: str, name_b: str) -> Path:
    """Write the page, whole or not at all."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    code = read_template("charts.js") + read_template("compare.js")
    scripts = {
        "theme": read_template("theme.js"),
        "plotly": get_plotlyjs(),
        "page": f'"use strict";\n{{\n{code}}}\n',  # a block: one scope for the files, no globals
    }
    page = environment.from_string(read_template("compare.html.j2")).render(
        a=name_a,
        b=name_b,
        verdict=verdict(found),
        remarks=remarks(found),
        figures=_figures(found),
        rows=[_row(video, found) for video in found.videos],
        island=json_for_script(_data(found)),
        style=trusted(read_template("report.css")),
        scripts={name: trusted(text) for name, text in scripts.items()},
        policy=content_security_policy(list(scripts.values())),
    )
    content = page.encode("utf-8", "xmlcharrefreplace")
    write_atomic(path, lambda file: file.write(content))
    return path


def _figures(found: Comparison) -> list[tuple[str, str, str]]:
    """Name, value and remark of the most important numbers."""
    line = found.line
    sec = f"{line.shift * found.step_sec:+.2f} s" if found.step_sec is not None else "time not known"
    return [
        ("Videos", str(len(found.videos)), f"{found.dim} numbers a step"),
        ("Cosine, equal steps", _number(found.cosine(as_is=True)), "median"),
        ("Cosine, along the line", _number(found.cosine()), "median"),
        ("Shift", f"{line.shift:+.2f}", f"steps of A, {sec}"),
        ("Ratio", f"{line.ratio:.5g}", "steps of A per step of B"),
        ("Length of vectors", _number(found.scale), "of B, in units of A's"),
    ]


def _row(video: VideoComparison, found: Comparison) -> dict[str, Any]:
    off = video.off_line(found.line)
    return {
        "name": video.name,
        "steps_a": video.steps_a,
        "steps_b": video.steps_b,
        "as_is": _number(_median(video.as_is.cosine_N)),
        "aligned": _number(_median(video.aligned.cosine_N)),
        "off": "–" if off is None else f"{off:+.2f}",
    }


def _data(found: Comparison) -> dict[str, Any]:
    """For the charts."""
    return {
        "ratio": found.line.ratio,
        "shift": found.line.shift,
        "moved": found.line != IDENTITY,
        "videos": [
            {
                "name": video.name,
                "steps_b": video.steps_b,
                "as_is": _points(video.as_is.step_N, video.as_is.cosine_N),
                "aligned": _points(video.aligned.step_N, video.aligned.cosine_N),
                "match": {
                    **_points(video.match.step_N, video.match.found_N),
                    "likeness": _thin(video.match.likeness_N),
                },
            }
            for video in found.videos
        ],
    }


def _points(x_N: np.ndarray, y_N: np.ndarray) -> dict[str, list[float | None]]:
    return {"x": _thin(x_N), "y": _thin(y_N)}


def _thin(x_N: np.ndarray) -> list[float | None]:
    """At most MAX_POINTS of them at even distances; NaN as null."""
    kept = x_N[:: -(-len(x_N) // MAX_POINTS) or 1].tolist()
    return [None if x != x else round(x, 5) for x in kept]


def _median(x_N: np.ndarray) -> float:
    known = x_N[~np.isnan(x_N)]
    return float(np.median(known)) if len(known) else float("nan")


def _number(x: float) -> str:
    return "–" if x != x else f"{x:.4f}"
