"""What every way of learning from a teacher is.

Shapes: B videos, T steps (padded), C feature size, K classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.base import Encoded
from models.masking import masked

Terms = dict[str, Tensor]


class Distiller(nn.Module, ABC):
    """What a student and one frozen teacher make of the same steps, to losses; of several teachers, the sum.

    `weights` holds what to multiply each term with: those that are on. A distiller owns what has to be
    learned for the comparison: its parameters belong to the student's optimiser; after training it is
    thrown away. It does not own the teacher.

    Padding, and whole videos without a teacher (a mask of zeros), carry neither loss nor gradient, whatever
    is written there, NaN included. With nothing to compare a term is 0. No gradient to the teacher.
    """

    weights: Mapping[str, float]

    def forward(self, student: Encoded, teacher: Encoded, target_BTK: Tensor, mask_BT: Tensor) -> Terms:
        """Terms by name, not yet weighted; the two widths C may differ.

        `mask_BT` is 1 at real steps of videos for which there is a teacher. `target_BTK` says which snippets
        share a label: ground truth, or probabilities of the teacher for unlabelled videos.
        """
        # sums over many snippets: full precision
        with torch.autocast(mask_BT.device.type, enabled=False):
            return self.terms(
                Encoded(*(masked(x.float(), mask_BT) for x in student)),
                Encoded(*(masked(x.detach().float(), mask_BT) for x in teacher)),
                target_BTK,
                mask_BT,
            )

    @abstractmethod
    def terms(self, student: Encoded, teacher: Encoded, target_BTK: Tensor, mask_BT: Tensor) -> Terms:
        """As `forward`, of float32 that is zero at padded steps; the teacher's is detached."""


def matching(student_dim: int, teacher_dim: int) -> nn.Module:
    """The student's features at the teacher's width: a 1x1 projection only where widths differ [ours]."""
    return nn.Identity() if student_dim == teacher_dim else nn.Linear(student_dim, teacher_dim)
