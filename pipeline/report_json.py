"""From the report's data to its tables, and to the JSON its scripts draw: bounded, rounded, no NaN.

Shapes: F frames, P points drawn, K classes.
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.report_data import Curve, ReportData, VideoPanel

MAX_POINTS = 600  # per video and class; each is the maximum of the frames it stands for
MAX_CLASSES = 40  # per video
MAX_TIMELINES = 300  # videos with a timeline

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
    results = [data.metrics[row["model"]] for row in compared(data)]
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


def page_json(data: ReportData) -> dict[str, Any]:
    """What the scripts draw. Labels are numbers: positions in `labels`, which starts with the classes."""
    found = {label for video in data.videos for _, _, label in video.intervals or ()}
    labels = [*data.classes, *sorted(found - set(data.classes))]
    number = {label: index for index, label in enumerate(labels)}
    order = sorted(data.videos, key=lambda video: (_SUBSET_ORDER.index(video.subset), video.name))
    return {
        "labels": labels,
        "models": [row["model"] for row in compared(data)],
        "mean_ap": [row["mean_ap"] for row in compared(data)],
        "per_class": class_rows(data),
        "curves": [_curve(curve) for curve in data.curves],
        "videos": [_video(video, number, drawn=i < MAX_TIMELINES) for i, video in enumerate(order)],
    }


def max_pool(scores_FK: np.ndarray, times_sec_F: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """At most MAX_POINTS rows, each the maximum of consecutive frames, so that peaks stay.

    Returns (P, K) scores and the (P + 1,) times between them, the last one the end of the video.
    """
    num_frames = len(times_sec_F)
    points = min(num_frames, MAX_POINTS)
    starts_P = np.arange(points) * num_frames // points
    pooled_PK = np.maximum.reduceat(scores_FK, starts_P, axis=0)
    return pooled_PK, np.append(times_sec_F[starts_P], times_sec_F[-1] + 1 / fps)


def _curve(curve: Curve) -> dict[str, Any]:
    names = dict.fromkeys(name for row in curve.rows for name in row)
    columns = {name: [_number(row.get(name)) for row in curve.rows] for name in names}
    return {"model": curve.model, "columns": columns}


def _video(video: VideoPanel, number: Mapping[str, int], *, drawn: bool) -> dict[str, Any]:
    intervals = None
    if video.intervals is not None:
        intervals = [[round(start, 3), round(end, 3), number[label]] for start, end, label in video.intervals]
    return {
        "name": video.name,
        "subset": video.subset,
        "start": round(float(video.times_sec_F[0]), 3),
        "duration": round(video.duration_sec, 3),
        "fps": round(video.fps, 3),
        "frames": video.num_frames,
        "note": video.note,
        "intervals": intervals,
        "scores": _scores(video, number) if drawn and video.scores_FK is not None else None,
    }


def _scores(video: VideoPanel, number: Mapping[str, int]) -> dict[str, Any]:
    """Scores of the classes worth drawing: the labelled ones as they come, then by highest score.

    A track is the base64 of little-endian uint16: thousandths, three decimals in 2.7 characters.
    """
    assert video.scores_FK is not None
    pooled_PK, edges = max_pool(video.scores_FK, video.times_sec_F, video.fps)
    peaks_K = pooled_PK.max(axis=0)
    known = dict.fromkeys(number[label] for _, _, label in sorted(video.intervals or ()))
    labelled = [k for k in known if k < len(peaks_K)]  # the model may not know a label
    others = [int(k) for k in np.argsort(-peaks_K, kind="stable") if k not in known]
    chosen = (labelled + others)[:MAX_CLASSES]
    thousandths_PK = np.rint(pooled_PK * 1000).astype("<u2")
    return {
        "edges": [round(float(edge), 3) for edge in edges],
        "classes": chosen,
        "tracks": [base64.b64encode(thousandths_PK[:, k].tobytes()).decode() for k in chosen],
        "left_out": len(peaks_K) - len(chosen),
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
