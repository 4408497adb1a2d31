"""A command, run while its memory and its processor time are watched; and its log, read beside them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from pipeline.files import read_json_lines

_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """All processes of the command at one moment."""

    at: float  # seconds since the epoch
    memory_mb: float  # proportional set size: what they share counts once
    cpu_sec: float  # since they began, those that have ended included


def augrgb(*words: object) -> list[str]:
    """The command line of this checkout, on one thread so that figures repeat."""
    return [sys.executable, "-P", "-m", "pipeline", *map(str, words)]


def run_watched(command: Sequence[str], printed: Path, every_sec: float = 1.0) -> tuple[int, list[Sample]]:
    """Exit code, and a sample every so often; what it prints goes to a file."""
    samples = []
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with printed.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log, env=env) as process:
        while process.poll() is None:
            samples.append(_sample(process.pid))
            time.sleep(every_sec)
    return process.returncode, samples


def logged(out: Path, event: str) -> list[dict]:
    """Rows of one event of OUT/log.jsonl; `at`: when, in seconds since the epoch."""
    rows = [row for row in read_json_lines(out / "log.jsonl") if row["event"] == event]
    return [{**row, "at": datetime.fromisoformat(row["time"]).timestamp()} for row in rows]


def at_times(samples: Sequence[Sample], times_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Memory in MB and processor time in seconds at these moments, linear between samples: (T,) each."""
    at = [sample.at for sample in samples]
    memory_T = np.interp(times_T, at, [sample.memory_mb for sample in samples])
    return memory_T, np.interp(times_T, at, [sample.cpu_sec for sample in samples])


def _sample(pid: int) -> Sample:
    processes = list(_tree(pid))
    return Sample(time.time(), sum(map(_memory_mb, processes)), sum(map(_cpu_sec, processes)))


def _tree(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # it has ended
            continue
        for child in children:
            yield from _tree(int(child))


def _memory_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _cpu_sec(pid: int) -> float:
    """Of a process, and of those of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS_PER_SEC
