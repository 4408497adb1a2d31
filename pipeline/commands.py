"""The commands: stages in order, around a request that was found to make sense."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.table import Column, Table

from pipeline.checkpoint import Checkpoint
from pipeline.claims import sweep
from pipeline.classes import class_lines, load_classifiers
from pipeline.classifier import keep_classifier
from pipeline.drift import show_drift
from pipeline.engines.driver import extract as extract_stage
from pipeline.evaluate import evaluate as evaluate_stage
from pipeline.evaluate import metrics_table, saved_metrics, step_times
from pipeline.inputs import UsageError
from pipeline.job import Job, StageResult, WorkStopped
from pipeline.lineup import Lineup
from pipeline.plans import run_plans
from pipeline.products import Features, clocks, locate, missing
from pipeline.recipe import Recipe
from pipeline.request import Request
from pipeline.scoring import save_events, saved_scores
from pipeline.scoring import score as score_stage
from pipeline.task import Task
from pipeline.training import train as train_stage
from pipeline.training import trained

if TYPE_CHECKING:
    from pipeline.tracks import ScoreTrack


def run(request: Request, *, drift: bool = False) -> "dict[str, ScoreTrack]":
    """Extract, train unless a checkpoint was given, score, evaluate where there are labels, report.

    `drift`: say first how far features are from float32.
    """
    if request.checkpoint is None and request.job.annotations is None:
        raise UsageError(
            "nothing to train from and nothing to score with: give --annotations or --checkpoint, or score "
            "with public weights: --preset charades-i3d"
        )
    task, recipe = request.task(), request.recipe()
    with _working(request) as job:
        if drift:
            show_drift(job, recipe)
        features = extract_stage(job, recipe, request.engine)
        task = _checked(job, task, features)
        if request.checkpoint:
            lineup = request.lineup()
        else:
            assert task is not None, "checked above"
            lineup = Lineup(train_stage(job, task, features))
        scores = _score(job, lineup, task, features)
        metrics = evaluate_stage(job, task, scores, step_times(features)) if task else {}
        _report(job, task, lineup, scores, features, metrics)
    return scores[lineup.final]


def extract(
    request: Request, *, show_classes: bool = False, class_names: Path | None = None, drift: bool = False
) -> Features:
    """Features of every video, of every modality that was asked for.

    `show_classes`: what the classifier of an I3D's weights makes of them, by the names in a text file;
    `drift`: as in `run`.
    """
    recipe = request.recipe()
    shown = load_classifiers(request.job.config, recipe.modalities, class_names) if show_classes else {}
    with _working(request) as job:
        if drift:
            show_drift(job, recipe)
        features = extract_stage(job, recipe, request.engine)
        for video, files in features.files.items() if shown else ():
            tracks = {name: file.load()[0] for name, file in files.items() if file.record()}
            for line in class_lines(shown, tracks, video):
                job.progress.say(line)
        return features


def train(request: Request) -> dict[str, Checkpoint]:
    """All models, from cached features."""
    if request.checkpoint:
        raise UsageError(
            f"preset {request.job.config.preset!r} scores with the classifier in its weights and trains "
            "nothing; for models of its features take another preset (charades), or --set classifier=null"
        )
    if request.job.annotations is None:
        raise UsageError("nothing to train from: give --annotations")
    task, recipe = request.task(), request.recipe()
    with _working(request) as job:
        features = _cached(job, recipe)
        task = _checked(job, task, features)
        assert task is not None, "checked above"
        return train_stage(job, task, features)


def score(request: Request) -> "dict[str, ScoreTrack]":
    """Scores from cached features, by the checkpoint given or by the models trained in OUT."""
    lineup, recipe, task = request.lineup(), request.recipe(), request.task()
    with _working(request) as job:
        return _score(job, lineup, task, _cached(job, recipe))[lineup.final]


def evaluate(request: Request) -> dict[str, Any]:
    """metrics.json from scores and labels."""
    if request.job.annotations is None:
        raise UsageError("nothing to evaluate against: give --annotations")
    task, lineup, recipe = request.task(), request.lineup(), request.recipe()
    with _working(request) as job:
        features = _cached(job, recipe)
        task = _checked(job, task, features)
        assert task is not None, "checked above"
        metrics = evaluate_stage(job, task, _saved(job, lineup, features), step_times(features))
        if table := metrics_table(metrics):
            job.progress.console.print(table)
        return metrics


def report(request: Request, *, previews: bool = True) -> Path:
    """The page, from what OUT holds; `previews` as in `make_page`."""
    task, lineup, recipe = request.task(), request.lineup(), request.recipe()
    with _working(request) as job:
        features = _cached(job, recipe)
        task = _checked(job, task, features)
        metrics = saved_metrics(job)
        scores = _saved(job, lineup, features)
        return _report(job, task, lineup, scores, features, metrics, previews=previews)


def dry_run(request: Request) -> None:
    """Say, per stage, what is cached and what is to do."""
    job, say = request.job, request.job.progress.say
    task = request.task()
    features = _cached(job, request.recipe())
    todo = [video for video in features.files if missing(job, features, video)]
    say(f"extract: {len(features.files) - len(todo)} videos cached, {len(todo)} to do")
    for video in todo[:10]:
        say(f"  {video}")
    if len(todo) > 10:
        say(f"  and {len(todo) - 10} more")
    lineup = request.lineup() if request.checkpoint else None
    if lineup is None and task is not None:
        there = {} if todo else trained(job, task.on(clocks(features)), features)
        wanted = [plan.name for plan in run_plans(job.config)]
        for name in wanted:
            say(f"train {name}: {'cached' if name in there else 'to do'}")
        lineup = Lineup(there) if len(there) == len(wanted) else None
    done = len(_saved(job, lineup, features)[lineup.final]) if lineup else 0
    say(f"score: {done} videos cached, {len(features.files) - done} to do")
    say(f"evaluate: {len(task.split.testing)} test videos" if task else "evaluate: no labels given")
    say(f"report: {'there' if (job.out / 'report' / 'index.html').is_file() else 'to do'}")


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


@contextmanager
def _working(request: Request) -> Iterator[Job]:
    """Around the stages of a command: a clean start, and a record however it ends."""
    job = request.job
    job.out.mkdir(parents=True, exist_ok=True)
    sweep(job.out)
    job.progress.event("start", command=job.command, videos=len(job.sources), device=str(job.device))
    ended = "failed"
    try:
        job.check_fail_fast()
        yield job
        sweep(job.out)  # of others, who were killed meanwhile
        ended = "done"
    except OSError as error:
        raise WorkStopped(f"stopped: {error}") from error
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise WorkStopped(
            f"stopped: {job.device} has too little memory to train; try half of train.batch_videos, "
            f"{job.config.train.batch_videos}, or another --device"
        ) from error
    finally:
        job.claims.let_go()
        job.save_failures()
        job.save_run()
        job.progress.event("end", how=ended, failures=len(job.failures))


def _checked(job: Job, task: Task | None, features: Features) -> Task | None:
    """The task held against the videos' clocks; what was found wrong with labels is said."""
    if task is None:
        return None
    task = task.on(clocks(features))
    for line in task.lint:
        job.progress.say(line)
    return task


