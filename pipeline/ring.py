"""Frames in shared memory: written by the decoder process, read in place by its parent.

An anonymous memory file holds a page of counters and then the slots. It has no name, so nothing
is left behind however the two processes end.
"""

import mmap
import os

import numpy as np

_PAGE = mmap.ALLOCATIONGRANULARITY
_PROGRESS, _WRITTEN, _TAKEN = range(3)


class Ring:
    """One writer, one reader; each of them makes a Ring of the same file descriptor.

    A counter is one aligned 64-bit word with a single writer, so no lock is needed.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._counters = np.frombuffer(mmap.mmap(fd, _PAGE), dtype=np.int64)
        self.slots_NHWC = np.zeros((0, 0, 0, 3), dtype=np.uint8)

    @staticmethod
    def create_file() -> int:
        """Descriptor of a new memory file with room for the counters."""
        fd = os.memfd_create("augrgb-frames", os.MFD_CLOEXEC)
        os.ftruncate(fd, _PAGE)
        return fd

    def allocate(self, num_slots: int, height: int, width: int) -> None:
        """Make room for `num_slots` frames; both sides call it with the same numbers."""
        shape = (num_slots, height, width, 3)
        num_bytes = int(np.prod(shape))
        os.ftruncate(self._fd, _PAGE + num_bytes)
        memory = mmap.mmap(self._fd, num_bytes, offset=_PAGE)
        self.slots_NHWC = np.frombuffer(memory, dtype=np.uint8).reshape(shape)

    def close(self) -> None:
        """Let go of the memory, once no frame of it is in use any more."""
        self._counters = np.zeros(3, dtype=np.int64)
        self.slots_NHWC = self.slots_NHWC[:0].copy()

    @property
    def progress(self) -> int:
        """Packets and frames the writer has handled: for a watchdog, to tell slow from stuck."""
        return int(self._counters[_PROGRESS])

    def advance(self) -> None:
        """Writer: one more packet or frame was handled."""
        self._counters[_PROGRESS] += 1

    @property
    def waiting(self) -> int:
        """Frames written and not taken."""
        return int(self._counters[_WRITTEN] - self._counters[_TAKEN])

    @property
    def full(self) -> bool:
        """No slot is free."""
        return self.waiting >= len(self.slots_NHWC)

    @property
    def low(self) -> bool:
        """At most half of the slots wait to be read: time to go on writing."""
        return 2 * self.waiting <= len(self.slots_NHWC)

    def put(self, frame_HWC: np.ndarray) -> None:
        """Writer: copy a frame into the next slot, which must be free."""
        written = int(self._counters[_WRITTEN])
        np.copyto(self.slots_NHWC[written % len(self.slots_NHWC)], frame_HWC)
        self._counters[_WRITTEN] = written + 1

    def oldest(self) -> np.ndarray:
        """Reader: the oldest frame not yet taken, (H, W, 3), in place: valid until `take`."""
        return self.slots_NHWC[int(self._counters[_TAKEN]) % len(self.slots_NHWC)]

    def take(self) -> None:
        """Reader: done with the oldest frame; its slot is free."""
        self._counters[_TAKEN] += 1
