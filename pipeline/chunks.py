"""Decoded frames to the device: in chunks, once each, as uint8.

Shapes: N frames in a chunk, H W pixels.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from pipeline.ahead import Ahead


def chunks(frames: Iterable[np.ndarray], size: int, *, pinned: bool = False) -> Iterator[Tensor]:
    """Consecutive frames as uint8 tensors (N, H, W, 3), N <= size; each is the caller's to keep."""
    buffer: Tensor | None = None
    filled = 0
    for frame in frames:
        if buffer is None:
            buffer = _memory((size, *frame.shape), pinned)
        np.copyto(buffer[filled].numpy(), frame)
        filled += 1
        if filled == size:
            yield buffer
            buffer, filled = None, 0
    if buffer is not None and filled:
        yield buffer[:filled]


def _memory(shape: tuple[int, ...], pinned: bool) -> Tensor:
    if pinned:
        return torch.empty(shape, dtype=torch.uint8, pin_memory=True)
    return torch.from_numpy(np.empty(shape, dtype=np.uint8))  # NumPy asks for large pages: half the time


@contextmanager
def on_device(
    frames: Iterable[np.ndarray], device: torch.device, size: int
) -> Generator[Iterator[Tensor], None, None]:
    """The same chunks on a device.

    To a GPU the next one is on its way while one is in use: a thread fills memory that the device reads by
    itself, and the copy has a stream of its own, so that it waits for no network and none waits for it. On a
    CPU the chunk itself is used; frames that wait are the decoder's matter there.
    """
    if device.type == "cpu":
        yield chunks(frames, size)
        return
    with Ahead(_copied(chunks(frames, size, pinned=True), device)) as coming:
        yield _arrived(coming, device)


def _copied(waiting: Iterator[Tensor], device: torch.device) -> Iterator[tuple[Tensor, torch.cuda.Event]]:
    """Each with what says that its copy is complete."""
    copying = torch.cuda.Stream(device)
    for chunk_NHWC in waiting:
        with torch.cuda.stream(copying):
            rgb_NHWC = chunk_NHWC.to(device, non_blocking=True)
        yield rgb_NHWC, copying.record_event()


def _arrived(coming: Iterator[tuple[Tensor, torch.cuda.Event]], device: torch.device) -> Iterator[Tensor]:
    """What is computed from now on waits for the copy; the thread that asks for it does not."""
    for rgb_NHWC, copied in coming:
        computing = torch.cuda.current_stream(device)
        computing.wait_event(copied)
        rgb_NHWC.record_stream(computing)  # its memory is not given away before that is done
        yield rgb_NHWC
