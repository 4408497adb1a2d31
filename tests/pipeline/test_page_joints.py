"""Joints for the page: where they are in the picture, and which are not seen."""

import base64
import zlib
from fractions import Fraction

import numpy as np
import pytest

from extractors.skeleton_input import Joints
from pipeline.cache import JointFile
from pipeline.page_joints import joints_json, joints_script
from pipeline.timeline import Clock
from pipeline.tracks import JointTrack

POSE = {"detector": {"name": "d"}, "pose": "p"}
FRAMES = 50


def track(sampled: int = FRAMES) -> JointTrack:
    """Two persons, of whom the second is there in every second frame; in a picture of 200 x 100 px."""
    joints = np.zeros((sampled, 2, 17, 3), np.float32)
    joints[..., 0] = 50.0 + np.arange(2)[:, None]
    joints[..., 1] = np.arange(17) * 5
    joints[..., 2] = 0.8
    joints[:, :, 3, 2] = 0.2  # hardly seen
    joints[:, :, 4, 0] = -7.0  # beyond the picture
    joints[:, :, 5, 1] = np.nan
    ids = np.stack([np.full(sampled, 7), np.where(np.arange(sampled) % 2, -1, 9)], axis=1)
    return JointTrack(
        Joints(ids, joints, np.zeros((sampled, 2, 5)), 200, 100), Clock.constant(FRAMES, Fraction(25))
    )


def unpack(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype)


def test_who_is_where_in_every_moment():
    data = joints_json(track(), None)
    assert unpack(data["times"], "<i4").tolist() == list(range(0, 2000, 40))
    counts = unpack(data["counts"], "<i2")
    assert counts.tolist() == [2, 1] * 25
    rows = unpack(data["rows"], "<i2").reshape(counts.sum(), 35)
    assert rows[:3, 0].tolist() == [7, 9, 7]
    first = rows[0, 1:].reshape(17, 2)
    assert first[0].tolist() == [2500, 0]
    assert first[16].tolist() == [2500, 8000]
    assert (first[[3, 4, 5]] == -1).all()
    assert (np.delete(first, [3, 4, 5], axis=0) >= 0).all()


def test_times_are_those_of_the_sampled_frames():
    data = joints_json(track(sampled=25), 12.5)
    assert unpack(data["times"], "<i4").tolist() == list(range(0, 2000, 80))


def test_nobody_in_the_picture():
    nobody = track()
    nobody.joints.person_id_SM[:] = -1
    data = joints_json(nobody, None)
    assert unpack(data["counts"], "<i2").sum() == 0
    assert unpack(data["rows"], "<i2").size == 0


def test_script_is_named_by_content_and_made_once(tmp_path):
    file = JointFile.locate(tmp_path, "<b>.mp4", "sha", POSE, {"fps": None})
    assert joints_script(tmp_path / "page", file) is None  # there are none
    file.save(track(), {"decode": {"fps": None}})
    name = joints_script(tmp_path / "page", file)
    path = tmp_path / "page" / name
    assert path.read_text().startswith(f'augrgb.put("{path.stem}",{{"times":')
    before = path.stat().st_mtime_ns
    assert joints_script(tmp_path / "page", file) == name
    assert path.stat().st_mtime_ns == before
    path.unlink()
    file.path.write_bytes(b"damaged")
    assert joints_script(tmp_path / "page", file) is None


@pytest.mark.parametrize("moments", [20_000, 20_001, 50_000])
def test_long_videos_are_thinned(moments, monkeypatch):
    monkeypatch.setattr("pipeline.page_joints._MOST_MOMENTS", 20)
    joints = np.zeros((moments // 1000, 1, 17, 3), np.float32)
    found = Joints(np.zeros((len(joints), 1), int), joints, np.zeros((len(joints), 1, 5)), 10, 10)
    data = joints_json(JointTrack(found, Clock.constant(len(joints), Fraction(25))), None)
    assert 0 < len(unpack(data["times"], "<i4")) <= 20
