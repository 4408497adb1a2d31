"""What every temporal model promises, whichever it is."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import MODELS, build_model
from models.base import TemporalModel
from models.linear import LinearConfig
from models.losses import classification_loss
from models.masking import Standardise
from models.mstct import MSTCTConfig
from models.pdan import PDANConfig
from models.tcn import TCNConfig

D, K = 7, 3
LENGTHS = [1, 15, 16, 17, 1000]
SMALL: dict[str, Any] = {
    "tcn": TCNConfig(hidden=8, layers=3),
    "pdan": PDANConfig(hidden=8, layers=3),
    "mstct": MSTCTConfig(widths=(8, 12, 16, 24), blocks=2, heads=4, expansion=2, hidden=8),
    "linear": LinearConfig(),
}


def gradient(x: Tensor) -> Tensor:
    assert x.grad is not None
    return x.grad


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> TemporalModel:
    """A small one that has seen its training set; its biases are not zero."""
    model = build_model(request.param, in_dim=D, num_classes=K, config=SMALL[request.param])
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    for module in model.modules():
        if isinstance(module, Standardise):
            module.fit(torch.randn(50, D) * 3 + 1)
    return model.eval()


@pytest.mark.parametrize("steps", LENGTHS)
def test_padding_changes_nothing(model: TemporalModel, steps: int) -> None:
    x, mask = torch.randn(2, steps, D), torch.ones(2, steps)
    with torch.inference_mode():
        wanted = model(x, mask)
        assert wanted.shape == (2, steps, K)
        for more, filling in ((1, 0.0), (12, 1e6), (16, math.nan)):
            logits = model(F.pad(x, (0, 0, 0, more), value=filling), F.pad(mask, (0, more)))
            assert logits.shape == (2, steps + more, K)
            assert logits.isfinite().all()
            torch.testing.assert_close(logits[:, :steps], wanted, rtol=1e-5, atol=1e-5)


def test_one_batch_of_several_lengths_equals_each_alone(model: TemporalModel) -> None:
    lengths = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33]
    x = torch.randn(len(lengths), max(lengths), D)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).float()
    with torch.inference_mode():
        together = model(x, mask)
        for i, steps in enumerate(lengths):
            alone = model(x[i : i + 1, :steps], torch.ones(1, steps))
            torch.testing.assert_close(together[i, :steps], alone[0], rtol=1e-5, atol=1e-5)


def test_each_step_has_its_own_logits(model: TemporalModel) -> None:
    x, mask = torch.randn(1, 40, D), torch.ones(1, 40)
    other = x.clone()
    other[0, 20] += 10
    moved = (model(x, mask) - model(other, mask)).abs().sum((0, 2))
    assert moved.argmax() in (19, 20, 21)
    assert moved[20] > 1e-4


def test_encode_and_classify_are_its_halves(model: TemporalModel) -> None:
    x, mask = torch.randn(2, 9, D), torch.ones(2, 9)
    mask[1, 5:] = 0
    h = model.encode(x, mask)
    assert h.shape == (2, 9, model.hidden)
    assert (h[1, 5:] == 0).all()
    assert (h[0] != 0).any(1).all()
    torch.testing.assert_close(model.classify(h), model(x, mask), rtol=0, atol=0)


def test_classify_is_affine(model: TemporalModel) -> None:
    """So that features of overlapping windows may be averaged in place of logits."""
    a, b = torch.randn(1, 5, model.hidden), torch.randn(1, 5, model.hidden)
    wanted = 0.25 * model.classify(a) + 0.75 * model.classify(b)
    torch.testing.assert_close(model.classify(0.25 * a + 0.75 * b), wanted, rtol=1e-5, atol=1e-5)


def test_what_it_learns_with_its_own_losses_is_what_it_gives(model: TemporalModel) -> None:
    x, mask, target = torch.randn(2, 9, D), torch.ones(2, 9), (torch.rand(2, 9, K) < 0.3).float()
    h, terms = model.encode_with_losses(x, mask, target, mask)
    torch.testing.assert_close(h, model.encode(x, mask), rtol=0, atol=0)
    assert all(term.shape == () and term.item() > 0 for term in terms.values())


def test_every_parameter_gets_a_gradient(model: TemporalModel) -> None:
    model.train()
    x, mask = torch.randn(4, 16, D), torch.ones(4, 16)
    target = (torch.rand(4, 16, K) < 0.5).float()
    h, terms = model.encode_with_losses(x, mask, target, mask)
    (classification_loss(model.classify(h), target, mask) + sum(terms.values())).backward()
    for name, parameter in model.named_parameters():
        assert (gradient(parameter) != 0).any(), name


def test_padding_gives_no_gradient(model: TemporalModel) -> None:
    x, mask, target = torch.randn(2, 10, D), torch.ones(2, 10), torch.zeros(2, 10, K)
    mask[0, 6:] = 0
    mask[1] = 0  # nothing real at all
    target[0, 2:4, 0] = 1
    x[mask == 0], target[mask == 0] = math.nan, math.nan
    x.requires_grad_()
    h, terms = model.encode_with_losses(x, mask, target, mask)
    (classification_loss(model.classify(h), target, mask) + sum(terms.values())).backward()
    assert (gradient(x)[mask == 0] == 0).all()
    assert (gradient(x)[0, :6] != 0).any(1).all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", MODELS)
def test_windows_are_a_setting(name: str) -> None:
    config = replace(SMALL[name], window_steps=64)
    assert build_model(name, in_dim=D, num_classes=K, config=config).window_steps == 64
    with pytest.raises(ValueError, match="window_steps >= 1"):
        replace(SMALL[name], window_steps=0)


def test_an_unknown_name_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"unknown temporal model 'lstm'; there is: tcn, pdan, mstct"):
        build_model("lstm", in_dim=D, num_classes=K, config=None)
