"""A memory bank: snippets of earlier batches that a contrast may use as negatives.

Shapes: C feature size, K classes, N snippets of a batch, M snippets held.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Snippets(NamedTuple):
    """Features of single steps, or a projection of them, and their targets."""

    features_MC: Tensor
    target_MK: Tensor


class SnippetBank(nn.Module):
    """The last `size` labelled snippets; the oldest leave first.

    Only snippets with a label are held: such a snippet shares it with itself, so that none becomes its own
    negative. What is held is part of the module's state, so that a resumed training goes on with it.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._held: Snippets | None = None

    def held(self, device: torch.device) -> Snippets | None:
        """What there is; None before the first labelled snippet."""
        return None if self._held is None else Snippets(*(part.to(device) for part in self._held))

    def add(self, features_NC: Tensor, target_NK: Tensor) -> None:
        """Take in the labelled ones of these snippets; a target of at least 0.5 is a label."""
        labelled_N = (target_NK >= 0.5).any(-1)
        new = Snippets(features_NC[labelled_N].detach(), target_NK[labelled_N].detach())
        if len(new.features_MC):
            old = self.held(features_NC.device)
            parts = zip(old, new, strict=True) if old else ((part,) for part in new)
            self._held = Snippets(*(torch.cat(part)[-self.size :].clone() for part in parts))

    def get_extra_state(self) -> dict[str, Tensor]:
        """For `state_dict`: tensors, of whatever length."""
        return {} if self._held is None else self._held._asdict()

    def set_extra_state(self, state: Any) -> None:
        """From `load_state_dict`."""
        self._held = Snippets(**state) if state else None
