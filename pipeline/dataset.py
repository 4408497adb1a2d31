"""Feature tracks and labels to batches with masks.

Shapes: B videos, T steps (padded to the longest of the batch), D feature size, K classes.
"""

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler


@dataclass(frozen=True)
class Example:
    """One video to learn from: features x_TD float32 and what is true at each step, target_TK."""

    video: str
    x_TD: np.ndarray
    target_TK: np.ndarray

    def __post_init__(self) -> None:
        if len(self.x_TD) != len(self.target_TK):
            raise ValueError(
                f"{self.video}: {len(self.x_TD)} feature rows for {len(self.target_TK)} target rows"
            )


class Batch(NamedTuple):
    """Padded videos; mask_BT is 1 at real steps, 0 at padding."""

    x_BTD: Tensor
    target_BTK: Tensor
    mask_BT: Tensor


def collate(examples: Sequence[Example]) -> Batch:
    """Pad to the longest; padding is zero in all three."""
    longest = max(len(e.x_TD) for e in examples)
    x_BTD = torch.zeros(len(examples), longest, examples[0].x_TD.shape[1])
    target_BTK = torch.zeros(len(examples), longest, examples[0].target_TK.shape[1])
    mask_BT = torch.zeros(len(examples), longest)
    for b, example in enumerate(examples):
        steps = len(example.x_TD)
        x_BTD[b, :steps] = torch.from_numpy(example.x_TD)
        target_BTK[b, :steps] = torch.from_numpy(example.target_TK)
        mask_BT[b, :steps] = 1
    return Batch(x_BTD, target_BTK, mask_BT)


class EpochShuffle(Sampler[int]):
    """An order that depends on seed and epoch alone: a resumed run sees what an undisturbed one saw."""

    def __init__(self, data: Sized, seed: int) -> None:
        self._data, self._seed, self._epoch = data, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop before each epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(np.random.default_rng((self._seed, self._epoch)).permutation(len(self._data)).tolist())

    def __len__(self) -> int:
        return len(self._data)
