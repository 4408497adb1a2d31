"""MS-TCT: its stages, its heat-map branch, and the sums of its loss worked out by hand."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.conv_transformer import Attention, Merge
from models.heatmap import centre_heatmap, heatmap_loss
from models.mstct import MSTCT, MSTCTConfig, _to_full_length

SMALL = MSTCTConfig(widths=(8, 12, 16, 24), blocks=1, heads=4, expansion=2, hidden=8)
D, K = 5, 3


def labels(text: str) -> Tensor:
    """(1, T, 1) from a drawing such as "..##."."""
    return torch.tensor([[[float(c == "#")] for c in text]])


def heat(centre: int, length: int, steps: int) -> list[float]:
    values = [math.exp(-(((t - centre) / (length + 0.25)) ** 2)) for t in range(steps)]
    return [value if abs(t - centre) <= 2 * length else 0.0 for t, value in enumerate(values)]


@pytest.mark.parametrize(
    ("drawing", "centre", "length"),
    [(".....#......", 5, 1), ("....##......", 5, 2), ("..#####.....", 4, 5), ("##..........", 1, 2)],
)
def test_an_action_is_hottest_at_its_centre(drawing: str, centre: int, length: int) -> None:
    found = centre_heatmap(labels(drawing), torch.ones(1, 12))[0, :, 0]
    assert found.tolist() == pytest.approx(heat(centre, length, 12))
    assert (found == 1).nonzero().flatten().tolist() == [centre]


def test_of_two_actions_the_hotter_counts() -> None:
    found = centre_heatmap(labels("###...#...."), torch.ones(1, 11))[0, :, 0].tolist()
    assert found == pytest.approx(list(map(max, heat(1, 3, 11), heat(6, 1, 11))))


def test_classes_and_videos_have_their_own_heat() -> None:
    first, second = labels(".##..."), labels("....#.")
    target = torch.stack([torch.cat([first, second], -1)[0], torch.cat([second, first * 0], -1)[0]])
    found = centre_heatmap(target, torch.ones(2, 6))
    torch.testing.assert_close(found[0, :, 0], centre_heatmap(first, torch.ones(1, 6))[0, :, 0])
    torch.testing.assert_close(found[0, :, 1], centre_heatmap(second, torch.ones(1, 6))[0, :, 0])
    torch.testing.assert_close(found[1, :, 0], centre_heatmap(second, torch.ones(1, 6))[0, :, 0])
    assert (found[1, :, 1] == 0).all()


def test_no_heat_comes_from_padding_or_falls_on_it() -> None:
    mask = torch.tensor([[1.0] * 5 + [0.0] * 3])
    target = labels("..##....")
    target[mask == 0] = math.nan
    found = centre_heatmap(target, mask)[0, :, 0]
    assert found[:5].tolist() == pytest.approx(heat(3, 2, 5))
    assert (found[5:] == 0).all()
    assert (centre_heatmap(target, mask * 0) == 0).all()


def test_heatmap_loss_by_hand() -> None:
    """Two centres, a step near one of them, a far one, and padding."""
    wanted = torch.tensor([[[1.0], [0.5], [0.0], [1.0], [0.3]]])
    p = torch.tensor([0.8, 0.4, 0.1, 0.25, 0.9])
    logits = torch.logit(p)[None, :, None]
    mask = torch.tensor([[1.0, 1.0, 1.0, 1.0, 0.0]])
    total = 0.2**2 * math.log(0.8) + 0.75**2 * math.log(0.25)
    total += 0.5**4 * 0.4**2 * math.log(0.6) + 0.1**2 * math.log(0.9)
    assert heatmap_loss(logits, wanted, mask).item() == pytest.approx(-total / 2, rel=1e-5)


def test_heatmap_loss_without_centres_is_not_divided() -> None:
    logits, nothing = torch.zeros(1, 3, 1), torch.zeros(1, 3, 1)
    loss = heatmap_loss(logits, nothing, torch.ones(1, 3))
    assert loss.item() == pytest.approx(-3 * 0.5**2 * math.log(0.5), rel=1e-5)
    assert heatmap_loss(logits * math.nan, nothing, torch.zeros(1, 3)).item() == 0


def test_the_branch_learns_centres_and_its_weight_counts() -> None:
    x, mask = torch.randn(2, 12, D), torch.ones(2, 12)
    target = (torch.rand(2, 12, K) < 0.3).float()
    model = MSTCT(D, K, SMALL).eval()
    loss = heatmap_loss(model.heatmap(x, mask), centre_heatmap(target, mask), mask)
    _, terms = model.encode_with_losses(x, mask, target, mask)
    torch.testing.assert_close(terms, {"heatmap": 0.05 * loss})
    unlabelled = mask.clone()
    unlabelled[1] = 0
    _, fewer = model.encode_with_losses(x, mask, target, unlabelled)
    _, alone = model.encode_with_losses(x[:1], mask[:1], target[:1], mask[:1])
    torch.testing.assert_close(fewer, alone)


def test_without_weight_there_is_no_branch() -> None:
    model = MSTCT(D, K, replace(SMALL, heatmap_weight=0.0))
    assert not any(name.startswith("centres") for name in model.state_dict())
    mask = torch.ones(1, 9)
    assert model.encode_with_losses(torch.randn(1, 9, D), mask, torch.zeros(1, 9, K), mask)[1] == {}


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_coarse_steps_come_back_at_their_own_places(factor: int) -> None:
    """Where the length divides, as torch's linear interpolation; else as if the last real step went on."""
    x = torch.randn(1, 3, 6)
    whole = _to_full_length(x, torch.ones(1, 6), factor, 6 * factor)
    wanted = F.interpolate(x, size=6 * factor, mode="linear", align_corners=False)
    torch.testing.assert_close(whole, wanted)
    padded = F.pad(x, (0, 2), value=7.0)
    found = _to_full_length(padded, F.pad(torch.ones(1, 6), (0, 2)), factor, 6 * factor + 1)
    torch.testing.assert_close(found[..., : 6 * factor], wanted)


def test_attention_sees_every_real_step_and_nothing_else() -> None:
    attention = Attention(8, 2)
    x, mask = torch.randn(1, 6, 8), torch.tensor([[1.0, 1, 1, 1, 0, 0]])
    other = x.clone()
    other[0, 4:] = 100.0
    torch.testing.assert_close(attention(x, mask)[:, :4], attention(other, mask)[:, :4])
    other = x.clone()
    other[0, 3] += 1
    assert ((attention(x, mask) - attention(other, mask)).abs().sum(-1) > 0)[0, :4].all()


@pytest.mark.parametrize("steps", [1, 2, 3, 15, 16, 17])
def test_a_merge_halves_the_steps_rounded_up(steps: int) -> None:
    assert Merge(4, 6, 2)(torch.randn(1, steps, 4)).shape == (1, -(-steps // 2), 6)


@pytest.mark.parametrize(
    "bad",
    [
        {"widths": ()},
        {"widths": (8, 10)},
        {"blocks": 0},
        {"heads": 0},
        {"expansion": 0},
        {"hidden": 0},
        {"dropout": 1.0},
        {"heatmap_weight": -1.0},
        {"window_steps": 0},
    ],
)
def test_config_says_what_is_wrong(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        replace(SMALL, **bad)
