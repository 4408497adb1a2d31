"""The report: one page with results, training curves and a timeline per video.

The page is a single file that opens from disk with no network: plotly.js, styles, scripts and data
are inside, and its content security policy forbids everything else. Names and labels come from
users and are treated as hostile: escaped in the text, and in the JSON the scripts read.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from pipeline.files import write_atomic
from pipeline.report_data import Curve, ReportData, VideoPanel
from pipeline.report_json import MAX_TIMELINES, class_rows, compared, page_json, result_rows

__all__ = [
    "Curve",
    "ReportData",
    "VideoPanel",
    "content_security_policy",
    "json_for_script",
    "read_template",
    "trusted",
    "write_report",
]

_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPTS = ("charts.js", "lanes.js", "timeline.js", "videos.js", "main.js")


def write_report(data: ReportData, folder: Path) -> Path:
    """Write `folder`/index.html, whole or not at all; the same data gives the same bytes."""
    # a file name that is not UTF-8 has surrogates in it: as a reference, shown as U+FFFD
    page = _render(data).encode("utf-8", "xmlcharrefreplace")
    path = folder / "index.html"
    write_atomic(path, lambda file: file.write(page))
    return path


def _render(data: ReportData) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "count": _count, "seconds": _seconds}
    scripts = _scripts()
    return environment.get_template("report.html.j2").render(
        data=data,
        results=result_rows(data),
        compared=compared(data),
        class_rows=class_rows(data),
        summary=_summary(data),
        settings=list(_flatten(data.run)),
        island=json_for_script(page_json(data)),
        style=trusted(read_template("report.css")),
        scripts={name: trusted(text) for name, text in scripts.items()},
        policy=content_security_policy(list(scripts.values())),
    )


def _scripts() -> dict[str, str]:
    page = "\n".join(read_template(name) for name in _SCRIPTS)
    return {
        "theme": read_template("theme.js"),
        "plotly": get_plotlyjs(),  # 4.8 MB; the package has no smaller bundle
        "page": f'"use strict";\n{{\n{page}}}\n',  # a block: one scope for the files, no globals
    }


def content_security_policy(scripts: Sequence[str]) -> str:
    """No network, and no script but these; plotly.js needs inline styles and images as data."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def json_for_script(value: Any) -> Markup:
    """JSON that cannot end its <script>, whatever strings are in it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)  # pure ASCII: no U+2028 either
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return trusted(text)


def trusted(text: str) -> Markup:
    """For our own files, and what has been escaped."""
    return Markup(text)  # noqa: S704


def read_template(name: str) -> str:
    """Text of a file of the templates."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _summary(data: ReportData) -> dict[str, Any]:
    scored = [video for video in data.videos if video.scores_FK is not None]
    return {
        "videos": len(data.videos),
        "scored": len(scored),
        "frames": sum(len(video.times_sec_F) for video in scored),
        "seconds": sum(video.duration_sec for video in scored),
        "labelled": sum(video.intervals is not None for video in data.videos),
        "intervals": sum(len(video.intervals or ()) for video in data.videos),
        "timelines": min(len(data.videos), MAX_TIMELINES),
    }


def _flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as rows of (dotted name, text)."""
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _flatten(item, f"{prefix}{key}.")
        else:
            text = item if isinstance(item, str) else json.dumps(item, default=str, ensure_ascii=False)
            yield f"{prefix}{key}", text


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _count(value: float | None) -> str:
    return "–" if value is None else f"{int(value):,}"


def _seconds(value: float) -> str:
    """1:02:03, 2:03 or, of less than a minute, 3.4 s."""
    if round(value, 1) < 60:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
