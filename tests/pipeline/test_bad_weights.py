"""Weights that cannot be used end a command with one message, before any work, and leave nothing behind."""

import os

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from extractors import weights
from pipeline.cli import app

SHIPPED = weights.find_weights("augrgb-tiny-rgb").parent


class _Trap:
    def __reduce__(self):
        return (os.mkdir, ("sprung",))


def shipped(name):
    return load_file(SHIPPED / f"{name}.safetensors")


def wrong_key(name):
    state = shipped(name)
    first = sorted(state)[0]
    return {**{key: state[key] for key in state if key != first}, f"my_{first}": state[first]}


def wrong_shape(name):
    state = shipped(name)
    first = sorted(state)[0]
    return {**state, first: torch.stack([state[first]] * 2)}


@pytest.fixture
def refused(write_video, tmp_path, monkeypatch):
    """Run extract with a setting that cannot work; its message, once nothing was left behind."""
    monkeypatch.chdir(tmp_path)
    video = write_video(tmp_path / "a.mp4", 20)

    def run(setting, features):
        settings = ["--preset", "tiny", "--set", setting, "--features", features, "--device", "cpu"]
        done = CliRunner().invoke(app, ["extract", str(video), "--out", str(tmp_path / "out"), *settings])
        assert done.exit_code == 2, (done.output, done.exception)
        assert done.output.startswith("augrgb: ")
        assert "Traceback" not in done.output
        assert not (tmp_path / "out").exists()
        assert not (tmp_path / "sprung").exists()
        return done.output

    return run


NETWORKS = [
    ("rgb.weights", "tiny_rgb", "rgb"),
    ("flow.i3d.weights", "tiny_flow", "flow"),
    ("flow.raft.weights", "tiny_raft", "flow"),
    ("pose.detector_weights", "tiny_detector", "skeleton"),
    ("pose.pose_weights", "tiny_pose", "skeleton"),
    ("skeleton.weights", "tiny_gcn", "skeleton"),
]


@pytest.mark.parametrize(("setting", "name", "features"), NETWORKS)
def test_a_wrong_key_or_shape_is_named(refused, tmp_path, setting, name, features):
    for kind in (wrong_key, wrong_shape):
        state = kind(name)
        torch.save(state, tmp_path / "mine.pth")
        message = refused(f"{setting}={tmp_path / 'mine.pth'}", features)
        assert "mine.pth" in message
        assert "does not fit" in message
    torch.save(shipped("tiny_gcn" if name != "tiny_gcn" else "tiny_rgb"), tmp_path / "other.pth")
    message = refused(f"{setting}={tmp_path / 'other.pth'}", features)
    assert "other.pth" in message


@pytest.mark.parametrize(("setting", "name", "features"), NETWORKS)
def test_a_cut_file_and_one_with_code_are_named(refused, tmp_path, setting, name, features):
    torch.save(shipped(name), tmp_path / "mine.pth")
    whole = (tmp_path / "mine.pth").read_bytes()
    (tmp_path / "mine.pth").write_bytes(whole[: len(whole) // 2])
    message = refused(f"{setting}={tmp_path / 'mine.pth'}", features)
    assert "mine.pth cannot be read as weights" in message
    assert "get it again" in message
    torch.save({"state_dict": {"a": _Trap()}}, tmp_path / "mine.pth")
    message = refused(f"{setting}={tmp_path / 'mine.pth'}", features)
    assert "it names posix.mkdir, which is no tensor and was not run" in message


@pytest.mark.parametrize(
    ("setting", "features", "message"),
    [
        ("rgb.weights=i3d-rgb", "rgb", "'i3d-rgb': no such file, and no known name"),
        ("pose.detector=yolo", "skeleton", "no detector 'yolo'; there is: augrgb-tiny-detector, "),
        ("pose.detector_threshold=1.5", "skeleton", "need 0 <= detector_threshold < 1, got 1.5"),
        ("pose.pose=rtmpose-x", "skeleton", "no config 'rtmpose-x' among mmpose's"),
        ("pose.pose=dekr_hrnet-w32_8xb10-140e_coco-512x512", "skeleton", "a top-down network is needed"),
        ("flow.raft.variant=raft_large", "flow", "does not fit this RAFT (small and large differ)"),
    ],
)
def test_networks_that_there_are_not_are_told_those_that_there_are(refused, setting, features, message):
    assert message in refused(setting, features)
