"""What is trained and judged, again and again: a cell for each seed, or for each subset of a label curve.

A cell has one part, or one for each fold; its figure is that of all parts' test videos together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.benchmark.folds import Grouping, deal_folds, held_out, in_order_of_lots
from pipeline.config import RunConfig
from pipeline.files import digest
from pipeline.inputs import UsageError
from pipeline.labels import Annotations, Subset, VideoLabels, match_videos
from pipeline.task import Task, make_task


@dataclass(frozen=True)
class Part:
    """One split. `testing` judges the models trained below `out`, `validation` is what to choose by.

    The task has no intervals yet: its clocks come with the features.
    """

    out: Path
    task: Task
    testing: tuple[str, ...]
    validation: tuple[str, ...]

    def digest(self) -> str:
        """Of everything that the features do not say."""
        labels = {video: asdict(found) for video, found in self.task.match.labels.items()}
        parts = asdict(self.task.split)
        return digest([labels, list(self.task.classes), parts, self.testing, self.validation])


@dataclass(frozen=True)
class Cell:
    """Models of one seed. `labelled` counts labelled training videos on a label curve; else None."""

    name: str
    out: Path
    config: RunConfig
    parts: tuple[Part, ...]
    labelled: int | None = None

    @cached_property
    def digest(self) -> str:
        """Of the parts, without where they lie."""
        return digest([part.digest() for part in self.parts])


@dataclass(frozen=True)
class Splits:
    """How the labelled videos of a benchmark become splits: as annotated, or in folds."""

    annotations: Annotations
    videos: tuple[str, ...]  # those there are, by their names in the input
    folds: int | None = None  # none: the subsets of the annotations
    grouping: Grouping = field(default_factory=Grouping)

    @cached_property
    def labels(self) -> dict[str, VideoLabels]:
        """Of the videos there are and have labels, by their names in the annotations."""
        found = match_videos(self.annotations, self.videos).labels.values()
        return {labels.video: labels for labels in found if labels.subset != "unlabelled"}

    @cached_property
    def subsets(self) -> list[dict[str, Subset]]:
        """Of each part: names in the annotations to subsets; UsageError where nothing says which test."""
        if self.folds is None:
            if any(labels.subset is None for labels in self.annotations.videos):
                raise UsageError(f"{self.annotations.source}: has no subsets; say how many folds: --folds 5")
            return [{name: labels.subset for name, labels in self.labels.items() if labels.subset}]
        parts = deal_folds(list(self.labels), self.folds, self.grouping)
        return [
            {name: "testing" if name in testing else "training" for name in self.labels} for testing in parts
        ]

    def task(self, roles: Mapping[str, Subset], config: RunConfig, *, stated: bool = True) -> Task:
        """Labels with these subsets; a video that has no role is as good as not annotated.

        `stated`: those that the annotations call unlabelled stay so.
        """
        videos = [replace(v, subset=roles[v.video]) for v in self.annotations.videos if v.video in roles]
        if stated:
            videos += [labels for labels in self.annotations.videos if labels.subset == "unlabelled"]
        annotations = replace(self.annotations, videos=tuple(videos))
        return make_task(annotations, self.videos, config.labels, seed=config.seed)


def seed_cells(splits: Splits, config: RunConfig, seeds: int, out: Path) -> list[Cell]:
    """A cell for each of the seeds 0, 1, ...: they share test videos and folds, not validation shares."""
    cells = []
    for seed in range(seeds):
        own, folder = replace(config, seed=seed), out / f"seed-{seed}"
        parts = []
        for i, subsets in enumerate(splits.subsets):
            task = splits.task(subsets, own)
            parts.append(
                Part(_part_folder(folder, splits, i), task, task.split.testing, task.split.validation)
            )
        cells.append(Cell(f"seed {seed}", folder, own, tuple(parts)))
    return cells


def curve_cells(
    splits: Splits, config: RunConfig, counts: Sequence[int], draws: int, out: Path
) -> list[Cell]:
    """A cell for each number of labelled videos and draw; the other training videos have no labels.

    A larger subset holds the smaller ones of the same draw. No epoch is chosen, since that would take more
    labels; `config.labels.validation_share` of the training videos is held out, the same for all draws, for
    choices between rows. Numbers beyond what there is become all there is.
    """
    whole = replace(config.labels, validation_share=0.0)
    cells = []
    for count in _possible(splits, config, counts):
        for draw in range(draws):
            own, folder = replace(config, seed=draw, labels=whole), out / f"labelled-{count}" / f"draw-{draw}"
            parts = tuple(
                _curve_part(splits, subsets, own, count, config.labels.validation_share, folder, i)
                for i, subsets in enumerate(splits.subsets)
            )
            cells.append(Cell(f"{count} labelled, draw {draw}", folder, own, parts, count))
    return cells


def _curve_part(
    splits: Splits,
    subsets: Mapping[str, Subset],
    config: RunConfig,
    count: int,
    share: float,
    folder: Path,
    number: int,
) -> Part:
    choosing, learning = _choosing_and_learning(subsets, share)
    labelled = set(in_order_of_lots(learning, config.seed)[:count])
    roles: dict[str, Subset] = dict.fromkeys(labelled, "training")
    roles |= {name: "testing" for name, subset in subsets.items() if subset == "testing"}
    roles |= dict.fromkeys(choosing, "testing")  # to the task, which need only know what is learned from
    task = splits.task(roles, config, stated=False)
    judged = {video: task.match.labels[video].video in choosing for video in task.split.testing}
    return Part(
        _part_folder(folder, splits, number),
        task,
        tuple(video for video, chooses in judged.items() if not chooses),
        tuple(video for video, chooses in judged.items() if chooses),
    )


def _choosing_and_learning(subsets: Mapping[str, Subset], share: float) -> tuple[list[str], list[str]]:
    training = [name for name, subset in subsets.items() if subset == "training"]
    choosing = held_out(training, share)
    return choosing, [name for name in training if name not in choosing]


def _possible(splits: Splits, config: RunConfig, counts: Sequence[int]) -> list[int]:
    """Numbers of labelled videos, sorted: at most as many as the smallest part has."""
    share = config.labels.validation_share
    most = min(len(_choosing_and_learning(subsets, share)[1]) for subsets in splits.subsets)
    if not counts or min(counts) < 1 or most < 1:
        raise UsageError(f"--label-curve {list(counts)}: expected numbers of videos from 1 to {most}")
    return sorted({min(count, most) for count in counts})


def _part_folder(folder: Path, splits: Splits, number: int) -> Path:
    return folder if splits.folds is None else folder / f"fold-{number}"


def describe(cells: Sequence[Cell]) -> dict[str, Any]:
    """Counts for the table: videos that test, and that train in the first cell's parts."""
    parts = cells[0].parts
    return {
        "testing": sum(len(part.testing) for part in parts),
        "training": [len(part.task.split.training) for part in parts],
        "validation": [len(part.validation) for part in parts],
        "unlabelled": [len(part.task.split.unlabelled) for part in parts],
    }
