"""kill -9 at random moments: what is there is whole, and the next run ends as if nothing had happened."""

import hashlib
import json
import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.files import read_json_lines
from pipeline.stored import take_inventory

QUICK = ["--preset", "tiny", "--set", "tcn.hidden=8", "--set", "tcn.layers=3", "--device", "cpu"]
QUICK += ["--set", "flow.raft.updates=1"]  # how good flow is is not the matter
SETTINGS = ("labels.validation_share=0.34", "train.epochs=40", "train.patience=40", "work.save_sec=0")
EPOCHS = [word for setting in SETTINGS for word in ("--set", setting)]


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody disturbed."""

    videos: Path
    labels: Path
    out: Path
    seconds: dict  # by stage

    @property
    def command(self):
        """What made it, but for where."""
        return ["run", self.videos, "--annotations", self.labels, *QUICK, *EPOCHS, "--teachers", "flow"]


@pytest.fixture(scope="module")
def undisturbed(small_world, launcher, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    made = Undisturbed(small_world / "videos", small_world / "labels.csv", out, {})
    launcher.run(*made.command, "--out", out)
    for row in read_json_lines(out / "log.jsonl"):
        if row["event"] == "stage":
            made.seconds[row["stage"]] = row["seconds"]
    return made


def products(out):
    """sha256 of everything that has to be the same however often a run was killed."""
    kept = ("features/**/*.npy", "checkpoints/*", "training/*/curves.csv")
    made = ("scores/**/*.*", "model_scores/**/*.*", "events.*", "metrics.json")
    paths = [path for pattern in (*kept, *made) for path in out.glob(pattern) if path.is_file()]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def assert_whole(out):
    """Whatever has a good name is whole; of a product whose record is not written yet there is none."""
    findings = take_inventory(out).findings
    assert [str(finding) for finding in findings if "no record beside it" not in finding.problem] == []
    for path in (*out.glob("*.json"), *out.glob("failures.jsonl")):
        for text in path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]:
            json.loads(text)


def begun(out):
    return sum(row["event"] == "start" for row in read_json_lines(out / "log.jsonl"))


def kill_once(launcher, out, args, after_sec):
    """Start a command, kill it `after_sec` of work; its process and what it printed, None if it was done."""
    before, command = begun(out), launcher.start(*args)
    while begun(out) == before and command.code is None:
        time.sleep(0.005)
    deadline = time.monotonic() + after_sec
    while time.monotonic() < deadline and command.code is None:
        time.sleep(0.002)
    command.send(signal.SIGKILL)
    if command.wait() == 0:
        return None
    assert command.code == -signal.SIGKILL, command.printed
    return command.pid, command.printed


@dataclass
class Harness:
    """Kills a command again and again until it gets through, then from the beginning."""

    launcher: object
    undisturbed: Undisturbed
    folder: Path
    nothing_left_behind: object
    no_decoder_left: object

    def survive(self, kills, args, prepare, seconds, seed):
        """`prepare(out)` makes the folder the command starts from; how often training was resumed."""
        rng, done, resumed, rounds = random.Random(seed), 0, 0, 0
        while done < kills:
            rounds += 1
            out = self.folder / f"{seed}-{rounds}"
            prepare(out)
            alive = True
            while alive and done < kills:
                killed = kill_once(self.launcher, out, args(out), rng.uniform(0, 0.8 * seconds))
                alive = killed is not None
                if killed:
                    done += 1
                    resumed += "goes on after epoch" in killed[1]
                    assert_whole(out)
                    self.no_decoder_left(killed[0])
            resumed += "goes on after epoch" in self.launcher.run(*args(out))
            self.launcher.run(*self.undisturbed.command, "--out", out)
            assert products(out) == products(self.undisturbed.out)
            self.nothing_left_behind(out)
            assert not list(out.glob("training/*/resume"))
            shutil.rmtree(out)
        return resumed


@pytest.fixture
def harness(launcher, undisturbed, tmp_path, nothing_left_behind, no_decoder_left):
    return Harness(launcher, undisturbed, tmp_path, nothing_left_behind, no_decoder_left)


def test_a_whole_run_survives_five_kills(harness, undisturbed):
    seconds = sum(undisturbed.seconds.values())
    harness.survive(5, lambda out: [*undisturbed.command, "--out", out], Path.mkdir, seconds, seed=1)


@pytest.mark.slow
def test_extraction_survives_kills(harness, undisturbed):
    command = ["extract", undisturbed.videos, *QUICK, "--features", "rgb,flow"]
    seconds = undisturbed.seconds["extract"]
    harness.survive(20, lambda out: [*command, "--out", out], Path.mkdir, seconds, seed=2)


def without(undisturbed, *patterns):
    """Copies the undisturbed run but for what is to be made again."""

    def prepare(out):
        shutil.copytree(undisturbed.out, out)
        for path in [path for pattern in patterns for path in out.glob(pattern)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return prepare


@pytest.mark.slow
@pytest.mark.parametrize(("models", "share", "seed"), [("*", 1.0, 3), ("student", 0.4, 4)])
def test_training_and_distillation_survive_kills(harness, undisturbed, models, share, seed):
    command = ["train", *undisturbed.command[1:]]
    prepare = without(undisturbed, f"checkpoints/{models}.ckpt", f"training/{models}-*", "scores/*")
    seconds = undisturbed.seconds["train"] * share
    resumed = harness.survive(20, lambda out: [*command, "--out", out], prepare, seconds, seed)
    assert resumed > 0


@pytest.mark.slow
def test_scoring_survives_kills(harness, undisturbed):
    checkpoint = undisturbed.out / "checkpoints" / "student.ckpt"
    command = ["score", undisturbed.videos, "--checkpoint", checkpoint]
    prepare = without(undisturbed, "scores/*", "model_scores/*")
    seconds = undisturbed.seconds["score"]
    harness.survive(10, lambda out: [*command, "--out", out], prepare, seconds, seed=5)
