"""Fetching one large file: resumed after a cut, verified before it gets its name, safe for two processes."""

import contextlib
import errno
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

Progress = Callable[[str, int, int | None], None]  # file name, bytes so far, bytes in all if known
_BLOCK = 1 << 20  # bytes
_TIMEOUT_SEC = 30.0  # without a byte
_ATTEMPTS = 3  # in a row that bring nothing new
_ELSEWHERE = "make room, or name another cache folder in XDG_CACHE_HOME"
_PAUSE_SEC = 1.0  # before the next attempt, times the number of those in vain


class DownloadError(ValueError):
    """A file could not be fetched; the message says why."""


def fetch(
    url: str, target: Path, *, problem: Callable[[Path], str | None], progress: Progress | None = None
) -> None:
    """Put the content of `url` at `target`, unless it is there already; DownloadError where that fails.

    Bytes gather in `target` + ".part", from where a later call goes on. `problem` says what is
    wrong with that file once it is whole; a wrong one is deleted, never given the good name.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if target.is_file():  # another process was quicker
                return
            resumed = _size(part) > 0
            wrong = _gather(url, part, progress, problem)
            if wrong and resumed:  # the beginning may have been another file's
                wrong = _gather(url, part, progress, problem)
            if wrong:
                raise DownloadError(f"the server sent another file: {wrong}")
            part.replace(target)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise DownloadError(_reason(error, target)) from error


def _reason(error: Exception, target: Path) -> str:
    """In words; of a full disk or a folder without rights, where and what to do."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{target.parent}: {os.strerror(error.errno)}; {_ELSEWHERE}"
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS):
        return f"{target.parent}: {os.strerror(error.errno)}; name another cache folder in XDG_CACHE_HOME"
    return str(getattr(error, "reason", "") or error) or type(error).__name__


def _gather(
    url: str, part: Path, progress: Progress | None, problem: Callable[[Path], str | None]
) -> str | None:
    """Append to `part` until it is whole; what is wrong with it, and then it is gone."""
    whole, why = _keep_on(url, part, progress)
    wrong = problem(part) if part.is_file() else why
    if wrong and not whole:
        raise DownloadError(
            f"{why}, {_ATTEMPTS} times in a row; {_size(part)} bytes are kept: run again to go on from {part}"
        )
    if wrong:
        part.unlink()
    return wrong


def _keep_on(url: str, part: Path, progress: Progress | None) -> tuple[bool, str]:
    """Ask for what is missing for as long as that brings something; whether all came, and else why not."""
    farthest, vain, why = -1, 0, ""
    while vain < _ATTEMPTS:
        try:
            if _append(url, part, progress):
                return True, ""
            why = "the connection broke off"
        except TimeoutError:
            why = f"nothing came for {_TIMEOUT_SEC:.0f} s"
        except urllib.error.URLError as error:
            if farthest < 0 or not _passing(error):
                raise
            why = str(error.reason)
        except (http.client.HTTPException, ConnectionError) as error:
            why = f"the connection broke off ({error or type(error).__name__})"
        vain = 0 if _size(part) > farthest else vain + 1
        farthest = max(farthest, _size(part))
        time.sleep(_PAUSE_SEC * vain)
    return False, why


def _passing(error: urllib.error.URLError) -> bool:
    """Whether it may be over soon: everything but an answer that says no."""
    return (
        not isinstance(error, urllib.error.HTTPError) or error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _append(url: str, part: Path, progress: Progress | None) -> bool:
    """One request for what is missing; True when nothing more is to come."""
    have = _size(part)
    try:
        response = _open(url, have)
    except urllib.error.HTTPError as error:
        if have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return True  # it was whole already
        raise
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0  # the server sends all of it
        elif not re.match(rf"bytes {have}-", response.headers.get("Content-Range", f"bytes {have}-")):
            part.unlink()  # another part than was asked for: from the beginning, then
            return False
        total = None if response.length is None else have + response.length
        _check_room(part, response.length or 0)
        with part.open("ab" if have else "wb") as file:
            while block := response.read(_BLOCK):
                file.write(block)
                have += len(block)
                if progress:
                    progress(part.stem, have, total)
            file.flush()
            os.fsync(file.fileno())
    return total is None or have == total


def _check_room(part: Path, missing: int) -> None:
    """A full disk is found before it is filled, where the server says how much there is to come."""
    free = shutil.disk_usage(part.parent).free
    if free < missing:
        room = f"{missing / 1e6:.1f} MB are to come, {free / 1e6:.1f} MB are free"
        raise DownloadError(f"{part.parent}: {room}; {_ELSEWHERE}")


def _open(url: str, start: int) -> http.client.HTTPResponse:
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"not an http address: {url}")
    request = urllib.request.Request(url, headers={"User-Agent": "augrgb"})  # noqa: S310
    if start:
        request.add_header("Range", f"bytes={start}-")
    response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_SEC)  # noqa: S310
    return response


def _size(path: Path) -> int:
    """0 where there is no such file."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size if path.is_file() else 0
    return 0
