"""Tensors of a weight file, read without running anything in it, and put into a network."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn


class WeightsError(ValueError):
    """Weights are missing, damaged or not what they should be; the message says which and the remedy."""


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


def read_state(path: Path, suffix: str | None = None) -> dict[str, Tensor]:
    """Tensors by key of a safetensors or torch file, on the CPU; `suffix` says which, if its name does not.

    WeightsError where it is cut short, is another kind of file, or holds anything but tensors.
    """
    try:
        if (suffix or path.suffix) == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_harmless()):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a dozen kinds were seen of damaged files
        raise WeightsError(f"{path} cannot be read as weights: {_why(error)}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} holds {type(state).__name__}, not tensors by name")
    return state


def _why(error: Exception) -> str:
    """torch's own words, but where they say how to run what is in the file."""
    if code := re.search(r"GLOBAL (\S+)", str(error)):
        return (
            f"it names {code[1]}, which is no tensor and was not run; get it again, or, if it was saved as a "
            "whole network, save its tensors alone: torch.save(model.state_dict(), path)"
        )
    if "weights_only" in str(error):
        return "it is no file of tensors, or a damaged one; get it again"
    first = str(error).strip().split("\n")[0]
    return f"{first or type(error).__name__}; it is damaged or no file of tensors: get it again"


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
