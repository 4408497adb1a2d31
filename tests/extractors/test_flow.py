"""Flow stacks through I3D: the contract, the quantisations, what the identity names."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.optical_flow import raft_small

from extractors import build_extractor
from extractors.base import Window
from extractors.flow import FlowInput, I3DFlow, decode, encode
from extractors.flow_config import FlowConfig, RAFTConfig
from extractors.i3d import I3D, I3DConfig
from extractors.raft import FlowNetwork
from pipeline.streams import FeatureStream, run_streams

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> FlowConfig:
    """The tiny preset's shape with random weights."""
    folder = tmp_path_factory.mktemp("flow")
    torch.manual_seed(0)
    torch.save(raft_small(weights=None).state_dict(), folder / "raft.pth")
    torch.save(I3D(2, None, width=0.125).state_dict(), folder / "i3d.pth")
    return FlowConfig(
        raft=RAFTConfig(variant="raft_small", weights=str(folder / "raft.pth"), updates=2),
        i3d=I3DConfig(str(folder / "i3d.pth"), width=0.125, resize=128, crop=128, window=Window(9, 4)),
        square=True,
        max_px=10.0,
        quantisation="float",
        pool=2,
    )


@pytest.fixture(scope="session")
def extractor(config: FlowConfig) -> I3DFlow:
    built = build_extractor("flow", config, CPU)
    assert isinstance(built, I3DFlow)
    return built


