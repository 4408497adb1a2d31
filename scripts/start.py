"""How every training script starts: what it logs, its threads, its memory; and which scenes it may see."""

import logging

import torch

from pipeline.memory import keep_freed

# Seeds of the practice world's scenes and clips: those to train on count from 0.
VALIDATION_SEED, TEST_SEED = 10_000_000, 20_000_000


def begin(threads: int) -> None:
    """Log with times, compute with so many threads, and keep freed memory."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(threads)
    keep_freed()
