"""Stage train: cached features and labels to checkpoints: vanilla, teachers, and the student they teach.

Shapes: T steps, D feature size, C size of the features before the classifier, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import build_model
from models.base import TemporalModel
from models.masking import Standardise
from models.windows import encode_any_length
from pipeline.checkpoint import Checkpoint, CheckpointError
from pipeline.config import to_values
from pipeline.dataset import Example
from pipeline.files import digest
from pipeline.inputs import UsageError
from pipeline.job import Job, StageResult
from pipeline.labels import interval_targets
from pipeline.products import Features, load_tracks
from pipeline.recipe import RGB
from pipeline.task import Task
from pipeline.tracks import FeatureTrack

VANILLA = "vanilla"  # RGB alone, no teacher
STUDENT = "student"  # RGB alone, taught by the teachers
Tracks = Mapping[str, Mapping[str, tuple[FeatureTrack, str]]]  # modality -> video -> track, hash of its data


def teacher_name(modality: str) -> str:
    """The model trained on one teacher modality."""
    return f"teacher-{modality}"


def checkpoint_path(out: Path, name: str) -> Path:
    """Where a run keeps its models."""
    return out / "checkpoints" / f"{name}.ckpt"


@dataclass(frozen=True)
class _Plan:
    """A model to be trained: on what, and the key that names everything it depends on."""

    name: str
    modality: str
    identity: dict[str, Any]  # of its features
    training: list[Example]
    validation: list[Example]
    key: str


def train(job: Job, task: Task, features: Features) -> dict[str, Checkpoint]:
    """All models of the job by name, the one that scores last; each trained only if it has to be.

    UsageError where no training video has features.
    """
    with job.stage("train") as result:
        tracks = _tracks(job, features, result)
        models: dict[str, Checkpoint] = {}
        for name, modality in planned(job):
            plan = _plan(job, task, features, tracks, name, modality, models)
            found = _existing(checkpoint_path(job.out, name), plan.key)
            if found is None:
                models[name] = _train(job, task, plan)
                result.done += 1
            else:
                models[name] = found
                result.cached += 1
    return models


def trained(job: Job, task: Task, features: Features) -> dict[str, Checkpoint]:
    """The models that `train` would find there already, up to the first it would train."""
    tracks = _tracks(job, features, StageResult("train"))
    models: dict[str, Checkpoint] = {}
    for name, modality in planned(job):
        plan = _plan(job, task, features, tracks, name, modality, models)
        found = _existing(checkpoint_path(job.out, name), plan.key)
        if found is None:
            break
        models[name] = found
    return models


def planned(job: Job) -> list[tuple[str, str]]:
    """(name, modality) of every model, in the order of training; the last one scores."""
    teachers = [(teacher_name(modality), modality) for modality in job.config.teachers]
    return [(VANILLA, RGB), *teachers, *([(STUDENT, RGB)] if teachers else [])]


def _tracks(job: Job, features: Features, result: StageResult) -> Tracks:
    modalities = (RGB, *job.config.teachers)
    return {modality: load_tracks(job, features, modality, result) for modality in modalities}


def _plan(
    job: Job,
    task: Task,
    features: Features,
    tracks: Tracks,
    name: str,
    modality: str,
    models: Mapping[str, Checkpoint],
) -> _Plan:
    """`models` are those trained before: the student's teachers are among them."""
    own = tracks[modality]
    taught_by = job.config.teachers if name == STUDENT else ()
    teachers: dict[str, Checkpoint] = {m: models[teacher_name(m)] for m in taught_by}
    lessons = _lessons(tracks, teachers)
    training, validation = (
        [_example(task, video, own[video][0], lessons) for video in videos if video in own]
        for videos in (task.split.training, task.split.validation)
    )
    if not training:
        raise UsageError(
            f"nothing to train {name} on: of {len(task.split.training)} labelled training videos none has "
            f"{modality} features; run extract, or look at the failures"
        )
    if teachers:
        training += _unlabelled(job, task, own, lessons)
    values = to_values(job.config)
    settings = ["model", values["model"], "train", "seed", *(["distillation"] if teachers else [])]
    key = digest(
        {
            "config": {setting: _chosen(values[setting]) for setting in settings},
            "classes": list(task.classes),
            "features": features.recipe.identities[modality],
            "teachers": {m: teacher.key for m, teacher in teachers.items()},
            "data": [[_digest(e, own[e.video][1]) for e in part] for part in (training, validation)],
        }
    )
    return _Plan(name, modality, features.recipe.identities[modality], training, validation, key)


@dataclass(frozen=True)
class _Taught:
    """What one frozen teacher makes of a video: features (T, C) and probabilities (T, K)."""

    features_TC: np.ndarray
    scores_TK: np.ndarray


