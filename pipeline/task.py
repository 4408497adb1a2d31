"""What is to be learnt and judged: classes, parts, and the intervals of every labelled video."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from pipeline.config import LabelConfig
from pipeline.files import digest
from pipeline.inputs import UsageError
from pipeline.label_lint import clean, lint
from pipeline.labels import Annotations, Interval, Match, match_videos
from pipeline.splits import Split, split
from pipeline.timeline import Clock


@dataclass(frozen=True)
class Task:
    """`intervals` are cleaned, on the player's clock, of the videos whose clock is known."""

    classes: tuple[str, ...]  # columns of every score
    match: Match
    split: Split
    intervals: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    lint: tuple[str, ...] = ()

    def on(self, clocks: Mapping[str, Clock]) -> "Task":
        """The same with intervals held against the videos' clocks, and what was found wrong with them."""
        intervals = {
            video: clean(labels, clocks[video])
            for video, labels in self.match.labels.items()
            if video in clocks
        }
        remarks = self.match.annotations.remarks
        lines = (*remarks, self.split.describe(), *lint(self.match, clocks, self.split).lines())
        return replace(self, intervals=intervals, lint=lines)

    def subset(self, video: str) -> Literal["training", "validation", "testing", "unlabelled"]:
        """The part of the split a video is in."""
        if video in self.split.training:
            return "training"
        if video in self.split.validation:
            return "validation"
        return "testing" if video in self.split.testing else "unlabelled"

    def digest(self) -> str:
        """Of classes, parts and intervals."""
        intervals = {video: [asdict(i) for i in found] for video, found in self.intervals.items()}
        return digest([list(self.classes), asdict(self.split), intervals])


def make_task(
    annotations: Annotations,
    videos: Sequence[str],
    config: LabelConfig,
    *,
    seed: int,
    classes: tuple[str, ...] | None = None,
) -> Task:
    """Labels matched to videos and split; `classes` are those of a given model, which is only judged.

    Then every labelled video judges it, unless the annotations name subsets. UsageError where no video
    of the input is labelled, or where a label is none of the model's classes.
    """
    match = match_videos(annotations, videos)
    if not match.labels:
        raise UsageError(
            f"{annotations.source}: labels {len(annotations.videos)} videos, such as "
            f"{annotations.videos[0].video!r}, none of which is in the input, such as {videos[0]!r}; "
            "name videos by their paths relative to the input folder"
        )
    if classes is None and not annotations.classes:
        raise UsageError(f"{annotations.source}: names no label; there is nothing to learn")
    if classes is not None and (unknown := [c for c in annotations.classes if c not in classes]):
        raise UsageError(
            f"{annotations.source}: the checkpoint does not know the labels {', '.join(unknown)}, "
            f"it knows {', '.join(classes)}; leave them out: --set 'labels.ignore=[{', '.join(unknown)}]'"
        )
    parts = split(match, seed, test_share=config.test_share, validation_share=config.validation_share)
    if classes is not None and parts.drawn:
        judging = tuple(sorted({*parts.training, *parts.validation, *parts.testing}))
        parts = replace(parts, training=(), validation=(), testing=judging)
    return Task(classes or annotations.classes, match, parts)
