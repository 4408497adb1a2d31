"""Calls of networks, watched while the pipeline runs and made again without it.

What a network is given in the pipeline is kept, one example for each shape; made again one after the other
on these, the calls are the bare network: the same batches in the same order, with nothing in between.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from extractors.precision import exact

Function = Callable[..., Any]
Interval = tuple[float, float]  # seconds, of one clock


@dataclass(frozen=True)
class Call:
    """A network given ready tensors: on their device, in their last form."""

    function: Function
    args: tuple[Any, ...]
    named: dict[str, Any]
    device: torch.device
    autocast: torch.dtype | None  # what it was called under

    @property
    def batch(self) -> int:
        """How much it is given at once: clips, frames, crops, windows; 0 of what starts a video."""
        return _batch(self.args)

    def again(self) -> Any:
        """Its result."""
        with self._precision():
            return self.function(*self.args, **self.named)

    def _precision(self) -> AbstractContextManager[object]:
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.autocast)


@dataclass
class Recorder:
    """Notes when networks compute, and, as long as `recording`, every call of each by its name."""

    device: torch.device
    recording: bool = False
    intervals: list[Interval] = field(default_factory=list)
    cpu_sec: float = 0.0  # of this process, while a network computed
    calls: dict[str, list[Call]] = field(default_factory=dict)
    _examples: dict[Any, Any] = field(default_factory=dict)

    def watched(
        self,
        network: str,
        function: Function,
        dtype: torch.dtype | None = None,
        *,
        again: Function | None = None,
    ) -> Function:
        """The same function.

        `dtype` is what the network first of all makes of its input: done beforehand where it is called again;
        `again` is what is called then, if another.
        """

        def watch(*args: Any, **named: Any) -> Any:
            if self.recording:
                self.keep(network, again or function, args, named, dtype)
            started, cpu_before = time.perf_counter(), time.process_time()
            try:
                return function(*args, **named)
            finally:
                self.cpu_sec += time.process_time() - cpu_before
                self.intervals.append((started, time.perf_counter()))

        return watch

    def keep(
        self,
        network: str,
        function: Function,
        args: tuple[Any, ...],
        named: dict[str, Any] | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """One more call; of tensors of the same shapes one example serves all."""
        key = (network, function, _shapes(args))
        if key not in self._examples:
            self._examples[key] = _ready(args, dtype)
        kind = self.device.type
        autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        call = Call(function, self._examples[key], named or {}, self.device, autocast)
        self.calls.setdefault(network, []).append(call)

    def take(self) -> tuple[float, float]:
        """Seconds in which a network computed since this was last asked, and processor time in these."""
        taken = covered_sec(self.intervals), self.cpu_sec
        self.intervals.clear()
        self.cpu_sec = 0.0
        return taken


def replay(calls: Iterable[Call], device: torch.device) -> float:
    """Seconds that the calls take, one after the other."""
    synchronize(device)
    started = time.perf_counter()
    with torch.inference_mode(), exact():
        for call in calls:
            call.again()
        synchronize(device)
    return time.perf_counter() - started


def synchronize(device: torch.device) -> None:
    """Wait for what a GPU was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def covered_sec(intervals: Sequence[Interval]) -> float:
    """Seconds that lie in at least one of them."""
    total, reached = 0.0, float("-inf")
    for start, stop in sorted(intervals):
        total += max(0.0, stop - max(start, reached))
        reached = max(reached, stop)
    return total


def _shapes(value: Any) -> Any:
    """What tells arguments apart whose work differs."""
    if isinstance(value, Tensor):
        return (value.shape, value.dtype, value.stride())
    if isinstance(value, list | tuple):
        return tuple(map(_shapes, value))
    return value if isinstance(value, int | float | bool | str) else id(value)


def _batch(value: Any) -> int:
    """Length of the first tensor among arguments, or of a list of tensors."""
    if isinstance(value, Tensor | list):
        return len(value)
    return next(filter(None, map(_batch, value)), 0) if isinstance(value, tuple) else 0


def _ready(value: Any, dtype: torch.dtype | None) -> Any:
    if isinstance(value, Tensor):
        return value if dtype is None else value.to(dtype)
    if isinstance(value, list | tuple):
        return type(value)(_ready(one, dtype) for one in value)
    return value
