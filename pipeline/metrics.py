"""Per-frame mean average precision, by named protocol, with chance beside it.

AP of a class: all frames of all videos sorted by score, the mean over the positive ones of the
precision at their rank, not interpolated. Frames of equal score share the rank of the last of
them, so that no order of the input can move the result, and a constant score gets exactly
chance. Chance is the prevalence of the class: the AP expected of random scores.

    frame_map/all            mean over the classes that have a positive
    frame_map/all_classes    mean over all classes, one without a positive counting 0
    step_map/all             frame_map/all on feature steps instead of frames

Shapes: F frames (or steps) of one video, K classes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

Protocol = Literal["frame_map/all", "frame_map/all_classes", "step_map/all"]


@dataclass(frozen=True)
class MapResult:
    """Figures in [0, 1]; None where undefined: the AP of a class without a positive, means of nothing."""

    protocol: Protocol
    mean_ap: float | None
    chance: float | None  # mean over the same classes as mean_ap
    ap: dict[str, float | None]  # by class, in the order of the columns
    chance_per_class: dict[str, float | None]
    positives: dict[str, int]  # frames, by class
    frames: int  # or steps, under step_map
    videos: int

    def to_json(self) -> dict[str, Any]:
        """As JSON, without NaN."""
        return asdict(self)


def frame_map(
    scores: Iterable[np.ndarray],
    targets: Iterable[np.ndarray],
    classes: Sequence[str],
    *,
    videos: Sequence[str] | None = None,
    protocol: Protocol = "frame_map/all",
) -> MapResult:
    """Mean average precision over the frames of all videos together.

    `scores` are (F, K), finite, of any scale; `targets` (F, K) bool; one of each per video, in the
    same order. `videos` names them for messages. ValueError where they do not fit.
    """
    scores, targets = list(scores), list(targets)
    if len(set(classes)) < len(classes):
        raise ValueError(f"a class is there twice: {', '.join(classes)}")
    names = list(videos) if videos is not None else [f"video {i}" for i in range(len(scores))]
    if not len(scores) == len(targets) == len(names):
        raise ValueError(f"scores of {len(scores)} videos, targets of {len(targets)}, {len(names)} names")
    for name, score_FK, target_FK in zip(names, scores, targets, strict=True):
        _check(name, score_FK, target_FK, len(classes))
    frames = sum(len(score_FK) for score_FK in scores)
    positives = [sum(int(target_FK[:, k].sum()) for target_FK in targets) for k in range(len(classes))]
    aps = [_average_precision(scores, targets, k) if positives[k] else None for k in range(len(classes))]
    prevalences = [count / frames if frames else None for count in positives]
    # a class without a positive: left out of the means, or 0 in both
    counted = [k for k in range(len(classes)) if protocol == "frame_map/all_classes" or positives[k]]
    return MapResult(
        protocol=protocol,
        mean_ap=_mean([aps[k] or 0.0 for k in counted]) if frames else None,
        chance=_mean([prevalences[k] or 0.0 for k in counted]) if frames else None,
        ap=dict(zip(classes, aps, strict=True)),
        chance_per_class=dict(zip(classes, prevalences, strict=True)),
        positives=dict(zip(classes, positives, strict=True)),
        frames=frames,
        videos=len(scores),
    )


def _average_precision(scores: Sequence[np.ndarray], targets: Sequence[np.ndarray], k: int) -> float:
    """Of one class, which has a positive: one column at a time is all that is copied."""
    from sklearn.metrics import average_precision_score  # a third of what a command takes to start

    score_N = np.concatenate([score_FK[:, k] for score_FK in scores])
    target_N = np.concatenate([target_FK[:, k] for target_FK in targets])
    return float(average_precision_score(target_N, score_N))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _check(name: str, score_FK: np.ndarray, target_FK: np.ndarray, num_classes: int) -> None:
    if score_FK.ndim != 2 or score_FK.shape != target_FK.shape or score_FK.shape[1] != num_classes:
        raise ValueError(
            f"{name}: scores {score_FK.shape} and targets {target_FK.shape}; expected both (F, {num_classes})"
        )
    if target_FK.dtype != np.bool_:
        raise ValueError(f"{name}: targets are {target_FK.dtype}; expected bool")
    if not np.isfinite(score_FK).all():
        row, k = np.argwhere(~np.isfinite(score_FK))[0]
        raise ValueError(
            f"{name}: the score of frame {row}, class {k} is {score_FK[row, k]}; expected a number"
        )