def _cached(job: Job, recipe: Recipe) -> Features:
    """Where the features of this job are; making them is the business of extract."""
    return locate(job, recipe, StageResult("extract"))


def _score(
    job: Job, lineup: Lineup, task: Task | None, features: Features
) -> "dict[str, dict[str, ScoreTrack]]":
    """Scores by row and video: the final model scores every video, the others those it is judged on."""
    testing = task.split.testing if task else ()
    scores = {
        name: score_stage(
            job,
            scorer,
            features,
            folder=lineup.folder(name),
            videos=None if name == lineup.final else testing,
        )
        for name, scorer in lineup.scorers.items()
    }
    save_events(job, scores[lineup.final])
    keep_classifier(job.out, lineup)
    return scores


def _saved(job: Job, lineup: Lineup, features: Features) -> "dict[str, dict[str, ScoreTrack]]":
    return {
        name: saved_scores(job, scorer, features, folder=lineup.folder(name))
        for name, scorer in lineup.scorers.items()
    }


def _report(
    job: Job,
    task: Task | None,
    lineup: Lineup,
    scores: "Mapping[str, Mapping[str, ScoreTrack]]",
    features: Features,
    metrics: Mapping[str, Any],
    *,
    previews: bool = False,
) -> Path:
    from pipeline.page import make_page  # plotly takes a while to import

    page = make_page(job, task, lineup, scores, features, metrics, previews=previews)
    if table := metrics_table(metrics):
        job.progress.console.print(table)
    return page
