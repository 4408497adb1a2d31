"""A flipped byte in any product is noticed at its next read and by `verify`; it is said and made again."""

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from fractions import Fraction

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from extractors.skeleton_input import Joints
from pipeline.cache import JointFile
from pipeline.cli import app
from pipeline.config import load_config
from pipeline.job import Job
from pipeline.products import usable
from pipeline.progress import Progress
from pipeline.timeline import Clock
from pipeline.tracks import JointTrack

QUICK = ["--preset", "tiny", "--set", "train.epochs=2", "--set", "tcn.hidden=8", "--device", "cpu"]
PRODUCTS = (
    "features/**/*.npy",
    "features/**/*.json",
    "scores/**/*.npz",
    "scores/**/*.csv",
    "checkpoints/*.ckpt",
    *("events.csv", "events.json", "metrics.json", "report/index.html"),
)


def augrgb(*args, check=0, answer=None):
    """The command line in this process, its exit code checked; what it printed."""
    done = CliRunner().invoke(app, list(map(str, args)), input=answer)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == check, done.output
    return done.output


@pytest.fixture
def practice(small_world):
    return small_world


def run(practice, out, *more, check=0):
    labels = practice / "labels.csv"
    return augrgb("run", practice, "--annotations", labels, "--out", out, *QUICK, *more, check=check)


@pytest.fixture(scope="module")
def finished(small_world, tmp_path_factory):
    """A whole run; copy it before changing anything."""
    out = tmp_path_factory.mktemp("finished") / "out"
    run(small_world, out)
    return out


