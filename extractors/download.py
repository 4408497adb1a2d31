"""Fetching one large file: resumed after a cut, verified before it gets its name, safe for two processes."""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

Progress = Callable[[str, int, int | None], None]  # file name, bytes so far, bytes in all if known
_CHUNK = 1 << 20
_TIMEOUT_SEC = 30.0
_ATTEMPTS = 3


class DownloadError(ValueError):
    """A file could not be fetched; the message says why."""


def fetch(url: str, target: Path, *, check: Callable[[Path], None], progress: Progress | None = None) -> None:
    """Put the content of `url` at `target`, unless it is there already.

    Bytes gather in `target` + ".part", from where a later call goes on. `check` gets that file
    when it is whole and raises ValueError if it is not the right one; then it is deleted.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.is_file():  # another process may have been quicker
                _fetch_verified(url, target, check, progress)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise DownloadError(f"{type(error).__name__}: {reason}") from error


def _fetch_verified(url: str, target: Path, check: Callable[[Path], None], progress: Progress | None) -> None:
    part = target.with_name(target.name + ".part")
    resumed = part.is_file()
    _gather(url, part, target.name, progress)
    try:
        check(part)
    except ValueError as error:
        part.unlink()
        if resumed:  # the beginning may have been of something else
            return _fetch_verified(url, target, check, progress)
        raise DownloadError(f"what the server sent is not the published file: {error}") from error
    part.replace(target)
    return None


def _gather(url: str, part: Path, name: str, progress: Progress | None) -> None:
    """Append to `part` until it is whole; a cut connection is taken up again a few times."""
    for attempt in range(_ATTEMPTS):
        before = part.stat().st_size if part.is_file() else 0
        try:
            if _append(url, part, name, progress):
                return
        except (http.client.HTTPException, ConnectionError, TimeoutError):
            if attempt + 1 == _ATTEMPTS:
                raise
        if part.is_file() and part.stat().st_size > before:
            continue
    raise DownloadError(f"the connection broke off {_ATTEMPTS} times; run again to go on from {part}")


def _append(url: str, part: Path, name: str, progress: Progress | None) -> bool:
    """One request for what is missing; True when the file is whole."""
    have = part.stat().st_size if part.is_file() else 0
    with _open(url, have) as response:
        if response.status != http.client.PARTIAL_CONTENT:
            have = 0  # the server sends all of it
        length = response.headers["Content-Length"]
        total = have + int(length) if length else None
        with part.open("ab" if have else "wb") as file:
            while block := response.read(_CHUNK):
                file.write(block)
                have += len(block)
                if progress:
                    progress(name, have, total)
            file.flush()
            os.fsync(file.fileno())
    return total is None or have == total


def _open(url: str, start: int) -> http.client.HTTPResponse:
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"not an http address: {url}")
    request = urllib.request.Request(url, headers={"User-Agent": "augrgb"})  # noqa: S310
    if start:
        request.add_header("Range", f"bytes={start}-")
    return urllib.request.urlopen(request, timeout=_TIMEOUT_SEC)  # noqa: S310
