"""PDAN's attention by hand, and how far it sees."""

from typing import Any

import pytest
import torch

from models.pdan import PDAN, DilatedAttention, PDANConfig


def test_attention_by_hand() -> None:
    """One channel, dilation 2: each step weighs itself and its two neighbours at a distance of 2."""
    attention = DilatedAttention(1, 2)
    for projection, weight in ((attention.query, 2.0), (attention.key, 0.5), (attention.value, 3.0)):
        torch.nn.init.constant_(projection.weight, weight)
    attention.position.data = torch.tensor([[[0.1, 0.2, 0.4]]])
    x = [1.0, -1.0, 0.5, 2.0]
    found = attention(torch.tensor([[x]]))[0, 0]
    for t in range(4):
        taps = torch.tensor([x[i] if 0 <= i < 4 else 0.0 for i in (t - 2, t, t + 2)])
        weights = torch.softmax(2 * x[t] * 0.5 * taps, 0)
        wanted = (weights * (3 * taps + torch.tensor([0.1, 0.2, 0.4]))).sum()
        torch.testing.assert_close(found[t], wanted)


def test_it_sees_as_far_as_it_says() -> None:
    """Three layers reach 7 steps to either side, no further."""
    model = PDAN(4, 2, PDANConfig(hidden=8, layers=3)).eval()
    x, mask = torch.randn(1, 31, 4), torch.ones(1, 31)
    other = x.clone()
    other[0, 15] += 1
    moved = (model(x, mask) - model(other, mask)).abs().amax((0, 2)) > 0
    assert moved.nonzero().flatten().tolist() == list(range(8, 23))


@pytest.mark.parametrize("bad", [{"hidden": 0}, {"layers": 0}, {"dropout": 1.0}])
def test_config_says_what_is_wrong(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        PDANConfig(**bad)
