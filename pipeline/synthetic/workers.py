"""Several rendering processes that neither outlive their parent nor see the user's folder."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any


def run_all(job: Callable[..., str], calls: Iterable[tuple[Any, ...]], workers: int) -> Iterator[str]:
    """`job(*call)` for every call, in `workers` processes; yields results as they come, in any order.

    With fewer than two workers it all happens in this process. An exception of a job ends everything.
    """
    calls = list(calls)
    if workers < 2 or len(calls) < 2:
        yield from (job(*call) for call in calls)
        return
    pool = ProcessPoolExecutor(min(workers, len(calls)), get_context("spawn"), _start)
    try:
        # processes start in submit; a module in the user's current folder must not shadow ours
        with _environment("PYTHONSAFEPATH", "1"):
            futures = [pool.submit(job, *call) for call in calls]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _start() -> None:
    """One thread each; Ctrl-C is the parent's business; a killed parent takes its children along."""
    import cv2

    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
