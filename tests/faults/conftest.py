"""A small world, and commands that are started quickly and ended in every way."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from pipeline.synthetic import render_practice


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As the commands that are launched have: bytes are the same for the same number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with videos/ and labels.csv: 3 videos for training, 1 for testing, 4 s each."""
    folder = tmp_path_factory.mktemp("small_world")
    render_practice(folder, train_videos=3, test_videos=1, seconds=4.0, workers=1)
    return folder


@dataclass
class Command:
    """A command on its way."""

    pid: int
    log: Path
    _answers: "subprocess.Popen[str]" = field(repr=False)
    code: int | None = None

    def __post_init__(self) -> None:
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._waiter.start()

    def _wait(self) -> None:
        assert self._answers.stdout is not None
        answer = self._answers.stdout.readline()
        self.code = int(answer) if answer else -signal.SIGKILL  # with its launcher

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.code is None:
            os.kill(self.pid, number)

    def wait(self, timeout_sec: float = 1800.0) -> int:
        """Its exit code; as subprocess gives it. The time is for a machine that is busy with other things."""
        self._waiter.join(timeout_sec)
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            raise TimeoutError(f"no end after {timeout_sec} s: {self.printed}")
        return self.code

    @property
    def printed(self) -> str:
        """Standard output and errors."""
        return self.log.read_text()


class Launcher:
    """See launcher.py; one command at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        command = [sys.executable, "-P", str(Path(__file__).with_name("launcher.py"))]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def start(self, *args: object) -> Command:
        """Start `augrgb args`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._count += 1
        log = self._folder / f"{self._count}.txt"
        order = {"args": list(map(str, args)), "log": str(log)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Command(int(self._process.stdout.readline()), log, self._process)

    def run(self, *args: object, check: int = 0) -> str:
        """The same to its end; what it printed."""
        command = self.start(*args)
        assert command.wait() == check, command.printed
        return command.printed

    def close(self) -> None:
        """End it."""
        self._process.kill()
        with self._process:  # closes its pipes
            pass


@pytest.fixture(scope="session")
def launchers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Launcher]]:
    """Makes launchers, each for one command at a time."""
    made: list[Launcher] = []

    def make() -> Launcher:
        made.append(Launcher(tmp_path_factory.mktemp("printed")))
        return made[-1]

    yield make
    for launcher in made:
        launcher.close()


@pytest.fixture(scope="session")
def launcher(launchers: Callable[[], Launcher]) -> Launcher:
    """One of them."""
    return launchers()


@pytest.fixture(scope="session")
def nothing_left_behind() -> Callable[[Path], None]:
    """`nothing_left_behind(out)`: no temporary file, no claim."""

    def check(out: Path) -> None:
        assert [path.name for path in out.rglob(".augrgb-tmp-*")] == []
        assert not (out / "claims").exists()

    return check


@pytest.fixture(scope="session")
def no_decoder_left() -> Callable[[int], None]:
    """`no_decoder_left(pid)`: soon no decoder of that process is alive."""

    def check(pid: int) -> None:
        deadline = time.monotonic() + 120
        while any(_is_decoder(_command_line(process), pid) for process in Path("/proc").glob("[0-9]*")):
            assert time.monotonic() < deadline, f"a decoder of process {pid} is still there"
            time.sleep(0.05)

    return check


def _command_line(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_text().split("\0")
    except OSError:
        return []


def _is_decoder(words: list[str], pid: int) -> bool:
    return any("decoder_server" in word for word in words) and str(pid) in words
