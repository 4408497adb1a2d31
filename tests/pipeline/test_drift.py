"""Drift is measured on the first windows of the first video, and in the units of each extractor."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from extractors.skeleton_input import Joints
from pipeline.cli import app
from pipeline.config import load_config
from pipeline.drift import feature_drift, joint_distances, measure_drift, show_drift
from pipeline.inputs import Source
from pipeline.job import Job
from pipeline.precision import in_float32
from pipeline.progress import Progress
from pipeline.recipe import Recipe
from pipeline.video import VideoStream

CPU = torch.device("cpu")


def job(tmp_path, *paths, overrides=()):
    config = load_config("tiny", overrides=["precision=bf16", *overrides])
    sources = tuple(Source(path, path.name) for path in paths)
    return Job(tmp_path / "out", sources, config, CPU, Progress(tmp_path / "log.jsonl"))


def both(job, modalities):
    """The job's networks, and the same in float32."""
    return [
        Recipe.build(config, modalities, job.progress, CPU) for config in (job.config, in_float32(job.config))
    ]


def test_cosine_and_largest_difference():
    made = np.array([[3, 4], [0, 0], [1, 0], [2, 2]], dtype=np.float32)
    exact = np.array([[4, 3], [0, 0], [0, 5], [2, 2]], dtype=np.float32)
    drift = feature_drift(made, exact)
    np.testing.assert_allclose(drift.cosine_K, [0.96, 1, 0, 1])
    assert (drift.largest, drift.scale) == (5, 5)
    assert "cosine at least 0.000000, mean 0.740000" in drift.describe("joints")
    assert "px" not in drift.describe("joints")
    with_px = feature_drift(made, exact, np.array([0.5, 1.5]), alone=2).describe("joints")
    assert with_px.endswith("joints by up to 1.5 px, mean 1 px; 2 persons found in one of both alone")


def test_joints_of_the_same_persons_are_compared_whatever_their_order():
    person_SMJ3 = np.random.default_rng(0).uniform(0, 50, (2, 2, 17, 3)).astype(np.float32)
    person_SMJ3[:, 1] += 200
    box_SM5 = np.zeros((2, 2, 5), np.float32)
    exact = Joints(np.array([[0, 1], [0, 1]]), person_SMJ3, box_SM5, 320, 240)
    moved_SMJ3 = person_SMJ3[:, ::-1].copy()
    moved_SMJ3[..., 0] += 3
    moved_SMJ3[..., 1] -= 4
    made = Joints(np.array([[0, 1], [-1, 1]]), moved_SMJ3, box_SM5, 320, 240)
    px_N, alone = joint_distances(made, exact)
    assert len(px_N) == 3 * 17
    np.testing.assert_allclose(px_N, 5, rtol=1e-4)
    assert alone == 1
    nobody = Joints(np.zeros((2, 0), int), np.zeros((2, 0, 17, 3)), np.zeros((2, 0, 5)), 320, 240)
    assert joint_distances(nobody, exact)[1] == 4


# 2 windows of 16 every 8, or 2 steps of 8 and what comes after; one frame to look ahead
@pytest.mark.parametrize(("mode", "seen"), [("windows", 24 + 1), ("dense", 17 + 1)])
def test_the_beginning_of_the_first_video_that_works(write_video, tmp_path, monkeypatch, mode, seen):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    good = write_video(tmp_path / "good.mp4", 400, rate=25)
    taken = 0
    frames = VideoStream.__iter__

    def counted(self):
        nonlocal taken
        for frame in frames(self):
            taken += 1
            yield frame

    monkeypatch.setattr(VideoStream, "__iter__", counted)
    asked = job(
        tmp_path, tmp_path / "broken.mp4", good, overrides=[f"rgb.mode={mode}", f"flow.i3d.mode={mode}"]
    )
    video, drifts = measure_drift(asked, *both(asked, ("rgb", "flow")), windows=2)
    assert video == "good.mp4"
    assert list(drifts) == ["rgb", "flow"]
    assert taken == seen  # of 200
    for drift in drifts.values():
        assert drift.cosine_K.shape == (2,)
        assert 0.995 < drift.cosine_K.min() < 1
        assert 0 < drift.largest < 0.1 * drift.scale
    assert drifts["rgb"].px_N is None
    assert drifts["flow"].px_N.shape == (8 * 64 * 85,)  # pairs, and places of a frame of 128x170, 2x2 px each
    assert 0 < np.median(drifts["flow"].px_N) < 0.5


def test_a_video_of_one_frame(write_video, tmp_path):
    asked = job(tmp_path, write_video(tmp_path / "short.mp4", 1))
    _, drifts = measure_drift(asked, *both(asked, ("rgb", "flow")))
    assert [len(drift.cosine_K) for drift in drifts.values()] == [1, 1]


def test_skeletons(tmp_path, write_video, random_networks):
    asked = job(tmp_path, write_video(tmp_path / "a.mp4", 30), overrides=random_networks)
    _, drifts = measure_drift(asked, *both(asked, ("skeleton",)), windows=1)
    assert drifts["skeleton"].px_N is not None
    assert len(drifts["skeleton"].px_N) % 17 == 0
    assert len(drifts["skeleton"].px_N) > 0


def test_float32_has_none_and_no_video_is_said(tmp_path, capsys):
    asked = job(tmp_path, tmp_path / "missing.mp4")
    plain = replace(asked, config=in_float32(asked.config))
    show_drift(plain, both(plain, ("rgb",))[0])
    assert "drift: none, features are made in float32" in capsys.readouterr().out
    show_drift(asked, both(asked, ("rgb",))[0])
    assert "no video can be decoded" in capsys.readouterr().out


def test_the_command_says_it_before_extracting(write_video, tmp_path):
    video: Path = write_video(tmp_path / "a.mp4", 60)
    arguments = ["extract", str(video), "-o", str(tmp_path / "out"), "--preset", "tiny", "--device", "cpu"]
    done = CliRunner().invoke(app, [*arguments, "--precision", "bf16", "--show-drift"])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "the first 8 windows of a.mp4: rgb: cosine at least 0.999" in said
    assert said.index("drift") < said.index("extract │ 1")
