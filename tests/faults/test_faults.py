"""Full disks, signals, two at once, lost videos, too little memory: each is said, the next run mends it."""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pipeline import extract, video_work
from pipeline.cli import app
from pipeline.cli_errors import PATIENCE_SEC
from pipeline.files import read_json_lines
from pipeline.scoring import Scorer
from pipeline.video import decode, open_video

QUICK = ["--preset", "tiny", "--set", "train.epochs=3", "--set", "tcn.hidden=8", "--device", "cpu"]


BUSY_SEC = 20  # within which a signal ends a run: 5 where a core is free, more where twenty want it


def test_patience_and_what_remains_to_do_fit_into_five_seconds():
    assert PATIENCE_SEC <= 4


def features(out):
    """sha256 of each feature file."""
    found = sorted(out.glob("features/*/**/*.npy"))
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def events(out, what):
    return [row for row in read_json_lines(out / "log.jsonl") if row["event"] == what]


@pytest.fixture(scope="module")
def undisturbed(small_world, launcher, tmp_path_factory):
    """A whole run."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    launcher.run(*command(small_world), "--out", out)
    return out


def command(small_world):
    return ["run", small_world / "videos", "--annotations", small_world / "labels.csv", *QUICK]


def test_a_disk_that_takes_no_more_is_said_and_the_next_run_goes_on(
    small_world, undisturbed, tmp_path, monkeypatch, nothing_left_behind
):
    """After so many files, nothing can be written any more: nothing, a video, the features, some scores."""
    out = tmp_path / "out"
    for writes in (0, 2, 7, 6):
        left = iter(range(writes))

        def full(handle, left=left):
            if stat.S_ISREG(os.fstat(handle).st_mode) and next(left, None) is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr("pipeline.files.os.fsync", full)
            done = CliRunner().invoke(app, list(map(str, [*command(small_world), "--out", out])))
        assert done.exit_code == 3
        assert re.search(r"stopped: .*No space left on device: '.+'; run the same command again", done.stderr)
        nothing_left_behind(out)
    assert CliRunner().invoke(app, list(map(str, [*command(small_world), "--out", out]))).exit_code == 0
    assert features(out) == features(undisturbed)
    nothing_left_behind(out)


def script(small_world):
    """The installed console script and its arguments."""
    return [Path(sys.executable).with_name("augrgb"), *command(small_world)]


def on_its_own_file_system(steps, *arguments):
    """Run a few lines of sh where they may mount what they like."""
    isolated = ["unshare", "-rm", "sh", "-c", steps, "sh", *map(str, arguments)]
    try:
        done = subprocess.run(isolated, capture_output=True, text=True, timeout=600)
    except FileNotFoundError:
        pytest.skip("no unshare on this machine")
    if done.returncode == 99 or "unshare:" in done.stderr:
        pytest.skip("no file systems of one's own on this machine")
    return done


_ON_A_SMALL_DISK = """
mount -t tmpfs -o size=$1 tmpfs "$2" || exit 99
shift; out=$1; shift
"$@" --out "$out"
echo "first: $?"
ls -A "$out"/claims 2>/dev/null
find "$out" -name '.augrgb-tmp-*'
mount -o remount,size=64m "$out"
"$@" --out "$out"
echo "second: $?"
find "$out" -name '*.npy' -exec sha256sum {} +
"""


@pytest.mark.slow
def test_a_full_disk_is_said_and_the_next_run_goes_on(small_world, undisturbed, tmp_path):
    """On a file system of its own that holds 60 kB at first."""
    (tmp_path / "out").mkdir()
    done = on_its_own_file_system(_ON_A_SMALL_DISK, "60k", tmp_path / "out", *script(small_world))
    _, second = done.stdout.split("first: 3")
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert ".augrgb-tmp-" not in second
    assert "second: 0" in second
    made = {line.split()[0] for line in second.splitlines() if line.endswith(".npy")}
    assert made == set(features(undisturbed).values())


def test_a_folder_that_cannot_be_written_is_wrong_usage(small_world, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    read_only = 'mount -t tmpfs -o ro tmpfs "$1" || exit 99; shift; exec "$@"'
    done = on_its_own_file_system(read_only, out, *script(small_world), "--out", out)
    assert done.returncode == 2, done.stderr
    assert "may not write" in done.stderr


@pytest.mark.parametrize(("number", "code", "word"), [(15, 143, "terminated"), (2, 130, "interrupted")])
def test_a_signal_ends_a_run_soon_and_the_next_goes_on(
    small_world, undisturbed, launcher, tmp_path, nothing_left_behind, no_decoder_left, number, code, word
):
    out = tmp_path / "out"
    started = launcher.start(*command(small_world), "--out", out)
    while not features(out) and started.code is None:
        time.sleep(0.01)
    at = time.monotonic()
    started.send(signal.Signals(number))
    assert started.wait() == code
    assert time.monotonic() - at < BUSY_SEC
    assert f"{word}; run the same command again to go on" in started.printed
    assert "Traceback" not in started.printed
    no_decoder_left(started.pid)
    nothing_left_behind(out)
    launcher.run(*command(small_world), "--out", out)
    assert features(out) == features(undisturbed)


_LONG_STEP = """
import hashlib
from pipeline.cli_errors import errors
with errors():
    print("begun", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2_000_000_000)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_in_the_midst_of_a_long_step_ends_it_within_five_seconds(number, code):
    """Python would hand it over half an hour later."""
    step = [sys.executable, "-P", "-c", _LONG_STEP]
    with subprocess.Popen(step, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.1)
        started = time.monotonic()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert time.monotonic() - started < BUSY_SEC
    assert "in the midst of a long step; run the same command again to go on" in stderr


