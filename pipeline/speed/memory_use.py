"""How much memory a stage takes at most: of the host, all processes, and of a GPU."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from os import getpid
from pathlib import Path

import torch

_EVERY_SEC = 0.2


@dataclass
class Peak:
    """The most that was seen."""

    host_bytes: int = 0
    device_bytes: int | None = None


@contextmanager
def watch_peak(device: torch.device, every_sec: float = _EVERY_SEC) -> Iterator[Peak]:
    """Looks every so often at this process and all that descend from it; filled in when the block ends."""
    peak, done = Peak(), threading.Event()

    def look() -> None:
        while True:
            peak.host_bytes = max(peak.host_bytes, host_bytes(getpid()))
            if done.wait(every_sec):
                return

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    thread = threading.Thread(target=look, name="memory", daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        if device.type == "cuda":
            peak.device_bytes = torch.cuda.max_memory_allocated(device)


def host_bytes(pid: int) -> int:
    """Proportional set size of a process and its descendants: memory they share counts once."""
    return sum(map(_pss_bytes, _family(pid)))


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has ended
            for child in task.read_text().split():
                yield from _family(int(child))


def _pss_bytes(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0
