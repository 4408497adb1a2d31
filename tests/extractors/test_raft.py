"""RAFT between consecutive frames: torchvision's numbers, other order of work, any size."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.optical_flow import Raft_Large_Weights, Raft_Small_Weights, raft_large, raft_small

from extractors.flow_config import RAFTConfig
from extractors.raft import (
    Correlation,
    FlowNetwork,
    build_raft,
    consecutive_flow,
    enlarged_size,
    padding,
    pairs_at_once,
)
from extractors.weights import FILES

CPU = torch.device("cpu")
VARIANTS = {"raft_small": raft_small, "raft_large": raft_large}


def texture(height: int, width: int) -> Tensor:
    """A picture (3, H, W) in [-1, 1] with detail at several scales."""
    coarse = [torch.rand(1, 3, height // step + 2, width // step + 2) for step in (4, 8, 24)]
    layers = [F.interpolate(c, (height, width), mode="bicubic", align_corners=False) for c in coarse]
    return torch.stack(layers).mean(0)[0].clamp(0, 1) * 2 - 1


def moving(dx: int, dy: int, *, frames: int = 3, height: int = 136, width: int = 152) -> Tensor:
    """Frames (N, H, W, 3) uint8 of a texture that moves by (dx, dy) px a frame, new parts coming in."""
    reach_x, reach_y = abs(dx) * frames, abs(dy) * frames
    whole = texture(height + 2 * reach_y, width + 2 * reach_x)
    views = [
        whole[
            :,
            reach_y - i * dy : reach_y - i * dy + height,
            reach_x - i * dx : reach_x - i * dx + width,
        ]
        for i in range(frames)
    ]
    return ((torch.stack(views) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)


def network_input(rgb_NHWC: Tensor) -> Tensor:
    return rgb_NHWC.permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.fixture(scope="module", params=list(VARIANTS))
def pairwise(request: pytest.FixtureRequest) -> tuple[torch.nn.Module, Tensor, Tensor]:
    """Our network, three frames, and what torchvision's own forward says about the two pairs."""
    torch.manual_seed(3)
    theirs = VARIANTS[request.param](weights=None).eval()
    ours = build_raft(request.param).eval()
    ours.load_state_dict(theirs.state_dict())
    x_NCHW = network_input(moving(3, -1, height=128, width=136))
    with torch.inference_mode():
        return ours, x_NCHW, theirs(x_NCHW[:-1], x_NCHW[1:], 4)[-1]


@torch.inference_mode()
def test_encoding_each_frame_once_changes_nothing(pairwise):
    network, x_NCHW, expected = pairwise
    assert expected.abs().max() > 0.1  # a random network does say something
    flow = consecutive_flow(network, x_NCHW, 4, reordered=False)
    torch.testing.assert_close(flow, expected, rtol=0, atol=1e-6)


@torch.inference_mode()
@pytest.mark.parametrize("batch_pairs", [1, 2, 8])
def test_each_frame_is_encoded_once(pairwise, batch_pairs):
    network, x_NCHW, _ = pairwise
    encoded: list[int] = []
    watching = network.feature_encoder.register_forward_pre_hook(
        lambda _, inputs: encoded.append(len(inputs[0]))
    )
    consecutive_flow(network, x_NCHW, 1, reordered=True, batch_pairs=batch_pairs)
    watching.remove()
    assert sum(encoded) == len(x_NCHW) == 3  # of two pairs, in which torchvision sees four


@torch.inference_mode()
@pytest.mark.parametrize("batch_pairs", [1, 2, 8])
def test_reordered_sums_stay_within_rounding(pairwise, batch_pairs):
    network, x_NCHW, expected = pairwise
    error = (consecutive_flow(network, x_NCHW, 4, reordered=True, batch_pairs=batch_pairs) - expected).abs()
    assert error.median() < 1e-5
    assert error.max() < 5e-3


