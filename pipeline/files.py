"""Files that are whole or not there: temporary name, fsync, rename."""

import fcntl
import hashlib
import json
import os
import secrets
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

_TMP = ".augrgb-tmp-"
_SAVE_SEC = 1.0  # between two times that new hashes are kept


def digest(value: Any) -> str:
    """sha256 of a JSON value, the same for equal values: 64 hex digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes: 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """`write(file)` into a temporary neighbour, then give it its name: never a part of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path.parent)
    try:
        with _locked(temporary) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a disk that is full does not say of what
        raise
    _fsync_folder(path.parent)


def temporary_path(folder: Path) -> Path:
    """A name that nobody else has, and of a fixed length; what is left under it is swept."""
    return folder / f"{_TMP}{secrets.token_hex(8)}"


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """A new file, locked while it is written: `sweep_temporary` of another process leaves it alone."""
    while True:
        with path.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists():  # not swept between creation and lock
                yield file
                return


def write_json(path: Path, value: Any) -> None:
    """A JSON file, indented, NaN refused."""
    data = (json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
    write_atomic(path, lambda file: file.write(data))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; {} where there is none or it cannot be read as one."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, one a line; lines that are none, such as half a line, are left out."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                found.append(value)
    return found


def sweep_temporary(folder: Path) -> int:
    """Remove temporary files that nobody is writing (their process was killed); returns how many.

    Who writes holds a lock, which ends with its process: numbers of processes would say nothing about
    those of another container on the same folder.
    """
    count = 0
    for path in folder.rglob(f"{_TMP}*"):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                count += 1
        except (BlockingIOError, FileNotFoundError):
            continue
    return count


class ContentHashes:
    """sha256 of videos, remembered by (path, size, modification time, inode); taken anew when any differs.

    Without a database nothing is remembered. One that is damaged is made anew, and one that cannot be used
    (a full disk, a lock) does no harm: hashes are taken anew. Any thread may ask. `say` is told of damage.
    """

    def __init__(self, database: Path | None, say: Callable[[str], object] = lambda _: None) -> None:
        self._say, self._mutex = say, threading.Lock()
        self._new: dict[str, tuple[Any, ...]] = {}  # rows not yet in the database
        self._saved_at = float("-inf")
        self._connection: sqlite3.Connection | None = None
        if database is None:
            return
        try:
            self._connection = self._open(database)
        except sqlite3.OperationalError:
            return
        except sqlite3.DatabaseError as error:
            say(f"  made again: {database}: {error}")
            for path in (database, database.with_name(f"{database.name}-journal")):
                path.unlink(missing_ok=True)
            with suppress(sqlite3.OperationalError):
                self._connection = self._open(database)

    def sha256(self, path: Path) -> str:
        """Hash of the file's content; OSError where it cannot be read."""
        if self._connection is None:
            return file_sha256(path)
        name, state = _name_and_state(path)
        if known := self._known(name, state):
            return known
        values = [name, *state, file_sha256(path)]
        with self._mutex:
            self._new[name] = (*values, digest(values))
        if time.monotonic() - self._saved_at > _SAVE_SEC:
            self.save()
        return str(values[-1])

    def save(self) -> None:
        """Keep what is new; `sha256` does so now and then: a write per video would take long."""
        if self._connection is None:
            return
        with suppress(sqlite3.DatabaseError), self._mutex, self._connection:
            rows = list(self._new.values())
            self._new.clear()
            self._connection.executemany("REPLACE INTO contents VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._saved_at = time.monotonic()

    def known(self, path: Path) -> str | None:
        """What is remembered of the file as it is now; None where its content would have to be read."""
        with suppress(OSError):
            return self._known(*_name_and_state(path))
        return None

    def _known(self, name: str, state: tuple[int, int, int]) -> str | None:
        row = self._row(name)
        if row is None or row[:3] != state:
            return None
        if row[4] != digest([name, *row[:4]]):
            self._say(f"  made again: the remembered hash of {name}: it changed since it was written")
            return None
        return str(row[3])

    def _open(self, database: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(database, timeout=60, check_same_thread=False)
        weakref.finalize(self, connection.close)
        # What a power cut takes of it is taken anew.
        connection.execute("PRAGMA synchronous = OFF")
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS contents (path TEXT PRIMARY KEY, "
                "size INT, mtime_ns INT, inode INT, sha256 TEXT, row_sha256 TEXT)"
            )
        if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
            connection.close()
            raise sqlite3.DatabaseError("damaged")
        return connection

    def _row(self, name: str) -> tuple[Any, ...] | None:
        """Size, time, inode, hash of the file, hash of the row; None where there is none to be had."""
        if self._connection is None:
            return None
        query = "SELECT size, mtime_ns, inode, sha256, row_sha256 FROM contents WHERE path = ?"
        with suppress(sqlite3.DatabaseError), self._mutex:
            if name in self._new:
                return self._new[name][1:]
            return self._connection.execute(query, (name,)).fetchone()
        return None


def damage_of_hashes(database: Path) -> str | None:
    """What is wrong with a memory of hashes, in a few words; None where nothing is, or there is none."""
    if not database.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                return "damaged"
            rows = connection.execute("SELECT * FROM contents")
            changed = [row[0] for row in rows if row[-1] != digest(list(row[:-1]))]
    except sqlite3.DatabaseError as error:
        return str(error)
    return f"what it says of {changed[0]} changed since it was written" if changed else None


def _name_and_state(path: Path) -> tuple[str, tuple[int, int, int]]:
    stat = path.stat()
    return str(path.resolve()), (stat.st_size, stat.st_mtime_ns, stat.st_ino)


def _fsync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
