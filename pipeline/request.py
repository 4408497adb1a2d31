"""What was asked for, checked as a whole before any work."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.checkpoint import Checkpoint
from pipeline.classifier import class_names, classifier_checkpoint, under_names
from pipeline.config import RunConfig, load_config, override
from pipeline.datasets import load_annotations
from pipeline.engines import LOCAL, EngineOptions
from pipeline.files import read_json
from pipeline.inputs import Inputs, UsageError, find_videos
from pipeline.job import Job, resolve_device, saved_sources
from pipeline.lineup import Lineup
from pipeline.plans import run_plans
from pipeline.progress import Progress
from pipeline.protocols import resolve
from pipeline.recipe import RGB, Recipe, check_modalities
from pipeline.scoring import check_features
from pipeline.task import Task, make_task
from pipeline.training import checkpoint_path


@dataclass(frozen=True)
class Request:
    """What was asked for, found to make sense: a job, and perhaps a model to score with."""

    job: Job
    checkpoint: Checkpoint | None = None  # given from outside, or with the weights: nothing is trained
    features: tuple[str, ...] = ()  # modalities to extract; none: what training or the checkpoint needs
    engine: EngineOptions = LOCAL  # where features are made

    def task(self) -> Task | None:
        """What the labels say about these videos; None without labels."""
        job = self.job
        if job.annotations is None:
            return None
        return make_task(
            job.annotations,
            [source.name for source in job.sources],
            job.config.labels,
            seed=job.config.seed,
            classes=self.checkpoint.classes if self.checkpoint else None,
        )

    def recipe(self) -> Recipe:
        """The extractors that are needed, their weights found; they are what a given checkpoint expects.

        Networks are loaded only where OUT has nothing yet; else perhaps none of them is needed.
        """
        job = self.job
        modalities = self.features or (RGB, *job.config.teachers)
        if self.checkpoint is not None:
            modalities = tuple(self.checkpoint.features)
        recipe = Recipe.build(job.config, modalities, job.progress, job.device)
        if self.checkpoint is not None:
            check_features(self.checkpoint, recipe)
        if not job.out.is_dir():
            recipe.load()
        return recipe

    def lineup(self) -> Lineup:
        """The checkpoint given, else the models trained in OUT."""
        if self.checkpoint:
            return Lineup({self.checkpoint.name: self.checkpoint})
        job = self.job
        names = [plan.name for plan in run_plans(job.config)]
        return Lineup({name: Checkpoint.load(checkpoint_path(job.out, name)) for name in names})


def request(
    videos: str | Path | Sequence[str | Path] | None,
    out: str | Path,
    *,
    annotations: str | Path | None = None,
    checkpoint: str | Path | None = None,
    preset: str | None = None,
    config: str | Path | None = None,
    overrides: Sequence[str] | None = None,
    features: Sequence[str] = (),
    device: str = "auto",
    quiet: bool = False,
    remember: bool = False,
    command: str = "",
    fail_fast: bool = False,
    engine: EngineOptions = LOCAL,
) -> Request:
    """Check everything a user can get wrong, before any work; ValueError names it.

    `remember`: what is left out is taken from the run that made `out`.
    """
    check_modalities(features)
    engine = engine.on(device)
    out = Path(out)
    _check_out(out)
    saved = read_json(out / "run.json") if remember else {}
    given = Checkpoint.load(Path(checkpoint)) if checkpoint else None
    settings_file = Path(config) if config else (out / "run.json" if saved else None)
    settings = _settings(given, preset, settings_file, overrides or ())
    resolve(settings.evaluation.protocols)
    if remember and annotations is None:
        annotations = saved.get("annotations")
    labels = load_annotations(Path(annotations)) if annotations else None
    inputs = _inputs(videos) if videos else Inputs(tuple(saved_sources(out)), (), 0)
    progress, on = Progress(out / "log.jsonl", quiet=quiet), resolve_device(device)
    if settings.classifier and given is None and not features:
        names = class_names(settings, labels, out, remember=remember)
        given = classifier_checkpoint(settings, names, progress, on)
    if labels and given:
        labels = under_names(labels, given.classes)
    if labels and settings.labels.ignore:
        labels = labels.without(settings.labels.ignore)
    job = Job(out, inputs.sources, settings, on, progress, labels, command)
    if inputs.rejected:
        with job.stage("inputs") as result:
            for one in inputs.rejected:
                job.fail(result, one.video, "unusable", one.message)
    job = replace(job, fail_fast=fail_fast)  # now: what was rejected above is to be recorded first
    return Request(job, given, tuple(dict.fromkeys(features)), engine)


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; --out names a folder")
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        owner = nearest.stat().st_uid
        raise UsageError(
            f"{out}: user {os.getuid()} may not write in {nearest}, which belongs to user {owner}; name "
            f'another, change its rights, or, in a container, mount a folder of its own: -v "$PWD/out:{out}"'
        )


def _inputs(videos: str | Path | Sequence[str | Path]) -> Inputs:
    listed = [videos] if isinstance(videos, str | Path) else videos
    return find_videos([Path(video) for video in listed])


def _settings(
    checkpoint: Checkpoint | None, preset: str | None, config: Path | None, overrides: Sequence[str]
) -> RunConfig:
    if checkpoint is None:
        return load_config(preset, config, overrides)
    own = checkpoint.run_config
    if preset and preset != own.preset:
        raise UsageError(
            f"--preset {preset}: the checkpoint was trained with preset {own.preset!r}; leave --preset out"
        )
    return override(own, overrides)
