"""The commands: a request, checked as a whole before any work, then stages in order."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.table import Column, Table

from pipeline.checkpoint import Checkpoint
from pipeline.config import PRESETS, RunConfig, load_config, override, to_values
from pipeline.evaluate import evaluate as evaluate_stage
from pipeline.evaluate import metrics_table
from pipeline.extract import Features, clocks, locate, missing
from pipeline.extract import extract as extract_stage
from pipeline.files import read_json, sweep_temporary
from pipeline.inputs import UsageError, find_videos
from pipeline.job import Job, StageResult, resolve_device, saved_sources
from pipeline.labels import read_annotations
from pipeline.progress import Progress
from pipeline.recipe import Recipe
from pipeline.score import Scorer, check_features, save_events, saved_scores
from pipeline.score import score as score_stage
from pipeline.task import Task, make_task
from pipeline.train import STUDENT, checkpoint_path, planned, trained
from pipeline.train import train as train_stage

TWO_STREAM = "two-stream"

if TYPE_CHECKING:
    from pipeline.tracks import FeatureTrack, ScoreTrack


@dataclass(frozen=True)
class Request:
    """What was asked for, found to make sense: a job, and perhaps a model to score with."""

    job: Job
    checkpoint: Checkpoint | None = None  # given from outside: nothing is trained


def request(
    videos: str | Path | Sequence[str | Path] | None,
    out: str | Path,
    *,
    annotations: str | Path | None = None,
    checkpoint: str | Path | None = None,
    preset: str | None = None,
    config: str | Path | None = None,
    overrides: Sequence[str] | None = None,
    device: str = "auto",
    quiet: bool = False,
    remember: bool = False,
    command: str = "",
) -> Request:
    """Check everything a user can get wrong, before any work; ValueError names it.

    `remember`: what is left out is taken from the run that made `out`.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; --out names a folder")
    saved = read_json(out / "run.json") if remember else {}
    given = Checkpoint.load(Path(checkpoint)) if checkpoint else None
    settings_file = Path(config) if config else (out / "run.json" if saved else None)
    settings = _settings(given, preset, settings_file, overrides or ())
    if remember and annotations is None:
        annotations = saved.get("annotations")
    labels = read_annotations(Path(annotations)) if annotations else None
    if labels and settings.labels.ignore:
        labels = labels.without(settings.labels.ignore)
    resolved = resolve_device(device)
    progress = Progress(out / "log.jsonl", quiet=quiet)
    rejected: tuple = ()
    if videos:
        listed = [Path(videos)] if isinstance(videos, str | Path) else [Path(v) for v in videos]
        inputs = find_videos(listed)
        sources, rejected = inputs.sources, inputs.rejected
    else:
        sources = tuple(saved_sources(out))
    job = Job(out, sources, settings, resolved, progress, labels, command)
    if rejected:
        with job.stage("inputs") as result:
            for one in rejected:
                job.fail(result, one.video, "bad_name", one.message)
    return Request(job, given)


def _settings(
    checkpoint: Checkpoint | None, preset: str | None, config: Path | None, overrides: Sequence[str]
) -> RunConfig:
    if checkpoint is None:
        return load_config(preset, config, overrides)
    own = checkpoint.run_config
    if preset and preset != own.preset:
        raise UsageError(
            f"--preset {preset}: the checkpoint was trained with preset {own.preset!r}; leave --preset out"
        )
    return override(own, overrides)


def run(request: Request) -> "dict[str, ScoreTrack]":
    """Extract, train unless a checkpoint was given, score, evaluate where there are labels, report."""
    if request.checkpoint is None and request.job.annotations is None:
        raise UsageError(
            "nothing to train from and nothing to score with: give --annotations or --checkpoint"
        )
    task, recipe = _task(request), _recipe(request)
    with _working(request) as job:
        features = extract_stage(job, recipe)
        task = _checked(job, task, features)
        if request.checkpoint:
            models = {request.checkpoint.name: request.checkpoint}
        else:
            assert task is not None, "checked above"
            models = train_stage(job, task, features)
        scores = _score(job, models, task, features)
        metrics = evaluate_stage(job, task, scores) if task else {}
        _report(job, task, models, scores, features, metrics)
    return scores[_final(models)]