def _lessons(tracks: Tracks, teachers: Mapping[str, Checkpoint]) -> dict[str, dict[str, _Taught]]:
    """video -> modality -> what the teacher makes of it: once, since a teacher never changes."""
    lessons: dict[str, dict[str, _Taught]] = {}
    for modality, teacher in teachers.items():
        model = teacher.build()
        for video, (track, _) in tracks[modality].items():
            lessons.setdefault(video, {})[modality] = _teach(model, track)
    return lessons


def _teach(model: TemporalModel, track: FeatureTrack) -> _Taught:
    x_1TD = torch.from_numpy(track.data_TD)[None]
    with torch.inference_mode():
        h_1TC = encode_any_length(model, x_1TD, torch.ones(x_1TD.shape[:2]))
        scores_1TK = model.classify(h_1TC).sigmoid()
    return _Taught(h_1TC[0].numpy().copy(), scores_1TK[0].numpy().copy())


def _example(
    task: Task, video: str, track: FeatureTrack, lessons: Mapping[str, Mapping[str, _Taught]]
) -> Example:
    targets_TK = interval_targets(task.intervals[video], track.step_sec_T, task.classes)
    taught = {modality: lesson.features_TC for modality, lesson in lessons.get(video, {}).items()}
    return Example(video, track.data_TD, targets_TK.astype(np.float32), teachers=taught)


def _unlabelled(
    job: Job,
    task: Task,
    own: Mapping[str, tuple[FeatureTrack, str]],
    lessons: Mapping[str, Mapping[str, _Taught]],
) -> list[Example]:
    """Videos without labels that join the distillation; targets are what the teachers see in them."""
    joining = [
        video
        for video in task.split.unlabelled
        if video in own
        and lessons.get(video)
        and (job.config.distill_unlabelled or video in task.match.labels)
    ]
    examples = []
    for video in joining:
        taught = lessons[video]
        seen_TK = np.mean([lesson.scores_TK for lesson in taught.values()], axis=0, dtype=np.float32)
        features = {modality: lesson.features_TC for modality, lesson in taught.items()}
        examples.append(Example(video, own[video][0].data_TD, seen_TK, labelled=False, teachers=features))
    return examples


def _train(job: Job, task: Task, plan: _Plan) -> Checkpoint:
    from pipeline.fit import Lesson, fit  # Lightning takes seconds to import

    config = job.config
    in_dim = plan.training[0].x_TD.shape[1]
    torch.manual_seed(config.seed)
    settings = getattr(config, config.model)
    model = build_model(config.model, in_dim=in_dim, num_classes=len(task.classes), config=settings)
    for module in model.modules():
        if isinstance(module, Standardise):
            module.fit(torch.from_numpy(np.concatenate([example.x_TD for example in plan.training])))
    lesson = Lesson(
        name=plan.name,
        training=plan.training,
        validation=plan.validation,
        distillations=_distillations(job, plan.training, model.hidden),
        config=config.train,
        seed=config.seed,
    )
    folder = job.out / "training" / f"{plan.name}-{plan.key[:8]}"
    state, history, best = fit(model, lesson, folder=folder, device=job.device, progress=job.progress)
    checkpoint = Checkpoint(
        name=plan.name,
        classes=task.classes,
        config=to_values(config),
        features={plan.modality: plan.identity},
        in_dim=in_dim,
        state=state,
        key=plan.key,
        best=best,
        history=history,
    )
    checkpoint.save(checkpoint_path(job.out, plan.name))
    kept = ", ".join(f"{k} {v:.4g}" for k, v in best.items())
    job.progress.say(f"  {plan.name}: {len(history)} epochs, kept: {kept}")
    return checkpoint


def _distillations(job: Job, examples: Sequence[Example], hidden: int) -> dict[str, Any]:
    """One for each teacher that has something to say about these videos."""
    dims = {m: row.shape[1] for example in examples for m, row in example.teachers.items()}
    if not dims:
        return {}
    from models.distillation import Distillation

    return {m: Distillation(hidden, dims[m], job.config.distillation) for m in sorted(dims)}


def _digest(example: Example, data_sha256: str) -> list[Any]:
    targets = example.target_TK
    digits = digest([list(targets.shape), targets.tobytes().hex()])
    return [example.video, data_sha256, digits, example.labelled, sorted(example.teachers)]


def _chosen(settings: Any) -> Any:
    """A group of settings without what is off: a setting added later leaves earlier keys as they are."""
    if not isinstance(settings, dict):
        return settings
    return {name: value for name, value in settings.items() if value is not None}


def _existing(path: Path, key: str) -> Checkpoint | None:
    try:
        found = Checkpoint.load(path)
    except CheckpointError:
        return None
    return found if found.key == key else None
