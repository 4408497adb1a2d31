"""The report: a page with results, training curves, and every video beside its timeline.

    index.html       all of the overview; plotly.js, styles and scripts are inside
    data/<id>.js     a video's scores and intervals, loaded when it is opened
    media/, joints/  what is played and drawn over it (`page_media`, `page_joints`)

It opens from disk with no network, and its content security policy forbids whatever is not in its folder.
Names and labels come from users and are treated as hostile: escaped in the text, and in the JSON the
scripts read; no file is named after them.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from pipeline.files import write_atomic
from pipeline.report_data import Curve, Media, ReportData, VideoPanel
from pipeline.report_json import all_labels, class_rows, compared, page_json, protocols, result_rows, slowest
from pipeline.report_video import json_for_script, put_script, video_id, video_json

__all__ = [
    "Curve",
    "Media",
    "ReportData",
    "VideoPanel",
    "content_security_policy",
    "json_for_script",
    "read_template",
    "templates_digest",
    "trusted",
    "write_report",
]

_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPTS = (
    "charts.js",
    "overview.js",
    "store.js",
    "lanes.js",
    "events.js",
    "timeline.js",
    "scrub.js",
    "overlays.js",
    "player.js",
    "videos.js",
    "view.js",
    "keys.js",
    "main.js",
)


def write_report(data: ReportData, folder: Path) -> Path:
    """Write `folder`/index.html and `folder`/data, every file whole; the same data gives the same bytes.

    The page comes last, so that what it names is there; then files of videos it does not name are removed.
    """
    number = {label: index for index, label in enumerate(all_labels(data))}
    names = set()
    for video in data.videos:
        key = video_id(video.name)
        script = put_script(key, video_json(video, data.final, number))
        write_atomic(folder / "data" / f"{key}.js", partial(_write, script))
        names.add(f"{key}.js")
    # a file name that is not UTF-8 has surrogates in it: as a reference, shown as U+FFFD
    path = folder / "index.html"
    write_atomic(path, partial(_write, _render(data).encode("utf-8", "xmlcharrefreplace")))
    for left in (folder / "data").glob("*.js"):
        if left.name not in names:
            left.unlink(missing_ok=True)
    return path


def _write(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def _render(data: ReportData) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "count": _count, "seconds": _seconds, "file": video_id}
    scripts = _scripts()
    return environment.get_template("report.html.j2").render(
        data=data,
        results=result_rows(data),
        compared=compared(data),
        protocols=protocols(data),
        class_rows=class_rows(data),
        slowest=slowest(data),
        summary=_summary(data),
        settings=list(_flatten(data.run)),
        island=json_for_script(page_json(data)),
        style=trusted(read_template("report.css")),
        scripts={name: trusted(text) for name, text in scripts.items()},
        policy=content_security_policy(list(scripts.values()), folder=True),
    )


def _scripts() -> dict[str, str]:
    page = "\n".join(read_template(name) for name in _SCRIPTS)
    return {
        "theme": read_template("theme.js"),
        "plotly": get_plotlyjs(),  # 4.8 MB; the package has no smaller bundle
        "page": f'"use strict";\n{{\n{page}}}\n',  # a block: one scope for the files, no globals
    }


def content_security_policy(scripts: Sequence[str], *, folder: bool = False) -> str:
    """No network, and no script but these; plotly.js needs inline styles and images as data.

    `folder`: scripts and videos beside the page, too.
    """
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    beside = " 'self'" if folder else ""
    media = f"media-src{beside}; " if folder else ""
    return (
        f"default-src 'none'; script-src {allowed}{beside}; {media}style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def trusted(text: str) -> Markup:
    """For our own files, and what has been escaped."""
    return Markup(text)  # noqa: S704


def read_template(name: str) -> str:
    """Text of a file of the templates."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def templates_digest() -> str:
    """Of all that the page is made with: where it changes, pages are made again."""
    total = hashlib.sha256()
    for path in sorted(_TEMPLATES.iterdir()):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def _summary(data: ReportData) -> dict[str, Any]:
    scored = [video for video in data.videos if video.scores_FK is not None]
    return {
        "videos": len(data.videos),
        "scored": len(scored),
        "frames": sum(len(video.times_sec_F) for video in scored),
        "seconds": sum(video.duration_sec for video in scored),
        "labelled": sum(video.intervals is not None for video in data.videos),
        "intervals": sum(len(video.intervals or ()) for video in data.videos),
        "playable": sum(video.media is not None for video in data.videos),
        "previews": sum(video.media is not None and video.media.kind == "preview" for video in data.videos),
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
