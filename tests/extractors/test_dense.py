"""A video given in pieces equals the video as one clip.

Shapes: C channels, T frames, H W pixels, D features.
"""

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from extractors.dense import DenseI3D
from extractors.dense_grid import DenseGrid
from extractors.i3d import I3D, fold_batch_norm

LENGTHS = [9, 10, 16, 71, 72, 333, 334, 335, 1001]


def _filler(golden: Path):
    spec = importlib.util.spec_from_file_location("filler", golden / "filler.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def network(golden: Path) -> I3D:
    """A narrow one whose batch norms, and so its padding, have something to say."""
    network = I3D(3, None, width=1 / 16).eval()
    network.load_state_dict(_filler(golden).filled_state_dict(network.state_dict()))
    return fold_batch_norm(network)


@cache
def video(length: int) -> Tensor:
    """Noise (1, C, T, H, W) of small pictures."""
    rng = np.random.default_rng(length)
    return torch.from_numpy(rng.uniform(-1, 1, (1, 3, length, 32, 32)).astype(np.float32))


@torch.inference_mode()
def in_pieces(network: I3D, x_1CTHW: Tensor, pieces: int | list[int]) -> Tensor:
    clip = DenseI3D(network, x_1CTHW.shape[2])
    return torch.cat([clip.push(piece) for piece in x_1CTHW.split(pieces, dim=2)])


@cache
@torch.inference_mode()
def at_once(network: I3D, x_1CTHW: Tensor) -> Tensor:
    return network.extract_features(x_1CTHW)[0].T


def assert_equal(got_TD: Tensor, want_TD: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(got_TD, want_TD, rtol=0, atol=tolerance * float(want_TD.abs().max()))


@pytest.mark.parametrize("piece", [17, 30, 64, 1600])
@pytest.mark.parametrize("length", LENGTHS)
def test_any_piece_gives_the_whole_videos_features(network, length, piece):
    x_1CTHW = video(length)
    want_TD = at_once(network, x_1CTHW)
    assert len(want_TD) == -(-length // 8) - 1
    assert_equal(in_pieces(network, x_1CTHW, piece), want_TD)


@pytest.mark.parametrize("length", [9, 10, 16, 71, 72])
def test_frame_by_frame(network, length):
    assert_equal(in_pieces(network, video(length), 1), at_once(network, video(length)))


@settings(max_examples=20)
@given(pieces=st.lists(st.integers(1, 30), min_size=1, max_size=5).filter(lambda pieces: sum(pieces) >= 9))
def test_pieces_of_all_sizes(network, pieces):
    x_1CTHW = video(sum(pieces))
    assert_equal(in_pieces(network, x_1CTHW, pieces), at_once(network, x_1CTHW))


def test_a_wrong_length_moves_every_feature(network):
    """Why it has to be known before the first frame."""
    x_1CTHW = video(334)
    right, wrong = at_once(network, x_1CTHW)[:20], at_once(network, x_1CTHW[:, :, :333])[:20]
    assert ((right - wrong).norm(dim=1) / right.norm(dim=1)).min() > 1e-3


@pytest.mark.parametrize("length", [140, 141, 142, 143])
def test_features_come_when_the_frames_they_see_are_there(network, length):
    """Three layers may each wait for one more step: 1, 2 and 4 frames."""
    clip = DenseI3D(network, length)
    with torch.inference_mode():
        came = [len(clip.push(frame)) for frame in video(length)[:, :, :80].split(1, dim=2)]
    last_seen = int(DenseGrid().centers_K(length)[0]) + 53
    assert sum(came[:last_seen]) == 0
    assert sum(came[: last_seen + 1 + 7]) >= 1


@pytest.mark.parametrize("length", [132, 133, 134, 135])
def test_a_feature_sees_53_frames_before_and_after_its_centre(length):
    """Weights and pictures above zero: then more light anywhere in sight is more of every feature."""
    bright = I3D(3, None, width=1 / 64).eval()
    for parameter in bright.parameters():
        parameter.data.abs_().add_(0.01)
    x_1CTHW = torch.full((1, 3, length, 32, 32), 0.1)
    k = 7
    center = int(DenseGrid().centers_K(length)[k])
    base_D = at_once(bright, x_1CTHW)[k]
    for offset, seen in ((-54, False), (-53, True), (53, True), (54, False)):
        lit = x_1CTHW.clone()
        lit[:, :, center + offset] = 50.0
        lit_D = at_once(bright, lit)[k]
        assert bool((lit_D >= base_D).all())
        assert bool((lit_D > base_D).any()) is seen


def held_numbers(clip: DenseI3D) -> int:
    return sum(
        layer._held.untyped_storage().nbytes() // 4 for layer in clip._layers if layer._held is not None
    )


def test_what_is_held_does_not_grow(network):
    clip = DenseI3D(network, 10_000)
    held = []
    with torch.inference_mode():
        for _ in range(20):
            clip.push(video(16))
            held.append(held_numbers(clip))
    assert len(set(held[8:])) == 1
    assert held[-1] < 3 * 16 * 32 * 32  # less than the 16 frames themselves


@pytest.mark.parametrize(
    ("stream", "length"),
    [
        ("rgb", 21),
        *(pytest.param("flow", length, marks=pytest.mark.slow) for length in (21, 72)),
        pytest.param("rgb", 72, marks=pytest.mark.slow),
    ],
)
def test_pieces_equal_the_published_network(golden, stream, length):
    channels = {"rgb": 3, "flow": 2}[stream]
    filler, want = _filler(golden), np.load(golden / "i3d.npz")[f"{stream}_T{length}_features"]
    network = I3D(channels, None).eval()
    network.load_state_dict(filler.filled_state_dict(network.state_dict()))
    network = fold_batch_norm(network).to(memory_format=torch.channels_last_3d)
    x_1CTHW = filler.filled_input(100 + length + channels, (1, channels, length, 224, 224))
    assert_equal(in_pieces(network, x_1CTHW, 10), torch.from_numpy(want), tolerance=1e-4)


def test_wrong_lengths_are_refused(network):
    with pytest.raises(ValueError, match="at least 9 frames, got 8"):
        DenseI3D(network, 8)
    with pytest.raises(AssertionError, match="12 frames came, 11 were announced"):
        DenseI3D(network, 11).push(video(12))


def test_what_is_computed_is_hardly_more_than_what_comes_out() -> None:
    """Whole windows of 16 frames at stride 8 compute every frame twice: nearly twice the arithmetic."""
    with torch.device("meta"):  # shapes alone
        network = I3D(3, None)

        def flops(call: Callable[[], object]) -> int:
            with FlopCounterMode(display=False) as counter, torch.inference_mode():
                call()
            return counter.get_total_flops()

        windows = 2 * flops(lambda: network.extract_features(torch.empty(1, 3, 16, 224, 224))) / 16
        for length, least in ((32, 1.85), (64, 1.9)):
            clip, piece = DenseI3D(network, 4096), torch.empty(1, 3, length, 224, 224)
            for _ in range(4):  # until every layer holds what it will hold
                flops(lambda clip=clip, piece=piece: clip.push(piece))
            assert windows / (flops(lambda clip=clip, piece=piece: clip.push(piece)) / length) > least
