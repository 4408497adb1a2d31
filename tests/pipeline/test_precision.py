"""One setting for all networks that make features: near float32, and float32 itself where positions are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import detection
from typer.testing import CliRunner

from extractors import build_extractor
from extractors.detector import PersonDetector
from extractors.i3d import I3DConfig
from extractors.precision import Reduced, reduce_parts, to_float32
from extractors.raft import FlowNetwork
from pipeline.checkpoint import Checkpoint, CheckpointError
from pipeline.cli import app
from pipeline.config import ConfigError, from_values, load_config, override, to_values
from pipeline.inputs import UsageError
from pipeline.precision import MEANINGS, as_overrides, check_device, in_float32, with_precision
from pipeline.presets import tiny
from pipeline.progress import Progress
from pipeline.recipe import Recipe
from pipeline.scoring import check_features
from pipeline.synthetic import render_practice

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def practice(tmp_path_factory):
    folder = tmp_path_factory.mktemp("practice")
    render_practice(folder, train_videos=1, test_videos=1, seconds=4.0, workers=1)
    return folder / "videos"


@pytest.fixture(scope="module")
def frames(practice):
    """Acting people: (N, H, W, 3) uint8."""
    from pipeline.video import decode

    copies, _ = decode(practice / "train_000.mp4", lambda stream: [f.copy() for f in stream], fps=12.5)
    return torch.from_numpy(np.stack(copies[:19]))


def cosine(one, other):
    return F.cosine_similarity(one, other).min()


@pytest.mark.parametrize("name", ["rgb", "flow"])
def test_bfloat16_features_are_near_and_auto_is_float32_to_the_bit(name, frames):
    made = {}
    for precision in ("32", "auto", "bf16"):
        config = with_precision(override(tiny(), [f"precision={precision}"]))
        extractor = build_extractor(name, getattr(config, name), CPU)
        products = extractor.frames(frames)[:18]
        made[precision] = extractor.clips(torch.stack([products[:16], products[2:18]]))
    assert torch.equal(made["auto"], made["32"])
    assert not torch.equal(made["bf16"], made["32"])
    assert made["bf16"].dtype == torch.float32
    assert cosine(made["bf16"], made["32"]) > 0.9995  # 0.9999 and 0.9997 measured


def test_correlation_and_coordinates_of_raft_stay_float32(frames, monkeypatch):
    network = FlowNetwork(replace(tiny().flow.raft, precision="bfloat16"), CPU)
    raft, seen = network.network, {"convolutions": set(), "coordinates": set(), "correlation": set()}
    for module in raft.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, __, out: seen["convolutions"].add(out.dtype))
    index = raft.corr_block.index_pyramid

    def watched(coordinates):
        found = index(coordinates)
        seen["coordinates"].add(coordinates.dtype)
        seen["correlation"] |= {found.dtype, *(level.dtype for level in raft.corr_block.corr_pyramid)}
        return found

    monkeypatch.setattr(raft.corr_block, "index_pyramid", watched)
    flow = network(frames[:3])
    assert seen["convolutions"] == {torch.bfloat16}
    assert seen["coordinates"] == seen["correlation"] == {flow.dtype} == {torch.float32}
    exact = FlowNetwork(tiny().flow.raft, CPU)(frames[:3])
    assert (flow - exact).norm(dim=-1).max() < 0.25  # px; 0.07 measured


def test_a_detector_says_where_in_float32(frames):
    """Whole detectors under autocast give boxes in bfloat16: in steps of a px from 128 px on."""
    pose = tiny().pose
    boxes = {}
    for precision in ("float32", "bfloat16"):
        detector = PersonDetector(
            pose.detector,
            pose.detector_weights,
            threshold=0.3,
            max_persons=4,
            device=CPU,
            precision=precision,
        )
        inside = set()
        for module in detector._network.backbone.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(lambda _, __, out, inside=inside: inside.add(out.dtype))
        boxes[precision] = detector(frames[:2])
        assert inside == {getattr(torch, precision)}
    for exact, near in zip(boxes["float32"], boxes["bfloat16"], strict=True):
        assert near.dtype == torch.float32
        assert len(near) == len(exact) > 0
        assert not torch.equal(near, near.bfloat16().float())  # finer than bfloat16 can say
        assert 0 < (near - exact)[:, :4].abs().max() < 0.5  # px; 0.1 measured


def test_faster_rcnn_computes_features_alone_in_less():
    network = detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None).eval()
    reduce_parts(network, ("backbone", "roi_heads.box_head", "not.there"), "bfloat16", CPU)
    assert isinstance(network.backbone, Reduced)
    assert isinstance(network.roi_heads.box_head, Reduced)
    with torch.inference_mode():
        (found,) = network([torch.rand(3, 96, 96)])
    assert found["boxes"].dtype == found["scores"].dtype == torch.float32


def test_joints_move_by_little(frames):
    from extractors.pose import PoseEstimator

    exact = PoseEstimator(tiny().pose, CPU)
    near = PoseEstimator(replace(tiny().pose, precision="bfloat16"), CPU)
    boxes = exact.find(frames[:4])
    one, other = (
        np.concatenate([persons.joints_PJ3 for persons in estimator.poses(frames[:4], boxes)])
        for estimator in (exact, near)
    )
    assert len(one) >= 4
    px = np.linalg.norm((one - other)[..., :2], axis=-1)
    assert np.median(px) < 0.05  # 0 measured: places on a grid of half pixels
    assert px.max() < 2
    assert 0 < np.abs((one - other)[..., 2]).max() < 0.1  # scores


def identities(*overrides):
    config = load_config("tiny", overrides=overrides)
    return Recipe.build(config, ("rgb", "flow", "skeleton"), Progress(quiet=True), CPU).identities


def test_precision_is_in_every_identity_and_float32_leaves_them_as_they_were():
    plain, half = identities(), identities("precision=bf16")
    assert identities("precision=32") == plain
    assert all(half[name] != plain[name] for name in plain)
    # what identities were before there was this setting
    assert plain["rgb"]["extractor"]["precision"] == "float32"
    flow = plain["flow"]["extractor"]
    assert flow["raft"]["precision"] == flow["i3d"]["precision"] == "float32"
    joints = plain["skeleton"]["extractor"]["joints"]
    assert "precision" not in {*joints, *joints["detector"], *plain["skeleton"]["extractor"]}
    assert identities("precision=bf16", "flow.raft.precision=float32")["flow"] != half["flow"]


def test_a_network_may_make_an_exception():
    config = load_config("tiny", overrides=["precision=bf16", "rgb.precision=float32"])
    said = with_precision(config)
    assert (said.rgb.precision, said.flow.raft.precision, said.flow.i3d.precision, said.pose.precision) == (
        "float32",
        *["bfloat16"] * 3,
    )
    # the option is of all networks, whatever saved settings say
    assert override(config, as_overrides("bf16")).rgb.precision is None
    assert with_precision(override(config, as_overrides("32"))) == with_precision(tiny_at("32"))
    assert with_precision(in_float32(config)) == with_precision(tiny_at("32"))


def tiny_at(precision):
    return replace(tiny(), precision=precision)


def test_settings_are_saved_and_read_again():
    config = load_config("tiny", overrides=["precision=32"])  # YAML reads a number
    assert config.precision == "32"
    assert from_values(to_values(config)) == config


def test_wrong_values_name_the_choices(tmp_path):
    for wrong in ("fp8", "16", "float32"):
        with pytest.raises(ConfigError, match=r"precision: .*auto.*32.*16-mixed.*bf16"):
            load_config("tiny", overrides=[f"precision={wrong}"])
    with pytest.raises(ValueError, match="precision is one of auto, 32, 16-mixed, bf16, got 'half'"):
        replace(tiny(), precision="half")
    with pytest.raises(ValueError, match="float32, bfloat16, float16, got 'bf16'"):
        I3DConfig(precision="bf16")
    (tmp_path / "a.mp4").write_bytes(b"x")
    done = CliRunner().invoke(
        app,
        ["extract", str(tmp_path), "-o", str(tmp_path / "out"), "--preset", "tiny", "--precision", "half"],
    )
    assert done.exit_code == 2
    assert all(name in done.output for name in MEANINGS)


def test_float16_is_for_gpus_and_nothing_is_done_elsewhere(practice, tmp_path):
    arguments = ["extract", str(practice), "-o", str(tmp_path / "out"), "--preset", "tiny", "--device", "cpu"]
    done = CliRunner().invoke(app, [*arguments, "--precision", "16-mixed"])
    assert done.exit_code == 2
    assert "16-mixed is for GPUs" in " ".join(done.output.split())
    assert not list((tmp_path / "out").glob("features/**/*.npy"))
    config = load_config("tiny", overrides=["pose.precision=float16"])
    check_device(config, ("rgb", "flow"), CPU)  # joints are not asked for
    with pytest.raises(UsageError, match="use bf16"):
        check_device(config, ("skeleton",), CPU)
    # what was made on a GPU is found, scored and reported from anywhere
    assert identities("precision=16-mixed")["rgb"]["extractor"]["precision"] == "float16"


def test_features_of_each_precision_are_kept_apart_and_verified(practice, tmp_path):
    arguments = ["extract", str(practice / "test_000.mp4"), "-o", str(tmp_path / "out"), "--preset", "tiny"]
    for precision in ("bf16", "32"):
        done = CliRunner().invoke(app, [*arguments, "--device", "cpu", "--precision", precision])
        assert done.exit_code == 0, done.output
    files = sorted(tmp_path.glob("out/features/*/*.npy"))
    assert len(files) == 2
    one, other = map(np.load, files)
    assert cosine(*map(torch.from_numpy, (one, other))) > 0.9995
    verified = CliRunner().invoke(app, ["verify", str(tmp_path / "out"), "--device", "cpu"])
    assert verified.exit_code == 0, verified.output
    assert "verified: 2 files" in verified.output


def test_a_model_is_not_given_features_of_another_precision():
    config = load_config("tiny")
    recipe = Recipe.build(config, ("rgb",), Progress(quiet=True), CPU)
    half = Recipe.build(override(config, ["precision=bf16"]), ("rgb",), Progress(quiet=True), CPU)
    model = Checkpoint(
        name="vanilla",
        classes=("a",),
        config=to_values(config),
        features={"rgb": recipe.identities["rgb"]},
        in_dim=256,
        state={},
        key="",
        best={},
    )
    check_features(model, recipe)
    with pytest.raises(CheckpointError, match=r"extractor\.precision was float32, is bfloat16"):
        check_features(model, half)


def test_parts_hand_on_float32_whatever_they_return():
    half = torch.ones(2, dtype=torch.bfloat16)
    found = to_float32({"a": half, "b": (half, [half])})
    assert found["a"].dtype == found["b"][0].dtype == found["b"][1][0].dtype == torch.float32
