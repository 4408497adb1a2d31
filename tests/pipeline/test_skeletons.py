"""Skeleton features in extraction: joints are kept, and no frame is decoded twice for their sake."""

import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from extractors.skeleton_input import Joints
from pipeline import extract
from pipeline.cache import JointFile
from pipeline.cli import app
from pipeline.timeline import Clock
from pipeline.tracks import JointTrack

ALL = ("rgb", "flow", "skeleton")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    from pipeline.synthetic import render_practice

    folder = tmp_path_factory.mktemp("practice")
    render_practice(folder, train_videos=1, test_videos=1, seconds=4.0, workers=1)
    return folder / "videos" / "test_000.mp4"


@pytest.fixture
def made(video, random_networks, tmp_path):
    """Extract with these settings on top; what was decoded on the way, and the features."""

    def make(*overrides, features=ALL):
        log = tmp_path / "out" / "log.jsonl"
        before = log.read_text() if log.is_file() else ""
        overrides = [*random_networks, *overrides]
        tracks = extract(
            video, tmp_path / "out", features=features, preset="tiny", overrides=overrides, quiet=True
        )
        events = [json.loads(line) for line in log.read_text()[len(before) :].splitlines()]
        decoded = [event["products"] for event in events if "decode_sec" in event]
        return decoded, {name: of["test_000.mp4"] for name, of in tracks.items()}

    return make


def test_one_decode_feeds_all_and_finished_ones_are_left_out(made, tmp_path):
    decoded, tracks = made(features=["flow"])
    assert decoded == [["flow"]]
    assert tracks.keys() == {"flow"}
    decoded, tracks = made()
    assert decoded == [["rgb", "joints"]]
    assert tracks.keys() == set(ALL)
    # the windows of all three are centred on the same moments
    for track in tracks.values():
        np.testing.assert_allclose(track.center_sec_T, tracks["rgb"].center_sec_T)
        assert track.data_TD.std() > 0
    assert made()[0] == []


def test_joints_are_kept_and_another_graph_network_needs_no_decode(made, tmp_path):
    _, first = made(features=["skeleton"])
    (joints,) = (tmp_path / "out" / "joints").rglob("*.npz")
    assert joints.parent.name.startswith("augrgb-tiny-detector-augrgb-tiny-pose-")
    record = json.loads(joints.with_suffix(".json").read_text())
    with np.load(joints, allow_pickle=False) as arrays:
        assert arrays["person_id"].shape == (record["S"], 2)
        assert arrays["joints"].shape == (record["S"], 2, 17, 3)
        assert arrays["boxes"].shape == (record["S"], 2, 5)
        assert arrays["size"].tolist() == [record["width"], record["height"]]
    decoded, second = made("skeleton.stream=bone", features=["skeleton"])
    assert decoded == []
    assert np.abs(second["skeleton"].data_TD - first["skeleton"].data_TD).max() > 0
    assert len(list((tmp_path / "out" / "features").glob("skeleton-*"))) == 2
    # other persons are other joints
    assert made("pose.max_persons=1", features=["skeleton"])[0] == [["joints"]]


def test_damaged_joints_are_found_again_and_give_the_same_features(made, tmp_path):
    _, first = made(features=["skeleton"])
    (joints,) = (tmp_path / "out" / "joints").rglob("*.npz")
    data = joints.read_bytes()
    joints.write_bytes(data[:-20] + bytes(20))
    for file in (tmp_path / "out" / "features").rglob("*.npy"):
        file.unlink()
    decoded, again = made(features=["skeleton"])
    assert decoded == [["joints"]]
    assert joints.read_bytes() == data
    np.testing.assert_array_equal(again["skeleton"].data_TD, first["skeleton"].data_TD)


def test_without_persons_features_are_zero_and_the_record_says_so(made, tmp_path):
    _, tracks = made("pose.detector_threshold=0.99", features=["skeleton"])
    assert not tracks["skeleton"].data_TD.any()
    assert tracks["skeleton"].data_TD.shape == (5, 5 * 16)  # steps; parts of the body, channels
    (path,) = (tmp_path / "out" / "features").rglob("*.json")
    assert json.loads(path.read_text())["empty"] == 5
    _, tracks = made(features=["skeleton"])
    records = (json.loads(path.read_text()) for path in (tmp_path / "out" / "features").rglob("*.json"))
    assert sorted(record["empty"] for record in records) == [0, 5]


def test_joints_of_an_earlier_version_say_less_and_do(made, tmp_path):
    """Records name more of the video than they did: features are made of older joints all the same."""
    made(features=["skeleton"])
    (path,) = (tmp_path / "out" / "joints").rglob("*.json")
    record = json.loads(path.read_text())
    older = {key: value for key, value in record.items() if not key.startswith(("color_", "record_sha256"))}
    assert len(older) == len(record) - 3
    path.write_text(json.dumps(older))
    decoded, tracks = made("skeleton.stream=bone", features=["skeleton"])
    assert decoded == []
    assert tracks["skeleton"].data_TD.any()


def test_joints_come_back_as_they_were_saved(tmp_path):
    rng = np.random.default_rng(0)
    ids = np.array([[0, -1], [0, 3]])
    joints = rng.normal(size=(2, 2, 17, 3)).astype(np.float32)
    boxes = rng.normal(size=(2, 2, 5)).astype(np.float32)
    track = JointTrack(Joints(ids, joints, boxes, 64, 48), Clock(np.arange(2), 1))
    pose = {"detector": {"name": "d"}, "pose": "p"}
    file = JointFile.locate(tmp_path, "a.mp4", "f" * 64, pose, {})
    assert file.intact() == "absent"
    file.save(track, {})
    loaded, _ = file.load()
    np.testing.assert_array_equal(loaded.joints.person_id_SM, ids)
    np.testing.assert_array_equal(loaded.joints.joints_SMJ3, joints)
    np.testing.assert_array_equal(loaded.joints.boxes_SM5, boxes)
    assert (loaded.joints.width, loaded.joints.height) == (64, 48)
    assert file.intact() is None
    data = file.path.read_bytes()
    file.path.write_bytes(data[:-1])
    assert "content is" in file.intact()


def augrgb(*args):
    return CliRunner().invoke(app, list(map(str, args)))


def test_features_that_there_are_not_are_refused(video, tmp_path):
    done = augrgb("extract", video, "--out", tmp_path / "out", "--features", "rgb,sound")
    assert done.exit_code == 2
    assert "no features 'sound'; there is: rgb, flow, skeleton" in done.output
    assert not (tmp_path / "out").exists()


def test_a_broken_mmpose_stops_before_any_work_and_leaves_flow_working(
    video, random_networks, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "mmpose", None)
    for name in [name for name in sys.modules if name.startswith("mmpose.")]:
        monkeypatch.delitem(sys.modules, name)
    settings = [word for text in random_networks for word in ("--set", text)]
    args = ["extract", video, "--out", tmp_path / "out", "--preset", "tiny", *settings]
    done = augrgb(*args, "--features", "rgb,skeleton")
    assert done.exit_code == 2
    for text in ("mmpose", "cannot be imported", "requirements/augrgb.lock", "--teachers flow"):
        assert text in done.output
    assert not list((tmp_path / "out").rglob("*.np*"))
    assert augrgb(*args, "--features", "rgb,flow").exit_code == 0
