"""Weights on this machine: found or fetched, verified, loaded; which there are is in `weight_files`.

Looked for in order: an explicit path; the folders of AUGRGB_WEIGHTS; the cache folder; the
address it is published at. A file whose digest is known is checked every time it is loaded.
"""

import hashlib
import logging
import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from extractors.download import DownloadError, Progress, fetch
from extractors.weight_files import FILES, WeightFile

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
]

logger = logging.getLogger(__name__)
_SHIPPED = Path(__file__).parent / "weights"


class _Unread:
    """Stands for what lies beside the tensors of a checkpoint and is not needed."""

    def __init__(self, *_arguments: object) -> None:
        pass


def _harmless() -> list[Any]:
    """Beyond tensors: arrays of numpy (1 or 2), and mmengine's logs, which its checkpoints also hold."""
    array, scalar = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
    multiarray = [
        (made_by, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for made_by, name in ((array, "_reconstruct"), (scalar, "scalar"))
    ]
    kinds = {type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?")}
    unread = [(_Unread, "mmengine.logging.history_buffer.HistoryBuffer"), (_Unread, "builtins.getattr")]
    return [*multiarray, np.ndarray, np.dtype, *kinds, *unread]


class WeightsError(ValueError):
    """Weights are missing, damaged or not what they should be; the message says which and the remedy."""


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
            failed.append(f"  {FILES[name].file}  {FILES[name].url}\n    {error}")
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

    WeightsError where the file is missing, is not the published one, is damaged, or holds
    anything but tensors (nothing in it is ever run).
    """
    path = fetch_weights([name], progress)[name]
    entry = FILES.get(name)
    if entry is not None:
        verify(path, entry.digest)
        if entry.warning:
            logger.warning("%s: %s", path, entry.warning)
    return LoadedWeights(path, file_digest(path, "sha256"), _read_state(path))


def fit_state(network: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Put all weights into `network`; WeightsError names the first keys that do not fit.

    Only a batch norm's count of batches may be missing: frozen and exported ones have none.
    """
    own = network.state_dict()
    state = {**{key: own[key] for key in own if key.endswith("num_batches_tracked")}, **state}
    misfits = [f"{key} is missing" for key in own.keys() - state.keys()]
    misfits += [f"{key} is not of this network" for key in state.keys() - own.keys()]
    misfits += [
        f"{key} is {tuple(state[key].shape)}, expected {tuple(own[key].shape)}"
        for key in own.keys() & state.keys()
        if state[key].shape != own[key].shape
    ]
    if misfits:
        some = "; ".join(sorted(misfits)[:3])
        raise WeightsError(f"{source} does not fit {type(network).__name__} ({len(misfits)} misfits): {some}")
    network.load_state_dict(state)


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


def _download(entry: WeightFile, progress: Progress | None) -> Path:
    if entry.url is None:
        raise WeightsError(
            f"weights {entry.name}: {_SHIPPED / entry.file} is not in this package; train it (scripts/), "
            "or name other weights, such as those of the preset kinetics"
        )
    path = cache_folder() / entry.file
    fetch(entry.url, path, problem=lambda part: _mismatch(part, entry.digest), progress=progress)
    return path


def _read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors or torch file, without running anything in it."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_harmless()):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise WeightsError(f"{path} cannot be read as weights: {reason or type(error).__name__}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} holds {type(state).__name__}, not tensors by name")
    return state
