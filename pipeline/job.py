"""A run: what goes in, with which settings, where results go; and what it remembers in OUT."""

import json
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from pipeline.claims import Claims
from pipeline.config import RunConfig, to_values
from pipeline.failed_elsewhere import FailedElsewhere
from pipeline.files import ContentHashes, read_json, read_json_lines, write_atomic, write_json
from pipeline.inputs import Source, UsageError
from pipeline.labels import Annotations
from pipeline.progress import Progress

VERSIONED = ("torch", "torchvision", "numpy", "decord", "av", "einops", "lightning", "scikit-learn")


class FailFast(Exception):
    """A video failed, and the run was asked to stop at the first one; it is recorded."""


class WorkStopped(Exception):
    """Nothing a video can do about: the disk is full, the folder of results is gone. What is done is kept."""

    exit_code = 3


@dataclass(frozen=True)
class Failure:
    """One video that a stage could not do: `reason` is a short class, `message` says what to do."""

    video: str
    stage: str
    reason: str
    message: str


@dataclass
class StageResult:
    """What one stage did: counted, timed, nothing hidden."""

    stage: str
    done: int = 0
    cached: int = 0
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    def row(self) -> dict[str, Any]:
        """For tables and run.json."""
        return {
            "stage": self.stage,
            "done": self.done,
            "cached": self.cached,
            "failed": len(self.failures),
            "seconds": round(self.seconds, 2),
        }


@dataclass(frozen=True)
class Job:
    """Everything a stage needs to know."""

    out: Path
    sources: tuple[Source, ...]
    config: RunConfig
    device: torch.device
    progress: Progress
    annotations: Annotations | None = None
    command: str = ""
    results: list[StageResult] = field(default_factory=list)
    fail_fast: bool = False  # stop at the first video that cannot be done

    @cached_property
    def claims(self) -> Claims:
        """What this process works on, so that others on the same OUT do not."""
        return Claims(self.out)

    @cached_property
    def hashes(self) -> ContentHashes:
        """Content hashes of the videos, remembered in OUT where that is there."""
        return ContentHashes(self.out / "hashes.sqlite" if self.out.is_dir() else None, self.progress.say)

    @cached_property
    def failed_elsewhere(self) -> FailedElsewhere:
        """What others on the same OUT found wrong meanwhile."""
        return FailedElsewhere(self.progress.log, self.progress.log_began)

    @contextmanager
    def stage(self, name: str) -> Iterator[StageResult]:
        """Times a stage, and keeps what it did for the final table."""
        result, started = StageResult(name), time.monotonic()
        self.results.append(result)
        try:
            yield result
        finally:
            result.seconds = time.monotonic() - started
            self.progress.event("stage", **result.row())

    @property
    def failures(self) -> list[Failure]:
        """Of all stages so far, in order."""
        return [failure for result in self.results for failure in result.failures]

    def fail(self, result: StageResult, video: str, reason: str, message: str, attempt: str = "") -> None:
        """Record that a stage could not do a video; the run goes on, unless it is to fail fast.

        `attempt` names what was tried, for others who would try the same: see `failed_elsewhere`.
        """
        failure = Failure(video, result.stage, reason, message)
        result.failures.append(failure)
        self.progress.event("failure", **asdict(failure), **({"attempt": attempt} if attempt else {}))
        self.progress.say(f"  failed: {video}: {message}")
        self.check_fail_fast()

    def check_fail_fast(self) -> None:
        """FailFast where a video failed and that is to be the end."""
        if self.fail_fast and self.failures:
            raise FailFast(self.failures[-1].video)

    def save_failures(self) -> None:
        """failures.jsonl: this command's failures, and earlier ones of stages it did not run."""
        path = self.out / "failures.jsonl"
        ran = {result.stage for result in self.results}
        kept = [row for row in read_json_lines(path) if row.get("stage") not in ran]
        rows = [*kept, *map(asdict, self.failures)]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_atomic(path, lambda file: file.write(text.encode()))

    def save_run(self) -> None:
        """run.json: settings, inputs and versions: enough to run the same again, or one stage of it."""
        before = read_json(self.out / "run.json")
        stages = {row["stage"]: row for row in before.get("stages", [])}
        for result in self.results:
            # a stage that found everything done keeps the figures of the run that did it
            if result.done or result.failures or result.stage not in stages:
                stages[result.stage] = result.row()
        run = {
            "augrgb": _version("augrgb"),
            "command": self.command,
            "config": to_values(self.config),
            "inputs": [{"path": str(s.path), "name": s.name} for s in self.sources],
            "annotations": str(self.annotations.source.resolve())
            if self.annotations
            else before.get("annotations"),
            "device": describe_device(self.device),
            "threads": torch.get_num_threads(),
            "versions": versions(),
            "stages": list(stages.values()),
        }
        write_json(self.out / "run.json", run)


def versions() -> dict[str, str]:
    """Of the interpreter and the libraries that make the numbers."""
    return {"python": platform.python_version(), **{name: _version(name) for name in VERSIONED}}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def resolve_device(name: str) -> torch.device:
    """auto | cpu | cuda[:i]; a device that was asked for and is missing is an error."""
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device {name}: expected auto, cpu or cuda[:i]") from error
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type != "cuda":
        raise UsageError(f"--device {name}: expected auto, cpu or cuda[:i]")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (device.index or 0) >= count:
        raise UsageError(f"--device {name}: this machine has {count} CUDA devices; use --device cpu or auto")
    return torch.device("cuda", device.index or 0)


def describe_device(device: torch.device) -> str:
    """For records: "cpu (x86_64)" or "cuda:0 (name)"."""
    detail = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{device} ({detail})"


def saved_sources(out: Path) -> Sequence[Source]:
    """The videos of the run that made OUT; UsageError where there was none."""
    inputs = read_json(out / "run.json").get("inputs")
    if not inputs:
        raise UsageError(f"no VIDEOS given, and {out / 'run.json'} names none: give files, folders or lists")
    return tuple(Source(Path(row["path"]), row["name"]) for row in inputs)