def video(frames: int, height: int = 96, width: int = 128) -> torch.Tensor:
    """A noisy texture that drifts to the right: uint8 (N, H, W, 3)."""
    rng = np.random.default_rng(2)
    texture = np.kron(rng.integers(0, 256, (height // 8, width // 8, 3)), np.ones((8, 8, 1)))
    moved = np.stack([np.roll(texture, 3 * i, axis=1) for i in range(frames)])
    return torch.from_numpy((moved + rng.integers(-4, 5, moved.shape)).clip(0, 255).astype(np.uint8))


def test_frames_look_one_ahead(extractor):
    product = extractor.frames(video(4))
    assert extractor.lookahead == 1
    assert product.shape == (3, 64, 64, 2)
    assert product.dtype == torch.float16
    assert product.isfinite().all()


def test_clips_do_not_depend_on_their_batch(extractor):
    x_NL = torch.randn(3, 9, 64, 64, 2).half()
    together = extractor.clips(x_NL)
    assert together.shape == (3, extractor.dim)
    assert together.dtype == torch.float32
    assert together.std(0).max() > 0  # the clips differ, and so do their features
    torch.testing.assert_close(extractor.clips(x_NL[1:2]), together[1:2], rtol=1e-4, atol=1e-5)


def features(extractor, frames, chunk_frames):
    return run_streams(frames, [FeatureStream(extractor, 4)], device=CPU, chunk_frames=chunk_frames)[0]


def test_chunks_of_a_video_give_the_same_features(extractor):
    frames = video(11).numpy()
    whole = features(extractor, frames, chunk_frames=16)
    parts = features(extractor, frames, chunk_frames=3)
    assert whole.shape == (3, extractor.dim)
    np.testing.assert_allclose(parts, whole, rtol=1e-3, atol=1e-3 * np.abs(whole).max())


def test_a_single_frame_has_a_feature(extractor):
    found = features(extractor, video(1).numpy(), chunk_frames=16)
    assert found.shape == (1, extractor.dim)
    assert np.isfinite(found).all()


def test_flow_is_computed_on_the_resized_frame(config):
    """Crop and pool take parts and means of RAFT's flow, in px of the resized frame."""
    frames = video(3, height=128, width=176)
    whole = FlowNetwork(config.raft, CPU)(frames)
    recipe = replace(config, square=False, pool=1, i3d=replace(config.i3d, crop=96))
    torch.testing.assert_close(FlowInput(recipe, CPU)(frames), whole[:, 16:-16, 40:-40])
    halved = FlowInput(replace(recipe, pool=2), CPU)(frames)
    torch.testing.assert_close(halved[:, 5, 7], whole[:, 26:28, 54:56].mean((1, 2)))
    uncropped = FlowInput(replace(recipe, pool=3, i3d=replace(config.i3d, crop=None)), CPU)(frames)
    assert uncropped.shape == (2, 128 // 3, 176 // 3, 2)
    torch.testing.assert_close(uncropped[:, 41, 57], whole[:, 123:126, 171:174].mean((1, 2)))


def test_square_never_looks_at_the_sides(config):
    frames = video(3, height=128, width=176)
    other = frames.clone()
    other[:, :, :24], other[:, :, -24:] = 0, 255
    for square, same in ((True, True), (False, False)):
        flow = FlowInput(replace(config, square=square), CPU)
        assert torch.equal(flow(frames), flow(other)) is same


@pytest.mark.parametrize(
    ("quantisation", "encoded", "decoded"),
    [
        ("float", [-20.0, 0.0, 20.0], [-1.0, 0.0, 1.0]),
        ("uint8-127.5", [-128, 0, 128], [-1.0, 0.0, 1.0]),
        # round(128 + 255 / 40 * flow), then 2 / 255 * x - 1, halves to even: by hand
        ("uint8-128", [0, 128, 256], [-1.0, 1 / 255, 257 / 255]),
    ],
)
def test_quantisations(quantisation, encoded, decoded):
    flow = torch.tensor([-35.0, -20.0, 0.0, 20.0, 1000.0])
    kept = encode(flow, 20.0, quantisation)
    assert kept[1:4].tolist() == encoded
    assert kept[0] == kept[1]
    assert kept[4] == kept[3]
    torch.testing.assert_close(decode(kept, 20.0, quantisation)[1:4], torch.tensor(decoded))


@pytest.mark.parametrize("quantisation", ["float", "uint8-127.5", "uint8-128"])
@pytest.mark.parametrize("max_px", [10.0, 20.0])
def test_quantisations_keep_the_flow_to_half_a_step(quantisation, max_px):
    flow = torch.linspace(-max_px, max_px, 1001)
    zero = 1 / 255 if quantisation == "uint8-128" else 0.0
    error = decode(encode(flow, max_px, quantisation), max_px, quantisation) - zero - flow / max_px
    assert error.abs().max() <= (0.5 / 127.5 + 1e-6 if quantisation != "float" else 5e-4)


def test_identity_names_everything_that_moves_the_features(config, extractor):
    base = json.dumps(extractor.identity())
    assert extractor.weights_sha256 in base
    assert FlowNetwork(config.raft, CPU).weights_sha256 in base
    assert "/" not in base  # weights count by content, not by place
    others = (
        replace(config, raft=replace(config.raft, updates=3)),
        replace(config, square=False),
        replace(config, max_px=20.0),
        replace(config, quantisation="uint8-128"),
        replace(config, pool=1),
        replace(config, i3d=replace(config.i3d, resize=144)),
        replace(config, i3d=replace(config.i3d, window=Window(9, 8))),
    )
    identities = {json.dumps(I3DFlow(other, CPU).identity()) for other in others}
    assert len(identities | {base}) == len(others) + 1


def test_weights_for_rgb_are_refused(config, tmp_path: Path):
    path = tmp_path / "rgb.pth"
    torch.save(I3D(3, None, width=0.125).state_dict(), path)
    with pytest.raises(ValueError, match=r"rgb\.pth.*\(\d+, 3, 7, 7, 7\), expected \(\d+, 2, 7, 7, 7\)"):
        I3DFlow(replace(config, i3d=replace(config.i3d, weights=str(path))), CPU)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"quantisation": "uint8"}, "uint8-127.5"),
        ({"max_px": 0.0}, "max_px"),
        ({"pool": 0}, "pool"),
        ({"pool": 8}, "at least 32 of 128 px"),
    ],
)
def test_bad_settings_are_named(config, setting, message):
    with pytest.raises(ValueError, match=message):
        replace(config, **setting)
