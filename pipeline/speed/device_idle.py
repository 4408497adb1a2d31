"""How long a GPU computes: from the profiler's record of its kernels and copies."""

import time
from collections.abc import Callable

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from pipeline.speed.recording import covered_sec, synchronize


def device_idle_share(action: Callable[[], object], device: torch.device) -> float:
    """Share of the time in which no kernel and no copy is on the GPU while `action` runs.

    Watching costs time, on the host's side alone: the share is a little too large rather than too small.
    """
    synchronize(device)
    with profile(activities=[ProfilerActivity.CUDA]) as watched:
        started = time.perf_counter()
        action()
        synchronize(device)
        seconds = time.perf_counter() - started
    events = [event for event in watched.events() or () if event.device_type == DeviceType.CUDA]
    busy_usec = covered_sec([(event.time_range.start, event.time_range.end) for event in events])
    return max(0.0, 1 - busy_usec / 1e6 / seconds)
