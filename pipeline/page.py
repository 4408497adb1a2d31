"""Stage report: what OUT holds, gathered for the page."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.checkpoint import Checkpoint
from pipeline.config import to_values
from pipeline.files import digest, file_sha256, read_json, write_json
from pipeline.job import Job, versions
from pipeline.report import Curve, ReportData, VideoPanel, write_report
from pipeline.task import Task
from pipeline.tracks import ScoreTrack


def make_page(
    job: Job,
    task: Task | None,
    models: Mapping[str, Checkpoint],
    scores: Mapping[str, ScoreTrack],
    records: Mapping[str, Mapping[str, Any]],
    metrics: Mapping[str, Any],
) -> Path:
    """OUT/report/index.html; left as it is where nothing that it shows has changed."""
    folder = job.out / "report"
    with job.stage("report") as result:
        key = digest(
            {
                "models": {name: model.key for name, model in models.items()},
                "metrics": metrics.get("key"),
                "videos": {video: records[video]["data_sha256"] for video in scores},
                "labels": task.digest() if task else None,
                "failures": [asdict(failure) for failure in job.failures],
                "config": to_values(job.config),
                "versions": versions(),
            }
        )
        page, made = folder / "index.html", read_json(folder / "report.json")
        if made.get("key") == key and page.is_file() and file_sha256(page) == made.get("sha256"):
            result.cached = 1
            return page
        write_report(_data(job, task, models, scores, records, metrics), folder)
        write_json(folder / "report.json", {"key": key, "sha256": file_sha256(page)})
        result.done = 1
    return page


def results(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Rows of the page from metrics.json; its headline is the last: the final model by the first protocol."""
    models = metrics.get("models", {})
    protocols = list(next(iter(models.values()), {}))
    return {
        f"{model} ({protocol})" if len(protocols) > 1 else model: found[protocol]
        for protocol in reversed(protocols)
        for model, found in models.items()
    }


def _data(
    job: Job,
    task: Task | None,
    models: Mapping[str, Checkpoint],
    scores: Mapping[str, ScoreTrack],
    records: Mapping[str, Mapping[str, Any]],
    metrics: Mapping[str, Any],
) -> ReportData:
    return ReportData(
        title=f"augrgb: {job.out.resolve().name}",
        classes=next(iter(models.values())).classes,
        metrics=results(metrics),
        curves=tuple(Curve(name, tuple(model.history)) for name, model in models.items() if model.history),
        videos=tuple(_panel(video, scores[video], records[video], task) for video in scores),
        failures=tuple(asdict(failure) for failure in job.failures),
        stages=tuple(result.row() for result in job.results if result.stage != "report"),
        lint=task.lint if task else (),
        run={
            "command": job.command,
            "device": str(job.device),
            "versions": versions(),
            **to_values(job.config),
        },
    )


def _panel(video: str, track: ScoreTrack, record: Mapping[str, Any], task: Task | None) -> VideoPanel:
    intervals = task.intervals.get(video) if task else None
    note = f"{record['decoder']} ({record['decoder_reason']})"
    if record["partial"]:
        note += f"; {record['F']} of {record['expected_frames']} frames: {record['error']}"
    return VideoPanel(
        name=video,
        subset=task.subset(video) if task else None,
        times_sec_F=track.times_sec_F,
        scores_FK=track.scores_FK,
        intervals=None if intervals is None else tuple((i.start_sec, i.end_sec, i.label) for i in intervals),
        note="; ".join([note, *record["notes"]]),
        fps=_rate(track),
        num_frames=len(track.times_sec_F),
    )


def _rate(track: ScoreTrack) -> float:
    times = track.times_sec_F
    return float((len(times) - 1) / (times[-1] - times[0])) if len(times) > 1 else 25.0
