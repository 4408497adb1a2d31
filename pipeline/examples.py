"""What a model is trained and chosen on: features, targets, and what frozen teachers make of the videos.

Shapes: T steps, D feature size, C size of the features before the classifier, K classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import overload

import numpy as np
import torch

from models.windows import encode_any_length
from pipeline.checkpoint import Checkpoint
from pipeline.dataset import Example, Teaching
from pipeline.labels import interval_targets
from pipeline.plans import ModelPlan
from pipeline.task import Task
from pipeline.track_set import TrackSet


@dataclass
class Teachers:
    """Frozen teachers: what each makes of a video is made once, however many students it teaches."""

    tracks: TrackSet
    _known: dict[str, dict[str, Teaching]] = field(default_factory=dict)  # key of the checkpoint -> video

    def teach(self, teacher: Checkpoint, videos: Sequence[str]) -> dict[str, Teaching]:
        """By video: of those that have what the teacher sees."""
        known = self._known.setdefault(teacher.key, {})
        inputs = tuple(teacher.features)
        wanted = [video for video in videos if self.tracks.has(inputs, video)]
        model = teacher.build() if any(video not in known for video in wanted) else None
        for video in wanted:
            if video not in known:
                assert model is not None, "there is a video to be seen"
                x_1TD = torch.from_numpy(self.tracks.joined(inputs, video).data_TD)[None]
                with torch.inference_mode():
                    h_1TC = encode_any_length(model, x_1TD, torch.ones(x_1TD.shape[:2]))
                    logits_1TK = model.classify(h_1TC)
                known[video] = Teaching(h_1TC[0].numpy().copy(), logits_1TK[0].numpy().copy())
        return {video: known[video] for video in wanted}


@dataclass(frozen=True)
class Examples:
    """Of one model."""

    training: Sequence[Example]  # those without labels come last
    validation: Sequence[Example]


class MadeWhenAsked(Sequence[Example]):
    """Examples that are not kept: features stay in their files until a batch needs them."""

    def __init__(self, makers: Sequence[Callable[[], Example]]) -> None:
        self._makers = makers

    def __len__(self) -> int:
        return len(self._makers)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> "MadeWhenAsked": ...
    def __getitem__(self, index: int | slice) -> "Example | MadeWhenAsked":
        if isinstance(index, slice):
            return MadeWhenAsked(self._makers[index])
        return self._makers[index]()


def make_examples(
    task: Task,
    plan: ModelPlan,
    teachers: Teachers,
    checkpoints: Mapping[str, Checkpoint],
    *,
    unlabelled: bool,
) -> Examples:
    """Of the videos that have what the model sees; `checkpoints` hold its trained teachers by plan.

    Where it has teachers, the videos that the annotations call unlabelled join its training, and with
    `unlabelled` those that they do not name, too.
    """
    tracks, split = teachers.tracks, task.split
    joining = [video for video in split.unlabelled if unlabelled or video in task.match.labels]
    videos = [*split.training, *split.validation, *(joining if plan.teachers else ())]
    own = [video for video in videos if tracks.has(plan.inputs, video)]
    taught: dict[str, dict[str, Teaching]] = {video: {} for video in own}
    for subject, name in plan.subjects.items():
        for video, teaching in teachers.teach(checkpoints[name], own).items():
            taught[video][subject] = teaching
    if plan.method == "ensemble":
        taught = {video: _averaged(of) for video, of in taught.items()}

    def labelled(part: Sequence[str]) -> list[Callable[[], Example]]:
        known = [video for video in part if video in taught]
        return [partial(_labelled, task, video, tracks, plan, taught[video]) for video in known]

    joined = [video for video in joining if taught.get(video)]
    pseudo = [partial(_unlabelled, video, tracks, plan, taught[video]) for video in joined]
    return Examples(
        MadeWhenAsked([*labelled(split.training), *pseudo]), MadeWhenAsked(labelled(split.validation))
    )


def _averaged(taught: Mapping[str, Teaching]) -> dict[str, Teaching]:
    """All teachers of a video as one, whose logits are their mean; what is compared is logits alone."""
    if not taught:
        return {}
    logits_TK = np.mean([teaching.logits_TK for teaching in taught.values()], axis=0, dtype=np.float32)
    return {"ensemble": Teaching(next(iter(taught.values())).features_TC, logits_TK)}


def _labelled(
    task: Task, video: str, tracks: TrackSet, plan: ModelPlan, taught: Mapping[str, Teaching]
) -> Example:
    track = tracks.joined(plan.inputs, video)
    targets_TK = interval_targets(task.intervals[video], track.step_sec_T, task.classes)
    return Example(video, track.data_TD, targets_TK.astype(np.float32), teachers=taught)


def _unlabelled(video: str, tracks: TrackSet, plan: ModelPlan, taught: Mapping[str, Teaching]) -> Example:
    """Targets are the mean of the probabilities that its teachers see."""
    seen = [torch.from_numpy(teaching.logits_TK).sigmoid().numpy() for teaching in taught.values()]
    target_TK = np.mean(seen, axis=0, dtype=np.float32)
    x_TD = tracks.joined(plan.inputs, video).data_TD
    return Example(video, x_TD, target_TK, labelled=False, teachers=taught)