def extract(request: Request) -> "dict[str, FeatureTrack]":
    """RGB features of every video, by video; of the teachers' modalities, too, in OUT."""
    recipe = _recipe(request)
    with _working(request) as job:
        features = extract_stage(job, recipe)
    return {video: files["rgb"].load()[0] for video, files in features.files.items() if files["rgb"].record()}


def train(request: Request) -> dict[str, Checkpoint]:
    """All models, from cached features."""
    if request.job.annotations is None:
        raise UsageError("nothing to train from: give --annotations")
    task, recipe = _task(request), _recipe(request)
    with _working(request) as job:
        features = _cached(job, recipe)
        task = _checked(job, task, features)
        assert task is not None, "checked above"
        return train_stage(job, task, features)


def score(request: Request) -> "dict[str, ScoreTrack]":
    """Scores from cached features, by the checkpoint given or by the models trained in OUT."""
    models, recipe, task = _trained(request), _recipe(request), _task(request)
    with _working(request) as job:
        scores = _score(job, models, task, _cached(job, recipe))
    return scores[_final(models)]


def evaluate(request: Request) -> dict[str, Any]:
    """metrics.json from scores and labels."""
    if request.job.annotations is None:
        raise UsageError("nothing to evaluate against: give --annotations")
    task, models, recipe = _task(request), _trained(request), _recipe(request)
    with _working(request) as job:
        features = _cached(job, recipe)
        task = _checked(job, task, features)
        assert task is not None, "checked above"
        return evaluate_stage(job, task, _saved(job, models, features))


def report(request: Request) -> Path:
    """The page, from what OUT holds."""
    task, models, recipe = _task(request), _trained(request), _recipe(request)
    with _working(request) as job:
        features = _cached(job, recipe)
        task = _checked(job, task, features)
        metrics = read_json(job.out / "metrics.json")
        return _report(job, task, models, _saved(job, models, features), features, metrics)


def dry_run(request: Request) -> None:
    """Say, per stage, what is cached and what is to do."""
    job, say = request.job, request.job.progress.say
    task = _task(request)
    features = _cached(job, _recipe(request))
    todo = [video for video, files in features.files.items() if missing(job, files)]
    say(f"extract: {len(features.files) - len(todo)} videos cached, {len(todo)} to do")
    for video in todo[:10]:
        say(f"  {video}")
    if len(todo) > 10:
        say(f"  and {len(todo) - 10} more")
    models = {request.checkpoint.name: request.checkpoint} if request.checkpoint else {}
    wanted = [name for name, _ in planned(job)] if task and not models else list(models)
    if task is not None and not request.checkpoint:
        task = task.on(clocks(features))
        models = {} if todo else trained(job, task, features)
        for name in wanted:
            say(f"train {name}: {'cached' if name in models else 'to do'}")
    done = 0
    if len(models) == len(wanted) > 0:
        final = models[_final(models)]
        done = len(saved_scores(job, Scorer(final.name, (final,)), features))
    say(f"score: {done} videos cached, {len(features.files) - done} to do")
    say(f"evaluate: {len(task.split.testing)} test videos" if task else "evaluate: no labels given")


def summary(request: Request) -> int:
    """Print the final table; the exit code: 1 if some video failed."""
    job = request.job
    if not job.results:
        return 0
    table = Table(
        "stage", *(Column(name, justify="right") for name in ("done", "cached", "failed", "seconds"))
    )
    for result in job.results:
        table.add_row(*(str(value) for value in result.row().values()))
    job.progress.console.print(table)
    if not any(result.done for result in job.results) and not job.failures:
        job.progress.say("nothing to do: everything was there already")
    for failure in job.failures:
        job.progress.say(f"failed: {failure.video} ({failure.stage}, {failure.reason}): {failure.message}")
    job.progress.say(f"results: {job.out}")
    return 1 if job.failures else 0


def synth(out: Path, train_videos: int, test_videos: int, seconds: float, seed: int, workers: int) -> None:
    """Render the practice world into `out`."""
    from pipeline.synthetic import render_practice

    progress, total = Progress(), train_videos + test_videos
    with progress.bar("render", total) as bar:
        rendered = render_practice(
            out,
            seed=seed,
            train_videos=train_videos,
            test_videos=test_videos,
            seconds=seconds,
            workers=workers,
            progress=bar.advance,
        )
    progress.say(f"{rendered} videos rendered, {total - rendered} were there: {out}")


