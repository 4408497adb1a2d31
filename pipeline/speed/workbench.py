"""Stages of the pipeline, run again and again as they are in production, each beside its bare networks.

A stage is run by the functions that every command runs it by, on a new folder of results each time.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from models import build_model
from pipeline.checkpoint import Checkpoint
from pipeline.config import RunConfig, to_values
from pipeline.extraction import extract
from pipeline.files import read_json_lines
from pipeline.inputs import Source, UsageError
from pipeline.job import Job
from pipeline.progress import Progress
from pipeline.recipe import RGB, SKELETON, Recipe
from pipeline.scoring import Scorer, score
from pipeline.speed.device_idle import device_idle_share
from pipeline.speed.memory_use import Peak, watch_peak
from pipeline.speed.recording import Recorder, replay, synchronize
from pipeline.speed.taps import Tap, taps, temporal_taps, watched

ALL, GRAPH_STAGE, SCORE = "all at once", "skeleton, joints there", "score"
CLASSES = 157  # of the scores: as many as Charades has


@dataclass(frozen=True)
class Run:
    """One stage, once."""

    seconds: float
    idle_share: float  # of these, no network computed
    network_cpu_sec: float  # processor time of this process while a network computed
    driver_cpu_sec: float  # and while none did
    waiting_sec: float  # of these, frames were waited for


@dataclass
class Stage:
    """One way of using the pipeline, and what is known of it so far.

    `start` makes what it needs and returns what is to be timed; `folder` is where its log is.
    """

    name: str
    start: Callable[[], Callable[[], object]]
    taps: list[Tap]
    folder: Path
    recorder: Recorder
    runs: list[Run] = field(default_factory=list)
    bare_sec: list[float] = field(default_factory=list)
    bare_sec_of: dict[str, list[float]] = field(default_factory=dict)  # by network
    peak: Peak = field(default_factory=Peak)

    def warm_up(self) -> None:
        """Once without a clock: caches fill, memory is watched."""
        action = self.start()
        with watch_peak(self.recorder.device) as self.peak, watched(self.taps, self.recorder):
            action()
        self.recorder.take()

    def round(self) -> None:
        """The pipeline, then the bare networks; in the first round it is noted what they are given."""
        self.recorder.recording = not self.runs
        action = self.start()
        with watched(self.taps, self.recorder):
            started, cpu_before = time.perf_counter(), time.process_time()
            action()
            synchronize(self.recorder.device)
            seconds, cpu_sec = time.perf_counter() - started, time.process_time() - cpu_before
        self.recorder.recording = False
        busy_sec, network_cpu_sec = self.recorder.take()
        idle = 1 - busy_sec / seconds
        waited_sec = _waited_sec(self.folder)
        if self.recorder.device.type == "cuda":  # where a call only hands over what is to be done
            idle = device_idle_share(self.start(), self.recorder.device)
        self.runs.append(Run(seconds, idle, network_cpu_sec, cpu_sec - network_cpu_sec, waited_sec))
        if self.name != ALL:  # whose networks are those of the others
            for network, calls in self.recorder.calls.items():
                self.bare_sec_of.setdefault(network, []).append(replay(calls, self.recorder.device))
            self.bare_sec.append(sum(times[-1] for times in self.bare_sec_of.values()))


class Workbench:
    """All stages for one setting of the pipeline, on the same videos."""

    def __init__(
        self,
        config: RunConfig,
        features: Sequence[str],
        sources: Sequence[Source],
        device: torch.device,
        scratch: Path,
        progress: Progress,
    ) -> None:
        """Loads all networks; ValueError for weights that are missing."""
        self.config, self.features, self.sources = config, tuple(features), tuple(sources)
        self.device, self._scratch = device, scratch
        self.recipes = {name: Recipe.build(config, (name,), progress, device) for name in self.features}
        if len(self.features) > 1:
            self.recipes[ALL] = Recipe.build(config, self.features, progress, device)
        self.stages: dict[str, Stage] = {}
        for name, recipe in self.recipes.items():
            self._add(name, lambda name=name: self._extraction(name), taps(recipe))  # type: ignore[misc]
            if name == RGB:
                self._add_score(untrained(config, recipe))
            if name == SKELETON:
                self._add(GRAPH_STAGE, self._from_joints, taps(recipe), folder=SKELETON)

    def warm_up(self) -> None:
        """Every stage once."""
        for stage in self.stages.values():
            stage.warm_up()

    def round(self) -> None:
        """Every stage once, each followed by its bare networks."""
        for stage in self.stages.values():
            stage.round()
        if ALL in self.stages:
            self.stages[ALL].bare_sec.append(sum(self.stages[name].bare_sec[-1] for name in self.features))

    def extraction(self, sources: Sequence[Source]) -> float:
        """Seconds that all features of these videos take, from one decode of each."""
        name = ALL if ALL in self.recipes else self.features[0]
        job = self._job("scaling", sources, fresh=True)
        started = time.perf_counter()
        extract(job, self.recipes[name])
        synchronize(self.device)
        check(job)
        return time.perf_counter() - started

    def _add(
        self, name: str, start: Callable[[], Callable[[], object]], taps: list[Tap], folder: str | None = None
    ) -> None:
        recorder = Recorder(self.device)
        self.stages[name] = Stage(name, start, taps, self._scratch / (folder or name), recorder)

    def _extraction(self, name: str) -> Callable[[], object]:
        """From videos to features."""
        job = self._job(name, self.sources, fresh=True)
        return lambda: check(job, extract(job, self.recipes[name]))

    def _from_joints(self) -> Callable[[], object]:
        """Features of skeletons once more; the joints are there."""
        job = self._job(SKELETON, self.sources)
        shutil.rmtree(job.out / "features")
        return lambda: check(job, extract(job, self.recipes[SKELETON]))

    def _add_score(self, checkpoint: Checkpoint) -> None:
        scorer = Scorer("student", (checkpoint,))

        def start() -> Callable[[], object]:
            job = self._job(RGB, self.sources)
            features = extract(job, self.recipes[RGB])  # which are there
            shutil.rmtree(job.out / "scores", ignore_errors=True)
            return lambda: check(job, score(job, scorer, features))

        self._add(SCORE, start, temporal_taps(checkpoint.build()), folder=RGB)

    def _job(self, name: str, sources: Sequence[Source], *, fresh: bool = False) -> Job:
        out = self._scratch / name
        if fresh:
            shutil.rmtree(out, ignore_errors=True)
        (out / "log.jsonl").unlink(missing_ok=True)
        progress = Progress(out / "log.jsonl", quiet=True)
        return Job(out, tuple(sources), self.config, self.device, progress)


def check(job: Job, result: object = None) -> object:
    """The result; UsageError where a video failed, of which no figure would be true."""
    if job.failures:
        failure = job.failures[0]
        raise UsageError(f"{failure.video} cannot be measured: {failure.message}; leave it out")
    return result


def untrained(config: RunConfig, recipe: Recipe) -> Checkpoint:
    """A temporal model on RGB whose scores mean nothing; it takes as long as one that was trained."""
    dim = recipe.extractors[RGB].dim
    model = build_model(config.model, in_dim=dim, num_classes=CLASSES, config=getattr(config, config.model))
    return Checkpoint(
        name="student",
        classes=tuple(f"class {i}" for i in range(CLASSES)),
        config=to_values(config),
        features={RGB: recipe.identities[RGB]},
        in_dim=dim,
        state=model.state_dict(),
        key="",
        best={},
    )


def _waited_sec(folder: Path) -> float:
    """What the log says of waiting for frames."""
    rows = read_json_lines(folder / "log.jsonl")
    return sum(row.get("decode_sec", 0.0) for row in rows if row["event"] == "extracted")
