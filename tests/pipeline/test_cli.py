"""The command line on a small practice folder: what a user does, and what may go wrong."""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.inputs import UsageError
from pipeline.request import request
from pipeline.synthetic import render_practice
from pipeline.synthetic.mp4 import write_mp4
from pipeline.video import probe

QUICK = ["--preset", "tiny", "--set", "train.epochs=3", "--set", "tcn.hidden=8", "--device", "cpu"]


@dataclass
class Done:
    """How a command ended and what it printed."""

    code: int
    stdout: str
    stderr: str


def augrgb(*args, check):
    """The command line in this process, its exit code checked."""
    done = CliRunner().invoke(app, list(map(str, args)))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == check, done.output
    return Done(done.exit_code, done.stdout, done.stderr)


def script(*args):
    """The installed console script and its arguments, for a process of its own."""
    return [str(Path(sys.executable).with_name("augrgb")), *map(str, args)]


@pytest.fixture(scope="module")
def practice(tmp_path_factory):
    folder = tmp_path_factory.mktemp("practice")
    render_practice(folder, train_videos=5, test_videos=2, seconds=4.0, workers=1)
    return folder


@pytest.fixture(scope="module")
def finished(practice, tmp_path_factory):
    """A whole run: its folder and what it printed. Copy it before changing anything."""
    out = tmp_path_factory.mktemp("finished") / "out"
    done = augrgb("run", practice, "--annotations", practice / "labels.csv", "--out", out, *QUICK, check=0)
    return out, done.stdout


@pytest.fixture
def out(finished, tmp_path):
    copy = tmp_path / "out"
    shutil.copytree(finished[0], copy)
    return copy


def again(practice, out, *more, check=0):
    return augrgb(
        "run", practice, "--annotations", practice / "labels.csv", "--out", out, *QUICK, *more, check=check
    )


def stages(stdout):
    """stage -> (done, cached, failed) as printed in the final table."""
    rows = [line.replace("│", " ").split() for line in stdout.splitlines() if line.startswith("│")]
    return {row[0]: tuple(map(int, row[1:4])) for row in rows if len(row) == 5 and row[1].isdigit()}


def features(out):
    return {
        p.relative_to(out): hashlib.sha256(p.read_bytes()).hexdigest() for p in out.glob("features/**/*.npy")
    }


def test_a_run_leaves_what_it_promises(practice, finished):
    out, stdout = finished
    assert stages(stdout) == {
        "extract": (7, 0, 0),
        "train": (1, 0, 0),
        "score": (7, 0, 0),
        "evaluate": (1, 0, 0),
        "report": (1, 0, 0),
    }
    with (practice / "labels.csv").open() as file:
        labels = {row["label"] for row in csv.DictReader(file)} - {""}
    for name in ("videos/train_000.mp4", "videos/test_001.mp4"):
        clock = probe(practice / name).clock
        with np.load(out / "scores" / f"{name}.npz", allow_pickle=False) as arrays:
            scores, times, classes = arrays["scores"], arrays["times"], arrays["classes"]
        assert scores.shape == (clock.num_frames, len(labels))
        assert set(classes) == labels
        assert ((scores >= 0) & (scores <= 1)).all()
        np.testing.assert_allclose(times, clock.sec_F + clock.start_sec)
        with (out / "scores" / f"{name}.csv").open() as file:
            rows = list(csv.reader(file))
        assert rows[0] == ["frame", "time", *classes]
        np.testing.assert_allclose(np.array(rows[1:], dtype=float)[:, 2:], scores, atol=1e-6)
    metrics = json.loads((out / "metrics.json").read_text())
    result = metrics["models"]["vanilla"]["frame_map/all"]
    assert metrics["videos"] == ["videos/test_000.mp4", "videos/test_001.mp4"]
    assert 0 < result["chance"] < 1
    assert 0 < result["mean_ap"] <= 1
    assert "frame_map/all" in stdout
    assert json.loads((out / "events.json").read_text()) is not None
    assert (out / "failures.jsonl").read_text() == ""
    page = (out / "report" / "index.html").read_text()
    assert "videos/test_000.mp4" in page
    assert not list(out.rglob("*tmp*"))


def test_a_second_run_does_nothing_and_says_so(practice, out):
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    done = again(practice, out)
    assert all(row[0] == 0 and row[2] == 0 for row in stages(done.stdout).values())
    assert "nothing to do" in done.stdout
    product = ("features", "checkpoints", "scores", "report", "training", "metrics.json")
    kept = [p for p in before if p.relative_to(out).parts[0] in product]
    assert len(kept) > 30
    assert all(p.stat().st_mtime_ns == before[p] for p in kept)


def test_a_deleted_feature_file_is_made_again_alone_with_the_same_bytes(practice, out):
    before = features(out)
    (out / next(iter(before))).unlink()
    done = again(practice, out)
    assert features(out) == before
    assert stages(done.stdout) == {
        "extract": (1, 6, 0),
        "train": (0, 1, 0),
        "score": (0, 7, 0),
        "evaluate": (0, 1, 0),
        "report": (0, 1, 0),
    }


