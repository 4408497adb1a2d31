"""The RGB extractor: what every extractor promises, and what this one does to pixels."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from extractors import build_extractor
from extractors.base import Extractor, Window
from extractors.i3d import I3D, I3DConfig
from extractors.weights import WeightsError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow network with a class layer, in half precision as the shipped one is."""
    torch.manual_seed(1)
    network = I3D(3, 7, width=1 / 16)
    path = tmp_path_factory.mktemp("weights") / "narrow.safetensors"
    state = network.state_dict()
    save_file({k: v.half() for k, v in state.items() if v.is_floating_point()}, path)
    return path


@pytest.fixture(scope="module")
def config(weights: Path) -> I3DConfig:
    return I3DConfig(weights=str(weights), width=1 / 16, resize=72, crop=64, window=Window(16, 8))


@pytest.fixture
def extractor(config: I3DConfig) -> Extractor:
    return build_extractor("rgb", config, CPU)


@pytest.mark.parametrize(("height", "width"), [(90, 160), (160, 90), (41, 55), (72, 72)])
def test_frames_of_any_size_become_crops(extractor: Extractor, height: int, width: int) -> None:
    rgb = torch.randint(0, 256, (5, height, width, 3), dtype=torch.uint8)
    crops = extractor.frames(rgb)
    assert crops.shape == (5 - extractor.lookahead, 64, 64, 3)
    assert crops.dtype == torch.uint8
    assert torch.equal(crops[3:], extractor.frames(rgb[3:]))


def test_clips_become_float_vectors_whatever_the_batch(extractor: Extractor) -> None:
    clips = torch.randint(0, 256, (3, 16, 64, 64, 3), dtype=torch.uint8)
    features = extractor.clips(clips)
    assert features.shape == (3, extractor.dim)
    assert features.dtype == torch.float32
    assert features.std() > 0
    torch.testing.assert_close(
        features[1:2], extractor.clips(clips[1:2]), rtol=0, atol=1e-5 * float(features.max())
    )


def test_features_are_those_of_the_network_itself(extractor: Extractor, weights: Path) -> None:
    """Scale, axis order and the mean over steps, done by hand."""
    from safetensors.torch import load_file

    network = I3D(3, 7, width=1 / 16).eval()
    network.load_state_dict(load_file(weights), strict=False)
    clips = torch.randint(0, 256, (2, 25, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        want = network.extract_features(clips.permute(0, 4, 1, 2, 3) / 255 * 2 - 1).mean(2)
    torch.testing.assert_close(extractor.clips(clips), want, rtol=0, atol=1e-5 * float(want.max()))


def test_bfloat16_is_close(config: I3DConfig, extractor: Extractor) -> None:
    clips = torch.randint(0, 256, (2, 16, 64, 64, 3), dtype=torch.uint8)
    half = build_extractor("rgb", replace(config, precision="bfloat16"), CPU).clips(clips)
    assert half.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(half, extractor.clips(clips)).min() > 0.999


def test_identity_names_all_that_changes_the_numbers(
    config: I3DConfig, extractor: Extractor, tmp_path: Path
) -> None:
    identity = extractor.identity()
    assert json.loads(json.dumps(identity)) == identity
    assert identity["window"] == {"length": 16, "stride": 8, "offset": 0}
    others = [
        replace(config, resize=80),
        replace(config, crop=48),
        replace(config, window=Window(16, 4)),
        replace(config, precision="bfloat16"),
    ]
    for other in others:
        assert build_extractor("rgb", other, CPU).identity() != identity
    state = I3D(3, None, width=1 / 16).state_dict()
    save_file(state, tmp_path / "narrow.safetensors")
    other = replace(config, weights=str(tmp_path / "narrow.safetensors"))
    assert build_extractor("rgb", other, CPU).identity()["weights"] != identity["weights"]


def test_identity_does_not_depend_on_where_the_weights_lie(
    config: I3DConfig, extractor: Extractor, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere.safetensors"
    moved.write_bytes(Path(config.weights).read_bytes())
    assert build_extractor("rgb", replace(config, weights=str(moved)), CPU).identity() == extractor.identity()


def test_weights_of_another_width_are_refused(config: I3DConfig) -> None:
    with pytest.raises(ValueError, match=r"narrow\.safetensors .* does not fit this I3D"):
        build_extractor("rgb", replace(config, width=1 / 8), CPU)


def test_unknown_names_are_refused(config: I3DConfig) -> None:
    with pytest.raises(ValueError, match="unknown extractor 'sound'"):
        build_extractor("sound", config, CPU)
    with pytest.raises(WeightsError, match="no such file"):
        build_extractor("rgb", replace(config, weights="nowhere.pt"), CPU)


def test_short_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 9 frames"):
        I3DConfig(window=Window(8, 8))


def test_the_shipped_weights_load(caplog: pytest.LogCaptureFixture) -> None:
    config = I3DConfig("augrgb-tiny-rgb", 0.25, resize=112, crop=112, window=Window(16, 8))
    with caplog.at_level(logging.WARNING):
        extractor = build_extractor("rgb", config, CPU)
    assert not caplog.records
    assert extractor.dim == 256
    clips = torch.randint(0, 256, (2, 16, 112, 112, 3), dtype=torch.uint8)
    clips[1] = clips[1, :1]  # stands still
    features = extractor.clips(clips)
    assert features.isfinite().all()
    assert torch.nn.functional.cosine_similarity(features[:1], features[1:]) < 0.999
