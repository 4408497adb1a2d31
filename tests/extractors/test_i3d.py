"""The network against outputs of the published one, and against its own definition.

Shapes: N clips, C channels, T frames, H W pixels.
"""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from extractors.i3d import I3D, I3DConfig, MaxPool, Unit3D, fold_batch_norm, same_padding
from extractors.i3d_checkpoint import load_i3d_state

GOLDEN = Path(__file__).parents[1] / "golden"
STREAMS = {"rgb": (3, 400), "flow": (2, 157)}  # channels, classes


@cache
def _filler() -> ModuleType:
    spec = importlib.util.spec_from_file_location("filler", GOLDEN / "filler.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def _reference_network(stream: str, folded: bool) -> I3D:
    network = I3D(*STREAMS[stream]).eval()
    network.load_state_dict(_filler().filled_state_dict(network.state_dict()))
    return fold_batch_norm(network).to(memory_format=torch.channels_last_3d) if folded else network


def _small() -> I3D:
    """A narrow network whose batch norms have something to say."""
    network = I3D(3, 5, width=1 / 16).eval()
    network.load_state_dict(_filler().filled_state_dict(network.state_dict()))
    return network


def _assert_equals_reference(stream: str, num_frames: int, folded: bool) -> None:
    golden = np.load(GOLDEN / "i3d.npz")
    network = _reference_network(stream, folded)
    channels = STREAMS[stream][0]
    x_NCTHW = _filler().filled_input(100 + num_frames + channels, (1, channels, num_frames, 224, 224))
    with torch.inference_mode():
        features_NDT = network.extract_features(x_NCTHW)
        outputs = {"features": features_NDT, "logits": network.logits(features_NDT)}
    for name, got_NDT in outputs.items():
        want_TD = golden[f"{stream}_T{num_frames}_{name}"]
        np.testing.assert_allclose(got_NDT[0].T, want_TD, rtol=0, atol=1e-4 * np.abs(want_TD).max())


@pytest.mark.parametrize(("num_frames", "folded"), [(16, True), (21, False), (21, True)])
@pytest.mark.parametrize("stream", STREAMS)
def test_equals_the_published_network(stream: str, num_frames: int, folded: bool) -> None:
    _assert_equals_reference(stream, num_frames, folded)


@pytest.mark.parametrize("stream", ["rgb", pytest.param("flow", marks=pytest.mark.slow)])
def test_equals_the_published_network_on_long_clips(stream: str) -> None:
    _assert_equals_reference(stream, 72, folded=True)


@pytest.mark.parametrize("stream", STREAMS)
def test_keys_are_those_of_the_published_network(stream: str) -> None:
    assert set(np.load(GOLDEN / "i3d.npz")[f"{stream}_keys"]) == set(
        _reference_network(stream, False).state_dict()
    )


@given(n=st.integers(1, 300), kernel=st.integers(1, 7), stride=st.integers(1, 4))
def test_same_padding_gives_as_many_outputs_as_tensorflow(n: int, kernel: int, stride: int) -> None:
    before, after = same_padding([n], [kernel], [stride])
    outputs = -(-n // stride)
    assert (n + before + after - kernel) // stride + 1 >= outputs  # enough ...
    if before + after:  # ... and where any is needed, no element more than that
        assert n + before + after == (outputs - 1) * stride + kernel
        assert after - before in (0, 1)


@pytest.mark.parametrize(
    ("kernel", "stride"),
    [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (1, 1, 1)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2))],
)
@pytest.mark.parametrize("size", [(2, 4, 5), (5, 7, 9), (1, 14, 28)])
def test_pool_equals_padding_with_zeros(
    size: tuple[int, int, int], kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> None:
    x = torch.randn(2, 3, *size).relu()
    want = F.max_pool3d(F.pad(x, same_padding(size, kernel, stride)), kernel, stride)
    assert torch.equal(MaxPool(kernel, stride)(x), want)


def test_folding_batch_norm_changes_rounding_only() -> None:
    x = torch.randn(2, 3, 16, 64, 64)
    with torch.inference_mode():
        before, after = _small().extract_features(x), fold_batch_norm(_small()).extract_features(x)
    assert before.abs().max() > 0.1
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5 * float(before.abs().max()))


def test_batch_size_does_not_change_the_answer() -> None:
    network, x = _small(), torch.randn(3, 3, 16, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]))


