"""Weights on this machine: found or fetched, verified, loaded; which there are is in `weight_files`.

Looked for in order: an explicit path; the folders of AUGRGB_WEIGHTS; the cache folder; the
address it is published at. A file whose digest is known is checked every time it is loaded.
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from extractors.download import DownloadError, Progress, fetch
from extractors.weight_files import FILES, WeightFile
from extractors.weight_pins import PINS, pin
from extractors.weight_state import WeightsError, fit_state, read_state

__all__ = [
    "FILES",
    "LoadedWeights",
    "WeightFile",
    "WeightsError",
    "cache_folder",
    "fetch_weights",
    "file_digest",
    "find_weights",
    "fit_state",
    "load_weights",
    "search_folders",
    "verify",
    "weights_sha256",
]

logger = logging.getLogger(__name__)
_SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class LoadedWeights:
    """Tensors by key, on the CPU, and the file they came from."""

    path: Path
    sha256: str
    state: dict[str, Tensor]


def cache_folder() -> Path:
    """Where downloads go: augrgb below XDG_CACHE_HOME, by default ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "augrgb"


def search_folders() -> list[Path]:
    """Where a file is looked for before anything is fetched, in order."""
    named = [
        Path(folder).expanduser()
        for folder in os.environ.get("AUGRGB_WEIGHTS", "").split(os.pathsep)
        if folder
    ]
    return [*named, cache_folder()]


def find_weights(name: str) -> Path | None:
    """The file behind a name of `FILES`, or a path, if it is on this machine; nothing is fetched or read.

    WeightsError for what is neither a name nor a file.
    """
    if name not in FILES:
        if Path(name).is_file():
            return Path(name)
        raise WeightsError(f"weights {name!r}: no such file, and no known name ({', '.join(FILES)})")
    entry = FILES[name]
    folders = search_folders() if entry.url else [_SHIPPED]
    return next((path for folder in folders if (path := folder / entry.file).is_file()), None)


def fetch_weights(names: Sequence[str], progress: Progress | None = None) -> dict[str, Path]:
    """Every named file, fetched into the cache folder where it is not on this machine.

    One WeightsError lists all that could not be had, their addresses, and where to put them.
    """
    found: dict[str, Path] = {}
    failed: list[str] = []
    for name in dict.fromkeys(names):
        path = find_weights(name)
        try:
            found[name] = path if path else _download(FILES[name], progress)
        except DownloadError as error:
            source = FILES[name].url or "shipped with the package"
            failed.append(f"  {FILES[name].file}  {source}\n    {error}")
    if failed:
        looked = ", ".join(str(folder) for folder in search_folders())
        raise WeightsError(
            f"weights are missing and could not be fetched ({len(failed)}):\n"
            + "\n".join(failed)
            + f"\nLooked in {looked}. Put the files into {cache_folder()}, or into any folder "
            "and name that in AUGRGB_WEIGHTS."
        )
    return found


def load_weights(name: str, progress: Progress | None = None) -> LoadedWeights:
    """Find or fetch, verify, and load; `name` is one of `FILES` or a path.

    WeightsError where the file is missing, is not the published one (of a file without a published
    digest: not the one that was used first), is damaged, or holds anything but tensors (nothing in it
    is ever run).
    """
    path = fetch_weights([name], progress)[name]
    entry = FILES.get(name)
    if entry is not None:
        verify(path, entry.digest)
    loaded = LoadedWeights(path, file_digest(path, "sha256"), read_state(path))
    if entry is not None and entry.url and entry.digest is None:
        _check_pin(entry, loaded)
    entry = entry or _doubtful(path)
    if entry is not None and entry.warning:
        logger.warning("%s: %s", path, entry.warning)
    return loaded


def weights_sha256(name: str) -> str:
    """Of the file that `load_weights` loads: found or fetched, and verified, but not read."""
    path = fetch_weights([name])[name]
    if (entry := FILES.get(name)) is not None:
        verify(path, entry.digest)
    return file_digest(path, "sha256")


def verify(path: Path, digest: str | None) -> None:
    """WeightsError unless the content has this digest; nothing is checked where none is known."""
    if problem := _mismatch(path, digest):
        raise WeightsError(
            f"{path} is not the published file: {problem}; delete it (it was cut short, or is another "
            "version) and it will be fetched again"
        )


def _mismatch(path: Path, digest: str | None) -> str | None:
    kind, _, wanted = (digest or "").partition(":")
    got = file_digest(path, kind) if wanted else ""
    return None if got.startswith(wanted) else f"its {kind} is {got}, expected {wanted}"


def file_digest(path: Path, kind: str) -> str:
    """`sha256` or `git-blob` of a file, in hex."""
    stat = path.stat()
    return _digest(path, kind, stat.st_size, stat.st_mtime_ns)


@lru_cache
def _digest(path: Path, kind: str, size: int, _mtime_ns: int) -> str:
    """Remembered for as long as the file looks untouched."""
    with path.open("rb") as file:
        if kind == "sha256":
            return hashlib.file_digest(file, "sha256").hexdigest()
        assert kind == "git-blob"
        sha1 = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        return hashlib.file_digest(file, lambda: sha1).hexdigest()


def _doubtful(path: Path) -> WeightFile | None:
    """The entry that warns of this content, under whatever name it lies."""
    warned = (entry for entry in FILES.values() if entry.warning and entry.digest)
    return next((entry for entry in warned if _mismatch(path, entry.digest) is None), None)


def _check_pin(entry: WeightFile, loaded: LoadedWeights) -> None:
    """Of a file without a published digest: it is the one that was used first, which may be now."""
    try:
        known = pin(cache_folder(), entry.file, loaded.sha256)
    except OSError as error:
        logger.warning("%s cannot be pinned in %s: %s", loaded.path, cache_folder(), error)
        return
    if problem := _mismatch(loaded.path, known):
        raise WeightsError(
            f"{loaded.path} is not the file that was first used under this name: {problem}; put that one "
            f"back, or, if this one is meant, take {entry.file} out of {cache_folder() / PINS}"
        )


def _download(entry: WeightFile, progress: Progress | None) -> Path:
    if entry.url is None:
        raise DownloadError(
            f"weights {entry.name}: {_SHIPPED / entry.file} is not in this package; train it (make weights), "
            "or name other weights, such as those of the preset kinetics"
        )
    path = cache_folder() / entry.file
    fetch(entry.url, path, problem=lambda part: _problem(part, entry), progress=progress)
    return path


def _problem(part: Path, entry: WeightFile) -> str | None:
    """What is wrong with a download; without a digest to go by, that it cannot be read."""
    if entry.digest:
        return _mismatch(part, entry.digest)
    try:
        read_state(part, Path(entry.file).suffix)
    except WeightsError as error:
        return str(error)
    return None