@torch.inference_mode()
def test_correlation_stays_float32_in_half_precision(pairwise):
    network, x_NCHW, _ = pairwise
    maps = network.feature_encoder(x_NCHW)
    corr = Correlation(num_levels=4, radius=3)
    with torch.autocast("cpu", torch.bfloat16):
        corr.build_pyramid(maps[:2].bfloat16(), maps[1:].bfloat16())
        found = corr.index_pyramid(torch.full((2, 2, *maps.shape[-2:]), 3.7))
        flow = consecutive_flow(network, x_NCHW, 4, reordered=True)
    assert {level.dtype for level in corr.corr_pyramid} == {found.dtype} == {torch.float32}
    assert flow.dtype == torch.float32
    # sub-pixel positions survive: bfloat16 coordinates could only be multiples of 1/16 px from 8 px on
    steps = flow / 8 * 16
    assert (steps - steps.round()).abs().max() > 0.1


@pytest.fixture(scope="session")
def random_small(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("raft") / "small.pth"
    torch.save(raft_small(weights=None).state_dict(), path)
    return str(path)


def network(weights: str, **kwargs: object) -> FlowNetwork:
    return FlowNetwork(RAFTConfig(variant="raft_small", weights=weights, **kwargs), CPU)


@pytest.mark.parametrize(("height", "width"), [(128, 128), (131, 146), (40, 60), (97, 200)])
def test_any_size(random_small, height, width):
    flow = network(random_small, updates=2)(moving(1, 0, height=height, width=width))
    assert flow.shape == (2, height, width, 2)
    assert flow.isfinite().all()


def test_overlapping_chunks_equal_one_run(random_small):
    flow = network(random_small, updates=3)
    frames = moving(2, 1, frames=5, height=128, width=128)
    whole = flow(frames)
    parts = torch.cat([flow(frames[:3]), flow(frames[2:])])
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-3)


def test_the_border_is_repeated_to_multiples_of_8_and_cut_off_again(random_small):
    frames = moving(2, 1, frames=2, height=131, width=150)
    theirs = raft_small(weights=None).eval()
    theirs.load_state_dict(torch.load(random_small, weights_only=True))
    padded = np.pad(frames.numpy(), ((0, 0), (2, 3), (1, 1), (0, 0)), mode="edge")  # 136 x 152
    x_NCHW = network_input(torch.from_numpy(padded))
    with torch.inference_mode():
        expected = theirs(x_NCHW[:1], x_NCHW[1:], 2)[-1][:, :, 2:-3, 1:-1].permute(0, 2, 3, 1)
    found = network(random_small, updates=2, arithmetic="torchvision")(frames)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_padding_and_enlarging():
    assert enlarged_size((128, 500)) == (128, 500)
    assert enlarged_size((64, 100)) == (128, 200)
    assert enlarged_size((300, 50)) == (768, 128)
    assert padding((128, 136)) == (0, 0, 0, 0)
    assert padding((129, 134)) == (1, 1, 3, 4)  # 7 rows and 2 columns missing


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (torch.zeros(1, 128, 128, 3, dtype=torch.uint8), "between two frames"),
        (torch.zeros(2, 128, 128, 3), "uint8"),
        (torch.zeros(2, 3, 128, 128, dtype=torch.uint8), "uint8 frames"),
    ],
)
def test_bad_frames_are_named(random_small, frames, message):
    with pytest.raises(ValueError, match=message):
        network(random_small)(frames)


@pytest.mark.parametrize(
    "setting", [{"variant": "raft_tiny"}, {"updates": 0}, {"arithmetic": "fast"}, {"precision": "float8"}]
)
def test_bad_settings_are_named(setting):
    with pytest.raises(ValueError, match=str(next(iter(setting.values())))):
        RAFTConfig(**setting)


def test_identity_names_everything_that_moves_the_flow(random_small):
    base = network(random_small).identity()
    assert base["weights"] == network(random_small).weights_sha256
    for setting in ({"updates": 5}, {"arithmetic": "torchvision"}, {"precision": "bfloat16"}):
        assert network(random_small, **setting).identity() != base


