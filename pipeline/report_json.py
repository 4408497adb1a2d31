"""From the report's data to its tables, and to the JSON its overview draws: rounded, no NaN.

What is large, a video's scores and intervals, is in a file of its own (`report_video`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.report_data import Curve, ReportData, VideoPanel
from pipeline.report_video import frame_f1, video_id

MAX_SLOWEST = 10  # videos

_SUBSET_ORDER: tuple[str | None, ...] = ("testing", "validation", "unlabelled", None, "training")


def result_rows(data: ReportData) -> list[dict[str, Any]]:
    """Rows of the headline table: one per model and protocol."""
    rows = []
    for model, result in data.metrics.items():
        mean_ap, chance = _number(result.get("mean_ap")), _number(result.get("chance"))
        lift = mean_ap / chance if mean_ap is not None and chance else None
        row = {"model": model, "protocol": result.get("protocol", ""), "mean_ap": mean_ap, "chance": chance}
        counts = {name: _count(result.get(name)) for name in ("videos", "frames", "missing")}
        rows.append({**row, **counts, "lift": lift, "interval": result.get("interval")})
    return rows


def compared(data: ReportData) -> list[dict[str, Any]]:
    """Those of `result_rows` by the headline's protocol, which are set side by side class by class."""
    rows = result_rows(data)
    return [row for row in rows if row["protocol"] == rows[-1]["protocol"]]


def class_rows(data: ReportData) -> list[dict[str, Any]]:
    """Per class: positives, chance and AP under each model compared, best of the headline model first."""
    return _class_rows(data, compared(data))


def slowest(data: ReportData) -> list[VideoPanel]:
    """The videos whose extraction took longest, where that is known."""
    timed = [video for video in data.videos if video.seconds is not None]
    return sorted(timed, key=lambda video: (-(video.seconds or 0.0), video.name))[:MAX_SLOWEST]


def page_json(data: ReportData) -> dict[str, Any]:
    """What the scripts draw. Labels are numbers: positions in `labels`, which starts with the classes."""
    labels = all_labels(data)
    number = {label: index for index, label in enumerate(labels)}
    order = sorted(data.videos, key=lambda video: (_SUBSET_ORDER.index(video.subset), video.name))
    models = dict.fromkeys(name for video in data.videos for name in video.others)
    return {
        "labels": labels,
        "models": [data.final, *models],
        "protocols": protocols(data),
        "curves": [_curve(curve) for curve in data.curves],
        "label_curve": list(data.label_curve),
        "events": dict(data.events),
        "videos": [_video(video, data, number) for video in order],
    }


def all_labels(data: ReportData) -> list[str]:
    """The classes, then what else videos are labelled with."""
    found = {label for video in data.videos for _, _, label in video.intervals or ()}
    return [*data.classes, *sorted(found - set(data.classes))]


def protocols(data: ReportData) -> list[dict[str, Any]]:
    """Per protocol, the headline's first: its rows, and their classes side by side."""
    rows = [{**row, "name": _model(row)} for row in result_rows(data)]
    names = dict.fromkeys(row["protocol"] for row in reversed(rows))
    of = {name: [row for row in rows if row["protocol"] == name] for name in names}
    return [{"name": name, "rows": some, "classes": _class_rows(data, some)} for name, some in of.items()]


def _model(row: Mapping[str, Any]) -> str:
    """Where there are several protocols, a row's model has its protocol behind it."""
    return str(row["model"]).removesuffix(f" ({row['protocol']})")


def _class_rows(data: ReportData, compared_rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    results = [data.metrics[row["model"]] for row in compared_rows]
    if not results:
        return []
    rows = [
        {
            "name": name,
            "positives": _of_class(results[0], "positives", name),
            "chance": _of_class(results[0], "chance_per_class", name),
            "ap": [_of_class(result, "ap", name) for result in results],
        }
        for name in data.classes
    ]
    return sorted(rows, key=lambda row: (row["ap"][-1] is None, -(row["ap"][-1] or 0.0)))


def _curve(curve: Curve) -> dict[str, Any]:
    names = dict.fromkeys(name for row in curve.rows for name in row)
    columns = {name: [_number(row.get(name)) for row in curve.rows] for name in names}
    return {"model": curve.model, "columns": columns}


def _video(video: VideoPanel, data: ReportData, number: Mapping[str, int]) -> dict[str, Any]:
    """What the list shows and searches; `id` names the file that has the rest."""
    labels = None
    if video.intervals is not None:
        labels = list(dict.fromkeys(number[label] for _, _, label in sorted(video.intervals)))
    f1 = frame_f1(video, data.classes, float(data.events["threshold"]))
    return {
        "id": video_id(video.name),
        "name": video.name,
        "subset": video.subset,
        "start": round(float(video.times_sec_F[0]), 4),
        "duration": round(video.duration_sec, 3),
        "fps": round(video.fps, 3),
        "frames": video.num_frames,
        "note": video.note,
        "labels": labels,
        "intervals": None if video.intervals is None else len(video.intervals),
        "f1": None if f1 is None else round(f1, 4),
        "seconds": video.seconds,
        "media": None if video.media is None else asdict(video.media),
        "joints": video.joints,
    }


def _of_class(result: Mapping[str, Any], field: str, name: str) -> float | None:
    values = result.get(field)
    return _number(values.get(name)) if isinstance(values, Mapping) else None


def _number(value: Any) -> float | None:
    """A finite number, or None: JSON has no NaN."""
    return float(value) if isinstance(value, int | float | np.number) and np.isfinite(value) else None


def _count(value: Any) -> int | None:
    """A count, given as one or as the list of what is counted."""
    return value if value is None or isinstance(value, int) else len(value)
