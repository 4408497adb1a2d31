"""Workers as processes of this machine: one for each GPU, or each with a share of the cores."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection, wait

from pipeline.engines.crew import STOP_SEC, Lost, Said
from pipeline.engines.messages import Order, Place
from pipeline.engines.options import EngineOptions, Seat, seats
from pipeline.inputs import Source

_MAIN = "pipeline.engines.process_worker"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class _Process:
    process: "subprocess.Popen[bytes]"
    connection: Connection
    seat: Seat


class ProcessCrew:
    """See Crew. A worker ends with its connection, and so with this process, however that ends."""

    def __init__(self, options: EngineOptions, order: Order) -> None:
        self._order, self._numbers = order, count()
        self._free = seats(options)
        self.most = len(self._free)
        self._workers: dict[int, _Process] = {}

    def hire(self) -> int:
        """See Crew."""
        seat, number = self._free.pop(), next(self._numbers)
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", _MAIN, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=_environment(seat),
                start_new_session=True,  # Ctrl-C is this process's business
            )
        self._workers[number] = _Process(process, Connection(ours.detach()), seat)
        self._send(number, (self._order, Place("cpu" if seat.gpu is None else "cuda", seat.threads)))
        return number

    def give(self, worker: int, batch: Sequence[Source]) -> None:
        """See Crew."""
        self._send(worker, batch)

    def hear(self, timeout_sec: float) -> list[Said | Lost]:
        """See Crew."""
        numbers = {worker.connection: number for number, worker in self._workers.items()}
        return [
            self._receive(numbers[c]) for c in wait(list(numbers), timeout_sec) if isinstance(c, Connection)
        ]

    def close(self) -> None:
        """See Crew."""
        for worker in self._workers.values():
            worker.connection.close()
        deadline = time.monotonic() + STOP_SEC
        for worker in self._workers.values():
            _end(worker.process, deadline - time.monotonic())
        self._workers.clear()

    def _send(self, number: int, message: object) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # `hear` will tell
            self._workers[number].connection.send(message)

    def _receive(self, number: int) -> Said | Lost:
        try:
            return Said(number, self._workers[number].connection.recv())
        except (EOFError, OSError):
            worker = self._workers.pop(number)
            worker.connection.close()
            self._free.append(worker.seat)
            return Lost(number, _end(worker.process, STOP_SEC))


def _environment(seat: Seat) -> dict[str, str]:
    """No module of the user's current folder shadows ours; no core is used twice."""
    environment = {**os.environ, "PYTHONSAFEPATH": "1", **dict.fromkeys(_THREADS, str(seat.threads))}
    if seat.gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = seat.gpu
    return environment


def _end(process: "subprocess.Popen[bytes]", patience_sec: float) -> str:
    """Wait for an end that has been asked for, then kill; how it ended."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, patience_sec))
    process.kill()
    code = process.wait()
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
