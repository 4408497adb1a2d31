"""Memory of networks: freed buffers are used again; where it does not suffice, work in smaller pieces."""

import ctypes
from dataclasses import replace

import torch

from pipeline.config import WorkConfig

_LIBC = ctypes.CDLL(None)
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h of glibc


def keep_freed() -> None:
    """Have this process use freed buffers again instead of giving them back and asking for new ones.

    On a CPU a network frees and takes hundreds of megabytes with every layer. The system hands them out
    anew page by page, each filled with zeros: a tenth and more of the time. Does nothing without glibc.
    """
    if hasattr(_LIBC, "mallopt"):
        _LIBC.mallopt(_M_MMAP_MAX, 0)
        _LIBC.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Of a GPU or of this machine."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def halved(work: WorkConfig) -> WorkConfig | None:
    """Half of everything that a network sees at once; None where that is one of each already."""
    half = {name: max(1, getattr(work, name) // 2) for name in ("frames", "clips", "dense_frames")}
    smaller = replace(work, **half)
    return smaller if smaller != work else None


def release(device: torch.device) -> None:
    """Give back what the allocator keeps, which may lie in pieces of the old size."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)
