"""What the device can do, measured where and when the networks are: a large matrix product, a large copy."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from pipeline.speed.recording import synchronize
from pipeline.speed.report import Peaks

_MATRIX = {"cpu": 2048, "cuda": 8192}  # rows and columns: large enough that nothing else counts
_COPIED_BYTES = {"cpu": 256 << 20, "cuda": 1 << 30}  # beyond all caches
_TRIALS = 3


@dataclass
class PeakMeter:
    """Measures again in every round, and keeps the best."""

    device: torch.device
    dtype: torch.dtype
    _flops_per_sec: list[float] = field(default_factory=list)
    _bytes_per_sec: list[float] = field(default_factory=list)

    def round(self) -> None:
        """Both."""
        self._flops_per_sec.append(flops_per_sec(self.device, self.dtype))
        self._bytes_per_sec.append(bytes_per_sec(self.device))

    def best(self) -> Peaks:
        """A peak is what was reached, once."""
        return Peaks(max(self._flops_per_sec), max(self._bytes_per_sec), torch.get_num_threads())


def flops_per_sec(device: torch.device, dtype: torch.dtype) -> float:
    """Of a large matrix product; float32 without TF32, as torch has it by default and as networks compute."""
    n = _MATRIX[device.type]
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    return 2.0 * n**3 / _fastest_sec(lambda: torch.mm(a, b), device)


def bytes_per_sec(device: torch.device) -> float:
    """Of a large copy: bytes read and bytes written."""
    source = torch.ones(_COPIED_BYTES[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2.0 * source.nbytes / _fastest_sec(lambda: target.copy_(source), device)


def _fastest_sec(function: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(_TRIALS + 1):  # the first one warms up
        synchronize(device)
        started = time.perf_counter()
        function()
        synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times[1:])
