"""Memory that does not suffice: what it looks like, and work in smaller pieces."""

from dataclasses import replace

import torch

from pipeline.config import WorkConfig


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