@pytest.fixture
def out(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    return tmp_path / "out"


def numbers(out):
    """What has to be the same whenever it is made: sha256 by file."""
    paths = [path for kind in ("*.npy", "*.npz", "*.csv") for path in out.glob(f"[fsem]*/**/{kind}")]
    paths += [out / name for name in ("events.csv", "events.json", "metrics.json")]
    return {path.relative_to(out): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_a_flipped_byte_in_any_product_is_found_said_and_mended(practice, finished, out):
    """One in a product of each kind, each of another video."""
    rng, found, said = np.random.default_rng(0), set(), []
    for number, pattern in enumerate(PRODUCTS):
        paths = sorted(out.glob(pattern))
        path = paths[number % len(paths)]
        size = path.stat().st_size
        flip(path, int(rng.integers(size // 4, size // 2)))
        of = {".json": path.with_suffix(".npy"), ".csv": path.with_suffix(".npz")} if "**" in pattern else {}
        found.add(str(of.get(path.suffix, path).relative_to(out)))
        said.append("/report: " if path.name == "index.html" else path.name)
    printed = augrgb("verify", out, "--device", "cpu", check=1)
    named = {line.split()[1].removesuffix(":") for line in printed.splitlines() if "MISMATCH" in line}
    assert named == found
    made_again = [line for line in run(practice, out).splitlines() if "made again: " in line]
    for name in said:
        assert len([line for line in made_again if name in line]) == 1
    assert numbers(out) == numbers(finished)
    assert "verified" in augrgb("verify", out, "--device", "cpu")


def test_reading_is_not_fooled_either(out):
    """Evaluation leaves out scores that are damaged, and says so."""
    flip(min(out.glob("scores/**/test*.npz")), 200)
    assert "left out: " in augrgb("evaluate", "--out", out)


def test_a_flipped_byte_anywhere_in_joints_is_said_and_they_are_to_be_made_again(tmp_path, capsys):
    """Of everyone who was found in 5 frames: what `extract` asks before it decodes for them again."""
    job = Job(tmp_path, (), load_config("tiny"), torch.device("cpu"), Progress(tmp_path / "log.jsonl"))
    file = JointFile.locate(tmp_path, "a.mp4", "0" * 64, {"detector": {"name": "d"}, "pose": "p"}, {})
    found = Joints(np.zeros((5, 1), int), np.ones((5, 1, 17, 3), "f4"), np.ones((5, 1, 5), "f4"), 64, 48)
    for part in (file.path, file.record_path):
        file.save(JointTrack(found, Clock.constant(5, Fraction(25))), {"partial": False})
        assert usable(job, file)
        whole = part.read_bytes()
        for position in range(0, len(whole), len(whole) // 7):
            part.write_bytes(whole)
            flip(part, position)
            assert not usable(job, file)
            assert f"made again: {part}: " in capsys.readouterr().out
    assert {row["event"] for row in log(tmp_path)} == {"damaged"}


def test_the_page_leaves_out_figures_that_are_damaged(out):
    flip(out / "metrics.json", 500)
    assert "left out: " in (printed := augrgb("report", out))
    assert "metrics.json: some of its bytes changed since it was written; run evaluate" in printed


def test_a_changed_hash_of_a_video_is_found_said_and_taken_anew(practice, out):
    with closing(sqlite3.connect(out / "hashes.sqlite")) as connection, connection:
        (sha256,) = connection.execute("SELECT sha256 FROM contents ORDER BY path").fetchone()
    database = out / "hashes.sqlite"
    database.write_bytes(database.read_bytes().replace(sha256.encode(), b"0" * 64))
    assert "MISMATCH hashes.sqlite: what it says of " in augrgb("verify", out, "--device", "cpu", check=1)
    printed = run(practice, out)
    assert "made again: the remembered hash of " in printed
    assert "nothing to do: everything was there already" in printed
    assert "verified" in augrgb("verify", out, "--device", "cpu")


def test_scoring_with_a_damaged_model_is_refused(out):
    flip(out / "checkpoints" / "vanilla.ckpt", 3000)
    assert "vanilla.ckpt" in augrgb("score", "--out", out, check=2)


def test_verify_counts_models_and_scores(out):
    printed = augrgb("verify", out, "--device", "cpu")
    assert "checkpoints: 1 files" in printed
    assert "scores: 4 files" in printed


def test_clean_lists_asks_and_removes_what_no_run_refers_to(practice, finished, out):
    assert "nothing is unused" in augrgb("clean", out, "--unused")
    augrgb("extract", practice, "--out", out, *QUICK, "--set", "rgb.resize=96")
    run(practice, out, "--set", "train.epochs=1")
    run(practice, out)  # its settings are those of the run that is there
    old = [p for p in out.glob("features/*") if not (finished / "features" / p.name).exists()]
    old += [p for p in out.glob("training/*") if not (finished / "training" / p.name).exists()]
    assert len(old) == 2
    (out / "mine.txt").write_text("not yours")
    printed = augrgb("clean", out, "--unused", answer="n\n")
    for path in old:
        assert str(path.relative_to(out)) in printed
    assert "(8 files)" in printed
    assert "kB" in printed
    assert "nothing was removed" in printed
    assert all(path.exists() for path in old)
    assert "removed: " in augrgb("clean", out, "--unused", answer="y\n")
    assert not any(path.exists() for path in old)
    assert (out / "mine.txt").read_text() == "not yours"
    assert numbers(out) == numbers(finished)
    assert "nothing to do: everything was there already" in run(practice, out)


def test_clean_takes_videos_that_are_no_longer_of_the_run(practice, out):
    augrgb("extract", practice / "videos" / "test_000.mp4", "--out", out, *QUICK)
    assert "nobody answers; add --yes" in augrgb("clean", out, "--unused", check=2)
    printed = augrgb("clean", out, "--unused", "--yes")
    assert " scores  (8 files)" in printed
    assert [p.name for p in out.glob("features/**/*.npy")] == ["test_000.mp4.npy"]


def test_clean_needs_a_run_and_to_be_told_what(tmp_path, out):
    assert "no run.json" in augrgb("clean", tmp_path, "--unused", check=2)
    assert "--unused" in augrgb("clean", out, check=2)


def test_clean_waits_for_who_works(out):
    from pipeline.claims import Claims

    with Claims(out).held("extract", "a.mp4"):
        assert "a process works on it" in augrgb("clean", out, "--unused", check=2)


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_the_log_has_the_times_of_every_video(finished):
    rows = log(finished)
    assert rows[0]["event"] == "start"
    assert rows[-1]["event"] == "end"
    videos = {f"videos/{name}.mp4" for name in ("train_000", "train_001", "train_002", "test_000")}
    extracted = {row["video"]: row for row in rows if row["event"] == "extracted"}
    assert extracted.keys() == videos
    assert all(0 < row["decode_sec"] <= row["seconds"] for row in extracted.values())
    assert {row["video"] for row in rows if row["event"] == "scored" and row["seconds"] > 0} == videos
    assert [row["epochs"] for row in rows if row["event"] == "trained"] == [2]
    stages = [row["stage"] for row in rows if row["event"] == "stage"]
    assert stages[:3] == ["extract", "train", "score"]


@pytest.mark.parametrize("fast", [False, True])
def test_fail_fast_stops_at_the_first_video_that_fails(practice, tmp_path, fast):
    videos = tmp_path / "videos"
    shutil.copytree(practice / "videos", videos)
    (videos / "a.mp4").write_bytes(b"")
    (videos / "b.mp4").write_bytes(b"no video")
    out, more = tmp_path / "out", ["--fail-fast"] if fast else []
    printed = augrgb("extract", videos, "--out", out, *QUICK, *more, check=1)
    failures = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert [row["video"] for row in failures] == (["a.mp4"] if fast else ["a.mp4", "b.mp4"])
    assert failures[0].keys() == {"video", "stage", "reason", "message"}
    assert (failures[0]["stage"], failures[0]["reason"]) == ("extract", "empty")
    assert "failed: a.mp4 (extract, empty)" in printed
    assert len(list(out.glob("features/**/*.npy"))) == (0 if fast else 4)
    assert not (out / "claims").exists()


def test_half_a_line_in_failures_stops_nothing(practice, out):
    earlier = {"video": "x.mp4", "stage": "inputs", "reason": "unusable", "message": "gone"}
    (out / "failures.jsonl").write_text(json.dumps(earlier) + '\n{"vid')
    run(practice, out)
    assert [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()] == [earlier]
