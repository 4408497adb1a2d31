"""Who makes what, where several processes work on one folder of results.

A claim is a file in OUT/claims that its owner keeps locked and touches every few seconds. A lock ends with
its process, so that on one machine what a dead process had claimed is free at once. Where the storage is
shared by machines whose locks do not reach one another, a claim is free when its file was not touched for
STALE_SEC. Nobody compares clocks: each looks for how long, by its own, the file has not changed.

Claims spare work, and nothing depends on them for being right: products are whole or not there, and an owner
that lost its claim while it was suspended writes the same bytes once more.
"""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.files import digest, sweep_temporary, temporary_path

BEAT_SEC = 10.0  # between two touches of a claim that is held
STALE_SEC = 45.0  # without one, its owner is dead
_LOOK_SEC = 0.25  # between two looks at what others have claimed
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


class Claims:
    """The claims of this process on one folder of results."""

    def __init__(
        self,
        out: Path,
        *,
        beat_sec: float = BEAT_SEC,
        stale_sec: float = STALE_SEC,
        machine: str | None = None,
    ) -> None:
        self._folder, self._beat_sec, self._stale_sec = out / "claims", beat_sec, stale_sec
        self._machine = machine or machine_id()
        self._token = secrets.token_hex(8)  # of this process: containers may have the same numbers
        self._held: dict[int, Path] = {}  # by file descriptor
        self._mutex = threading.Lock()
        self._beating = False
        self._seen: dict[Path, tuple[Any, float]] = {}  # others': how they looked, and since when

    def each(
        self, kind: str, names: Sequence[str], say: Callable[[str], object] = lambda _: None
    ) -> Generator[str, None, None]:
        """Every name once, each while it is claimed; those that others have claimed come when they are free.

        What the other made meanwhile is the caller's to look for.
        """
        for name, claim in self.offered(kind, names, say):
            with claim:
                yield name

    def offered(
        self,
        kind: str,
        names: Sequence[str],
        say: Callable[[str], object] = lambda _: None,
        pause: Callable[[float], object] = time.sleep,
    ) -> Iterator[tuple[str, ExitStack]]:
        """As `each`, but a claim is given back when its holder closes it, whenever and in whatever thread.

        `pause` is how one waits for others; a true answer ends it.
        """
        waiting, said = list(names), False
        while waiting:
            left = []
            for name in waiting:
                claim = ExitStack()
                if claim.enter_context(self._attempt(kind, name)):
                    yield name, claim
                else:
                    claim.close()
                    left.append(name)
            if len(left) == len(waiting):
                if not said:
                    say(f"  {kind}: waiting for another process, which works on {_shown(left)}")
                    said = True
                if pause(_LOOK_SEC):
                    return
            waiting = left

    @contextmanager
    def held(self, kind: str, name: str, say: Callable[[str], object] = lambda _: None) -> Iterator[None]:
        """One claim, waited for."""
        each = self.each(kind, [name], say)
        next(each)
        try:
            yield
        finally:
            each.close()

    def seems_free(self, kind: str, name: str) -> bool:
        """Whether nobody has claimed it, at a glance."""
        return not self._path(kind, name).exists()

    def let_go(self) -> None:
        """Remove what a signal kept from being released: it may come between any two steps."""
        for path in self._folder.glob("*"):
            with contextlib.suppress(OSError, ValueError):
                if json.loads(path.read_bytes()).get("token") == self._token:
                    path.unlink()
        self._remove_folder()

    @contextmanager
    def _attempt(self, kind: str, name: str) -> Iterator[bool]:
        """Whether the claim is ours, now and until the end of the block."""
        path = self._path(kind, name)
        handle = self._take(path, {"kind": kind, "name": name})
        if handle is None:
            yield False
            return
        with self._mutex:
            self._held[handle] = path
        self._start_beating()
        try:
            yield True
        finally:
            self._release(handle, path)

    def _path(self, kind: str, name: str) -> Path:
        return self._folder / f"{digest([kind, name])[:32]}.claim"

    def _take(self, path: Path, about: dict[str, Any]) -> int | None:
        """A locked descriptor of a claim that is ours, None where another has it."""
        owner = {"machine": self._machine, "host": socket.gethostname(), "pid": os.getpid()}
        text = json.dumps({**about, **owner, "token": self._token}).encode()
        if (handle := self._create(path, text)) is not None:
            return handle
        try:
            handle = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None  # released just now: tried again
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, path) and self._is_dead(handle, path):
                if _machine_of(handle) == self._machine:
                    _write(handle, text)  # under the lock, which nobody else here gets
                    return handle
                self._remove_of_another_machine(handle, path)
        except BlockingIOError:
            self._seen.pop(path, None)
        os.close(handle)
        return None

    def _create(self, path: Path, text: bytes) -> int | None:
        """A new claim, whole and locked from its first moment; None where there is one."""
        temporary, handle = temporary_path(path.parent), None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(temporary, _NEW, 0o666)
            fcntl.flock(handle, fcntl.LOCK_EX)
            _write(handle, text)
            os.link(temporary, path)
            return handle
        except OSError as error:
            if handle is not None:
                os.close(handle)
            if isinstance(error, FileExistsError | FileNotFoundError):
                if path.parent.exists() and not path.parent.is_dir():
                    raise
                return None  # somebody was faster, or the folder went with its last claim: tried again
            if error.errno in _NO_LINKS:
                return _create_without_link(path, text)
            raise
        finally:
            with contextlib.suppress(NotADirectoryError):
                temporary.unlink(missing_ok=True)

    def _is_dead(self, handle: int, path: Path) -> bool:
        """Whether the owner of a claim whose lock we got is gone.

        Of this machine it is: it would have the lock. Of another one, if the claim stood still long enough.
        """
        if _machine_of(handle) == self._machine:
            return True
        found, now = os.fstat(handle), time.monotonic()
        looks = (found.st_ino, found.st_mtime_ns)
        if self._seen.get(path, (None, 0.0))[0] != looks:
            self._seen[path] = (looks, now)
        return now - self._seen[path][1] >= self._stale_sec

    def _remove_of_another_machine(self, handle: int, path: Path) -> None:
        """Take a dead claim out of the way: of several that try, one rename finds it."""
        aside = temporary_path(path.parent)
        try:
            path.rename(aside)
        except FileNotFoundError:
            return
        if not _is_at(handle, aside):  # not the dead one: somebody was faster, and this is theirs
            with contextlib.suppress(OSError):
                os.link(aside, path)
        aside.unlink(missing_ok=True)
        self._seen.pop(path, None)

    def _release(self, handle: int, path: Path) -> None:
        with self._mutex:
            self._held.pop(handle, None)
            if _is_at(handle, path):  # not taken over while we were suspended
                path.unlink(missing_ok=True)
            os.close(handle)
        self._remove_folder()

    def _remove_folder(self) -> None:
        """Unless others' claims are there."""
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def _start_beating(self) -> None:
        if not self._beating:
            self._beating = True
            threading.Thread(target=self._beat, name="claims", daemon=True).start()

    def _beat(self) -> None:
        """Touch what is held, for as long as this process lives."""
        while True:
            time.sleep(self._beat_sec)
            with self._mutex:
                for handle in self._held:
                    with contextlib.suppress(OSError):
                        os.utime(handle)


