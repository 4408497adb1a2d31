"""What networks compute in, and what stays float32 whatever that is.

| network | bfloat16, float16 | float32 all the same |
|---|---|---|
| I3D | weights (batch norm folded in before) and maps | the mean over the last map |
| RAFT | encoders, GRU (autocast) | correlation, coordinates, enlarging the flow |
| detectors | backbone, and the box head of Faster R-CNN (autocast) | anchors, boxes, scores |
| pose | backbone and neck (autocast) | the head, which says where a joint is |
| skeleton | | all of it |

Positions need more than the eight bits of bfloat16: whole detectors under autocast give boxes in steps of a
px from 128 px on, ten times as far off as with the backbone alone; joints are places on a grid of half
pixels. The graph network has positions at its input, and is the smallest part of the work.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

Precision = Literal["float32", "bfloat16", "float16"]
_PRECISIONS = get_args(Precision)
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def check_precision(precision: str | None) -> None:
    """ValueError for what is no precision; None is float32 where nobody says otherwise."""
    if precision is not None and precision not in _PRECISIONS:
        raise ValueError(f"precision is one of {', '.join(_PRECISIONS)}, got {precision!r}")


def named(precision: Precision | None) -> Precision:
    """Of a network that was given none: float32."""
    return precision or "float32"


def only_reduced(precision: Precision | None) -> dict[str, Any]:
    """For identities older than this setting: nothing for float32, so that what was made is still found."""
    return {} if named(precision) == "float32" else {"precision": precision}


def dtype_of(precision: Precision | None) -> torch.dtype:
    """The numbers themselves."""
    return _DTYPES[named(precision)]


def exact() -> AbstractContextManager[None]:
    """float32 means it: no TF32, and an algorithm that gives the same bits again."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)


@contextmanager
def computing_in(precision: Precision | None, device: torch.device) -> Iterator[None]:
    """Convolutions and matrix products inside in this precision: autocast below float32, else `exact`."""
    dtype = dtype_of(precision)
    reduced = dtype != torch.float32
    with exact(), torch.autocast(device.type, dtype if reduced else torch.bfloat16, enabled=reduced):
        yield


class Reduced(nn.Module):
    """A part of a network that computes in less than float32 and hands on float32."""

    def __init__(self, part: nn.Module, precision: Precision, device: torch.device) -> None:
        super().__init__()
        self.part, self._precision, self._device = part, precision, device

    def forward(self, *inputs: Any) -> Any:
        with computing_in(self._precision, self._device):
            return to_float32(self.part(*inputs))


def reduce_parts(
    network: nn.Module, parts: tuple[str, ...], precision: Precision | None, device: torch.device
) -> None:
    """Let these parts of a network, those that it has, compute in less than float32; in place."""
    precision = named(precision)
    if precision == "float32":
        return
    have = dict(network.named_modules())
    for name in parts:
        if name in have:
            network.set_submodule(name, Reduced(have[name], precision, device))


def to_float32(found: Any) -> Any:
    """Tensors in tuples, lists and mappings as float32."""
    if isinstance(found, Tensor):
        return found.float()
    if isinstance(found, Mapping):
        return type(found)((key, to_float32(value)) for key, value in found.items())  # type: ignore[call-arg]
    return type(found)(to_float32(value) for value in found)