def test_weight_table_is_torchvisions():
    for variant, enum, names in (
        ("large", Raft_Large_Weights, ("C_T_SKHT_V1", "C_T_SKHT_V2")),
        ("small", Raft_Small_Weights, ("C_T_V1", "C_T_V2")),
    ):
        for name in names:
            entry = FILES[f"raft-{variant}-{name}"]
            assert entry.url == enum[name].url
            assert entry.digest == "sha256:" + enum[name].url.rpartition("-")[2].removesuffix(".pth")


@pytest.fixture(scope="session")
def real(shared: Path) -> FlowNetwork:
    """The authors' RAFT-small, trained."""
    return network(str(shared / "data" / "weights" / "raft-small.pth"))


@pytest.mark.shared
@pytest.mark.parametrize(("dx", "dy"), [(4, 0), (-4, 0), (0, 3), (0, -3), (-6, 2), (5, -7), (12, 0)])
def test_motion_of_a_texture(real, dx, dy):
    """x before y, and each with its sign."""
    assert_moves(real(moving(dx, dy)), dx, dy)


def assert_moves(flow_NHW2: Tensor, dx: int, dy: int) -> None:
    """In the median by (dx, dy), within a quarter of a pixel."""
    median = flow_NHW2.flatten(0, 2).median(0).values
    torch.testing.assert_close(median, torch.tensor([dx, dy]).float(), rtol=0, atol=0.25)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("height", "width", "dx", "dy"),
    [
        (72, 96, 2, -1),  # enlarged by 16/9
        (33, 90, 1, 1),  # by almost 4
        (50, 160, 3, 0),
        (160, 50, -1, 3),
        (131, 147, -2, 5),  # padded by 5 px, upper and left 2 of them
        (101, 203, 3, 2),  # both, odd
    ],
)
def test_motion_is_in_px_of_the_frame_whatever_its_size(real, height, width, dx, dy):
    flow = real(moving(dx, dy, frames=2, height=height, width=width))
    assert flow.shape == (1, height, width, 2)
    assert_moves(flow, dx, dy)


@pytest.mark.shared
@pytest.mark.parametrize(("height", "width"), [(136, 152), (131, 147), (64, 80)])
def test_identical_frames_do_not_move(real, height, width):
    length = real(moving(0, 0, frames=2, height=height, width=width)).norm(dim=-1)
    assert length.median() < 0.1
    assert length.mean() < 0.1


@pytest.mark.shared
@torch.inference_mode()
def test_trained_weights_give_torchvisions_flow(real):
    """At as many updates as the recipes use: rounding may grow from one to the next."""
    theirs = raft_small(weights=None).eval()
    theirs.load_state_dict(real.network.state_dict())
    x_NCHW = network_input(moving(3, -2, height=128, width=136))
    expected = theirs(x_NCHW[:-1], x_NCHW[1:], 20)[-1]
    once = consecutive_flow(real.network, x_NCHW, 20, reordered=False)
    torch.testing.assert_close(once, expected, rtol=0, atol=1e-6)
    error = (consecutive_flow(real.network, x_NCHW, 20, reordered=True) - expected).abs()
    assert 0 < error.median() < 1e-5
    assert error.max() < 5e-3


@pytest.mark.shared
def test_bfloat16_is_near(real):
    rough = FlowNetwork(
        RAFTConfig(variant="raft_small", weights=real.config.weights, precision="bfloat16"), CPU
    )
    frames = moving(4, 1, frames=2)
    error = (rough(frames) - real(frames)).abs()
    assert 0 < error.median() < 0.05


@pytest.mark.parametrize(
    ("size", "pairs"), [((128, 128), 12288), ((256, 344), 425), ((1080, 1920), 1), ((256, 7760), 1)]
)
def test_large_frames_are_taken_in_smaller_batches(size, pairs):
    """Correlations of a pair: every place with every other, float32, and at 1/4, 1/16, 1/64 of the places."""
    found = pairs_at_once(size)
    places = (size[0] // 8) * (size[1] // 8)
    assert found == pairs
    assert found == 1 or found * places**2 * 4 * (1 + 1 / 4 + 1 / 16 + 1 / 64) <= 4 << 30
