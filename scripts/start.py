"""How every training script starts: what it logs, its threads, its memory; and which scenes it may see."""

import ctypes
import logging

import torch

# Seeds of the practice world's scenes and clips: those to train on count from 0.
VALIDATION_SEED, TEST_SEED = 10_000_000, 20_000_000


def begin(threads: int) -> None:
    """Log with times, compute with so many threads, and keep freed memory."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(threads)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let glibc reuse the large buffers of every step instead of asking for them anew: 1.3x as fast."""
    libc = ctypes.CDLL(None)
    m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)
