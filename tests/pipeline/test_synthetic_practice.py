"""The practice folder: complete, resumable, the same bytes every time."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.synthetic import DEMO_ACTIONS, Scene, World, render_practice, truth_spec

SMALL = {"seed": 5, "train_videos": 2, "test_videos": 1, "seconds": 4.0, "size": (96, 64)}


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("practice")
    assert render_practice(out, **SMALL, workers=1) == 3
    return out


def content(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()
    }


def test_folder_holds_what_it_should(practice):
    stems = ("test_000", "train_000", "train_001")
    wanted = [f"truth/{stem}.npz" for stem in stems] + [f"videos/{stem}.mp4" for stem in stems]
    assert sorted(content(practice)) == sorted([*wanted, "labels.csv", "world.json"])


def test_labels_file(practice):
    with (practice / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["video", "start", "end", "label", "subset"]
    seen = set()
    for row in rows:
        stem = Path(row["video"]).stem
        spec = truth_spec(practice / "truth" / f"{stem}.npz")
        assert (practice / row["video"]).is_file()
        assert row["subset"] == ("testing" if stem.startswith("test") else "training")
        seen.add(stem)
        if row["label"]:
            assert row["label"] in DEMO_ACTIONS
            assert 0 <= float(row["start"]) < float(row["end"]) <= spec.num_frames / spec.fps
    assert seen == {"train_000", "train_001", "test_000"}
    assert sum(bool(row["label"]) for row in rows) >= 3


def test_video_without_action_has_an_empty_row(tmp_path, monkeypatch):
    monkeypatch.setattr(Scene, "labels", lambda self: ())
    render_practice(tmp_path, **SMALL | {"test_videos": 0}, workers=1)
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert lines[1:] == ["videos/train_000.mp4,,,,training", "videos/train_001.mp4,,,,training"]


def test_bytes_do_not_depend_on_the_number_of_processes(practice, tmp_path):
    assert render_practice(tmp_path, **SMALL, workers=2) == 3
    assert content(tmp_path) == content(practice)


def test_nothing_is_made_twice_and_only_the_missing_is_made(practice):
    before = content(practice)
    names: list[str] = []
    assert render_practice(practice, **SMALL, progress=names.append) == 0
    assert sorted(names) == ["test_000", "train_000", "train_001"]
    (practice / "videos" / "train_001.mp4").unlink()
    (practice / "labels.csv").unlink()
    kept = (practice / "videos" / "train_000.mp4").stat().st_mtime_ns
    assert render_practice(practice, **SMALL) == 1
    assert content(practice) == before
    assert (practice / "videos" / "train_000.mp4").stat().st_mtime_ns == kept


@pytest.mark.parametrize("victim", ["videos/train_000.mp4", "truth/train_000.npz"])
def test_damaged_file_is_made_anew(practice, victim):
    before = content(practice)
    damaged = bytearray(before[victim])
    damaged[len(damaged) // 2 :] = b""
    (practice / victim).write_bytes(damaged)
    assert render_practice(practice, **SMALL, workers=1) == 1
    assert content(practice) == before


def test_another_world_in_the_folder_is_refused(practice):
    with pytest.raises(ValueError, match=r"world\.json.*seed is 5, asked for 6.*another folder"):
        render_practice(practice, **SMALL | {"seed": 6})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"seconds": 1.0}, "4 or more"),
        ({"train_videos": 0, "test_videos": 0}, "at least one"),
        ({"seed": -1}, "seed"),
        ({"size": (95, 64)}, "even"),
    ],
)
def test_bad_world_is_refused_before_anything_is_written(tmp_path, changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        render_practice(tmp_path / "new", **SMALL | changes)
    assert not (tmp_path / "new").exists()


def test_video_decodes_to_the_rendered_frames(practice):
    scene = Scene(truth_spec(practice / "truth" / "train_000.npz"))
    with av.open(str(practice / "videos" / "train_000.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 25
        frames = list(container.decode(stream))
        times = [float(frame.pts * frame.time_base) for frame in frames]
        decoded = [frame.to_ndarray(format="rgb24") for frame in frames]
    assert len(decoded) == scene.spec.num_frames
    np.testing.assert_allclose(times, np.arange(len(times)) / 25, atol=1e-6)
    for i in range(0, len(decoded), 17):
        assert np.abs(decoded[i].astype(float) - scene.frame(i)).mean() < 8


def test_truth_is_that_of_the_scene(practice):
    path = practice / "truth" / "test_000.npz"
    scene = Scene(truth_spec(path))
    with np.load(path, allow_pickle=False) as truth:
        joints_FMJ3, boxes_FM4, person_FM = (
            truth[name] for name in ("joints_FMJ3", "boxes_FM4", "person_FM")
        )
    frames, persons = scene.spec.num_frames, scene.num_persons
    assert joints_FMJ3.shape == (frames, persons, 17, 3)
    assert boxes_FM4.shape == (frames, persons, 4)
    assert joints_FMJ3.dtype == boxes_FM4.dtype == np.float32
    assert person_FM.shape == (frames, persons)
    assert person_FM.dtype == bool
    assert np.isfinite(joints_FMJ3).all()
    np.testing.assert_array_equal(joints_FMJ3[20], scene.joints(20))
    np.testing.assert_array_equal(boxes_FM4[20], scene.boxes(20))


def test_truth_of_another_version_is_refused(practice, tmp_path):
    path = tmp_path / "old.npz"
    np.savez(path, spec=np.array('{"version": 0}'))
    with pytest.raises(ValueError, match="version 0"):
        truth_spec(path)


def test_videos_of_a_world_have_scenes_of_their_own():
    more, fewer = World(train_videos=4).specs(), World(train_videos=2).specs()
    assert {stem: more[stem] for stem in fewer} == fewer  # a longer list changes none of the others
    assert len({spec.seed for spec in more.values()}) == len(more)


def test_import_is_light():
    code = "import sys, pipeline.synthetic; sys.exit(bool({'torch', 'av', 'decord'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_killed_run_leaves_no_children_and_ends_in_the_same_bytes(tmp_path):
    world = SMALL | {"train_videos": 5, "seconds": 8.0}
    code = "import json, pathlib, sys; from pipeline.synthetic import render_practice as render\n"
    code += "render(pathlib.Path(sys.argv[1]), **json.loads(sys.argv[2]))"
    run = subprocess.Popen([sys.executable, "-P", "-c", code, str(tmp_path / "killed"), json.dumps(world)])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("killed/videos/*.mp4")) and time.monotonic() < deadline:
        time.sleep(0.02)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert children
    while any(_lives(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_lives(pid) for pid in children)
    assert render_practice(tmp_path / "killed", **world) > 0
    render_practice(tmp_path / "whole", **world)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def _lives(pid: str) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
