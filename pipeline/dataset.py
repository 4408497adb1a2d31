"""Feature tracks, labels and teachers' features to batches with masks.

Shapes: B videos, T steps (padded to the longest of the batch), D feature size, K classes, C size
of a teacher's features.
"""

from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler


@dataclass(frozen=True)
class Example:
    """One video to learn from.

    `x_TD` float32 are its features, `target_TK` what is true at each step (of an unlabelled video:
    what its teachers predict, used to choose negatives, not to learn from). `teachers` holds the
    frozen teachers' features (T, C) of the same steps, by teacher; one that has none of this video is absent.
    """

    video: str
    x_TD: np.ndarray
    target_TK: np.ndarray
    labelled: bool = True
    teachers: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(self.x_TD), len(self.target_TK), *map(len, self.teachers.values())}
        if len(lengths) > 1:
            raise ValueError(f"{self.video}: features, targets and teachers have {sorted(lengths)} steps")


class Taught(NamedTuple):
    """A teacher's features (B, T, C), and a mask (B, T) that is 0 where it has none."""

    features_BTC: Tensor
    mask_BT: Tensor


class Batch(NamedTuple):
    """Padded videos; `mask_BT` is 1 at real steps, `labelled_BT` at those of labelled videos."""

    x_BTD: Tensor
    target_BTK: Tensor
    mask_BT: Tensor
    labelled_BT: Tensor
    teachers: dict[str, Taught]


def collate(examples: Sequence[Example]) -> Batch:
    """Pad to the longest; padding is zero everywhere."""
    lengths = [len(example.x_TD) for example in examples]
    mask_BT = _pad([np.ones((length, 1), np.float32) for length in lengths]).squeeze(-1)
    labelled_B1 = torch.tensor([[float(example.labelled)] for example in examples])
    dims = {name: row.shape[1] for example in examples for name, row in example.teachers.items()}
    teachers = {}
    for name, dim in sorted(dims.items()):
        rows = [example.teachers.get(name) for example in examples]
        has_B1 = torch.tensor([[float(row is not None)] for row in rows])
        zeros = [np.zeros((length, dim), np.float32) for length in lengths]
        features = _pad([zero if row is None else row for row, zero in zip(rows, zeros, strict=True)])
        teachers[name] = Taught(features, mask_BT * has_B1)
    return Batch(
        _pad([example.x_TD for example in examples]),
        _pad([example.target_TK for example in examples]),
        mask_BT,
        mask_BT * labelled_B1,
        teachers,
    )


def _pad(rows: Sequence[np.ndarray]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)


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
