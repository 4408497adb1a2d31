"""The temporal convolutional network, the masks it works with, and the classification loss."""

import math

import pytest
import torch
from torch import Tensor

from models.losses import classification_loss
from models.masking import Standardise, masked
from models.tcn import TCN, TCNConfig

D, K = 7, 3


def gradient(x: Tensor) -> Tensor:
    assert x.grad is not None
    return x.grad


@pytest.fixture
def model() -> TCN:
    model = TCN(D, K, TCNConfig(hidden=8, layers=3, dropout=0.5))
    model.standardise.fit(torch.randn(50, D) * 3 + 1)  # type: ignore[operator]
    return model.eval()


def test_it_sees_as_far_as_it_says(model: TCN) -> None:
    """Three layers reach 7 steps to either side, no further."""
    x, mask = torch.randn(1, 31, D), torch.ones(1, 31)
    other = x.clone()
    other[0, 15] += 10
    moved = (model(x, mask) - model(other, mask)).abs().amax((0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == list(range(8, 23))


@pytest.mark.parametrize("bad", [{"hidden": 0}, {"layers": 0}, {"dropout": 1.0}])
def test_config_says_what_is_wrong(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="dropout"):
        TCNConfig(**bad)  # type: ignore[arg-type]


# --- losses ---------------------------------------------------------------------------------------


def test_classification_loss_by_hand() -> None:
    """Sum over classes, mean over the two real steps of the batch."""
    logits = torch.tensor([[[0.0, 2.0], [math.nan, 5.0]], [[-1.0, 0.0], [9.0, math.nan]]])
    target = torch.tensor([[[1.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [0.0, 0.0]]])
    mask = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    first = math.log(2) + math.log1p(math.exp(2))
    second = math.log1p(math.exp(-1)) + math.log(2)
    assert classification_loss(logits, target, mask).item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_classification_loss_of_nothing_is_zero() -> None:
    logits = torch.full((1, 2, K), math.nan, requires_grad=True)
    loss = classification_loss(logits, torch.zeros(1, 2, K), torch.zeros(1, 2))
    loss.backward()
    assert loss.item() == 0
    assert (gradient(logits) == 0).all()


# --- masking --------------------------------------------------------------------------------------


def test_masked_is_zero_at_padding_and_nothing_else() -> None:
    x = torch.tensor([[[1.0, -2.0], [math.nan, math.inf]]])
    assert masked(x, torch.tensor([[1.0, 0.0]])).tolist() == [[[1.0, -2.0], [0.0, 0.0]]]


def test_standardise() -> None:
    x = torch.randn(500, D) * torch.arange(1, D + 1) + 5
    x[:, 2] = 4.0  # never changes
    standardise = Standardise(D)
    standardise.fit(x)
    y = standardise(x[None])[0]
    torch.testing.assert_close(y.mean(0), torch.zeros(D), rtol=0, atol=1e-5)
    wanted = torch.ones(D)
    wanted[2] = 0
    torch.testing.assert_close(y.std(0, correction=0), wanted, rtol=1e-5, atol=1e-5)
    assert set(dict(standardise.state_dict())) == {"mean", "std"}
