"""What the classifier that came with an I3D's weights says of its features: the best classes of each window.

A look at whether features see what a person sees; `classifier` scores every frame with it. The classifier
is linear, so that of the mean feature of a window is the mean over its steps, as Carreira and Zisserman
(2017) average them.

Shapes: T steps, D feature size, K classes, N best of them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import safe_open

from extractors.weights import LoadedWeights, load_weights
from pipeline.config import ClassSet, RunConfig
from pipeline.datasets.action_json import CHARADES_CLASSES
from pipeline.inputs import UsageError
from pipeline.settings_file import read_text
from pipeline.tracks import FeatureTrack

_LAYERS = ("logits.conv3d", "conv3d_0c_1x1.conv3d")  # of the two public layouts
_KINETICS, _CHARADES = 400, 157  # classes; those of Kinetics exclude one another, others need not


@dataclass(frozen=True)
class Classifier:
    """Features to scores: of classes that exclude one another (they sum to 1), or of each on its own."""

    weight_KD: np.ndarray
    bias_K: np.ndarray
    names: tuple[str, ...]
    exclusive: bool

    def scores(self, features_TD: np.ndarray) -> np.ndarray:
        """(T, K) in [0, 1]."""
        logits_TK = features_TD.astype(np.float64) @ self.weight_KD.T + self.bias_K
        if not self.exclusive:
            return 1 / (1 + np.exp(-logits_TK))
        powers_TK = np.exp(logits_TK - logits_TK.max(axis=1, keepdims=True))
        return powers_TK / powers_TK.sum(axis=1, keepdims=True)

    def lines(self, track: FeatureTrack, best: int = 5) -> Iterator[str]:
        """One line per window: its middle on the player's clock, and its best classes."""
        for second, score_K in zip(track.step_sec_T, self.scores(track.data_TD), strict=True):
            order = np.argsort(-score_K, kind="stable")[:best]
            yield f"{second:9.2f} s  " + ", ".join(f"{self.names[k]} {score_K[k]:.3f}" for k in order)


def load_classifiers(
    config: RunConfig, modalities: Sequence[str], names: Path | None = None
) -> dict[str, Classifier]:
    """By modality, the classifier of its I3D's weights; `names` is a text file with a class in each line.

    UsageError where no modality has one, or where the file has another number of lines than there are
    classes.
    """
    weights = {"rgb": config.rgb.weights, "flow": config.flow.i3d.weights}
    found: dict[str, Classifier] = {}
    for modality in modalities:
        if modality in weights and (classifier := load_classifier(weights[modality], names=names)):
            found[modality] = classifier
    if not found:
        looked = ", ".join(f"{name} ({weights.get(name, 'joints')})" for name in modalities)
        raise UsageError(f"--show-classes: these weights come without a classifier: {looked}")
    return found


def load_classifier(
    weights: str, classes: ClassSet = "weights", names: Path | None = None
) -> Classifier | None:
    """The classifier in an I3D's weights, where they have one; of the classes of a data set, or of its own.

    UsageError where it has another number of classes than the data set, or than `names` has lines.
    """
    loaded = load_weights(weights)
    layer = next((layer for layer in _LAYERS if f"{layer}.weight" in loaded.state), None)
    if layer is None:
        return None
    weight_KD = loaded.state[f"{layer}.weight"].flatten(1).double().numpy()
    bias_K = loaded.state[f"{layer}.bias"].double().numpy()
    if names:
        named = _read_names(names, len(bias_K))
    elif classes == "weights":
        named = _known_names(weights, loaded, len(bias_K))
    else:
        named = _names_of(classes)
    if len(named) != len(bias_K):
        raise UsageError(
            f"{loaded.path}: its classifier has {len(bias_K)} classes, {classes} has {len(named)}; score "
            "with those it has: --set classifier=weights"
        )
    return Classifier(weight_KD, bias_K, named, exclusive=len(bias_K) == _KINETICS)


def _read_names(path: Path, count: int) -> tuple[str, ...]:
    try:
        lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as a list of classes in UTF-8 ({error})") from error
    if len(lines) != count:
        raise UsageError(f"{path}: names {len(lines)} classes, the weights have {count}; expected one a line")
    return tuple(lines)


def _known_names(weights: str, loaded: LoadedWeights, count: int) -> tuple[str, ...]:
    """Where it is certain what the classes are called; their numbers else."""
    if loaded.path.suffix == ".safetensors":
        with safe_open(loaded.path, "np") as file:
            own = json.loads((file.metadata() or {}).get("classes", "[]"))
        if len(own) == count:
            return tuple(map(str, own))
    if weights.startswith("i3d-") and count in (_CHARADES, _KINETICS):
        return _names_of("charades" if count == _CHARADES else "kinetics")
    return tuple(f"class {k}" for k in range(count))


def _names_of(data_set: Literal["charades", "kinetics"]) -> tuple[str, ...]:
    """In the order of its I3D's classifier."""
    if data_set == "charades":
        return CHARADES_CLASSES.by_id()[0]
    # Kinetics-400 in alphabetical order, as its I3D counts and torchvision names them
    from torchvision.models.video import R3D_18_Weights

    names = tuple(R3D_18_Weights.KINETICS400_V1.meta["categories"])
    assert names == tuple(sorted(names))
    return names


def class_lines(
    classifiers: Mapping[str, Classifier], tracks: Mapping[str, FeatureTrack], video: str
) -> Iterator[str]:
    """The best classes of every window of a video, modality by modality."""
    for modality, classifier in classifiers.items():
        if modality in tracks:
            yield f"{video} ({modality})"
            yield from classifier.lines(tracks[modality])
