"""Stage evaluate: scores against labels on the test split, by named protocols, with chance and intervals.

metrics.json    model -> protocol -> result; which test videos were missing

A result has `mean_ap` (the protocol's headline), `chance`, `ap` by class, `interval` and `chance_interval`
(95 %, videos resampled), `videos`, `missing` and the details of the protocol.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from pipeline.events import frame_edges
from pipeline.files import digest, read_json, write_json
from pipeline.job import Job
from pipeline.products import Features
from pipeline.protocols import Judgement, Truth, defaults, intervals, judge, resolve
from pipeline.sums import CHANGED, changed, summed
from pipeline.task import Task
from pipeline.timeline import Clock, step_sec
from pipeline.tracks import ScoreTrack

Grids = Mapping[str, np.ndarray]  # when the steps of each video's features are: (T,), player's clock


def evaluate(
    job: Job,
    task: Task,
    scores: Mapping[str, Mapping[str, ScoreTrack]],
    grids: Grids | None = None,
) -> dict[str, Any]:
    """Every model (model -> video -> scores) by the same protocols on the same videos.

    Scored are the test videos that every model has scored, the others are missing; what a missing one counts
    is the protocol's matter. Protocols are those of the settings, else those of the data set.
    """
    with job.stage("evaluate") as result:
        videos = [v for v in task.split.testing if all(v in of_model for of_model in scores.values())]
        missing = [v for v in task.split.testing if v not in videos]
        truth = _truth(task, next(iter(scores.values())))
        grids = {video: grid for video, grid in (grids or {}).items() if video in videos}
        evaluation = job.config.evaluation
        protocols = resolve(evaluation.protocols or defaults(task.match.annotations.dataset))
        key = digest(
            {
                "truth": {video: asdict(found) for video, found in truth.items()},
                "classes": list(task.classes),
                "videos": [videos, missing],
                "scores": {model: [_digest(of[v]) for v in videos] for model, of in scores.items()},
                "grids": {video: _sha256(grid) for video, grid in grids.items()},
                "protocols": [list(protocols), evaluation.samples, asdict(job.config.events)],
            }
        )
        path = job.out / "metrics.json"
        found, sums = read_json(path), job.out / "metrics.sha256"
        if changed(sums):
            job.progress.say(f"  made again: {path}: {CHANGED}")
        elif found.get("key") == key and sums.is_file():
            result.cached = 1
            return found
        models: dict[str, dict[str, Any]] = {}
        if not videos:
            job.progress.say("  evaluate: no test video has labels and scores; nothing is measured")
        for model, of_model in scores.items() if videos else ():
            judged = {video: of_model[video] for video in videos}
            models[model] = {
                name: _result(
                    judge(name, judged, truth, task.classes, grids=grids, rule=job.config.events),
                    evaluation.samples,
                    missing,
                )
                for name in protocols
            }
        metrics = {"key": key, "models": models, "videos": videos, "missing": missing, "subset": "testing"}
        with summed(sums, [path.name]):
            write_json(path, metrics)
        result.done = 1
    return metrics


def saved_metrics(job: Job) -> dict[str, Any]:
    """metrics.json as it was written; {} where there is none, and where it is damaged, which is said."""
    if changed(job.out / "metrics.sha256"):
        job.progress.say(f"  left out: {job.out / 'metrics.json'}: {CHANGED}; run evaluate again")
        return {}
    return read_json(job.out / "metrics.json")


def step_times(features: Features) -> dict[str, np.ndarray]:
    """When the steps of each video's features are, by the records of the first modality: all share them."""
    times = {}
    for video, files in features.files.items():
        if record := next(iter(files.values())).record():
            clock = Clock.from_json(record["clock"])
            times[video] = step_sec(np.asarray(record["centers_sec"], dtype=np.float64), clock)
    return times


def metrics_table(metrics: Mapping[str, Any]) -> Table | None:
    """What metrics.json says, for a terminal: a section per protocol; None where nothing was measured."""
    models = metrics.get("models")
    if not models:
        return None
    table = Table(title=f"test split: {len(metrics['videos'])} videos, {len(metrics['missing'])} missing")
    table.add_column("protocol, model", overflow="fold")
    for column in ("%", "95 % interval", "videos", "of"):
        table.add_column(column, justify="right", no_wrap=True)
    for protocol, some in next(iter(models.values())).items():
        table.add_section()
        table.add_row(Text(protocol, style="bold"), "", "", str(some["videos"]), _counted(some))
        if some["chance"] is not None:
            table.add_row("  chance", *_figures(some, "chance", "chance_interval"))
        for model, results in models.items():
            table.add_row(Text(f"  {model}"), *_figures(results[protocol], "mean_ap", "interval"))
    return table


def _truth(task: Task, scores: Mapping[str, ScoreTrack]) -> dict[str, Truth]:
    """Of the test videos whose length the annotations state, or that are there to be measured."""
    truth = {}
    for video in task.split.testing:
        labels = task.match.labels[video]
        length = labels.duration_sec
        if length is None and video in scores:
            length = float(frame_edges(scores[video].times_sec_F)[-1])
        if length is not None:
            truth[video] = Truth(labels.intervals, length)
    return truth


def _result(judgement: Judgement, samples: int, missing: list[str]) -> dict[str, Any]:
    """One model by one protocol, as metrics.json has it; missing are also videos of unknown length."""
    measured = judgement.measure()
    value, chance = intervals(judgement, samples=samples) if samples else (None, None)
    return {
        "protocol": measured.protocol,
        "mean_ap": measured.value,
        "interval": value,
        "chance": measured.chance,
        "chance_interval": chance,
        "ap": measured.per_class,
        "videos": measured.videos,
        **measured.details,
        "missing": missing,
    }


def _figures(row: Mapping[str, Any], figure: str, interval: str) -> tuple[str, str]:
    span = row.get(interval)
    return _percent(row[figure]), f"{_percent(span[0])} to {_percent(span[1])}" if span else "-"


def _counted(row: Mapping[str, Any]) -> str:
    """How much was judged: 900 frames, 25 instants, 12 events."""
    unit = str(row["unit"])
    return f"{row['events' if unit == 'events' else 'frames']} {unit}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _digest(track: ScoreTrack) -> str:
    return _sha256(track.scores_FK, track.times_sec_F)


def _sha256(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
