"""Stage report: what OUT holds, gathered for the page."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.cache import Record
from pipeline.config import to_values
from pipeline.files import digest, file_sha256, read_json, write_json
from pipeline.job import Job, StageResult, versions
from pipeline.lineup import Lineup
from pipeline.page_joints import joints_script
from pipeline.page_media import media_of
from pipeline.products import Features
from pipeline.report import Curve, Media, ReportData, VideoPanel, templates_digest, write_report
from pipeline.sums import CHANGED
from pipeline.task import Task
from pipeline.tracks import ScoreTrack

AllScores = Mapping[str, Mapping[str, ScoreTrack]]  # by model and video


def make_page(
    job: Job,
    task: Task | None,
    lineup: Lineup,
    scores: AllScores,
    features: Features,
    metrics: Mapping[str, Any],
    *,
    previews: bool = False,
) -> Path:
    """OUT/report/index.html and what belongs to it; left as it is where nothing that it shows has changed.

    `previews`: every video gets one that any browser plays; else those that are there are used, and links
    to the others.
    """
    folder = job.out / "report"
    with job.stage("report") as result, job.claims.held("report", "page", job.progress.say):
        page = _Page(job, task, lineup, scores, features, metrics)
        files = page.files(result, previews=previews)
        key, made = page.key(files), read_json(folder / "report.json")
        if made.get("key") == key and _intact(folder, made.get("files")):
            result.cached = 1
            return folder / "index.html"
        if made.get("key") == key:
            job.progress.say(f"  made again: {folder}: {CHANGED}")
        index = write_report(page.data(files), folder)
        _tidy_joints(folder, files)
        written = [index, *(folder / "data").glob("*.js")]
        sha256 = {path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted(written)}
        write_json(folder / "report.json", {"key": key, "files": sha256})
        result.done = 1
    return index


def results(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Rows of the page from metrics.json; its headline is the last: the final model by the first protocol."""
    models = metrics.get("models", {})
    protocols = list(next(iter(models.values()), {}))
    return {
        f"{model} ({protocol})" if len(protocols) > 1 else model: found[protocol]
        for protocol in reversed(protocols)
        for model, found in models.items()
    }


@dataclass(frozen=True)
class _Files:
    """What lies beside the page, by video."""

    media: Mapping[str, Media]
    joints: Mapping[str, str]


@dataclass(frozen=True)
class _Page:
    """All that the page is of."""

    job: Job
    task: Task | None
    lineup: Lineup
    scores: AllScores
    features: Features
    metrics: Mapping[str, Any]

    @property
    def final(self) -> Mapping[str, ScoreTrack]:
        """The scores that are the result, by video."""
        return self.scores[self.lineup.final]

    @cached_property
    def records(self) -> dict[str, Record]:
        """What is known of each video's decoding."""
        modality = next(iter(self.lineup.models[self.lineup.final].features))
        return {video: self.features.files[video][modality].record() or {} for video in self.final}

    @cached_property
    def label_curve(self) -> list[dict[str, Any]]:
        """Of a benchmark in the same folder, where it has one."""
        found = read_json(self.job.out / "benchmark.json")
        if not found.get("label_curve"):
            return []
        from pipeline.benchmark.page import label_curve

        return label_curve(found)

    def files(self, result: StageResult, *, previews: bool) -> _Files:
        """Previews, links and joints, made where they are missing."""
        starts = {
            video: (str(self.records[video]["video"]["sha256"]), float(track.times_sec_F[0]))
            for video, track in self.final.items()
        }
        media = media_of(self.job, starts, result, previews=previews)
        found = {video: self.features.joints.get(video) for video in self.final}
        folder = self.job.out / "report"
        scripts = {video: joints_script(folder, file) for video, file in found.items() if file}
        return _Files(media, {video: name for video, name in scripts.items() if name})

    def key(self, files: _Files) -> str:
        """Of all that the page shows."""
        models = self.lineup.models
        return digest(
            {
                "models": {name: model.key for name, model in models.items()},
                "metrics": self.metrics.get("key"),
                "videos": {video: self.records[video]["data_sha256"] for video in self.final},
                "others": {name: sorted(of) for name, of in self.scores.items()},
                "labels": self.task.digest() if self.task else None,
                "failures": [asdict(failure) for failure in self.job.failures],
                "config": to_values(self.job.config),
                "versions": versions(),
                "media": {video: asdict(media) for video, media in files.media.items()},
                "joints": dict(files.joints),
                "label_curve": self.label_curve,
                "page": templates_digest(),
            }
        )

    def data(self, files: _Files) -> ReportData:
        """The page's content."""
        job, task, models = self.job, self.task, self.lineup.models
        curves = [Curve(name, tuple(model.history)) for name, model in models.items() if model.history]
        return ReportData(
            title=f"augrgb: {job.out.resolve().name}",
            classes=next(iter(models.values())).classes,
            metrics=results(self.metrics),
            curves=tuple(curves),
            videos=tuple(self._panel(video, files) for video in self.final),
            failures=tuple(asdict(failure) for failure in job.failures),
            stages=tuple(result.row() for result in job.results if result.stage != "report"),
            lint=task.lint if task else (),
            run={
                "command": job.command,
                "device": str(job.device),
                "versions": versions(),
                **to_values(job.config),
            },
            final=self.lineup.final,
            events=asdict(job.config.events),
            label_curve=self.label_curve,
        )

    def _panel(self, video: str, files: _Files) -> VideoPanel:
        track, record, task = self.final[video], self.records[video], self.task
        intervals = task.intervals.get(video) if task else None
        others = {name: of[video].scores_FK for name, of in self.scores.items() if video in of}
        others.pop(self.lineup.final)
        return VideoPanel(
            name=video,
            subset=task.subset(video) if task else None,
            times_sec_F=track.times_sec_F,
            scores_FK=track.scores_FK,
            intervals=None
            if intervals is None
            else tuple((i.start_sec, i.end_sec, i.label) for i in intervals),
            note=_note(record),
            fps=_rate(track),
            num_frames=len(track.times_sec_F),
            others=others,
            media=files.media.get(video),
            joints=files.joints.get(video),
            seconds=record.get("seconds"),
        )


def _note(record: Record) -> str:
    """How the video was decoded, for the reader."""
    note = f"{record['decoder']} ({record['decoder_reason']})"
    if record["partial"]:
        note += f"; {record['F']} of {record['expected_frames']} frames: {record['error']}"
    return "; ".join([note, *record["notes"]])


def _rate(track: ScoreTrack) -> float:
    times = track.times_sec_F
    return float((len(times) - 1) / (times[-1] - times[0])) if len(times) > 1 else 25.0


def _intact(folder: Path, files: Mapping[str, str] | None) -> bool:
    """Whether every file of the page is what was written."""
    return files is not None and all(
        (folder / name).is_file() and file_sha256(folder / name) == sha256 for name, sha256 in files.items()
    )


def _tidy_joints(folder: Path, files: _Files) -> None:
    """Remove joints that no video of the page has."""
    for path in (folder / "joints").glob("*.js"):
        if f"joints/{path.name}" not in files.joints.values():
            path.unlink(missing_ok=True)
