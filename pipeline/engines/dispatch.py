"""Videos to workers, longest first; those of a worker that is lost go to another."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence

from pipeline.engines.crew import Crew, Lost, Said
from pipeline.engines.messages import Failed, Outcome, Ready, Trouble
from pipeline.inputs import Source, UsageError
from pipeline.job import WorkStopped
from pipeline.progress import Progress

MOST_LOSSES = 3  # of workers at one video, or of workers in succession that have done nothing
START_SEC = 600.0  # for the first worker to be ready: a cluster may have to start a machine
# A worker opens the next video while it computes one, so short ones are given several at a time: so many,
# so long, and a small part of what is left, that all workers end together.
MOST_TOGETHER, TOGETHER_BYTES, _PART = 16, 32 << 20, 2
_HEAR_SEC, _AGAIN_SEC, _SAY_SEC = 0.5, 1.0, 20.0


def size(source: Source) -> int:
    """Bytes: they tell how long a video is without a look into it."""
    try:
        return source.path.stat().st_size
    except OSError:  # its worker will say what is wrong with it
        return 0


class Dispatch:
    """One pass over the videos."""

    def __init__(
        self, crew: Crew, sources: Sequence[Source], welcome: Callable[[Ready], None], progress: Progress
    ) -> None:
        self._crew, self._welcome, self._progress = crew, welcome, progress
        self._sizes = {source.name: size(source) for source in sources}
        # what takes longest must not be what is begun last
        self._queue = deque(sorted(sources, key=lambda source: -self._sizes[source.name]))
        self._later: deque[tuple[float, Source]] = deque()  # others work on them: looked at again then
        self._starting: set[int] = set()
        self._idle: set[int] = set()
        self._at_work: dict[int, tuple[Source, ...]] = {}
        self._losses: Counter[str] = Counter()
        self._vain = 0  # workers lost in succession that had done nothing
        self._alone_since = time.monotonic()  # without a worker that is ready
        self._said_so = False

    def outcomes(self) -> Iterator[Outcome]:
        """What becomes of every video, as they are done; each is in one of them.

        WorkStopped, UsageError or RuntimeError where workers cannot go on, whatever the video.
        """
        while self._unfinished():
            self._hire()
            self._hand_out()
            for heard in self._crew.hear(_HEAR_SEC):
                yield from self._lost(heard) if isinstance(heard, Lost) else self._answered(heard)
            self._check_alone()

    def _unfinished(self) -> int:
        return len(self._queue) + len(self._later) + sum(map(len, self._at_work.values()))

    def _hire(self) -> None:
        """Up to one for every video that is left."""
        wanted = min(self._crew.most, self._unfinished())
        for _ in range(wanted - len(self._starting) - len(self._idle) - len(self._at_work)):
            self._starting.add(self._crew.hire())

    def _hand_out(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic():
            self._queue.append(self._later.popleft()[1])
        while self._queue and self._idle:
            worker, batch = self._idle.pop(), self._next()
            self._at_work[worker] = batch
            self._crew.give(worker, batch)

    def _next(self) -> tuple[Source, ...]:
        """The longest video that is left, with others if they are short.

        One that a worker was lost with is alone: whose fault it was will be seen.
        """
        workers = len(self._starting) + len(self._at_work) + len(self._idle) + 1
        most = min(MOST_TOGETHER, len(self._queue) // (_PART * workers))
        batch = [self._queue.popleft()]
        room = TOGETHER_BYTES - self._sizes[batch[0].name]
        while len(batch) < most and not self._losses[batch[0].name]:
            room -= self._sizes[self._queue[0].name]
            if room < 0 or self._losses[self._queue[0].name]:
                break
            batch.append(self._queue.popleft())
        return tuple(batch)

    def _answered(self, said: Said) -> Iterator[Outcome]:
        self._starting.discard(said.worker)
        self._idle.add(said.worker)
        match said.message:
            case Trouble() as trouble:
                raise _as_error(trouble)
            case Ready() as ready:
                self._welcome(ready)
            case Outcome() as outcome:
                self._vain = 0
                batch, again = self._at_work.pop(said.worker), time.monotonic() + _AGAIN_SEC
                self._later.extend((again, source) for source in batch if source.name in outcome.busy)
                yield outcome

    def _lost(self, lost: Lost) -> Iterator[Outcome]:
        """Its videos go to others, before all that wait; one that several workers were lost with fails."""
        for workers in (self._starting, self._idle):
            workers.discard(lost.worker)
        batch = self._at_work.pop(lost.worker, ())
        names = [source.name for source in batch]
        self._progress.event("lost", worker=lost.worker, why=lost.why, videos=names)
        if not batch:
            self._vain += 1
            if self._vain >= MOST_LOSSES:
                raise WorkStopped(f"stopped: {MOST_LOSSES} workers in succession ended at once: {lost.why}")
            return
        self._losses.update(names)
        self._queue.extendleft(s for s in reversed(batch) if self._losses[s.name] < MOST_LOSSES)
        given_up = {s.name: _failed(s, lost.why) for s in batch if self._losses[s.name] >= MOST_LOSSES}
        if given_up:
            yield Outcome(failed=given_up)
        else:
            self._progress.say(f"  {', '.join(names)}: the worker is lost ({lost.why}); another one goes on")

    def _check_alone(self) -> None:
        """Nothing can be done where no worker gets ready: say so, and do not wait for ever."""
        now = time.monotonic()
        if self._idle or self._at_work:
            self._alone_since, self._said_so = now, False
        elif now - self._alone_since > START_SEC:
            raise WorkStopped(f"stopped: no worker was ready within {START_SEC:g} s")
        elif now - self._alone_since > _SAY_SEC and not self._said_so:
            self._said_so = True
            self._progress.say(f"  extract: no worker is ready yet ({len(self._starting)} are starting)")


def _failed(source: Source, why: str) -> Failed:
    message = (
        f"{source.path}: {MOST_LOSSES} workers were lost while they worked on it (the last one: {why}); "
        "where memory is short, take fewer --workers, or do it with --engine local"
    )
    return Failed("worker_lost", message)


def _as_error(trouble: Trouble) -> Exception:
    """What a run in one process would have ended with."""
    if trouble.kind == "outside":
        return WorkStopped(f"stopped: {trouble.message}")
    if trouble.kind == "wrong":
        return UsageError(trouble.message)
    return RuntimeError(f"a worker failed:\n{trouble.message}")
