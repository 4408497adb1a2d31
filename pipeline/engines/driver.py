"""Stage extract on an engine: workers make what is missing; later stages find everything in the cache."""

import secrets
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from pipeline.claims import sweep
from pipeline.engines.crew import Crew
from pipeline.engines.dispatch import Dispatch
from pipeline.engines.fingerprint import code_sha256, differences
from pipeline.engines.messages import Order, Outcome, Ready
from pipeline.engines.options import EngineOptions
from pipeline.extraction import extract as extract_here
from pipeline.inputs import Source, UsageError
from pipeline.job import Job, StageResult, versions
from pipeline.products import Features, locate, missing
from pipeline.recipe import Recipe


def extract(job: Job, recipe: Recipe, engine: EngineOptions) -> Features:
    """Features of every video, of every modality; what is there already is left as it is.

    The same products under the same keys whatever the engine; on any but `local` in workers, each of which
    does its videos one after the other, as a run of its own would.
    """
    if engine.name == "local":
        return extract_here(job, recipe)
    with job.stage("extract") as result:
        todo = _to_do(job, recipe)
        result.cached = len(job.sources) - len(todo)
        if todo:
            _on_workers(job, recipe, engine, todo, result)
        order = {source.name: number for number, source in enumerate(job.sources)}
        result.failures.sort(key=lambda failure: order[failure.video])
        unreadable = {failure.video for failure in result.failures if failure.reason == "unreadable"}
        readable = tuple(source for source in job.sources if source.name not in unreadable)
        return locate(replace(job, sources=readable), recipe, result)


def _to_do(job: Job, recipe: Recipe) -> list[Source]:
    """Videos that something is missing of, or whose content nobody has read yet: workers do that, too."""
    known = tuple(source for source in job.sources if job.hashes.known(source.path))
    features = locate(replace(job, sources=known), recipe, StageResult("extract"))
    done = {video for video in features.files if not missing(job, features, video, say=False)}
    return [source for source in job.sources if source.name not in done]


def _on_workers(
    job: Job, recipe: Recipe, engine: EngineOptions, todo: Sequence[Source], result: StageResult
) -> None:
    token = secrets.token_hex(8)
    reception = _Reception(job, recipe)
    example = next((source.path for source in todo if source.path.exists()), job.out)
    try:
        with (
            job.claims.held("engine", token),
            closing(_crew(engine, Order.of(job, recipe.modalities, token, example), job)) as crew,
            job.progress.bar("extract", len(todo)) as bar,
        ):
            for outcome in Dispatch(crew, todo, reception.welcome, job.progress).outcomes():
                for _ in range(outcome.made + outcome.cached + len(outcome.failed)):
                    bar.advance()
                _record(job, result, outcome)
    finally:
        sweep(job.out)  # of workers that were ended in the middle


def _crew(engine: EngineOptions, order: Order, job: Job) -> Crew:
    if engine.name == "processes":
        from pipeline.engines.processes import ProcessCrew

        return ProcessCrew(engine, order)
    from pipeline.engines.ray_cluster import RayCrew  # the only one that needs Ray

    return RayCrew(engine, order, job.progress.say)


def _record(job: Job, result: StageResult, outcome: Outcome) -> None:
    """As if it had been done here."""
    for what, fields in outcome.events:
        job.progress.event(what, **fields)
    for line in outcome.said:
        job.progress.say(line)
    result.done += outcome.made
    result.cached += outcome.cached
    for video, failed in outcome.failed.items():
        job.fail(result, video, failed.reason, failed.message, failed.attempt)


class _Reception:
    """Looks at every worker before it gets a video; what is to be said is said once for each machine."""

    def __init__(self, job: Job, recipe: Recipe) -> None:
        self._job, self._recipe = job, recipe
        self._said: set[tuple[str, str]] = set()

    def welcome(self, ready: Ready) -> None:
        """UsageError for a worker whose products would have other keys."""
        progress = self._job.progress
        progress.event("worker", host=ready.host, pid=ready.pid, device=ready.device, threads=ready.threads)
        if found := list(differences(self._recipe.identities, ready.identities)):
            raise UsageError(
                f"a worker on {ready.host} would make other features than this process "
                f"({'; '.join(found[:3])}); install the same versions, and the same weights, on all machines"
            )
        if ready.code_sha256 != code_sha256():
            self._say(ready.host, "another state of augrgb's code; install the same on every machine")
        for found_here in differences(versions(), ready.versions):
            self._say(ready.host, f"another version of {found_here}: the last bits of numbers may differ")

    def _say(self, host: str, text: str) -> None:
        if (host, text) not in self._said:
            self._said.add((host, text))
            self._job.progress.say(f"  {host} has {text}")
