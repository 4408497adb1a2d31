"""Feature tracks, labels and what teachers make of videos to batches with masks.

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

from models.base import Encoded


class Teaching(NamedTuple):
    """What one frozen teacher makes of one video: features before its classifier, and logits."""

    features_TC: np.ndarray
    logits_TK: np.ndarray


@dataclass(frozen=True)
class Example:
    """One video to learn from.

    `x_TD` float32 are its features, `target_TK` what is true at each step (of an unlabelled video:
    what its teachers predict, used to choose negatives, not to learn from). `teachers` holds what each
    frozen teacher makes of the same steps; one that does not know this video is absent.
    """

    video: str
    x_TD: np.ndarray
    target_TK: np.ndarray
    labelled: bool = True
    teachers: Mapping[str, Teaching] = field(default_factory=dict)

    def __post_init__(self) -> None:
        taught = [part for teaching in self.teachers.values() for part in teaching]
        lengths = {*map(len, (self.x_TD, self.target_TK, *taught))}
        if len(lengths) > 1:
            raise ValueError(f"{self.video}: features, targets and teachers have {sorted(lengths)} steps")


class Taught(NamedTuple):
    """What a teacher makes of these steps, and a mask (B, T) that is 0 where it does not know the video."""

    seen: Encoded
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
    teachers = {}
    for name in sorted({name for example in examples for name in example.teachers}):
        known = [example.teachers.get(name) for example in examples]
        has_B1 = torch.tensor([[float(teaching is not None)] for teaching in known])
        teachers[name] = Taught(_pad_known(known, lengths), mask_BT * has_B1)
    return Batch(
        _pad([example.x_TD for example in examples]),
        _pad([example.target_TK for example in examples]),
        mask_BT,
        mask_BT * labelled_B1,
        teachers,
    )


def _pad(rows: Sequence[np.ndarray]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)


def _pad_known(known: Sequence[Teaching | None], lengths: Sequence[int]) -> Encoded:
    """Zeros for the videos that the teacher does not know."""
    dims = [part.shape[1] for part in next(teaching for teaching in known if teaching is not None)]
    zeros = (Teaching(*(np.zeros((length, dim), np.float32) for dim in dims)) for length in lengths)
    parts = zip(*(teaching or zero for teaching, zero in zip(known, zeros, strict=True)), strict=True)
    return Encoded(*map(_pad, parts))


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
