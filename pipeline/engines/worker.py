"""A worker: holds loaded networks and does one video after the other, as a run in one process would."""

import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pipeline.claims import Claims
from pipeline.config import from_values
from pipeline.engines.fingerprint import code_sha256
from pipeline.engines.messages import Failed, Order, Outcome, Place, Ready, Trouble
from pipeline.extraction import extract
from pipeline.failed_elsewhere import FailedElsewhere
from pipeline.files import ContentHashes
from pipeline.inputs import Source
from pipeline.job import Job, StageResult, describe_device, resolve_device, versions
from pipeline.progress import Progress
from pipeline.recipe import SKELETON, Recipe

_SEEN_SEC = 10.0  # a folder on shared storage may show what is new in it a little later


class NotShared(ValueError):
    """A worker does not see what the driver sees."""


class Worker:
    """One worker; every call returns `Trouble` rather than raise, so that no error has to be carried."""

    def __init__(self, order: Order, place: Place) -> None:
        self._order, self._place = order, place
        self._claims = _Impatient(order.out)
        self._failed_elsewhere = FailedElsewhere(order.log, order.log_began)
        self._job: Job | None = None
        self._recipe: Recipe | None = None

    def begin(self) -> Ready | Trouble:
        """Look around, load the networks."""
        return _told(self._begin)

    def do(self, batch: Sequence[Source]) -> Outcome | Trouble:
        """A few videos, one after the other, each claimed first."""
        return _told(lambda: self._do(batch))

    def let_go(self) -> None:
        """Remove what this worker has claimed; from any thread, before an end in the middle of work."""
        self._claims.let_go()

    def _begin(self) -> Ready:
        order, place = self._order, self._place
        os.environ.update(order.environment)
        if order.folder.is_dir():
            os.chdir(order.folder)
        _check_sight(order)
        _use_threads(place.threads, order.modalities)
        config, device = from_values(order.settings), resolve_device(place.device)
        self._job = Job(order.out, (), config, device, _Notes())
        self._recipe = Recipe.build(config, order.modalities, _Notes(), device)
        return Ready(
            socket.gethostname(),
            os.getpid(),
            describe_device(device),
            place.threads,
            self._recipe.identities,
            versions(),
            code_sha256(),
        )

    def _do(self, batch: Sequence[Source]) -> Outcome:
        assert self._job is not None, "begun before"
        assert self._recipe is not None, "begun before"
        notes = _Notes()
        job = _Share(
            self._order.out,
            tuple(batch),
            self._job.config,
            self._job.device,
            notes,
            claims=self._claims,
            hashes=self._job.hashes,
            failed_elsewhere=self._failed_elsewhere,
        )
        self._claims.left_out = ()
        extract(job, self._recipe)
        (result,) = job.results
        busy: tuple[str, ...] = tuple(self._claims.left_out)
        return Outcome(result.done, result.cached, job.failed, busy, tuple(notes.events), tuple(notes.lines))


@dataclass(frozen=True, kw_only=True)
class _Share(Job):
    """A few videos of a job; what is claimed and remembered is their worker's."""

    claims: Claims = field()
    hashes: ContentHashes = field()
    failed_elsewhere: FailedElsewhere = field()
    failed: dict[str, Failed] = field(default_factory=dict)

    def fail(self, result: StageResult, video: str, reason: str, message: str, attempt: str = "") -> None:  # noqa: ARG002
        """For the driver, who says and logs it."""
        self.failed[video] = Failed(reason, message, attempt)


class _Notes(Progress):
    """Keeps what is to be said and logged, for the driver."""

    def __init__(self) -> None:
        super().__init__(None, quiet=True)
        self.lines: list[str] = []
        self.events: list[tuple[str, dict[str, Any]]] = []

    def say(self, text: str) -> None:
        """See Progress."""
        self.lines.append(text)

    def event(self, what: str, **fields: Any) -> None:
        """See Progress; what is of one video: the stage is the driver's, and so is how far it is."""
        if what not in ("stage", "position"):
            self.events.append((what, fields))


class _Impatient(Claims):
    """Leaves out what others work on, where it would wait: the driver has other videos meanwhile."""

    left_out: Sequence[str] = ()  # the last time

    def offered(
        self,
        kind: str,
        names: Sequence[str],
        say: Callable[[str], object] = lambda _: None,  # noqa: ARG002
        pause: Callable[[float], object] = time.sleep,  # noqa: ARG002
    ) -> Iterator[tuple[str, ExitStack]]:
        """See Claims."""
        self.left_out = names
        for name, claim in super().offered(kind, names, lambda _: None, lambda _: True):
            self.left_out = [other for other in self.left_out if other != name]
            yield name, claim


def _told(call: Callable[[], Any]) -> Any:
    """What a call returns; what it raises, as words."""
    try:
        return call()
    except (OSError, MemoryError) as error:
        return Trouble("outside", str(error) or "out of memory")
    except ValueError as error:
        if type(error).__module__.split(".")[0] in ("pipeline", "extractors", "models"):
            return Trouble("wrong", str(error))
        return Trouble("bug", traceback.format_exc())
    except Exception:
        return Trouble("bug", traceback.format_exc())


def _check_sight(order: Order) -> None:
    """NotShared where OUT or the videos are others here than where the driver runs."""
    host, until = socket.gethostname(), time.monotonic() + _SEEN_SEC
    while not any(order.token in _text(path) for path in (order.out / "claims").glob("*.claim")):
        if time.monotonic() > until:
            raise NotShared(
                f"{order.out}: a worker on {host} does not find there what this process has just written; "
                "--out has to be on storage that all machines share, under the same path"
            )
        time.sleep(0.2)
    if not order.example.exists():
        raise NotShared(
            f"{order.example}: a worker on {host} does not see it; videos have to be on storage that all "
            "machines share, under the same path"
        )


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # let go just now
        return ""


def _use_threads(count: int, modalities: Sequence[str]) -> None:
    """So many, of every library that computes: several workers share the cores of a machine."""
    torch.set_num_threads(count)
    if SKELETON in modalities:
        import cv2

        cv2.setNumThreads(count)
