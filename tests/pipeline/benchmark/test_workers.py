"""Processes that work side by side and end together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.benchmark.workers import Workers

ROOT = Path(__file__).parents[3]
SLEEPS = """
import os, sys, time
from pathlib import Path
from pipeline.benchmark.workers import Workers

def sleep(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    with Workers(2) as workers:
        list(workers.map(sleep, [sys.argv[1]] * 2))
"""


def square(number):
    if number < 0:
        raise ValueError(f"{number} is below 0")
    return number**2, os.getpid()


def test_one_worker_is_this_process():
    with Workers(1) as workers:
        assert dict(workers.map(square, [1, 2, 3])) == {n: (n * n, os.getpid()) for n in (1, 2, 3)}


def test_a_single_item_starts_no_process():
    with Workers(4) as workers:
        assert list(workers.map(square, [3])) == [(3, (9, os.getpid()))]


@pytest.mark.slow
def test_several_take_all_items_and_their_errors_come_back():
    with Workers(2) as workers:
        found = dict(workers.map(abs, [-1, -2, 3]))
        assert found == {-1: 1, -2: 2, 3: 3}
    with pytest.raises(TypeError, match="bad operand"), Workers(2) as workers:
        list(workers.map(abs, [1, "x"]))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(how, tmp_path):
    (tmp_path / "sleeps.py").write_text(SLEEPS)
    there = tmp_path / "there"
    there.mkdir()
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "sleeps.py"), str(there)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    _wait(lambda: len(list(there.iterdir())) == 2 or parent.poll() is not None, 240)
    assert parent.poll() is None
    pids = [int(path.name) for path in there.iterdir()]
    parent.send_signal(how)
    parent.wait(60)
    _wait(lambda: not any(map(_alive, pids)), 60)
    assert not any(map(_alive, pids))


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state != "Z"  # gone, and not yet taken note of


def _wait(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.2)
