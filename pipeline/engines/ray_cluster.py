"""Workers as actors of a Ray cluster; the only file that imports Ray.

The cluster is the one that RAY_ADDRESS names ("auto": the one that was started on this machine); without it,
a Ray of our own on this machine, which ends with this process. All nodes have augrgb installed, and see the
same videos and the same OUT under the same paths. Ray neither restarts nor repeats anything by itself:
`dispatch` does.
"""

import contextlib
import logging
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from pipeline.engines.crew import STOP_SEC, Lost, Said
from pipeline.engines.messages import Order, Outcome, Place, Ready, Trouble
from pipeline.engines.options import EngineOptions, seats, workers_in
from pipeline.engines.worker import Worker
from pipeline.inputs import Source, UsageError

ADDRESS = "RAY_ADDRESS"
_CONNECT_SEC = 5.0
_STORE_BYTES = 100 << 20  # of a Ray of our own: what workers say is small
_LONGEST = 300  # characters of what Ray says


class RayWorker:
    """The actor; `let_go` is answered while a video is worked on."""

    def __init__(self, order: Order, place: Place) -> None:
        self._worker = Worker(order, place)

    def begin(self) -> Ready | Trouble:
        """See Worker."""
        return self._worker.begin()

    def do(self, batch: Sequence[Source]) -> Outcome | Trouble:
        """See Worker."""
        return self._worker.do(batch)

    @ray.method(concurrency_group="control")
    def let_go(self) -> None:
        """See Worker."""
        self._worker.let_go()


class RayCrew:
    """See Crew."""

    def __init__(self, options: EngineOptions, order: Order, say: Callable[[str], object]) -> None:
        self._order, self._numbers = order, count()
        self._actors: dict[int, Any] = {}
        self._asked: dict[Any, int] = {}  # references to answers, by worker
        self._begun: set[int] = set()  # those that have answered once
        with ExitStack() as stack:
            stack.enter_context(_connected(options, say))
            self._gpus = _gpus_per_worker(options)
            self.most = options.workers or _room(self._gpus)
            self._until_close = stack.pop_all()

    def hire(self) -> int:
        """See Crew. Where no node has room, the worker starts as soon as one has."""
        actor_class = ray.remote(
            num_cpus=1,
            num_gpus=self._gpus,
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups={"control": 1},
        )(RayWorker)
        number, place = next(self._numbers), Place("cuda" if self._gpus else "cpu", threads=1)
        self._actors[number] = actor_class.remote(self._order, place)
        self._asked[self._actors[number].begin.remote()] = number
        return number

    def give(self, worker: int, batch: Sequence[Source]) -> None:
        """See Crew."""
        self._asked[self._actors[worker].do.remote(batch)] = worker

    def hear(self, timeout_sec: float) -> list[Said | Lost]:
        """See Crew."""
        if not self._asked:
            time.sleep(timeout_sec)
            return []
        answered, _ = ray.wait(list(self._asked), timeout=timeout_sec)
        return [self._answer(reference) for reference in answered]

    def close(self) -> None:
        """See Crew."""
        with self._until_close, contextlib.suppress(RayError):
            letting_go = [self._actors[number].let_go.remote() for number in self._begun & {*self._actors}]
            if letting_go:
                ray.wait(letting_go, num_returns=len(letting_go), timeout=STOP_SEC)
            for actor in self._actors.values():
                ray.kill(actor)
            self._actors.clear()

    def _answer(self, reference: Any) -> Said | Lost:
        number = self._asked.pop(reference)
        try:
            said = Said(number, ray.get(reference))
            self._begun.add(number)
            return said
        except RayActorError as error:
            with contextlib.suppress(RayError):
                ray.kill(self._actors.pop(number))  # it may be out of reach alone
            return Lost(number, _brief(error))
        except RayError as error:
            return Said(number, Trouble("bug", str(error)))


@contextmanager
def _connected(options: EngineOptions, say: Callable[[str], object]) -> Iterator[None]:
    """This process as a driver of the cluster; what was connected before stays so."""
    if ray.is_initialized():
        yield
        return
    logging.getLogger("ray").setLevel(logging.ERROR)  # what it announces is of its own affairs
    with _cluster(options, say) as settings:
        try:
            with _unchanged():
                _init(settings)
            yield
        finally:
            ray.shutdown()


def _init(settings: dict[str, Any]) -> None:
    try:
        ray.init(**settings, log_to_driver=False, configure_logging=False)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        where = f"{ADDRESS}={os.environ[ADDRESS]}" if os.environ.get(ADDRESS) else "on this machine"
        raise UsageError(f"--engine ray: no Ray cluster to work with {where} ({_brief(error)})") from error


@contextmanager
def _cluster(options: EngineOptions, say: Callable[[str], object]) -> Iterator[dict[str, Any]]:
    """Arguments of ray.init: where the cluster is, or how one of our own is started."""
    if address := os.environ.get(ADDRESS):
        _check_reachable(address)
        yield {"address": address}
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray leaves one in the home folder
    os.environ.setdefault("RAY_worker_niceness", "0")  # as this process; else Ray's are the last to be served
    workers = options.workers or len(seats(options))
    say(f"no {ADDRESS}: Ray is started on this machine, with room for {workers} workers")
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        own = {"address": "local", "num_cpus": workers, "_temp_dir": folder}
        yield {**own, "include_dashboard": False, "object_store_memory": _STORE_BYTES}


def _check_reachable(address: str) -> None:
    """UsageError at once, where Ray would try for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():  # "auto", which Ray looks up on this machine
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SEC).close()
    except OSError as error:
        raise UsageError(
            f"{ADDRESS}={address}: nobody answers there ({error}); expected the head of a Ray cluster, as "
            f"`ray start --head` prints it; without {ADDRESS}, Ray is started on this machine alone"
        ) from error


@contextmanager
def _unchanged() -> Iterator[None]:
    """Ray's start takes the signal handler, and puts the current folder before all others for imports."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with contextlib.chdir("/"):  # a module in the user's folder must not shadow ours
            yield
    finally:
        if threading.current_thread() is threading.main_thread():  # Ray leaves it alone elsewhere
            signal.signal(signal.SIGTERM, handler)


def _gpus_per_worker(options: EngineOptions) -> float:
    """As asked; else a whole one, where the cluster has any."""
    if options.gpus_per_worker is not None:
        return options.gpus_per_worker
    return float(options.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0)


def _room(gpus: float) -> int:
    """Workers that the nodes take together, now."""
    rooms = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [int(room.get("CPU", 0)) for room in rooms]
    if gpus:
        cpus = [min(n, workers_in(room.get("GPU", 0), gpus)) for n, room in zip(cpus, rooms, strict=True)]
    if not sum(cpus):
        raise UsageError(
            f"none of the {len(rooms)} nodes of the Ray cluster has room for a worker of 1 CPU and {gpus:g} "
            "GPUs; change --gpus-per-worker, or give --workers to wait for nodes that are still to come"
        )
    return sum(cpus)


def _brief(error: BaseException) -> str:
    """What Ray says, in one line."""
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
