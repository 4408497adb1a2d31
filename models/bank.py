"""A memory bank: snippets of earlier batches that the contrast with a teacher may use as further negatives.

Shapes: B videos, T steps (padded), C size of the teacher's features, K classes, M snippets held.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Snippets(NamedTuple):
    """A teacher's features of single steps, or a projection of them, and their targets."""

    features_MC: Tensor
    target_MK: Tensor


class SnippetBank(nn.Module):
    """The last `size` labelled snippets of a frozen teacher; the oldest leave first.

    Features are held as the teacher made them and projected when they are used: however long ago it was, they
    are what the teacher would give today. Only snippets with a label are held: such a snippet shares
    it with itself, so that none becomes its own negative. What is held is part of the module's state,
    so that a resumed training goes on with it.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._held: Snippets | None = None

    def held(self, device: torch.device) -> Snippets | None:
        """What there is; None before the first labelled snippet."""
        return None if self._held is None else Snippets(*(part.to(device) for part in self._held))

    def add(self, teacher_BTC: Tensor, target_BTK: Tensor, mask_BT: Tensor) -> None:
        """Take in the labelled real steps of a batch; a target of at least 0.5 is a label."""
        labelled_BT = (mask_BT > 0) & (target_BTK >= 0.5).any(-1)
        new = Snippets(teacher_BTC[labelled_BT].detach(), target_BTK[labelled_BT].detach())
        if len(new.features_MC):
            old = self.held(teacher_BTC.device)
            parts = zip(old, new, strict=True) if old else ((part,) for part in new)
            self._held = Snippets(*(torch.cat(part)[-self.size :].clone() for part in parts))

    def get_extra_state(self) -> dict[str, Tensor]:
        """For `state_dict`: tensors, of whatever length."""
        return {} if self._held is None else self._held._asdict()

    def set_extra_state(self, state: Any) -> None:
        """From `load_state_dict`."""
        self._held = Snippets(**state) if state else None