def test_a_damaged_feature_file_is_noticed_and_made_again(practice, out):
    before = features(out)
    victim = out / next(iter(before))
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    done = again(practice, out)
    assert "made again" in done.stdout
    assert features(out) == before


def test_a_changed_setting_recomputes_what_depends_on_it(practice, out):
    before = features(out)
    done = again(practice, out, "--set", "train.lr=0.01")
    assert stages(done.stdout)["extract"] == (0, 7, 0)
    assert stages(done.stdout)["train"] == (1, 0, 0)
    assert stages(done.stdout)["score"] == (7, 0, 0)
    done = again(practice, out, "--set", "rgb.window.stride=16")
    assert stages(done.stdout)["extract"] == (7, 0, 0)
    assert before.items() <= features(out).items()  # the old products stay in their folder
    done = again(practice, out)
    assert stages(done.stdout)["extract"] == (0, 7, 0)


def test_a_dry_run_says_what_there_is_to_do_and_does_nothing(practice, out, tmp_path):
    done = again(practice, out, "--dry-run")
    assert "extract: 7 videos cached, 0 to do" in done.stdout
    assert "train vanilla: cached" in done.stdout
    done = again(practice, tmp_path / "new", "--dry-run")
    assert "extract: 0 videos cached, 7 to do" in done.stdout
    assert "train vanilla: to do" in done.stdout
    assert not (tmp_path / "new").exists()


def test_stages_one_by_one_come_to_the_same(practice, finished, tmp_path):
    out = tmp_path / "out"
    augrgb("extract", practice, "--out", out, *QUICK, check=0)
    augrgb("train", "--annotations", practice / "labels.csv", "--out", out, "--device", "cpu", check=0)
    augrgb("score", "--out", out, "--device", "cpu", check=0)
    augrgb("evaluate", "--out", out, check=0)
    augrgb("report", out, check=0)
    assert features(out) == features(finished[0])
    ours, whole = (json.loads((folder / "metrics.json").read_text()) for folder in (out, finished[0]))
    assert ours == whole
    assert (out / "report" / "index.html").is_file()


def test_scoring_with_a_checkpoint_needs_no_labels_and_bad_videos_stop_nothing(practice, finished, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    shutil.copy(practice / "videos" / "test_000.mp4", folder / "good.mp4")
    (folder / "empty.mp4").touch()
    (folder / "text.mkv").write_text("no video at all\n" * 100)
    whole = (folder / "good.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with (folder / "sliver.mp4").open("wb") as file:
        write_mp4(file, [np.zeros((32, 1280, 3), np.uint8)] * 3, 25.0, (1280, 32))
    checkpoint = finished[0] / "checkpoints" / "vanilla.ckpt"
    done = augrgb("run", folder, "--checkpoint", checkpoint, "--out", out, "--device", "cpu", check=1)
    assert {p.name for p in (out / "scores").iterdir()} == {"good.mp4.npz", "good.mp4.csv"}
    failures = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert {row["video"] for row in failures} == {"empty.mp4", "text.mkv", "cut.mp4", "sliver.mp4"}
    assert all(row["stage"] == "extract" and row["reason"] and row["message"] for row in failures)
    assert all(row["video"] in done.stdout for row in failures)
    scores = np.load(out / "scores" / "good.mp4.npz", allow_pickle=False)["scores"]
    there = np.load(finished[0] / "scores" / "videos" / "test_000.mp4.npz", allow_pickle=False)["scores"]
    np.testing.assert_array_equal(scores, there)
    # mended, the run goes on from what it has
    (folder / "cut.mp4").write_bytes(whole)
    (folder / "empty.mp4").unlink()
    (folder / "text.mkv").unlink()
    (folder / "sliver.mp4").unlink()
    done = augrgb("run", folder, "--checkpoint", checkpoint, "--out", out, "--device", "cpu", check=0)
    assert stages(done.stdout)["extract"] == (1, 1, 0)
    assert (out / "failures.jsonl").read_text() == ""


def test_a_checkpoint_is_judged_on_all_labelled_videos_of_its_classes(practice, finished, tmp_path):
    labels = tmp_path / "labels.csv"
    known = np.load(finished[0] / "scores/videos/test_000.mp4.npz", allow_pickle=False)["classes"][0]
    labels.write_text(f"video,start,end,label\ntest_000,0.5,1.5,{known}\ntest_001,,,\n")
    checkpoint = finished[0] / "checkpoints" / "vanilla.ckpt"
    args = ["run", practice, "--checkpoint", checkpoint, "--annotations", labels, "--device", "cpu"]
    augrgb(*args, "--out", tmp_path / "out", check=0)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["videos"] == ["videos/test_000.mp4", "videos/test_001.mp4"]
    labels.write_text("video,start,end,label\ntest_000,0.5,1.5,swimming\n")
    done = augrgb(*args, "--out", tmp_path / "other", check=2)
    assert "does not know the labels swimming" in done.stderr
    assert "labels.ignore=[swimming]" in done.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--annotations", "none.csv"], "none.csv"),
        ([], "give --annotations or --checkpoint"),
        (["--annotations", "{labels}", "--set", "train.epoch=3"], "did you mean 'train.epochs'"),
        (["--annotations", "{labels}", "--preset", "tyni"], "did you mean 'tiny'"),
        (["--annotations", "{labels}", "--device", "gpu"], "expected auto, cpu or cuda"),
        (["--checkpoint", "none.ckpt"], "none.ckpt: no such checkpoint"),
        (["--checkpoint", "{labels}"], "labels.csv"),
        (["--checkpoint", "{model}", "--preset", "kinetics"], "trained with preset 'tiny'"),
        (["--checkpoint", "{model}", "--set", "fps=5"], "decode.fps was 12.5, is 5.0"),
        (["--annotations", "{labels}", "--annotation", "x"], "--annotation"),
    ],
)
def test_wrong_use_is_named_before_any_work(practice, finished, tmp_path, args, message):
    known = {"labels": practice / "labels.csv", "model": finished[0] / "checkpoints" / "vanilla.ckpt"}
    out = tmp_path / "out"
    done = augrgb("run", practice, "--out", out, *(arg.format(**known) for arg in args), check=2)
    assert message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert not (out / "features").exists()


