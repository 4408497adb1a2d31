"""The data sets of `augrgb benchmark`, frozen: what their annotations hold, by which recipe, set beside what.

Training settings are those of the authors' public code where a comment says so; where none is known, ours.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.benchmark import published
from pipeline.benchmark.published import Figure
from pipeline.labels import Annotations
from pipeline.protocols import defaults

FOLDER = "folder"
PRACTICE = "practice"


@dataclass(frozen=True)
class Counts:
    """Of an annotation file as published."""

    training: int
    testing: int
    classes: int
    intervals: int

    @classmethod
    def of(cls, annotations: Annotations) -> "Counts":
        """What a file holds."""
        subsets = Counter(video.subset for video in annotations.videos)
        intervals = sum(len(video.intervals) for video in annotations.videos)
        return cls(subsets["training"], subsets["testing"], len(annotations.classes), intervals)

    @property
    def videos(self) -> int:
        """Of both subsets."""
        return self.training + self.testing


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """One benchmark. `dataset` is what its annotation file is read as; "" where any will do."""

    name: str
    title: str
    preset: str
    teachers: tuple[str, ...]
    settings: tuple[str, ...] = ()  # over the preset, as --set takes them
    dataset: str = ""
    annotations: str = ""  # the file to give
    counts: Counts | None = None
    figures: tuple[Figure, ...] = ()
    seeds: int = 3
    not_as_published: tuple[str, ...] = ()

    @property
    def protocols(self) -> tuple[str, ...]:
        """The headline first."""
        return defaults(self.dataset)


_PDAN_CHARADES = ("model=pdan", "train.lr=1e-4", "train.batch_videos=32", "train.epochs=100")  # dairui01/PDAN
_PDAN_TSU = ("model=pdan", "train.lr=2e-4", "train.batch_videos=2", "train.epochs=140")  # dairui01/PDAN
# rate and batch of dairui01/MS-TCT (issue 2 there); those of PDAN are not known
_MULTITHUMOS = ("model=pdan", "train.lr=5e-4", "train.batch_videos=8", "train.epochs=100")
_OURS = ("model=pdan", "train.lr=5e-4", "train.batch_videos=8", "train.epochs=100")
_FLOW = "flow is RAFT's, through the Kinetics I3D; the paper's flow is not documented"
_SKELETON = "skeletons are of people that a detector finds in the video, not those of the sensor"
_SCHEDULE = "epochs are chosen on 15 % of the training videos; the public codes choose on the test videos"

_TSU: dict[str, Any] = {
    "preset": "tsu",
    "teachers": ("flow", "skeleton"),
    "settings": _PDAN_TSU,
    "not_as_published": (
        "the I3D fine-tuned on Smarthome is handed out on request only: without it, Kinetics weights",
        "the JSON differs a little from the official csv, which is the reference",
        _FLOW,
        _SCHEDULE,
    ),
}
_PKU: dict[str, Any] = {
    "preset": "kinetics-16",
    "teachers": ("flow", "skeleton"),
    "settings": _OURS,
    "figures": published.PKU_MMD,
    "not_as_published": (_FLOW, _SKELETON, _SCHEDULE, "the training settings are ours"),
}
_ALL = (
    DataSet(
        name="charades",
        title="Charades",
        dataset="charades",
        annotations="charades.json or Charades_v1_train.csv",
        counts=Counts(7985, 1863, 157, 66500),
        preset="charades",
        teachers=("flow",),
        settings=_PDAN_CHARADES,
        figures=published.CHARADES,
        not_as_published=(
            "frames come from the videos; those of the published features from JPEG files at 24 fps",
            "whole videos; the public script cuts those over 1,600 frames into overlapping chunks",
            _FLOW,
            _SCHEDULE,
        ),
    ),
    DataSet(
        name="multithumos",
        title="MultiTHUMOS",
        dataset="multithumos",
        annotations="multithumos.json",
        counts=Counts(200, 213, 65, 38690),
        preset="thumos",
        teachers=("flow",),
        settings=_MULTITHUMOS,
        figures=published.MULTITHUMOS,
        not_as_published=(
            "the pixels of the published features are not documented: those of video_features",
            _FLOW,
            _SCHEDULE,
        ),
    ),
    DataSet(
        name="pku-mmd-cs",
        title="PKU-MMD, phase 1, cross-subject",
        dataset="pku-mmd-cs",
        annotations="cross-subject.txt, the label folder beside it",
        counts=Counts(944, 132, 51, 21545),
        **_PKU,
    ),
    DataSet(
        name="pku-mmd-cv",
        title="PKU-MMD, phase 1, cross-view",
        dataset="pku-mmd-cv",
        annotations="cross-view.txt, the label folder beside it",
        counts=Counts(717, 359, 51, 21545),
        **_PKU,
    ),
    DataSet(
        name="tsu-cs",
        title="Toyota Smarthome Untrimmed, cross-subject",
        dataset="tsu-cs",
        annotations="smarthome_CS_51.json",
        counts=Counts(351, 185, 51, 41288),
        figures=published.TSU_CS,
        **_TSU,
    ),
    DataSet(
        name="tsu-cv",
        title="Toyota Smarthome Untrimmed, cross-view",
        dataset="tsu-cv",
        annotations="smarthome_CV_51.json",
        counts=Counts(369, 167, 51, 41288),
        figures=published.TSU_CV,
        **_TSU,
    ),
    DataSet(
        name="thumos14",
        title="THUMOS14",
        dataset="thumos14",
        annotations="thumos14.json",
        counts=Counts(200, 212, 20, 6365),
        preset="thumos",
        teachers=("flow",),
        settings=_OURS,
        figures=published.THUMOS14,
        not_as_published=(
            "segments are runs of high frame scores; the published detectors learn segments",
            "the pixels of the published features are not documented: those of video_features",
            _FLOW,
            "the training settings are ours",
        ),
    ),
    DataSet(
        name=PRACTICE,
        title="the practice world: 64 training and 32 test videos of about 30 s, rendered with seed 1",
        preset="tiny",
        teachers=("flow", "skeleton"),
        settings=("model=tcn", "tcn.hidden=128", "train.epochs=60", "labels.validation_share=0.15"),
        seeds=5,
    ),
    DataSet(name=FOLDER, title="videos of a folder", preset="kinetics", teachers=("flow",), seeds=1),
)

BENCHMARKS: Mapping[str, DataSet] = {each.name: each for each in _ALL}
