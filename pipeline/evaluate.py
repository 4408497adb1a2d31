"""Stage evaluate: scores against labels on the test split, chance beside it.

metrics.json    model -> protocol -> result; which test videos were missing
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from pipeline.files import digest, read_json, write_json
from pipeline.job import Job
from pipeline.labels import interval_targets
from pipeline.metrics import frame_map
from pipeline.task import Task
from pipeline.tracks import ScoreTrack


def evaluate(job: Job, task: Task, scores: Mapping[str, Mapping[str, ScoreTrack]]) -> dict[str, Any]:
    """frame_map/all of every model (model -> video -> scores) on the same frames.

    These are all frames of the test videos that every model has scored; the others are listed as missing.
    """
    with job.stage("evaluate") as result:
        videos = [v for v in task.split.testing if all(v in of_model for of_model in scores.values())]
        missing = [v for v in task.split.testing if v not in videos]
        key = digest(
            {
                "task": task.digest(),
                "videos": videos,
                "scores": {model: [_digest(of[v]) for v in videos] for model, of in scores.items()},
            }
        )
        path = job.out / "metrics.json"
        found = read_json(path)
        if found.get("key") == key:
            result.cached = 1
            return found
        models = {}
        if videos:
            some = next(iter(scores.values()))
            targets = [interval_targets(task.intervals[v], some[v].times_sec_F, task.classes) for v in videos]
            for model, of_model in scores.items():
                measured = frame_map(
                    [of_model[v].scores_FK for v in videos], targets, task.classes, videos=videos
                )
                models[model] = {measured.protocol: measured.to_json()}
        else:
            job.progress.say("  evaluate: no test video has labels and scores; nothing is measured")
        metrics = {"key": key, "models": models, "videos": videos, "missing": missing, "subset": "testing"}
        write_json(path, metrics)
        result.done = 1
    return metrics


def _digest(track: ScoreTrack) -> str:
    return hashlib.sha256(track.scores_FK.tobytes() + track.times_sec_F.tobytes()).hexdigest()


def metrics_table(metrics: Mapping[str, Any]) -> Table | None:
    """What metrics.json says, for a terminal; None where nothing was measured."""
    if not metrics.get("models"):
        return None
    table = Table(title=f"test split: {len(metrics['videos'])} videos, {len(metrics['missing'])} missing")
    for column in ("model", "protocol", "mAP %", "frames"):
        table.add_column(column, justify="left" if column in ("model", "protocol") else "right")
    for protocol, row in next(iter(metrics["models"].values())).items():
        table.add_row("chance", protocol, _percent(row["chance"]), str(row["frames"]))
    for model, protocols in metrics["models"].items():
        for protocol, row in protocols.items():
            table.add_row(model, protocol, _percent(row["mean_ap"]), str(row["frames"]))
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
