"""Joints as a script file that the page loads when they are to be drawn: joints/<id>.js.

Shapes: S sampled frames, N persons in frames, J = 17 COCO joints.
"""

from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipeline.cache import CacheError, JointFile
from pipeline.files import digest, write_atomic
from pipeline.report_video import pack, put_script
from pipeline.tracks import JointTrack

MIN_SCORE = 0.3  # of a joint that is drawn, as in annotated videos
_RECIPE = 1  # to be raised when the same joints give another file
_MOST_MOMENTS = 20_000  # of a long video every second moment, third, ...
_WHOLE, _HIDDEN = 10_000, -1


def joints_script(folder: Path, file: JointFile) -> str | None:
    """Name of the script below `folder` with these joints, made where it is not there; None without joints.

    Damaged joints are none: `verify` and the next extraction say so.
    """
    record = file.record()
    if record is None:
        return None
    name = digest({"joints": record["data_sha256"], "recipe": _RECIPE})[:16]
    path = folder / "joints" / f"{name}.js"
    if not path.is_file():
        try:
            track, _ = file.load()
        except CacheError:
            return None
        content = put_script(name, joints_json(track, record["decode"]["fps"]))
        write_atomic(path, partial(_write, content))
    return f"joints/{name}.js"


def joints_json(track: JointTrack, fps: float | None) -> dict[str, Any]:
    """Moments in ms from the first frame; per person and moment its number, id and joints, int16.

    `fps`: the rate at which frames were sampled. A joint is x, y in ten-thousandths of the picture's width
    and height, -1 where it is not seen.
    """
    joints = track.joints
    sec_S = track.clock.sec_F[track.clock.sample(fps)][: joints.num_frames]
    chosen = np.arange(0, len(sec_S), -(-len(sec_S) // _MOST_MOMENTS))
    moment_N, row_N = np.nonzero(joints.person_id_SM[chosen] >= 0)
    found_NJ3 = joints.joints_SMJ3[chosen][moment_N, row_N]
    id_N = joints.person_id_SM[chosen][moment_N, row_N]
    place_NJ2 = found_NJ3[..., :2] / (joints.width, joints.height)
    seen_NJ = (found_NJ3[..., 2] >= MIN_SCORE) & np.isfinite(place_NJ2).all(axis=-1)
    seen_NJ &= ((place_NJ2 >= 0) & (place_NJ2 <= 1)).all(axis=-1)
    whole_NJ2 = np.where(seen_NJ[..., None], np.rint(place_NJ2 * _WHOLE), _HIDDEN)
    rows = np.column_stack([id_N % 2**15, whole_NJ2.reshape(len(id_N), 2 * found_NJ3.shape[1])]).astype("<i2")
    return {
        "times": pack(np.rint(sec_S[chosen] * 1000).astype("<i4")),
        "counts": pack(np.bincount(moment_N, minlength=len(chosen)).astype("<i2")),
        "rows": pack(rows),
    }


def _write(content: bytes, file: IO[bytes]) -> None:
    file.write(content)
