"""The process that decoder processes are forked from, and what one of them does.

    caller  -- request: 3 descriptors -->  server  -- fork -->  child
       |<------- control: exit, memory ----|                      |
       |<------- connection: JSON, both ways ------------------->|
       |<------- memory file: frames (`ring`) -------------------|

The server has the decoding libraries loaded, so that a video costs a fork and not an import. It is
started by `decoder_client` in a way that neither the caller's script nor a module in the current
folder runs in it; it does not load the networks.

No process outlives the caller: the server ends with it; a child, stopped or not, ends with the
server, and as soon as the caller closes its end of `control`.
"""

import contextlib
import ctypes
import dataclasses
import gc
import json
import os
import resource
import selectors
import signal
import socket
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from pipeline.decoder import DecodeError, frames
from pipeline.ring import Ring
from pipeline.scan import Scan, recount, scan

_PR_SET_PDEATHSIG = 1
_LIBRARY_BYTES = 64 << 20  # code of Python and the decoders: memory that no limit of the system counts
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass
class _Child:
    pid: int
    exited: int  # pid file descriptor
    control: socket.socket
    alive: bool = True


def serve(requests_fd: int, caller_pid: int) -> None:
    """Fork a child for every request, until the caller closes its end or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller to handle
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash on a bad file leaves no file of its own
    gc.freeze()
    caller = os.pidfd_open(caller_pid)
    if os.getppid() != caller_pid:  # it was gone before
        return
    requests = socket.socket(fileno=requests_fd)
    selector = selectors.DefaultSelector()
    selector.register(caller, selectors.EVENT_READ)
    selector.register(requests, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            child = key.data
            if key.fileobj == caller:
                return
            if key.fileobj is requests:
                _, fds, _, _ = socket.recv_fds(requests, 1, 3)
                if len(fds) < 3:
                    return
                child = _fork(*fds)
                selector.register(child.exited, selectors.EVENT_READ, child)
                selector.register(child.control, selectors.EVENT_READ, child)
            elif key.fileobj == child.exited:
                _reap(child, selector)
            elif child.alive:  # the caller has closed its end
                os.kill(child.pid, signal.SIGKILL)
                _reap(child, selector)


def _reap(child: _Child, selector: selectors.BaseSelector) -> None:
    """Wait for a child that is dead or dying, and tell the caller how it ended."""
    if not child.alive:
        return
    child.alive = False
    _, status, used = os.wait4(child.pid, 0)
    selector.unregister(child.exited)
    selector.unregister(child.control)
    os.close(child.exited)
    with child.control, contextlib.suppress(OSError):  # nobody may wait for it any more
        child.control.send(f"{os.waitstatus_to_exitcode(status)} {used.ru_maxrss}".encode())  # in KiB


def _fork(connection_fd: int, memory_fd: int, control_fd: int) -> _Child:
    server_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become_child(server_pid, connection_fd, memory_fd)
    os.close(connection_fd)
    os.close(memory_fd)
    control = socket.socket(fileno=control_fd)
    exited = os.pidfd_open(pid)
    with contextlib.suppress(OSError):  # closed already: the selector will tell
        socket.send_fds(control, [b"pid"], [exited])
    return _Child(pid, exited, control)


def _become_child(server_pid: int, connection_fd: int, memory_fd: int) -> NoReturn:
    """Keep two descriptors of all that the server has, do the work, never return."""
    code = 1
    try:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server_pid:
            os._exit(1)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 2)  # what native code prints
        _close_all_but({0, 1, 2, connection_fd, memory_fd})
        _answer(Connection(connection_fd), Ring(memory_fd))
        code = 0
    except (EOFError, BrokenPipeError, ConnectionResetError):
        code = 0  # the caller has lost interest
    finally:
        os._exit(code)  # no destructor of native code, which may hang


def _close_all_but(kept: set[int]) -> None:
    """Another child's sockets, held here too, would hide that their owner is gone."""
    for fd in {int(entry.name) for entry in Path("/proc/self/fd").iterdir()} - kept:
        with contextlib.suppress(OSError):  # the one that the folder was read with
            os.close(fd)


def _answer(connection: Connection, ring: Ring) -> None:
    """One video: scan it, count it if asked to, decode it as planned by the caller."""
    request = json.loads(connection.recv_bytes())
    path, memory_bytes = Path(request["path"]), request["memory_bytes"]
    try:
        _limit_memory(memory_bytes)
        known = scan(path, ring.advance)
        _send_scan(connection, known)
        plan = json.loads(connection.recv_bytes())
        if plan["do"] == "recount":
            known = recount(path, known, ring.advance)
            _send_scan(connection, known)
            plan = json.loads(connection.recv_bytes())
        wanted_F = np.frombuffer(connection.recv_bytes(), dtype=bool)
        ring.allocate(plan["slots"], known.height, known.width)
        _limit_memory(memory_bytes - ring.slots_NHWC.nbytes)
        for frame in frames(path, known, plan["decoder"], wanted_F, ring.advance):
            while ring.full:
                # Stops decord's own threads too: they would decode the rest of the file into memory.
                os.kill(os.getpid(), signal.SIGSTOP)
            ring.put(frame)
            if ring.waiting == 1:  # whoever reads may wait for it
                _send(connection, {"is": "frame"})
        _send(connection, {"is": "end"})
    except DecodeError as error:
        _send(connection, {"is": "error", "reason": error.reason, "found": error.found})
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise  # of the connection
    except MemoryError:
        found = f"the decoder needs more than the {memory_bytes >> 20} MiB of memory that it may have"
        _send(connection, {"is": "error", "reason": "memory", "found": found})
    except Exception as error:
        found = f"decoder process failed: {type(error).__name__}: {error}"
        _send(connection, {"is": "error", "reason": "crash", "found": found})


def _limit_memory(num_bytes: int) -> None:
    """What this process may hold from now on; what it shares with its caller has to be left out."""
    own = num_bytes - _LIBRARY_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (own, own))


def _send_scan(connection: Connection, known: Scan) -> None:
    arrays = {"pts_F", "first_HWC"}
    fields = {f.name: getattr(known, f.name) for f in dataclasses.fields(known) if f.name not in arrays}
    for name in ("time_base", "rate"):
        fields[name] = [fields[name].numerator, fields[name].denominator]
    _send(connection, {"is": "scan", "has_pts": known.pts_F is not None, **fields})
    connection.send_bytes(b"" if known.pts_F is None else known.pts_F.tobytes())


def _send(connection: Connection, message: dict[str, Any]) -> None:
    connection.send_bytes(json.dumps(message).encode())