def show_presets(name: str | None) -> None:
    """One line per preset, or every setting of one."""
    if name is None:
        for preset, build in PRESETS.items():
            print(f"{preset:12} {(build.__doc__ or '').splitlines()[0]}")
    else:
        print(yaml.safe_dump(to_values(load_config(name)), sort_keys=False), end="")


@contextmanager
def _working(request: Request) -> Iterator[Job]:
    """Around the stages of a command: a clean start, and a record however it ends."""
    job = request.job
    job.out.mkdir(parents=True, exist_ok=True)
    sweep_temporary(job.out)
    job.progress.event("start", command=job.command, videos=len(job.sources), device=str(job.device))
    try:
        yield job
    finally:
        job.save_failures()
        job.save_run()


def _task(request: Request) -> Task | None:
    """What the labels say about these videos; None without labels."""
    job, checkpoint = request.job, request.checkpoint
    if job.annotations is None:
        return None
    return make_task(
        job.annotations,
        [source.name for source in job.sources],
        job.config.labels,
        seed=job.config.seed,
        classes=checkpoint.classes if checkpoint else None,
    )


def _checked(job: Job, task: Task | None, features: Features) -> Task | None:
    """The task held against the videos' clocks; what was found wrong with labels is said."""
    if task is None:
        return None
    task = task.on(clocks(features))
    for line in task.lint:
        job.progress.say(line)
    return task


def _recipe(request: Request) -> Recipe:
    """The extractors that are needed, their weights loaded; what a given checkpoint expects."""
    job = request.job
    if request.checkpoint:
        recipe = Recipe.build(job.config, tuple(request.checkpoint.features), job.device)
        check_features(request.checkpoint, recipe)
        return recipe
    return Recipe.build(job.config, ("rgb", *job.config.teachers), job.device)


def _cached(job: Job, recipe: Recipe) -> Features:
    """Where the features of this job are; making them is the business of extract."""
    return locate(job, recipe, StageResult("extract"))


def _trained(request: Request) -> dict[str, Checkpoint]:
    """The checkpoint given, else the models trained in OUT."""
    if request.checkpoint:
        return {request.checkpoint.name: request.checkpoint}
    job = request.job
    return {name: Checkpoint.load(checkpoint_path(job.out, name)) for name, _ in planned(job)}


def _final(models: Mapping[str, Checkpoint]) -> str:
    """The model whose scores are the result: the last, the student where there is one."""
    return list(models)[-1]


def _scorers(models: Mapping[str, Checkpoint]) -> dict[str, Scorer]:
    """Every row of the table: each model, and the mean of the logits of vanilla and teachers."""
    scorers = {name: Scorer(name, (model,)) for name, model in models.items()}
    streams = tuple(model for name, model in models.items() if name != STUDENT)
    if len(streams) > 1:
        final = scorers.pop(_final(models))
        scorers |= {TWO_STREAM: Scorer(TWO_STREAM, streams), final.name: final}
    return scorers


def _folder(name: str, models: Mapping[str, Checkpoint]) -> str:
    return "scores" if name == _final(models) else f"model_scores/{name}"


def _score(
    job: Job, models: Mapping[str, Checkpoint], task: Task | None, features: Features
) -> "dict[str, dict[str, ScoreTrack]]":
    """Scores by model and video: the final model scores every video, the others those it is judged on."""
    testing = task.split.testing if task else ()
    scores = {}
    for name, scorer in _scorers(models).items():
        final = name == _final(models)
        scores[name] = score_stage(
            job, scorer, features, folder=_folder(name, models), videos=None if final else testing
        )
    save_events(job, scores[_final(models)])
    return scores


def _saved(
    job: Job, models: Mapping[str, Checkpoint], features: Features
) -> "dict[str, dict[str, ScoreTrack]]":
    return {
        name: saved_scores(job, scorer, features, folder=_folder(name, models))
        for name, scorer in _scorers(models).items()
    }


def _report(
    job: Job,
    task: Task | None,
    models: Mapping[str, Checkpoint],
    scores: "Mapping[str, Mapping[str, ScoreTrack]]",
    features: Features,
    metrics: Mapping[str, Any],
) -> Path:
    from pipeline.page import make_page  # plotly takes a while to import

    final = _final(models)
    modality = next(iter(models[final].features))
    records = {video: features.files[video][modality].record() or {} for video in scores[final]}
    page = make_page(job, task, models, scores[final], records, metrics)
    if table := metrics_table(metrics):
        job.progress.console.print(table)
    return page