@pytest.mark.parametrize(("num_frames", "steps"), [(9, 1), (16, 1), (17, 2), (24, 2), (25, 3)])
def test_steps_of_features_and_logits(num_frames: int, steps: int) -> None:
    network = _small()
    x = torch.zeros(2, 3, num_frames, 48, 80)
    assert network.extract_features(x).shape == (2, network.dim, steps)
    assert network(x).shape == (2, 5, steps)


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 9 frames"):
        _small().extract_features(torch.zeros(1, 3, 8, 64, 64))


@pytest.mark.parametrize("width", [0.25, 0.5])
def test_width_scales_features(width: float) -> None:
    assert I3D(3, None, width).dim == 1024 * width


def test_every_parameter_gets_a_gradient() -> None:
    network = I3D(3, 4, width=1 / 16).train()
    network(torch.randn(2, 3, 16, 64, 64)).square().sum().backward()
    assert [key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def _hassony2_keys(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our state under the names of hassony2/kinetics_i3d_pytorch, spelled out module by module."""
    branches = {"b0": "branch_0", "b1a": "branch_1.0", "b1b": "branch_1.1"}
    branches |= {"b2a": "branch_2.0", "b2b": "branch_2.1", "b3b": "branch_3.1"}
    renamed = {}
    for key, value in state.items():
        parts = key.split(".")
        parts = [{"bn": "batch3d", "logits": "conv3d_0c_1x1", **branches}.get(part, part) for part in parts]
        parts[0] = parts[0][0].lower() + parts[0][1:]
        if parts[-1] != "num_batches_tracked":  # written before PyTorch had it
            renamed[".".join(parts)] = value
    return renamed


def test_both_public_layouts_load() -> None:
    wanted = _small().state_dict()
    renamed = _hassony2_keys(wanted)
    assert "conv3d_1a_7x7.batch3d.weight" in renamed
    assert "mixed_3b.branch_1.1.conv3d.weight" in renamed
    for state, layout in ((wanted, "piergiaj"), (renamed, "hassony2")):
        network = I3D(3, 5, width=1 / 16)
        assert load_i3d_state(network, state, "x.pt") == layout
        got = network.state_dict()
        assert all(torch.equal(got[key], wanted[key]) for key in wanted if "num_batches" not in key)


def test_a_network_without_classes_leaves_the_logits_out() -> None:
    network = I3D(3, None, width=1 / 16)
    load_i3d_state(network, _small().state_dict(), "x.pt")
    assert torch.equal(network.Mixed_5c.b0.bn.bias, _small().Mixed_5c.b0.bn.bias)


def test_a_checkpoint_that_does_not_fit_is_refused_by_name() -> None:
    state = _small().state_dict()
    with pytest.raises(ValueError, match=r"x\.pt .piergiaj layout.*has shape .*; and \d+ more"):
        load_i3d_state(I3D(3, 5, width=1 / 8), state, "x.pt")
    with pytest.raises(
        ValueError, match=r"Conv3d_1a_7x7.conv3d.weight has shape \(4, 3, 7, 7, 7\), expected \(4, 2,"
    ):
        load_i3d_state(I3D(2, 5, width=1 / 16), state, "x.pt")
    del state["Mixed_4c.b2b.bn.running_var"]
    state["extra.weight"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"missing Mixed_4c.b2b.bn.running_var; unexpected extra.weight$"):
        load_i3d_state(_small(), state, "x.pt")
    with pytest.raises(ValueError, match=r"x\.pt is no I3D checkpoint.*conv1\.weight"):
        load_i3d_state(_small(), {"conv1.weight": torch.zeros(1)}, "x.pt")


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"crop": 300}, "crop <= resize"),
        ({"precision": "float8"}, "float8"),
        ({"width": 0.0}, "width"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        I3DConfig(**wrong)


@pytest.mark.parametrize("time_padding", [True, False])
def test_a_clip_alone_is_convolved_as_among_others(time_padding):
    """Another function of the library does it, with channels last as they came."""
    torch.manual_seed(0)
    unit = Unit3D(16, 24, kernel=3).eval()
    unit.bn = torch.nn.Identity()
    x_NCTHW = torch.randn(2, 16, 6, 14, 10).contiguous(memory_format=torch.channels_last_3d)
    call = unit if time_padding else unit.within
    with torch.inference_mode():
        alone, both = call(x_NCTHW[:1]), call(x_NCTHW)
    assert alone.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(alone, both[:1], rtol=0, atol=1e-5)