def sweep(out: Path) -> None:
    """Remove what the dead left in OUT: temporary files, and claims of this machine."""
    sweep_temporary(out)
    folder = out / "claims"
    for path in folder.glob("*.claim"):
        with contextlib.suppress(BlockingIOError, FileNotFoundError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _machine_of(file.fileno()) == machine_id() and _is_at(file.fileno(), path):
                path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def someone_works(out: Path) -> bool:
    """Whether a living process of this machine, or perhaps of another, holds a claim on OUT."""
    for path in (out / "claims").glob("*.claim"):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _machine_of(file.fileno()) != machine_id() and time.time() - path.stat().st_mtime < 60:
                    return True
        except BlockingIOError:
            return True
        except FileNotFoundError:
            continue
    return False


@cache
def machine_id() -> str:
    """Names the running kernel: within it, containers included, locks reach."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def _create_without_link(path: Path, text: bytes) -> int | None:
    """Where the file system has no hard links: not whole for a moment, in which others wait."""
    try:
        handle = os.open(path, _NEW, 0o666)
    except FileExistsError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    _write(handle, text)
    return handle


def _write(handle: int, text: bytes) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, text, 0)
    os.utime(handle)


def _machine_of(handle: int) -> str:
    """Of a claim's owner; "" where it does not say."""
    try:
        return str(json.loads(os.pread(handle, 65536, 0))["machine"])
    except (ValueError, KeyError, TypeError):
        return ""


def _is_at(handle: int, path: Path) -> bool:
    """Whether a path still names the file that is open."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
