"""Stage extract: one decode of each video feeds every network whose products are not cached yet.

What computes waits for nobody: while a video is computed, a thread opens the one that probably comes next,
whose decoder runs ahead as far as frames may wait; another thread writes what came of the one before.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from threading import Event

from pipeline.ahead import Behind, Guess
from pipeline.failed_elsewhere import ToldElsewhere
from pipeline.inputs import Source
from pipeline.job import Job, StageResult
from pipeline.precision import check_device
from pipeline.products import Features, joints_missing, locate, missing
from pipeline.progress import Bar
from pipeline.recipe import Recipe
from pipeline.video_work import VideoWork

_KIND = "extract"  # of claims
_NEAR = 16  # videos that may be next, where others work on the same folder


def extract(job: Job, recipe: Recipe) -> Features:
    """Features of every video, of every modality; what is there already is left as it is."""
    with job.stage("extract") as result:
        features = locate(job, recipe, result)
        todo = {video: missing(job, features, video) for video in features.files}
        sources = [source for source in job.sources if todo.get(source.name)]
        result.cached = len(features.files) - len(sources)
        if sources:
            check_device(job.config, recipe.modalities, job.device)
            joints = any(joints_missing(job, features, source.name, say=False) for source in sources)
            recipe.load(joints=joints)
        works = _opened(job, features, sources)
        with job.progress.bar("extract", len(sources)) as bar, Behind[VideoWork]() as behind, closing(works):
            for work in works:
                work.compute()
                if work.error is not None:
                    with closing(work.claim):  # not free before the log says that it failed
                        _count(job, result, work, bar)
                    continue
                for done in behind.do(work.keep):
                    _count(job, result, done, bar)
            for done in behind.rest():
                _count(job, result, done, bar)
    return features


def _opened(job: Job, features: Features, sources: Sequence[Source]) -> Generator[VideoWork, None, None]:
    """Every video once, each while it is claimed; meanwhile the next one is opened.

    That one is not claimed before its turn: another process, which may have nothing else to do, can have it.
    """
    by_name = {source.name: source for source in sources}
    names = list(by_name)
    places = {name: i for i, name in enumerate(names)}

    def opened(name: str, stop: Event) -> VideoWork:
        return VideoWork(job, by_name[name], features).open(stop)

    with Guess(opened, VideoWork.drop) as guess:
        for name, claim in job.claims.offered(_KIND, names, job.progress.say):
            with claim:
                work = VideoWork(job, by_name[name], features)
                if not work.fails_elsewhere():
                    work = guess.take(name)
                    if not work.still_missing():  # another process made some of it meanwhile
                        work.drop()
                        work = opened(name, Event())
                work.claim = claim.pop_all()
            near = names[places[name] + 1 : places[name] + 1 + _NEAR]
            if coming := next((other for other in near if job.claims.seems_free(_KIND, other)), None):
                guess.begin(coming)
            try:
                yield work
            except GeneratorExit:  # whoever has it goes no further
                work.drop()
                raise


def _count(job: Job, result: StageResult, done: VideoWork, bar: Bar) -> None:
    """What became of a video."""
    if done.error is not None:
        attempt = "" if isinstance(done.error, ToldElsewhere) else done.attempt
        job.fail(result, done.source.name, done.error.reason, str(done.error), attempt)
    elif done.modalities:
        result.done += 1
    else:
        result.cached += 1
    bar.advance(done.source.name)
