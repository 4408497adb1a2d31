"""How much work a network is: arithmetic, and memory that is read and written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from extractors.precision import exact
from pipeline.speed.recording import Call


@dataclass(frozen=True)
class Work:
    """Of some calls of a network."""

    flops: float  # of convolutions and matrix products; a multiplication and an addition count as two
    num_bytes: float  # of the operands and results of all operations that move data


class _Traffic(TorchDispatchMode):
    """Adds up what operations read and write."""

    num_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
            self.num_bytes += sum(tensor.nbytes for tensor in tensors)
        return result


def work(calls: Sequence[Call]) -> Work:
    """Of all calls; equal ones are looked at once, unless what came before matters."""
    in_order = any(not call.args for call in calls)  # of networks that take a video in pieces: its start
    counted: dict[Any, Work] = {}
    total_flops = total_bytes = 0.0
    for call in calls:
        key = (call.function, id(call.args))
        if in_order or key not in counted:
            counted[key] = _count(call)
        total_flops += counted[key].flops
        total_bytes += counted[key].num_bytes
    return Work(total_flops, total_bytes)


def _count(call: Call) -> Work:
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.mkldnn_convolution: _convolution})
    # not inference mode: under it, operations arrive undivided
    with torch.no_grad(), exact(), counter as flops, _Traffic() as traffic:
        call.again()
    return Work(flops.get_total_flops(), traffic.num_bytes)


def _convolution(x_shape: Any, weight_shape: Any, *_: Any, out_shape: Any, **__: Any) -> int:
    """Of one that was asked for by the name of its library: see `I3D`."""
    return conv_flop_count(x_shape, weight_shape, out_shape)
