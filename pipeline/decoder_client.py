"""The caller's end of the decoder processes: start one, talk to it, notice when it hangs or dies.

Any thread may use it; a process forked from the caller gets a server of its own. The caller's
script is never run again, whatever it is: a file, standard input, a console script, a notebook.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.ring import Ring
from pipeline.video_types import DecodeLimits

_SLICE_SEC = 0.02  # between two looks at a child that is silent
_MOST_SEC = 1.0  # that one look counts for: in a longer time, this process was stopped itself
# A package of that name without running its __init__: the modules in its folder, and none from elsewhere.
_BOOT = """
import sys, types
package = types.ModuleType("pipeline")
package.__path__ = [sys.argv[1]]
sys.modules["pipeline"] = package
from pipeline.decoder_server import serve
serve(int(sys.argv[2]), int(sys.argv[3]))
"""


class ChildHung(Exception):
    """The decoder process did nothing for the time allowed."""


class ChildLate(Exception):
    """The decoder process was waited for longer than it may take in all."""


class ChildDied(Exception):
    """The decoder process ended without a word; the message says how."""


class NoLongerWanted(Exception):
    """Another thread does not want the frames any more."""


class DecoderProcess:
    """A child process that reads one video.

    `waited_sec` is how long it was waited for, others for the same video included; `peak_bytes`, once
    it is closed, the most memory that it held. Once `stop` is set, from whatever thread, nothing is waited
    for: `NoLongerWanted`.
    """

    def __init__(
        self, path: Path, limits: DecodeLimits, waited_sec: float = 0.0, stop: threading.Event | None = None
    ) -> None:
        self._limits, self._stop = limits, stop
        self.waited_sec = waited_sec
        self.peak_bytes = 0
        memory_fd = Ring.create_file()
        self.ring = Ring(memory_fd)
        self._memory_fd = memory_fd
        ours, theirs = socket.socketpair()
        self._control, control = socket.socketpair()
        self._pidfd: int | None = None
        self._connection = Connection(ours.detach())
        with theirs, control:
            _SERVER.request([theirs.fileno(), memory_fd, control.fileno()])
        self.send({"path": str(path), "memory_bytes": limits.memory_bytes})

    def send(self, message: dict[str, Any], *blobs: bytes) -> None:
        """Send JSON, followed by bytes."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `receive` will tell
            self._connection.send_bytes(json.dumps(message).encode())
            for blob in blobs:
                self._connection.send_bytes(blob)

    def receive(self) -> dict[str, Any]:
        """The next message; raises `ChildHung`, `ChildLate` or `ChildDied`.

        Only the time spent here counts against the limits: a child stopped because its reader is slow
        is not late. It hangs where nothing is decoded meanwhile.
        """
        return json.loads(self.receive_bytes())

    def receive_bytes(self) -> bytes:
        """The next message as it came."""
        self._wait_until(lambda: False)
        return self._come()

    def receive_or_frame(self) -> dict[str, Any] | None:
        """The next message, or None once a frame waits in the ring, whichever is seen first."""
        return json.loads(self._come()) if self._wait_until(lambda: self.ring.waiting > 0) else None

    def _wait_until(self, enough: Callable[[], bool]) -> bool:
        """Whether a message is there, as soon as it is, or it is enough without."""
        silent_sec, progress = 0.0, self.ring.progress
        while not self._wait():
            if enough():
                return False
            self.resume()  # it may have stopped itself just after its last frame was taken
            silent_sec += _SLICE_SEC
            if self.ring.progress != progress:
                silent_sec, progress = 0.0, self.ring.progress
            if silent_sec > self._limits.hang_sec:
                raise ChildHung(f"nothing came for {self._limits.hang_sec:g} s")
        return True

    def _come(self) -> bytes:
        """A message that is there."""
        try:
            return self._connection.recv_bytes()
        except (EOFError, ConnectionResetError):
            raise ChildDied(self._exit_reason()) from None

    def _wait(self) -> bool:
        """Wait a moment for a message; whether there is one."""
        if self._stop is not None and self._stop.is_set():
            raise NoLongerWanted
        if self.waited_sec > self._limits.deadline_sec:
            raise ChildLate(f"its frames were waited for {self._limits.deadline_sec:g} s")
        began = time.monotonic()
        there = self._connection.poll(_SLICE_SEC)
        self.waited_sec += min(time.monotonic() - began, _MOST_SEC)
        return there

    def resume(self) -> None:
        """Let the child run if it has stopped itself."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill the child and wait until it is gone."""
        if self._connection.closed:
            return
        self._connection.close()
        os.close(self._memory_fd)
        self.ring.close()
        with self._control:
            self._control.shutdown(socket.SHUT_WR)  # the server kills it
            while message := self._control.recv(64):  # how it ended, then the end
                self._keep_end(message)
        if self._pidfd is not None:
            os.close(self._pidfd)

    def _signal(self, number: signal.Signals) -> None:
        if self._pidfd is None:
            with contextlib.suppress(BlockingIOError):  # the server is still starting
                _, fds, _, _ = socket.recv_fds(self._control, 3, 1, socket.MSG_DONTWAIT)
                self._pidfd = fds[0] if fds else None
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _exit_reason(self) -> str:
        self._signal(signal.SIGKILL)
        if self._pidfd is None:
            raise RuntimeError("the decoder server does not start; what it printed says why")
        number = self._keep_end(self._control.recv(64))
        if number is None:
            return "the decoder server was killed"
        return f"killed by {signal.Signals(-number).name}" if number < 0 else f"exit code {number}"

    def _keep_end(self, message: bytes) -> int | None:
        """Exit code of the child from the server's last message; its peak of memory is kept."""
        code, _, peak_kb = message.decode().partition(" ")
        if not peak_kb:  # nothing, or the message that came with the process descriptor
            return None
        self.peak_bytes = int(peak_kb) << 10
        return int(code)


class _Server:
    """The process to fork from: started when first needed, again when it is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def request(self, fds: list[int]) -> None:
        """Have a child forked that gets these descriptors."""
        with self._lock:
            if self._requests is not None:
                with contextlib.suppress(OSError):
                    socket.send_fds(self._requests, [b"+"], fds)
                    return
            self._start()
            assert self._requests is not None
            socket.send_fds(self._requests, [b"+"], fds)

    def _start(self) -> None:
        self.stop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        package = str(Path(__file__).resolve().parent)
        command = [sys.executable, "-P", "-c", _BOOT, package, str(theirs.fileno()), str(os.getpid())]
        one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # a fork needs a single thread
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **one_thread, "PYTHONSAFEPATH": "1"},
                start_new_session=True,  # Ctrl-C and Ctrl-Z are for the caller
            )
        self._requests = ours

    def stop(self) -> None:
        """End the server and with it every child."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        if self._process is not None:
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def forget(self) -> None:
        """In a forked process: the server is the parent's."""
        self._lock = threading.Lock()
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        if self._process is not None:
            self._process.returncode = 0  # not ours to wait for
            self._process = None


_SERVER = _Server()
atexit.register(_SERVER.stop)
os.register_at_fork(after_in_child=_SERVER.forget)
