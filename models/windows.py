"""Videos longer than what a model is given at once: overlapping windows, blended into one sequence.

Shapes: B videos, T steps (padded), D input size, C hidden; of one video N windows of W steps, S real steps.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from models.base import TemporalModel

_TOGETHER = 16  # windows that go through the model at once: a matter of memory, not of numbers


def encode_any_length(model: TemporalModel, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """As `model.encode` (B, T, C), of videos of any length: those over `model.window_steps` in windows.

    Windows start every half window, the last one ends where the video does. A step's features are the mean
    over the windows that see it, each weighted by how far the step is from that window's nearer edge
    (1 for the outermost step, rising by 1 per step). `classify` is affine, so that logits are the same
    mean of the windows' logits.
    """
    length = model.window_steps
    if length is None or x_BTD.shape[1] <= length:
        return model.encode(x_BTD, mask_BT)
    h_BTC = x_BTD.new_zeros(*mask_BT.shape, model.hidden)
    for i, steps in enumerate((mask_BT > 0).sum(1).tolist()):
        if 0 < steps <= length:
            h_BTC[i, :steps] = model.encode(x_BTD[i : i + 1, :steps], mask_BT[i : i + 1, :steps])[0]
        elif steps:
            h_BTC[i, :steps] = _blended(model, x_BTD[i, :steps], length)
    return h_BTC


def window_starts(steps: int, length: int) -> list[int]:
    """Where windows of `length` start in a video of `steps`: every half window, and one at its very end."""
    if steps <= length:
        return [0]
    return [*range(0, steps - length, max(length // 2, 1)), steps - length]


def _blended(model: TemporalModel, x_SD: Tensor, length: int) -> Tensor:
    ramp_W = torch.arange(1, length + 1, device=x_SD.device)
    weight_W1 = torch.minimum(ramp_W, ramp_W.flip(0)).float().unsqueeze(-1)
    total_SC = torch.zeros(len(x_SD), model.hidden, device=x_SD.device)
    weight_S1 = torch.zeros(len(x_SD), 1, device=x_SD.device)
    for index_NW in _chunks(len(x_SD), length, x_SD.device):
        h_NWC = model.encode(x_SD[index_NW], torch.ones(index_NW.shape, device=x_SD.device))
        for index_W, h_WC in zip(index_NW, h_NWC.float(), strict=True):
            total_SC.index_add_(0, index_W, h_WC * weight_W1)
            weight_S1.index_add_(0, index_W, weight_W1)
    return (total_SC / weight_S1).to(x_SD.dtype)


def _chunks(steps: int, length: int, device: torch.device) -> Iterator[Tensor]:
    """The steps (N, W) that each window sees, some windows at a time."""
    start_N = torch.tensor(window_starts(steps, length), device=device)
    yield from (start_N[:, None] + torch.arange(length, device=device)).split(_TOGETHER)
