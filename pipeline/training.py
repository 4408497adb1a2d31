"""Stage train: features and labels to checkpoints: vanilla, teachers, and the student they teach.

Shapes: T steps, D feature size, C size of the features before the classifier, K classes.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from models import build_distiller, build_model
from models.masking import Standardise
from pipeline.checkpoint import Checkpoint, CheckpointError
from pipeline.config import RunConfig, to_values
from pipeline.dataset import Example
from pipeline.examples import Examples, Teachers, make_examples
from pipeline.files import digest
from pipeline.inputs import UsageError
from pipeline.job import Job, StageResult
from pipeline.plans import ModelPlan, all_inputs, check_plans, run_plans
from pipeline.products import Features
from pipeline.task import Task
from pipeline.track_set import TrackSet, cached_tracks

if TYPE_CHECKING:
    from models.distiller import Distiller


def checkpoint_path(out: Path, name: str) -> Path:
    """Where a run keeps its models."""
    return out / "checkpoints" / f"{name}.ckpt"


def train(job: Job, task: Task, features: Features) -> dict[str, Checkpoint]:
    """All models of a run by name, from its cached features, the one that scores last."""
    plans = run_plans(job.config)
    with job.stage("train") as result:
        tracks = cached_tracks(job, features, all_inputs(plans), result)
        return _train_all(job, task, tracks, plans, result)


def train_models(job: Job, task: Task, tracks: TrackSet, plans: Sequence[ModelPlan]) -> dict[str, Checkpoint]:
    """All planned models by name, in order; each trained only if what it depends on changed.

    `task` has intervals (see `Task.on`). Checkpoints go to OUT/checkpoints, curves to OUT/training.
    UsageError where no training video has what a model sees.
    """
    with job.stage("train") as result:
        return _train_all(job, task, tracks, plans, result)


def trained(job: Job, task: Task, features: Features) -> dict[str, Checkpoint]:
    """The models that `train` would find there already, up to the first it would train."""
    plans = run_plans(job.config)
    tracks = cached_tracks(job, features, all_inputs(plans), StageResult("train"))
    teachers, models = Teachers(tracks), dict[str, Checkpoint]()
    for plan in plans:
        found = _prepare(job, task, plan, teachers, models).existing(job)
        if found is None:
            break
        models[plan.name] = found
    return models


def _train_all(
    job: Job, task: Task, tracks: TrackSet, plans: Sequence[ModelPlan], result: StageResult
) -> dict[str, Checkpoint]:
    check_plans(plans)
    teachers, models = Teachers(tracks), dict[str, Checkpoint]()
    for plan in plans:
        prepared = _prepare(job, task, plan, teachers, models)
        with job.claims.held("train", plan.name, job.progress.say):  # others wait, and find it
            found = prepared.existing(job)
            if found is None:
                models[plan.name] = _train(job, task, prepared)
                result.done += 1
            else:
                models[plan.name] = found
                result.cached += 1
    return models


@dataclass(frozen=True)
class _Prepared:
    """A model to be trained, and everything its weights depend on."""

    plan: ModelPlan
    config: RunConfig  # with what the plan says otherwise
    classes: tuple[str, ...]
    examples: Examples
    tracks: TrackSet
    teachers: dict[str, Checkpoint]  # by the name under which the losses are shown

    @property
    def identities(self) -> dict[str, dict[str, Any]]:
        """Of its features, in the order they are joined."""
        return {name: self.tracks.identities[name] for name in self.plan.inputs}

    @cached_property
    def key(self) -> str:
        """Names everything that changes the weights."""
        config, several = self.config, len(self.plan.inputs) > 1
        values = to_values(config)
        settings = {name: values[name] for name in ("model", config.model, "train", "seed")}
        if self.teachers and config.method == "augmented":
            settings["distillation"] = values["distillation"]
        elif self.teachers:
            settings[f"rivals.{config.method}"] = values["rivals"][config.method]
        parts = (self.examples.training, self.examples.validation)
        return digest(
            {
                "config": {name: _chosen(value) for name, value in settings.items()},
                "classes": list(self.classes),
                "features": list(self.identities.items())
                if several
                else self.identities[self.plan.inputs[0]],
                "teachers": {subject: teacher.key for subject, teacher in self.teachers.items()},
                "data": [[self._digest(example) for example in part] for part in parts],
            }
        )

    def _digest(self, example: Example) -> list[Any]:
        hashes, targets = self.tracks.hashes(self.plan.inputs, example.video), example.target_TK
        digits = digest([list(targets.shape), targets.tobytes().hex()])
        data = hashes if len(hashes) > 1 else hashes[0]
        return [example.video, data, digits, example.labelled, sorted(example.teachers)]

    def existing(self, job: Job) -> Checkpoint | None:
        """What was trained before, if it depends on the same; a damaged file is said."""
        path = checkpoint_path(job.out, self.plan.name)
        try:
            found = Checkpoint.load(path)
        except CheckpointError as error:
            if path.exists():
                job.progress.say(f"  made again: {error}")
            return None
        return found if found.key == self.key else None


def _prepare(
    job: Job, task: Task, plan: ModelPlan, teachers: Teachers, models: Mapping[str, Checkpoint]
) -> _Prepared:
    """`models` are those trained before: its teachers are among them."""
    config = plan.settings(job.config)
    examples = make_examples(task, plan, teachers, models, unlabelled=config.distill_unlabelled)
    if not any(example.labelled for example in examples.training):
        raise UsageError(
            f"nothing to train {plan.name} on: of {len(task.split.training)} labelled training videos none "
            f"has {' and '.join(plan.inputs)} features; run extract, or look at the failures"
        )
    own = {subject: models[name] for subject, name in plan.subjects.items()}
    return _Prepared(plan, config, task.classes, examples, teachers.tracks, own)


def _train(job: Job, task: Task, prepared: _Prepared) -> Checkpoint:
    from pipeline.fit import Lesson, fit  # Lightning takes seconds to import

    config, training, name = prepared.config, prepared.examples.training, prepared.plan.name
    in_dim = training[0].x_TD.shape[1]
    torch.manual_seed(config.seed)
    settings = getattr(config, config.model)
    model = build_model(config.model, in_dim=in_dim, num_classes=len(task.classes), config=settings)
    for module in model.modules():
        if isinstance(module, Standardise):
            module.fit_parts(lambda: (torch.from_numpy(example.x_TD) for example in training))
    lesson = Lesson(
        name=name,
        training=training,
        validation=prepared.examples.validation,
        distillers=_distillers(config, training, model.hidden),
        config=config.train,
        seed=config.seed,
        save_sec=config.work.save_sec,
    )
    folder, started = job.out / "training" / f"{name}-{prepared.key[:8]}", time.monotonic()
    state, history, best = fit(model, lesson, folder=folder, device=job.device, progress=job.progress)
    checkpoint = Checkpoint(
        name=name,
        classes=task.classes,
        config=to_values(config),
        features=prepared.identities,
        in_dim=in_dim,
        state=state,
        key=prepared.key,
        best=best,
        history=history,
    )
    checkpoint.save(checkpoint_path(job.out, name))
    kept = ", ".join(f"{k} {v:.4g}" for k, v in best.items())
    job.progress.say(f"  {name}: {len(history)} epochs, kept: {kept}")
    seconds = round(time.monotonic() - started, 3)
    job.progress.event("trained", model=name, epochs=len(history), kept=best, seconds=seconds)
    return checkpoint


def _distillers(config: RunConfig, examples: Sequence[Example], hidden: int) -> "dict[str, Distiller]":
    """One for each teacher that has something to say about these videos."""
    dims = {
        name: seen.features_TC.shape[1] for example in examples for name, seen in example.teachers.items()
    }
    return {
        name: build_distiller(
            config.method,
            student_dim=hidden,
            teacher_dim=dims[name],
            distillation=config.distillation,
            rivals=config.rivals,
        )
        for name in sorted(dims)
    }


# What a setting added later needs to be left out of a key: then earlier checkpoints keep theirs.
_OF_A_TERM = {"logits": ("logits", "logits_temperature")}


def _chosen(settings: Any) -> Any:
    """A group of settings without what is off: a setting added later leaves earlier keys as they are."""
    if not isinstance(settings, dict):
        return settings
    off = {name for term, names in _OF_A_TERM.items() if not settings.get(term) for name in names}
    return {name: value for name, value in settings.items() if value is not None and name not in off}
