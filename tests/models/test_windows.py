"""Videos longer than a model's window: every step is scored, by the stated rule."""

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models import build_model
from models.base import TemporalModel
from models.mstct import MSTCTConfig
from models.windows import encode_any_length, window_starts


class Recorder(TemporalModel):
    """Gives each step the number of the window that it is in, and remembers how long windows are."""

    hidden = 1

    def __init__(self, window_steps: int) -> None:
        super().__init__()
        self.window_steps = window_steps
        self.seen: list[list[float]] = []

    def encode(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        assert x_BTD.shape[1] <= (self.window_steps or 0)
        assert mask_BT.all()
        number = torch.empty(*x_BTD.shape[:2], 1)
        for row, x_TD in zip(number, x_BTD, strict=True):
            row[:] = len(self.seen)
            self.seen.append(x_TD[:, 0].tolist())
        return number

    def classify(self, h_BTC: Tensor) -> Tensor:
        return h_BTC


class Stepwise(Recorder):
    """Twice each step's own feature."""

    def encode(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        return super().encode(x_BTD, mask_BT) * 0 + 2 * x_BTD[..., :1]


@pytest.mark.parametrize(
    ("steps", "length", "starts"),
    [
        (1, 4, [0]),
        (4, 4, [0]),
        (5, 4, [0, 1]),
        (6, 4, [0, 2]),
        (9, 4, [0, 2, 4, 5]),
        (9, 5, [0, 2, 4]),
        (3, 1, [0, 1, 2]),
    ],
)
def test_where_windows_start(steps: int, length: int, starts: list[int]) -> None:
    assert window_starts(steps, length) == starts


@pytest.mark.parametrize("length", [1, 2, 7, 16])
@pytest.mark.parametrize("steps", [1, 15, 16, 17, 1000])
def test_every_step_is_seen_and_windows_are_whole(steps: int, length: int) -> None:
    starts = window_starts(steps, length)
    seen = {start + i for start in starts for i in range(min(length, steps))}
    assert seen == set(range(steps))
    assert all(b - a <= max(length // 2, 1) for a, b in pairwise(starts))


def test_blend_by_hand() -> None:
    """Windows 0, 1, 2 of four steps, weights 1 2 2 1, starting at 0, 2 and 3."""
    model = Recorder(4)
    x = torch.arange(7.0)[None, :, None]
    h = encode_any_length(model, x, torch.ones(1, 7))
    assert model.seen == [[0, 1, 2, 3], [2, 3, 4, 5], [3, 4, 5, 6]]
    wanted = [0, 0, 1 / 3, (0 * 1 + 1 * 2 + 2 * 1) / 4, (1 * 2 + 2 * 2) / 4, (1 * 1 + 2 * 2) / 3, 2]
    assert h[0, :, 0].tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("steps", [1, 15, 16, 17, 1000])
def test_what_depends_on_a_step_alone_is_not_moved(steps: int) -> None:
    x = torch.randn(1, steps, 3)
    h = encode_any_length(Stepwise(16), x, torch.ones(1, steps))
    torch.testing.assert_close(h, 2 * x[..., :1])


def test_a_batch_of_several_lengths_equals_each_alone() -> None:
    lengths = [3, 0, 9, 20]
    x = torch.randn(4, 20, 3)
    mask = (torch.arange(20) < torch.tensor(lengths)[:, None]).float()
    together = encode_any_length(Recorder(8), x, mask)
    assert (together[mask == 0] == 0).all()
    for i, steps in enumerate(lengths):
        if steps:
            alone = encode_any_length(Recorder(8), x[i : i + 1, :steps], torch.ones(1, steps))
            offset = together[i, 0, 0] - alone[0, 0, 0]  # windows of earlier videos
            torch.testing.assert_close(together[i, :steps], alone[0] + offset)


@pytest.fixture
def model() -> TemporalModel:
    config: dict[str, Any] = {"widths": (8, 12), "blocks": 1, "heads": 4, "expansion": 2, "hidden": 8}
    return build_model("mstct", in_dim=3, num_classes=2, config=MSTCTConfig(**config, window_steps=16)).eval()


@pytest.mark.parametrize("steps", [1, 15, 16])
def test_a_video_that_fits_is_taken_whole(model: TemporalModel, steps: int) -> None:
    x, mask = torch.randn(2, steps, 3), torch.ones(2, steps)
    torch.testing.assert_close(encode_any_length(model, x, mask), model.encode(x, mask), rtol=0, atol=0)


@torch.inference_mode()
def test_logits_are_the_blend_of_the_logits_of_windows(model: TemporalModel) -> None:
    x = torch.randn(1, 40, 3)
    found = model.classify(encode_any_length(model, x, torch.ones(1, 40)))[0]
    weight = torch.tensor([*range(1, 9), *range(8, 0, -1)])[:, None]
    total, weights = torch.zeros(40, 2), torch.zeros(40, 1)
    for start in (0, 8, 16, 24):
        total[start : start + 16] += weight * model(x[:, start : start + 16], torch.ones(1, 16))[0]
        weights[start : start + 16] += weight
    torch.testing.assert_close(found, total / weights, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_padding_changes_nothing(model: TemporalModel) -> None:
    x, mask = torch.randn(1, 40, 3), torch.ones(1, 40)
    padded = encode_any_length(model, F.pad(x, (0, 0, 0, 9), value=torch.nan), F.pad(mask, (0, 9)))
    torch.testing.assert_close(padded[:, :40], encode_any_length(model, x, mask), rtol=1e-5, atol=1e-5)


def test_without_a_window_all_steps_are_seen_at_once(model: TemporalModel) -> None:
    model.window_steps = None
    x, mask = torch.randn(1, 40, 3), torch.ones(1, 40)
    torch.testing.assert_close(encode_any_length(model, x, mask), model.encode(x, mask), rtol=0, atol=0)
