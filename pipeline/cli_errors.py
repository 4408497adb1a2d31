"""What ends a command: errors to one message and an exit code, signals to a clean stop.

| exit code | what it says |
|---|---|
| 0 | all done |
| 1 | some video failed, or a check (`verify`, `doctor`, `compare-features`) found something |
| 2 | wrong usage, before any work |
| 3 | stopped on the way by what is outside: a full disk, a folder that is gone, too little memory |
| 70 | a bug of ours: the traceback says where |
| 130, 143 | interrupted (Ctrl-C), terminated (SIGTERM) |
"""

import errno
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

PATIENCE_SEC = 4.0  # after a signal; then what still computes is left where it is: files are whole anyway
_ENDS = {signal.SIGTERM: (143, "terminated"), signal.SIGINT: (130, "interrupted")}
STOPPED = frozenset(code for code, _ in _ENDS.values())  # exit codes of a clean stop
# what is nobody's wrong usage: disks and shares that take no more, or are gone
_OUTSIDE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EMFILE)
_GO_ON = "run the same command again to go on"


@contextmanager
def errors() -> Iterator[None]:
    """Errors that a user can mend, as one message; a signal as a clean stop."""
    signal.signal(signal.SIGTERM, _terminate)
    with _watched():
        try:
            yield
        except (ValueError, OSError) as error:
            if not _users(error):
                raise
            if isinstance(error, OSError) and error.errno in _OUTSIDE:
                stop(3, f"stopped: {error}; {_GO_ON}")
            stop(2, str(error))
        except KeyboardInterrupt:
            stop(130, f"interrupted; {_GO_ON}")
        except Exception as error:
            if not (_ours(error) and hasattr(error, "exit_code")):
                raise
            stop(error.exit_code, f"{error}; {_GO_ON}")


def stop(code: int, message: str) -> NoReturn:
    """Leave with a message on stderr."""
    typer.echo(f"augrgb: {message}", err=True)
    raise SystemExit(code)


def _users(error: BaseException) -> bool:
    """Whether an error is one of the messages we wrote; anything else is our bug and shows where."""
    return isinstance(error, OSError) or _ours(error)


def _ours(error: BaseException) -> bool:
    return type(error).__module__.split(".")[0] in ("pipeline", "extractors", "models")


def _terminate(*_: object) -> None:
    stop(143, f"terminated; {_GO_ON}")


@contextmanager
def _watched() -> Iterator[None]:
    """See that a signal ends the process soon.

    Python hands it over between two steps of its own, and one batch of a large network on a CPU is one
    step that may last a minute. So a thread gets it, too, and ends what does not end by itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    done = threading.Event()
    threading.Thread(target=_watch, args=(receiver, done), name="signals", daemon=True).start()
    try:
        yield
    finally:
        done.set()
        signal.set_wakeup_fd(before)
        sender.close()


def _watch(receiver: socket.socket, done: threading.Event) -> None:
    """Wait for a signal that ends, then for the end; end it where that takes too long."""
    with receiver:
        while received := receiver.recv(16):
            ends = [_ENDS[number] for number in map(_signal, received) if number in _ENDS]
            if ends and not done.wait(PATIENCE_SEC):
                code, word = ends[0]
                os.write(2, f"augrgb: {word} in the midst of a long step; {_GO_ON}\n".encode())
                os._exit(code)


def _signal(number: int) -> signal.Signals | None:
    try:
        return signal.Signals(number)
    except ValueError:
        return None