def test_nothing_of_the_current_folder_is_run(practice, finished, tmp_path):
    for name in ("models", "pipeline", "extractors", "numpy", "torch", "av", "decord", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open('/tmp/{tmp_path.name}.shadowed', 'w').write('{name}')")
    checkpoint = finished[0] / "checkpoints" / "vanilla.ckpt"
    video = practice / "videos" / "test_000.mp4"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}  # ours to set
    command = script("run", video, "--checkpoint", checkpoint, "--out", "out", "--device", "cpu")
    subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, timeout=300)
    assert (tmp_path / "out" / "scores" / "test_000.mp4.npz").is_file()
    assert not Path(f"/tmp/{tmp_path.name}.shadowed").exists()


def test_a_run_killed_while_it_extracts_ends_in_the_same_bytes(practice, finished, tmp_path):
    out = tmp_path / "out"
    args = ["extract", practice, "--out", out, *QUICK]
    for wanted in (1, 3):
        with subprocess.Popen(script(*args), stdout=subprocess.DEVNULL) as process:
            while len(features(out)) < wanted and process.poll() is None:
                time.sleep(0.01)
            process.kill()
    assert process.returncode == -signal.SIGKILL
    augrgb(*args, check=0)
    assert features(out) == features(finished[0])
    assert not list(out.rglob("*tmp*"))


def test_interrupted_and_terminated_runs_say_how_to_go_on(practice, tmp_path):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        out = tmp_path / number.name
        command = script("extract", practice, "--out", out, *QUICK)
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            while not features(out) and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(number)
            _, stderr = process.communicate(timeout=30)
        assert process.returncode == code
        assert "run the same command again" in stderr
        assert "Traceback" not in stderr


def test_interrupted_training_says_so_and_goes_on_from_its_last_epoch(practice, out):
    shutil.rmtree(out / "checkpoints")
    shutil.rmtree(out / "training")
    labels = practice / "labels.csv"
    endless = ["--set", "train.epochs=3000", "--set", "train.patience=3000", "--set", "work.save_sec=0"]
    command = script("run", practice, "--annotations", labels, "--out", out, *QUICK, *endless)
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            before = max((p.stat().st_mtime_ns for p in out.glob("training/*/resume/last.ckpt")), default=0)
            while process.poll() is None:
                saved = [p.stat().st_mtime_ns for p in out.glob("training/*/resume/last.ckpt")]
                if saved and max(saved) > before:
                    break
                time.sleep(0.05)
            process.send_signal(number)
            stdout, stderr = process.communicate(timeout=30)
        assert process.returncode == code
        assert "run the same command again" in stderr
        assert ("goes on after epoch" in stdout) == (number == signal.SIGTERM)


def test_help_is_quick_and_names_every_command():
    code = "import sys, pipeline.cli; print([m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules])"
    heavy = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert heavy.strip() == "[]"  # what takes seconds to import waits until a command needs it
    done = augrgb("--help", check=0)
    commands = ["run", "extract", "train", "score", "evaluate", "report", "synth", "doctor", "presets"]
    for command in (*commands, "verify", "clean", "compare-features", "weights"):
        assert command in done.stdout


def test_doctor_finds_that_this_installation_works():
    done = augrgb("doctor", check=0)
    assert "everything that is needed works" in done.stdout
    assert "decode with decord: 30 of 30 frames" in done.stdout
    assert "rgb_imagenet.pt" in done.stdout


def test_presets_are_listed_and_shown_whole():
    assert {line.split()[0] for line in augrgb("presets", check=0).stdout.splitlines()} >= {
        "kinetics",
        "tiny",
    }
    assert "fps: 12.5" in augrgb("presets", "tiny", check=0).stdout
    assert "did you mean" in augrgb("presets", "tinny", check=2).stderr


def test_a_folder_of_results_that_may_not_be_written_is_named(practice, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.request.os.access", lambda *_: False)
    with pytest.raises(UsageError, match=rf"may not write in {tmp_path}.*mount a folder"):
        request([practice], tmp_path / "no" / "out", preset="tiny")
