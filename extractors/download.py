"""Fetching one large file: resumed after a cut, verified before it gets its name, safe for two processes."""

import contextlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

Progress = Callable[[str, int, int | None], None]  # file name, bytes so far, bytes in all if known
_BLOCK = 1 << 20  # bytes
_TIMEOUT_SEC = 30.0
_ATTEMPTS = 3


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
            resumed = part.is_file()
            wrong = _gather(url, part, progress, problem)
            if wrong and resumed:  # the beginning may have been another file's
                wrong = _gather(url, part, progress, problem)
            if wrong:
                raise DownloadError(f"the server sent another file: {wrong}")
            part.replace(target)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise DownloadError(str(getattr(error, "reason", "") or error)) from error


def _gather(
    url: str, part: Path, progress: Progress | None, problem: Callable[[Path], str | None]
) -> str | None:
    """Append to `part` until it is whole; what is wrong with it, and then it is gone."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(http.client.HTTPException, ConnectionError, TimeoutError):
            if _append(url, part, progress):
                break
    else:
        raise DownloadError(f"the connection broke off {_ATTEMPTS} times; run again to go on from {part}")
    wrong = problem(part)
    if wrong:
        part.unlink()
    return wrong


def _append(url: str, part: Path, progress: Progress | None) -> bool:
    """One request for what is missing; True when nothing more is to come."""
    have = part.stat().st_size if part.is_file() else 0
    try:
        response = _open(url, have)
    except urllib.error.HTTPError as error:
        if have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return True  # it was whole already
        raise
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0  # the server sends all of it
        length = response.headers["Content-Length"]
        total = have + int(length) if length else None
        with part.open("ab" if have else "wb") as file:
            while block := response.read(_BLOCK):
                file.write(block)
                have += len(block)
                if progress:
                    progress(part.stem, have, total)
            file.flush()
            os.fsync(file.fileno())
    return total is None or have == total


def _open(url: str, start: int) -> http.client.HTTPResponse:
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"not an http address: {url}")
    request = urllib.request.Request(url, headers={"User-Agent": "augrgb"})  # noqa: S310
    if start:
        request.add_header("Range", f"bytes={start}-")
    response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_SEC)  # noqa: S310
    return response