@pytest.mark.parametrize("kill", [False, True])
def test_two_at_once_share_the_work(small_world, undisturbed, launchers, tmp_path, nothing_left_behind, kill):
    out, both = tmp_path / "out", [launchers(), launchers()]
    for each in both:
        each.run("presets")  # both are ready: now they start at the same instant
    running = [each.start(*command(small_world), "--out", out) for each in both]
    if kill:
        while not features(out):
            time.sleep(0.01)
        running[0].send(signal.SIGKILL)
    codes = [each.wait() for each in running]
    assert codes == ([-signal.SIGKILL, 0] if kill else [0, 0]), [each.printed for each in running]
    assert features(out) == features(undisturbed)
    assert len(list(out.glob("scores/*.npz"))) == 4
    if not kill:
        for what, by in (("extracted", "video"), ("scored", "video"), ("trained", "model")):
            done = Counter(row[by] for row in events(out, what))
            assert set(done.values()) == {1}, (what, done)
            assert len(done) == (1 if by == "model" else 4)
    nothing_left_behind(out)


@pytest.mark.parametrize("when", ["before", "meanwhile", "replaced"])
def test_a_video_that_vanishes_is_a_failure_and_stops_nothing(
    small_world, undisturbed, tmp_path, monkeypatch, when
):
    videos, out = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    for name in ("test_000.mp4", "train_000.mp4"):
        shutil.copy(small_world / "videos" / name, videos)
    gone = videos / "test_000.mp4"

    def lose_and_open(path, **options):
        if Path(path) == gone and when == "before":
            gone.unlink()
        return open_video(path, **options)

    def decode_and_lose(path, consume, **options):
        result = decode(path, consume, **options)
        if Path(path) == gone and when == "meanwhile":
            gone.unlink()
        elif Path(path) == gone:
            shutil.copy(videos / "train_000.mp4", gone)
        return result

    monkeypatch.setattr(video_work, "open_video", lose_and_open)
    monkeypatch.setattr(video_work, "decode", decode_and_lose)
    made = extract(videos, out, preset="tiny", device="cpu", quiet=True)
    (failure,) = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert failure["video"] == "test_000.mp4"
    assert failure["reason"] == ("changed" if when == "replaced" else "not_found")
    assert made["rgb"].keys() == {"train_000.mp4"}
    monkeypatch.undo()
    shutil.copy(small_world / "videos" / "test_000.mp4", gone)
    extract(videos, out, preset="tiny", device="cpu", quiet=True)
    assert len(features(out)) == 2
    assert features(out).items() <= features(undisturbed).items()
    assert (out / "failures.jsonl").read_text() == ""


@pytest.fixture
def little_memory(monkeypatch):
    """`little_memory(clips)`: networks that see more at once have no memory for it."""
    from extractors.rgb import I3DRGB

    whole = I3DRGB.clips

    def limit(most, error=torch.OutOfMemoryError):
        def clips(self, x_NL):
            if len(x_NL) > most:
                raise error("CUDA out of memory. DefaultCPUAllocator: can't allocate memory")
            return whole(self, x_NL)

        monkeypatch.setattr(I3DRGB, "clips", clips)

    return limit


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_out_of_memory_halves_the_batch_says_so_and_goes_on(
    small_world, undisturbed, tmp_path, little_memory, capsys, error
):
    little_memory(2, error)
    made = extract(small_world / "videos" / "test_000.mp4", tmp_path / "out", preset="tiny", device="cpu")
    assert re.search(r"test_000.mp4: out of memory; once more, \d+ frames, 2 clips", capsys.readouterr().out)
    (path,) = tmp_path.glob("out/features/*/*.npy")
    assert json.loads(path.with_suffix(".json").read_text())["batch"]["clips"] == 2
    whole = np.load(undisturbed / path.relative_to(tmp_path / "out"))
    np.testing.assert_allclose(np.load(path), whole, rtol=0, atol=1e-5 * np.abs(whole).max())
    assert {row["video"] for row in events(tmp_path / "out", "out_of_memory")} == made["rgb"].keys()


def test_a_video_for_which_memory_never_suffices_is_a_failure(small_world, tmp_path, little_memory):
    little_memory(0)
    video = small_world / "videos" / "test_000.mp4"
    made = extract(video, tmp_path / "out", preset="tiny", device="cpu", quiet=True)
    assert made["rgb"] == {}
    (failure,) = read_json_lines(tmp_path / "out" / "failures.jsonl")
    assert failure["reason"] == "out_of_memory"


def test_too_little_memory_to_score_a_video_is_its_failure(small_world, undisturbed, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    shutil.rmtree(out / "scores")
    whole = Scorer.score

    def score(self, tracks, models):
        if tracks[0].clock.num_frames == frames[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, tracks, models)

    frames = [len(np.load(path)["times"]) for path in sorted(undisturbed.glob("scores/train_001*.npz"))]
    monkeypatch.setattr(Scorer, "score", score)
    done = CliRunner().invoke(app, ["score", "--out", str(out)])
    failed = {row["video"] for row in read_json_lines(out / "failures.jsonl")}
    assert done.exit_code == 1
    assert {row["reason"] for row in read_json_lines(out / "failures.jsonl")} == {"out_of_memory"}
    assert "train_001.mp4" in failed
    assert {path.name for path in out.glob("scores/*.npz")} == {
        path.name for path in undisturbed.glob("scores/*.npz") if path.stem not in failed
    }


def test_too_little_memory_to_train_stops_with_what_to_set(small_world, undisturbed, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    shutil.rmtree(out / "checkpoints")

    def fit(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("pipeline.fit.fit", fit)
    done = CliRunner().invoke(app, list(map(str, [*command(small_world), "--out", out])))
    assert done.exit_code == 3
    assert "too little memory to train; try half of train.batch_videos" in done.stderr
