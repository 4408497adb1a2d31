"""Processes of one thread each, which end with the one that started them, however it ends."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread
from types import TracebackType
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# One thread for each process: two processes are faster than one with two threads. And a module in the
# user's current folder must not shadow ours.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}


class Workers:
    """`count` processes, started when there is work for two; with one, everything happens in this process.

    Left by an exception, Ctrl-C included, all end at once: what they write is whole or not there.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ProcessPoolExecutor | None = None
        self._watched, self._held = get_context("spawn").Pipe(duplex=False)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._held.close()  # ends those at work
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._held.close()
        self._watched.close()

    def map(self, call: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Result]]:
        """`call(item)` for every item; yields item and result as they come, in any order."""
        if self._count < 2 or (len(items) < 2 and self._pool is None):
            yield from ((item, call(item)) for item in items)
            return
        if self._pool is None:
            context = get_context("spawn")
            self._pool = ProcessPoolExecutor(self._count, context, _start, (self._watched,))
        with _environment(_ENVIRONMENT):  # processes start in submit
            futures = {self._pool.submit(call, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _start(watched: Connection) -> None:
    """One thread; Ctrl-C is the parent's business; the end of the pipe is the end."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow() -> None:
        watched.poll(None)  # nothing is ever sent: true when the parent closed its end, or is gone
        os._exit(1)

    Thread(target=follow, daemon=True).start()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
