"""The two kinds of work of a benchmark, each a call that any process can take: train a model, judge a row.

Models are kept below a part's folder, in checkpoints/; what was measured of a row, below its cell's, in
measured/<row>.json. Either is done again only where something it depends on has changed.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from pipeline.benchmark.cells import Cell, Part
from pipeline.benchmark.features import FeatureSource
from pipeline.benchmark.rows import Row
from pipeline.checkpoint import Checkpoint
from pipeline.config import EventConfig, to_values
from pipeline.files import digest, read_json, write_json
from pipeline.job import Job
from pipeline.labels import VideoLabels
from pipeline.plans import ModelPlan
from pipeline.progress import Progress
from pipeline.protocols import Judgement, Truth, judge, resampled
from pipeline.scoring import Scorer, score_tracks
from pipeline.timeline import Clock
from pipeline.track_set import TrackSet
from pipeline.tracks import ScoreTrack
from pipeline.training import checkpoint_path, train_models

FORMAT = 1  # of what is measured: raise it whenever the same models get other figures
# settings that neither the features, nor the split, nor the plans of a row tell
_SETTINGS = ("model", "train", "distillation", "rivals", "distill_unlabelled", "seed", "events")


@dataclass(frozen=True)
class Judging:
    """How rows are judged: the first protocol is the headline, which has an interval and chooses."""

    protocols: tuple[str, ...]
    samples: int  # of the bootstrap; 0: no interval


@dataclass(frozen=True)
class Training:
    """A model of one part, after those that teach it."""

    cell: Cell
    part: Part
    plans: tuple[ModelPlan, ...]
    features: FeatureSource
    device: str


@dataclass(frozen=True)
class Measuring:
    """A row of one cell, whose models have been trained."""

    cell: Cell
    row: Row
    features: FeatureSource
    judging: Judging
    device: str

    @property
    def path(self) -> Path:
        """Where the result is kept."""
        return self.cell.out / "measured" / f"{self.row.name}.json"

    def key(self) -> str:
        """Of everything that the result depends on."""
        config = self.cell.config
        settings = to_values(config)
        return digest(
            {
                "format": FORMAT,
                "features": self.features.sha256,
                "cell": self.cell.digest,
                "config": {name: settings[name] for name in (*_SETTINGS, config.model)},
                "row": [[_plan_values(plan) for plan in self.row.plans], list(self.row.models)],
                "judging": [list(self.judging.protocols), self.judging.samples],
            }
        )

    def found(self) -> dict[str, Any] | None:
        """What was measured before, if nothing has changed since."""
        measured = read_json(self.path)
        return measured if measured.get("key") == self.key() else None


def train_model(item: Training) -> Checkpoint:
    """The model, trained unless it is there."""
    tracks = _tracks(item.features)
    job = _job(item.cell, item.part, item.device)
    models = train_models(job, item.part.task.on(_clocks(tracks)), tracks, item.plans)
    return models[item.plans[-1].name]


def measure_row(item: Measuring) -> dict[str, Any]:
    """Every protocol on the test videos of all parts together; the headline on those to choose by, too."""
    tracks, headline = _tracks(item.features), item.judging.protocols[0]
    testing = _judged(item, tracks, "testing")
    judgements = {name: _judge(name, testing) for name in item.judging.protocols}
    validation = _judged(item, tracks, "validation")
    result = {
        "key": item.key(),
        "protocols": {name: judgement.measure().to_json() for name, judgement in judgements.items()},
        "draws": _draws(judgements[headline], item.judging.samples),
        "validation": _judge(headline, validation).measure().to_json() if validation.scores else None,
    }
    write_json(item.path, result)
    return result


@dataclass(frozen=True)
class _Judged:
    """Scores and truth by video, of all parts of a cell; in folds a video may be in several."""

    scores: dict[str, ScoreTrack]
    truth: dict[str, Truth]
    grids: dict[str, np.ndarray]
    classes: tuple[str, ...]
    rule: EventConfig


def _judged(item: Measuring, tracks: TrackSet, role: Literal["testing", "validation"]) -> _Judged:
    clocks, device = _clocks(tracks), torch.device(item.device)
    cell = item.cell
    judged = _Judged({}, {}, {}, cell.parts[0].task.classes, cell.config.events)
    for number, part in enumerate(cell.parts):
        videos = part.testing if role == "testing" else part.validation
        models = tuple(Checkpoint.load(checkpoint_path(part.out, name)) for name in item.row.models)
        scores = score_tracks(Scorer(item.row.name, models), tracks, videos, device) if videos else {}
        for video in videos:
            name = f"{number}/{video}"
            judged.scores[name] = scores[video]
            judged.truth[name] = _truth(part.task.match.labels[video], clocks[video])
            judged.grids[name] = tracks.tracks[item.row.inputs[0]][video][0].step_sec_T
    return judged


def _judge(protocol: str, of: _Judged) -> Judgement:
    return judge(protocol, of.scores, of.truth, of.classes, grids=of.grids, rule=of.rule)


def _draws(judgement: Judgement, samples: int) -> list[float | None]:
    """The figure on resampled videos; draws are the same for all rows and seeds: differences are paired."""
    if not samples or len(judgement.videos) < 2:
        return []
    value_S, _ = resampled(judgement, samples=samples)
    return [None if math.isnan(value) else round(float(value), 6) for value in value_S]


def _truth(labels: VideoLabels, clock: Clock) -> Truth:
    """As annotated, with the length that the data set states, if it does."""
    return Truth(labels.intervals, labels.duration_sec or clock.duration_sec)


def _plan_values(plan: ModelPlan) -> dict[str, Any]:
    return {name: value for name, value in asdict(plan).items() if value is not None}


def _job(cell: Cell, part: Part, device: str) -> Job:
    """Nothing is said: many work at once."""
    return Job(part.out, (), cell.config, torch.device(device), Progress(None, quiet=True))


def _clocks(tracks: TrackSet) -> dict[str, Clock]:
    return {video: track.clock for of in tracks.tracks.values() for video, (track, _) in of.items()}


_held: dict[str, TrackSet] = {}


def _tracks(features: FeatureSource) -> TrackSet:
    """Read once by each process; one set is held at a time."""
    key = features.sha256
    if key not in _held:
        _held.clear()
        _held[key] = features.load()
    return _held[key]
