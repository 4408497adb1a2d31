"""What the demo promises: every row above chance, a teacher above vanilla, a student that needs RGB alone."""

import json
import subprocess
import sys

import pytest

from pipeline import run
from pipeline.synthetic import render_practice


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's videos and results."""
    folder = tmp_path_factory.mktemp("demo")
    render_practice(folder / "practice", seed=0, train_videos=24, test_videos=12, seconds=16.0, workers=2)
    run(
        folder / "practice",
        folder / "out",
        annotations=folder / "practice" / "labels.csv",
        preset="tiny",
        overrides=["teachers=[flow, skeleton]"],
        device="cpu",
        quiet=True,
    )
    return folder


@pytest.mark.slow
def test_every_row_is_above_chance_and_a_teacher_above_vanilla(demo):
    metrics = json.loads((demo / "out" / "metrics.json").read_text())
    rows = {name: row["frame_map/all"] for name, row in metrics["models"].items()}
    assert set(rows) == {"vanilla", "teacher-flow", "teacher-skeleton", "two-stream", "student"}
    maps = {name: row["mean_ap"] for name, row in rows.items()}
    chance = rows["vanilla"]["chance"]
    assert min(maps.values()) > 1.5 * chance, (maps, chance)
    assert max(maps["teacher-flow"], maps["teacher-skeleton"]) > maps["vanilla"], maps


@pytest.mark.slow
def test_the_student_needs_rgb_alone(demo, tmp_path):
    code = f"""
import sys
from pipeline import score
scores = score("{demo}/practice/videos", "{tmp_path}/out",
               checkpoint="{demo}/out/checkpoints/student.ckpt", device="cpu", quiet=True)
assert len(scores) == 36
print([name for name in sys.modules if name.split(".")[0] in ("mmpose", "mmcv", "mmengine", "torchvision")])
print([name for name in sys.modules if name in ("extractors.raft", "extractors.flow", "extractors.pose")])
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]
