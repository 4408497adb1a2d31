"""The classifier that came with an I3D's weights as a model that scores every frame; nothing is trained.

It is a checkpoint like any other: a linear temporal model on the features of rgb. It is kept in OUT, so that
its scores are found under the same names of classes later, and `--checkpoint` takes it elsewhere.
"""

from dataclasses import replace
from pathlib import Path

import torch

from models.linear import LinearConfig
from pipeline.checkpoint import Checkpoint, CheckpointError
from pipeline.classes import load_classifier
from pipeline.config import RunConfig, to_values
from pipeline.datasets.action_json import CHARADES_CLASSES
from pipeline.files import digest
from pipeline.inputs import UsageError
from pipeline.labels import Annotations, Interval
from pipeline.lineup import Lineup
from pipeline.progress import Progress
from pipeline.recipe import RGB, Recipe
from pipeline.training import checkpoint_path

_CHARADES = "charades"  # the data set


def classifier_name(config: RunConfig) -> str:
    """Of the model, and of its file in OUT."""
    return f"{config.classifier}-i3d"


def classifier_checkpoint(
    config: RunConfig, names: tuple[str, ...] | None, progress: Progress, device: torch.device
) -> Checkpoint:
    """The model that `config.classifier` asks for; `names` are those of its classes, where they are known.

    WeightsError where the weights cannot be had; UsageError where they come without a classifier, or with
    one of another number of classes.
    """
    assert config.classifier is not None
    identity = Recipe.build(config, (RGB,), progress, device).identities[RGB]
    found = load_classifier(config.rgb.weights, config.classifier)
    if found is None:
        raise UsageError(
            f"{config.rgb.weights}: these weights come without a classifier: nothing to score with"
        )
    names = names if names and len(names) == len(found.names) else found.names
    linear = LinearConfig(standardise=False, exclusive=found.exclusive)
    state = {
        "head.weight": torch.from_numpy(found.weight_KD).float(),
        "head.bias": torch.from_numpy(found.bias_K).float(),
    }
    return Checkpoint(
        name=classifier_name(config),
        classes=names,
        config=to_values(replace(config, model="linear", linear=linear)),
        features={RGB: identity},
        in_dim=found.weight_KD.shape[1],
        state=state,
        key=digest([identity, list(names), linear.exclusive]),
        best={},
    )


def class_names(
    config: RunConfig, labels: Annotations | None, out: Path, *, remember: bool
) -> tuple[str, ...] | None:
    """What Charades' classes are called, where that is known: by the labels, or by what OUT holds.

    `remember`: what OUT holds comes first, since it is worked on.
    """
    if config.classifier != _CHARADES:
        return None
    given = labels.classes if labels and labels.dataset == _CHARADES else None
    kept = _load(checkpoint_path(out, classifier_name(config)))
    own = kept.classes if kept else None
    return (own or given) if remember else (given or own)


def under_names(labels: Annotations, classes: tuple[str, ...]) -> Annotations:
    """Labels of Charades under a model's names for its classes, where one has ids and the other their names.

    All else is left as it is.
    """
    ids = CHARADES_CLASSES.by_id()[0]
    if labels.dataset != _CHARADES or labels.classes == classes or len(classes) != len(ids):
        return labels
    if ids not in (labels.classes, classes):
        return labels
    named = dict(zip(labels.classes, classes, strict=True))
    videos = tuple(
        replace(video, intervals=tuple(_renamed(interval, named) for interval in video.intervals))
        for video in labels.videos
    )
    return replace(labels, videos=videos, classes=classes)


def _renamed(interval: Interval, named: dict[str, str]) -> Interval:
    return replace(interval, label=named[interval.label])


def keep_classifier(out: Path, lineup: Lineup) -> None:
    """The model in OUT, where it is a classifier of weights: what was trained here is there already."""
    model = lineup.models[lineup.final]
    if model.run_config.classifier is None:
        return
    path = checkpoint_path(out, model.name)
    kept = _load(path)
    if kept is None or kept.key != model.key:
        model.save(path)


def _load(path: Path) -> Checkpoint | None:
    try:
        return Checkpoint.load(path)
    except CheckpointError:
        return None
