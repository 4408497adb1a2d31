"""benchmark.html: the tables, intervals as a chart, the label curve; one file that opens from disk.

Names come from users and from annotation files; all are escaped.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from plotly.offline import get_plotlyjs

from pipeline.benchmark import columns
from pipeline.files import write_atomic
from pipeline.recipe import RGB
from pipeline.report import content_security_policy, json_for_script, read_template, trusted


def write_page(found: Mapping[str, Any], path: Path) -> Path:
    """Write the page of what benchmark.json says, whole or not at all."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    code = read_template("charts.js") + read_template("benchmark.js")
    scripts = {
        "theme": read_template("theme.js"),
        "plotly": get_plotlyjs(),
        "page": f'"use strict";\n{{\n{code}}}\n',  # a block: one scope for the files, no globals
    }
    page = environment.from_string(read_template("benchmark.html.j2")).render(
        found=found,
        tables=_tables(found),
        figures=_figures(found),
        island=json_for_script(_data(found)),
        style=trusted(read_template("report.css")),
        scripts={name: trusted(text) for name, text in scripts.items()},
        policy=content_security_policy(list(scripts.values())),
    )
    content = page.encode("utf-8", "xmlcharrefreplace")
    write_atomic(path, lambda file: file.write(content))
    return path


def _tables(found: Mapping[str, Any]) -> dict[str, Any]:
    """Each table there is, how to read them, and the sources of published figures."""
    rows, curve = bool(found["rows"]), bool(found["label_curve"])
    return {
        "headline": _table(columns.headline(found)) if rows else None,
        "protocols": _table(columns.by_protocol(found)) if rows and len(found["protocols"]) > 1 else None,
        "beside": _table(columns.beside(found)) if found["published"] else None,
        "curve": _table(columns.curve(found)) if curve else None,
        "notes": columns.notes(found) if rows else [],
        "curve_note": columns.curve_note(found) if curve else "",
        "sources": columns.sources(found),
    }


def _table(cells: columns.Cells) -> dict[str, Any]:
    header, rows = cells
    return {"header": header, "rows": rows, "numeric": [columns.numeric(rows, i) for i in range(len(header))]}


def _figures(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and remark of the most important numbers."""
    rows = {row["name"]: row for row in found["rows"]}
    protocol = found["protocols"][0]
    shown = [
        (
            name,
            columns.percent(rows[name]["protocols"][protocol]["mean"]),
            columns.span(rows[name]["interval"]),
        )
        for name in ("chance", "vanilla", "augmented", "two-stream")
        if name in rows
    ]
    videos = str(found["videos"].get("testing", 0))
    return [
        *shown,
        ("Test videos", videos, f"{len(found['missing'])} missing"),
        ("Seeds", str(found["seeds"]), ""),
    ]


def _data(found: Mapping[str, Any]) -> dict[str, Any]:
    """For the charts: percent."""
    protocol = found["protocols"][0]
    rows = [_point(row, protocol) for row in found["rows"] if row["name"] != "chance"]
    chances = [row["protocols"][protocol]["mean"] for row in found["rows"] if row["name"] == "chance"]
    chance = chances[0] if chances else None
    return {"rows": rows, "chance": _hundred(chance), "protocol": protocol, "curve": label_curve(found)}


def label_curve(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A line per row of the label curve, in percent: mean and deviation by number of labelled videos."""
    protocol, curve = found["protocols"][0], found["label_curve"]
    names = [row["name"] for row in curve[0]["rows"]] if curve else []
    return [
        {
            "name": name,
            "rgb": _named(curve[0], name)["inputs"] == [RGB],
            "x": [table["labelled"] for table in curve],
            "y": [_hundred(_named(table, name)["protocols"][protocol]["mean"]) for table in curve],
            "std": [_hundred(_named(table, name)["protocols"][protocol]["std"]) or 0.0 for table in curve],
        }
        for name in names
    ]


def _point(row: Mapping[str, Any], protocol: str) -> dict[str, Any]:
    figure = row["protocols"][protocol]
    return {
        "name": row["name"],
        "rgb": row["inputs"] == [RGB],
        "mean": _hundred(figure["mean"]),
        "values": [_hundred(value) for value in figure["values"]],
        "interval": [_hundred(end) for end in row["interval"]] if row["interval"] else None,
    }


def _named(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next(row for row in table["rows"] if row["name"] == name)


def _hundred(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 3)
