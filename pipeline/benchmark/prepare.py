"""Before any work: annotations as the benchmark expects them, videos that are there, videos that are not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.benchmark.catalogue import PRACTICE, Counts
from pipeline.benchmark.features import (
    CachedFeatures,
    FeatureSource,
    ForeignFeatures,
    find_foreign,
    lengths_from_steps,
)
from pipeline.benchmark.options import Options
from pipeline.config import RunConfig
from pipeline.datasets import load_annotations
from pipeline.extraction import extract
from pipeline.files import write_atomic
from pipeline.inputs import UsageError, find_videos, printable
from pipeline.job import Job, StageResult, resolve_device
from pipeline.labels import Annotations, match_videos
from pipeline.products import Features, locate
from pipeline.progress import Progress
from pipeline.recipe import RGB, Recipe
from pipeline.synthetic import render_practice

SHOWN = 5
MISSING = "missing.txt"
_FRAMES_PER_SEC = 25.0  # for which scores of features without videos are given, where the recipe has no rate


@dataclass(frozen=True)
class Prepared:
    """A benchmark found to make sense. `missing` are annotated videos that are not there."""

    options: Options
    config: RunConfig
    annotations: Annotations
    job: Job  # its sources are the videos to extract; none where features were made elsewhere
    videos: tuple[str, ...]  # that are there
    missing: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def modalities(self) -> tuple[str, ...]:
        """All that some row sees."""
        return (RGB, *self.config.teachers)


def prepare(options: Options, progress: Progress) -> Prepared:
    """UsageError for anything that does not fit, annotated videos that are missing among it."""
    options.check()
    config = options.settings()
    annotations = _annotations(options, config)
    job = Job(options.out, (), config, resolve_device(options.device), progress, annotations, options.command)
    remarks = (*annotations.remarks, *_counted(options, annotations))
    if options.folders:
        names = tuple(video.video for video in annotations.videos)
        found = find_foreign(options.folders, names)
        missing = [name for name in names if any(name in each.missing for each in found.values())]
        known = [name for name in names if name not in set(missing)]
    else:
        job, missing = _with_sources(options, job, annotations)
        known = [source.name for source in job.sources]
    _report_missing(options, progress, missing, len(annotations.videos))
    if not known:
        raise UsageError(f"{annotations.source}: of its {len(annotations.videos)} videos none is there")
    return Prepared(options, config, annotations, job, tuple(known), tuple(missing), remarks)


def features_of(prepared: Prepared) -> FeatureSource:
    """Extract what is missing, or read what was made elsewhere."""
    options, job = prepared.options, prepared.job
    if options.folders:
        return _foreign(prepared)
    recipe = Recipe.build(prepared.config, prepared.modalities, job.progress, job.device)
    return CachedFeatures.of(extract(job, recipe))


def located(prepared: Prepared) -> Features:
    """Where the features of the videos are, or would be; nothing is made."""
    job = prepared.job
    recipe = Recipe.build(prepared.config, prepared.modalities, job.progress, job.device)
    return locate(job, recipe, StageResult("extract"))


def render(out: Path, progress: Progress, workers: int) -> None:
    """The practice world of the benchmark, what is there left as it is."""
    with progress.bar("render", 96) as bar:
        render_practice(
            out, seed=1, train_videos=64, test_videos=32, seconds=30.0, workers=workers, progress=bar.advance
        )


def world(options: Options) -> Path:
    """Where the practice world of this benchmark lies."""
    return options.out / "practice"


def _annotations(options: Options, config: RunConfig) -> Annotations:
    path = world(options) / "labels.csv" if options.name == PRACTICE else options.annotations
    assert path is not None, "checked before"
    annotations, expected = load_annotations(path), options.data.dataset
    if expected and annotations.dataset != expected:
        found = annotations.dataset or "the project's own CSV"
        raise UsageError(
            f"{printable(path)}: is read as {found}; {options.name} needs {options.data.annotations}, or use "
            f"`augrgb benchmark folder`"
        )
    return annotations.without(config.labels.ignore) if config.labels.ignore else annotations


def _counted(options: Options, annotations: Annotations) -> list[str]:
    """How the annotations differ from the published ones."""
    expected, found = options.data.counts, Counts.of(annotations)
    if expected is None or expected == found:
        return []
    file = printable(annotations.source.name)
    return [
        f"{file}: not as published: {name} {getattr(found, name)}, expected {number}"
        for name, number in vars(expected).items()
        if getattr(found, name) != number
    ]


def _with_sources(options: Options, job: Job, annotations: Annotations) -> tuple[Job, list[str]]:
    """The videos to work on: those annotated, and the others where they join the distillation."""
    given = [world(options) / "videos"] if options.name == PRACTICE else list(options.videos)
    inputs = find_videos(given)
    match = match_videos(annotations, [source.name for source in inputs.sources])
    wanted = match.labels.keys() | (set(match.unlabelled) if job.config.distill_unlabelled else set())
    if inputs.rejected:
        with job.stage("inputs") as result:
            for one in inputs.rejected:
                job.fail(result, one.video, "unusable", one.message)
    sources = tuple(source for source in inputs.sources if source.name in wanted)
    return replace(job, sources=sources), list(match.absent)


def _report_missing(options: Options, progress: Progress, missing: Sequence[str], total: int) -> None:
    """Count and first few on the screen, all in a file; UsageError unless they may be missing."""
    path = options.out / MISSING
    if not missing:
        if not options.dry_run:
            path.unlink(missing_ok=True)
        return
    what = "have no features" if options.folders else "are not there"
    some = ", ".join(missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
    message = f"{len(missing)} of {total} annotated videos {what}: {some}"
    if not options.dry_run:
        text = "".join(f"{name}\n" for name in missing)
        write_atomic(path, lambda file: file.write(text.encode()))
        message += f" (all of them: {path})"
    if not (options.allow_missing or options.dry_run):
        raise UsageError(f"{message}; --allow-missing goes on without them, and says so in the table")
    progress.say(f"missing: {message}")


def _foreign(prepared: Prepared) -> ForeignFeatures:
    """Features made elsewhere, with the length of every video."""
    options, missing = prepared.options, set(prepared.missing)
    assert options.layout is not None, "checked before"
    labels = [video for video in prepared.annotations.videos if video.video not in missing]
    names = tuple(video.video for video in labels)
    folders = {modality: options.folders[modality] for modality in prepared.modalities}
    if options.steps_per_sec is not None:
        found = find_foreign(folders, names)
        lengths = lengths_from_steps(found, options.layout, options.steps_per_sec, names)
    else:
        lengths = {video.video: video.duration_sec for video in labels if video.duration_sec is not None}
        if len(lengths) < len(names):
            unknown = next(name for name in names if name not in lengths)
            raise UsageError(
                f"{printable(prepared.annotations.source)}: does not say how long videos are, such as "
                f"{unknown!r}; say how many steps a second the features have: --steps-per-sec 1.5625"
            )
    fps = prepared.config.fps or _FRAMES_PER_SEC
    return ForeignFeatures.read(
        folders, options.layout, lengths, fps, options.grid, prepared.job.progress.say
    )
