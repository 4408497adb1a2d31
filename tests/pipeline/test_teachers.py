"""Flow and skeletons teach RGB: the whole way with small random networks, on rendered videos."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from pipeline import run
from pipeline.checkpoint import Checkpoint
from pipeline.synthetic import render_practice


@pytest.fixture(scope="module")
def practice(tmp_path_factory):
    folder = tmp_path_factory.mktemp("practice")
    render_practice(folder, train_videos=5, test_videos=2, seconds=4.0, workers=1)
    return folder


@pytest.fixture(scope="module")
def settings(random_networks):
    return [
        *random_networks,
        "teachers=[flow, skeleton]",
        "train.epochs=3",
        "tcn.hidden=8",
        "labels.validation_share=0.15",
    ]


@pytest.fixture(scope="module")
def out(practice, settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("teachers") / "out"
    run([practice], out, annotations=practice / "labels.csv", preset="tiny", overrides=settings, quiet=True)
    return out


def test_every_model_has_its_row_on_the_same_frames(out):
    models = json.loads((out / "metrics.json").read_text())["models"]
    assert list(models) == ["vanilla", "teacher-flow", "teacher-skeleton", "two-stream", "student"]
    results = [model["frame_map/all"] for model in models.values()]
    assert len({(row["frames"], row["videos"], row["chance"]) for row in results}) == 1
    assert all(0 < row["mean_ap"] <= 1 for row in results)


def test_the_student_learns_by_three_losses_of_its_own_name(out):
    student = Checkpoint.load(out / "checkpoints" / "student.ckpt")
    losses = {f"{loss}_{m}" for loss in ("atomic", "global", "boundary") for m in ("flow", "skeleton")}
    assert {"train_loss", "val_loss", *losses} <= set(student.history[0])
    assert student.features.keys() == {"rgb"}  # RGB alone, once it is trained
    assert not [key for key in student.state if "distill" in key or "teacher" in key]
    vanilla = Checkpoint.load(out / "checkpoints" / "vanilla.ckpt")
    assert {key: value.shape for key, value in student.state.items()} == {
        key: value.shape for key, value in vanilla.state.items()
    }


def test_two_streams_are_the_mean_of_logits(out):
    def logits(folder):
        with np.load(out / folder / "videos" / "test_000.mp4.npz", allow_pickle=False) as arrays:
            scores = arrays["scores"].astype(np.float64)
        return np.log(scores / (1 - scores))

    # exact where a step's centre falls on a frame; steps lie 16 frames apart, the first on frame 15
    at = slice(15, None, 16)
    parts = [logits(f"model_scores/{name}")[at] for name in ("vanilla", "teacher-flow", "teacher-skeleton")]
    np.testing.assert_allclose(logits("model_scores/two-stream")[at], np.mean(parts, axis=0), atol=1e-4)


def test_a_second_run_does_nothing_and_an_added_teacher_keeps_what_was_there(
    practice, settings, out, tmp_path
):
    before = {p: p.stat().st_mtime_ns for p in (out / "checkpoints").iterdir()}
    run([practice], out, annotations=practice / "labels.csv", preset="tiny", overrides=settings, quiet=True)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    # without teachers vanilla is the one that scores, and need not be trained again
    alone = [text for text in settings if not text.startswith("teachers")]
    run([practice], out, annotations=practice / "labels.csv", preset="tiny", overrides=alone, quiet=True)
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_unlabelled_videos_join_the_distillation_when_asked_for(practice, settings, out, tmp_path):
    labels = tmp_path / "labels.csv"
    rows = (practice / "labels.csv").read_text().splitlines()
    labels.write_text(
        "\n".join(row for row in rows if "train_003" not in row and "train_004" not in row) + "\n"
    )
    seen = {}
    shutil.copytree(out / "features", tmp_path / "out" / "features")
    for asked in (False, True):
        overrides = [*settings, f"distill_unlabelled={str(asked).lower()}"]
        run([practice], tmp_path / "out", annotations=labels, preset="tiny", overrides=overrides, quiet=True)
        checkpoints = tmp_path / "out" / "checkpoints"
        seen[asked] = {name: Checkpoint.load(checkpoints / f"{name}.ckpt") for name in ("vanilla", "student")}
    assert seen[False]["vanilla"].key == seen[True]["vanilla"].key
    assert seen[False]["student"].key != seen[True]["student"].key


def test_the_student_scores_from_rgb_and_nothing_of_the_teachers_is_imported(practice, out, tmp_path):
    code = f"""
import sys
from pipeline import score
student = "{out}/checkpoints/student.ckpt"
scores = score("{practice}/videos/test_000.mp4", "{tmp_path}/out", checkpoint=student, quiet=True)
assert scores["test_000.mp4"].scores_FK.shape[0] > 50
heavy = ("extractors.raft", "extractors.flow", "torchvision", "extractors.pose", "mmpose", "mmcv",
    "mmengine", "norfair", "lightning")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
