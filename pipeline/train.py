"""Stage train: cached features and labels to a checkpoint.

Shapes: T steps, D feature size, K classes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import build_model
from models.masking import Standardise
from pipeline.checkpoint import Checkpoint, CheckpointError
from pipeline.config import to_values
from pipeline.dataset import Example
from pipeline.extract import Features, load_tracks
from pipeline.files import digest
from pipeline.inputs import UsageError
from pipeline.job import Job, StageResult
from pipeline.labels import interval_targets
from pipeline.task import Task
from pipeline.tracks import FeatureTrack

VANILLA = "vanilla"  # RGB alone, no teacher


def checkpoint_path(out: Path, name: str) -> Path:
    """Where a run keeps its models."""
    return out / "checkpoints" / f"{name}.ckpt"


@dataclass(frozen=True)
class _Plan:
    """A model to be trained: on what, and the key that names everything it depends on."""

    name: str
    identity: dict[str, dict[str, Any]]  # modality -> identity of its features
    training: list[Example]
    validation: list[Example]
    key: str


def train(job: Job, task: Task, features: Features) -> Checkpoint:
    """The vanilla model, on RGB; trained only if anything it depends on has changed.

    UsageError where no training video has features.
    """
    with job.stage("train") as result:
        plan = _plan(job, task, features, result)
        path = checkpoint_path(job.out, plan.name)
        found = _existing(path, plan.key)
        if found is not None:
            result.cached = 1
            return found
        checkpoint = _train(job, task, plan)
        checkpoint.save(path)
        result.done = 1
        best = ", ".join(f"{k} {v:.4g}" for k, v in checkpoint.best.items())
        job.progress.say(f"  {plan.name}: {len(checkpoint.history)} epochs, kept: {best}")
    return checkpoint


def trained(job: Job, task: Task, features: Features) -> Checkpoint | None:
    """The model that `train` would find there already; None if it would train."""
    plan = _plan(job, task, features, StageResult("train"))
    return _existing(checkpoint_path(job.out, plan.name), plan.key)


def _plan(job: Job, task: Task, features: Features, result: StageResult) -> _Plan:
    tracks = load_tracks(job, features, "rgb", result)
    training, validation = (
        [_example(task, video, tracks[video][0]) for video in videos if video in tracks]
        for videos in (task.split.training, task.split.validation)
    )
    if not training:
        raise UsageError(
            f"nothing to train on: of {len(task.split.training)} labelled training videos none has "
            "features; run extract, or look at the failures"
        )
    values = to_values(job.config)
    identity = {"rgb": features.recipe.identities["rgb"]}
    key = digest(
        {
            "config": {name: values[name] for name in ("model", values["model"], "train", "seed")},
            "classes": list(task.classes),
            "features": identity,
            "data": [
                [[e.video, tracks[e.video][1], _targets_digest(e)] for e in part]
                for part in (training, validation)
            ],
        }
    )
    return _Plan(VANILLA, identity, training, validation, key)


def _train(job: Job, task: Task, plan: _Plan) -> Checkpoint:
    from pipeline.fit import fit  # Lightning takes seconds to import

    config = job.config
    in_dim = plan.training[0].x_TD.shape[1]
    torch.manual_seed(config.seed)
    model = build_model(
        config.model, in_dim=in_dim, num_classes=len(task.classes), config=getattr(config, config.model)
    )
    for module in model.modules():
        if isinstance(module, Standardise):
            module.fit(torch.from_numpy(np.concatenate([example.x_TD for example in plan.training])))
    state, history, best = fit(
        model,
        plan.training,
        plan.validation,
        name=plan.name,
        config=config.train,
        seed=config.seed,
        folder=job.out / "training" / f"{plan.name}-{plan.key[:8]}",
        device=job.device,
        progress=job.progress,
    )
    return Checkpoint(
        name=plan.name,
        classes=task.classes,
        config=to_values(config),
        features=plan.identity,
        in_dim=in_dim,
        state=state,
        key=plan.key,
        best=best,
        history=history,
    )


def _example(task: Task, video: str, track: FeatureTrack) -> Example:
    targets_TK = interval_targets(task.intervals[video], track.step_sec_T, task.classes)
    return Example(video, track.data_TD, targets_TK.astype(np.float32))


def _targets_digest(example: Example) -> str:
    steps, classes = example.target_TK.nonzero()
    return digest([list(example.target_TK.shape), steps.tolist(), classes.tolist()])


def _existing(path: Path, key: str) -> Checkpoint | None:
    try:
        found = Checkpoint.load(path)
    except CheckpointError:
        return None
    return found if found.key == key else None
