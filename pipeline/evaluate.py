"""Stage evaluate: scores against labels on the test split, chance beside it.

metrics.json    model -> protocol -> result; which test videos were missing
"""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from pipeline.files import digest, read_json, write_json
from pipeline.job import Job
from pipeline.labels import interval_targets
from pipeline.metrics import frame_map
from pipeline.task import Task
from pipeline.tracks import ScoreTrack


def evaluate(job: Job, task: Task, model: str, scores: Mapping[str, ScoreTrack]) -> dict[str, Any]:
    """frame_map/all on the frames of the test videos that have scores; those without are listed."""
    with job.stage("evaluate") as result:
        videos = [video for video in task.split.testing if video in scores]
        missing = [video for video in task.split.testing if video not in scores]
        targets = [
            interval_targets(task.intervals[video], scores[video].times_sec_F, task.classes)
            for video in videos
        ]
        key = digest(
            {
                "model": model,
                "missing": missing,
                "scores": [[v, digest(scores[v].scores_FK.tobytes().hex())] for v in videos],
                "targets": [digest(target.tobytes().hex()) for target in targets],
            }
        )
        path = job.out / "metrics.json"
        found = read_json(path)
        if found.get("key") == key:
            result.cached = 1
            return found
        if not videos:
            job.progress.say("  evaluate: no test video has labels and scores; nothing is measured")
            models = {}
        else:
            measured = frame_map([scores[v].scores_FK for v in videos], targets, task.classes)
            models = {model: {measured.protocol: measured.to_json()}}
        metrics = {"key": key, "models": models, "videos": videos, "missing": missing, "subset": "testing"}
        write_json(path, metrics)
        result.done = 1
    return metrics


def metrics_table(metrics: Mapping[str, Any]) -> Table | None:
    """What metrics.json says, for a terminal; None where nothing was measured."""
    if not metrics.get("models"):
        return None
    table = Table(title=f"test split: {len(metrics['videos'])} videos, {len(metrics['missing'])} missing")
    for column in ("model", "protocol", "mAP %", "chance %", "frames"):
        table.add_column(column, justify="left" if column in ("model", "protocol") else "right")
    for model, protocols in metrics["models"].items():
        for protocol, row in protocols.items():
            table.add_row(
                model, protocol, _percent(row["mean_ap"]), _percent(row["chance"]), str(row["frames"])
            )
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
