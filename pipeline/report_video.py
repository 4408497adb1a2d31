"""One video's data as the script file its panel loads when it is opened, and not before.

A page from disk may not fetch, but it may load scripts: each calls `augrgb.put(id, value)`. Arrays are
base64 of deflated little-endian integers. Scores are in thousandths, rounded down on the grid of what a
threshold can be, so that score >= threshold holds in the page for exactly the frames for which it holds in
`events`.

Shapes: F frames, K classes.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline.events import frame_edges
from pipeline.report_data import VideoPanel
from pipeline.timeline import targets

STEPS = 1000  # a score is shown, and can be cut, to this part of one
MAX_VALUES = 8_000_000  # scores of one video, of all models: about 16 MB in the reader's memory

_GRID = (np.arange(STEPS + 1) / STEPS).astype(np.float32)
_TENTH_MS = 10_000  # per second


def video_id(name: str) -> str:
    """What a video's files are called: 16 hex digits, whatever its name has in it."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def video_json(video: VideoPanel, final: str, number: Mapping[str, int]) -> dict[str, Any]:
    """Intervals, frame times, and scores of every model, the final one first; labels are their numbers."""
    edges = np.rint(frame_edges(video.times_sec_F) * _TENTH_MS).astype(np.int64)
    data: dict[str, Any] = {
        "start": int(edges[0]),
        "frames": pack(np.diff(edges).astype("<i4")),  # how long each is shown, in tenths of a millisecond
        "intervals": None,
        "classes": [],
        "models": [],
        "left_out": 0,
    }
    if video.intervals is not None:
        rows = sorted(video.intervals, key=lambda row: row[0])
        data["intervals"] = [[round(start, 4), round(end, 4), number[label]] for start, end, label in rows]
    if video.scores_FK is not None:
        models = {final: video.scores_FK, **video.others}
        kept = _worth_keeping(video, models, number)
        data["classes"] = kept
        data["models"] = [{"name": name, "scores": pack(_steps(s[:, kept]))} for name, s in models.items()]
        data["left_out"] = video.scores_FK.shape[1] - len(kept)
    return data


def levels(scores: np.ndarray) -> np.ndarray:
    """Scores in thousandths, uint16: the number of thresholds k / 1000, k >= 1, that each reaches."""
    return (np.searchsorted(_GRID, scores.astype(np.float32), side="right") - 1).astype(np.uint16)


def pack(array: np.ndarray) -> str:
    """base64 of the deflated bytes of an array."""
    return base64.b64encode(zlib.compress(array.tobytes(), 6)).decode()


def put_script(name: str, value: Any) -> bytes:
    """A script file that hands `value` to the page under `name`."""
    return f"augrgb.put({json_for_script(name)},{json_for_script(value)});\n".encode()


def json_for_script(value: Any) -> Markup:
    """JSON that cannot end its <script>, whatever strings are in it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)  # pure ASCII: no U+2028 either
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 escaped here


def _worth_keeping(
    video: VideoPanel, models: Mapping[str, np.ndarray], number: Mapping[str, int]
) -> list[int]:
    """Columns: the labelled classes as they come, then by highest score of the final model."""
    assert video.scores_FK is not None
    num_frames, num_classes = video.scores_FK.shape
    most = max(1, MAX_VALUES // (num_frames * len(models)))
    known = dict.fromkeys(number[label] for _, _, label in sorted(video.intervals or ()))
    labelled = [k for k in known if k < num_classes]  # the model may not know a label
    others = [int(k) for k in np.argsort(-video.scores_FK.max(axis=0), kind="stable") if k not in known]
    return (labelled + others)[:most]


def _steps(scores_FK: np.ndarray) -> np.ndarray:
    """Levels as differences from frame to frame, class by class: (K, F) int16, which deflate well."""
    return np.diff(levels(scores_FK).astype("<i2"), axis=0, prepend=np.int16(0)).T.copy()


def frame_f1(video: VideoPanel, classes: Sequence[str], threshold: float) -> float | None:
    """F1 of (frame, class) pairs at or above a threshold; None where there is nothing to be found or said.

    Labels the model does not know are left out.
    """
    if video.scores_FK is None or video.intervals is None:
        return None
    column = {name: k for k, name in enumerate(classes)}
    known = [(start, end, column[label]) for start, end, label in video.intervals if label in column]
    truth_FK = targets(known, video.times_sec_F, len(classes))
    said_FK = video.scores_FK >= threshold
    counted = int(truth_FK.sum() + said_FK.sum())
    return None if counted == 0 else 2 * int((truth_FK & said_FK).sum()) / counted
