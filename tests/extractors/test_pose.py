"""Our batched crops and networks against mmpose's own, and what a user reads when mmpose is broken."""

import importlib
import importlib.util
import json
import re
import socket
import subprocess
import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from extractors import pose
from extractors.base import NetworkError
from extractors.crops import CropGeometry, crop, sample
from extractors.pose import PoseEstimator, PoseUnavailable, build_pose_network
from extractors.pose_config import TINY_POSE, PoseConfig
from extractors.weights import WeightsError, find_weights, load_weights
from pipeline.synthetic import DEMO_ACTIONS, Scene, SceneSpec

TINY = "augrgb-tiny-detector"
CPU = torch.device("cpu")
RTMPOSE, HRNET = "rtmpose-t_8xb256-420e_aic-coco-256x192", "td-hm_hrnet-w32_8xb64-210e_coco-256x192"


def mm(name: str) -> Any:
    """A module of mmpose's stack, for comparison."""
    pose.require_mmpose()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def filler() -> ModuleType:
    path = Path(__file__).parents[1] / "golden" / "filler.py"
    spec = importlib.util.spec_from_file_location("filler", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ours() -> None:
    if find_weights(TINY) is None or find_weights(TINY_POSE) is None:
        pytest.skip("our detector and pose weights are not trained yet")


@pytest.fixture(scope="module")
def estimator(ours: None) -> PoseEstimator:
    return PoseEstimator(PoseConfig(TINY, TINY, pose=TINY_POSE, pose_weights=TINY_POSE), CPU)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("something is fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return


# Geometry


@pytest.mark.parametrize("udp", [False, True])
def test_crops_are_where_mmpose_puts_them(udp: bool) -> None:
    bbox = mm("mmpose.structures.bbox")
    affine = mm("mmpose.datasets.transforms").TopdownAffine
    geometry = CropGeometry(192, 256, udp=udp)
    rng = np.random.default_rng(0)
    corner, size = rng.uniform(-20, 200, (50, 2)), rng.uniform(3, 300, (50, 2))
    boxes = np.concatenate([corner, corner + size], 1).astype(np.float32)
    center, scale = bbox.bbox_xyxy2cs(boxes, padding=1.25)
    scale = affine._fix_aspect_ratio(scale, aspect_ratio=192 / 256)
    regions = geometry.regions(boxes)
    np.testing.assert_allclose(regions.center_P2, center, rtol=1e-6)
    np.testing.assert_allclose(regions.extent_P2, scale, rtol=1e-6)
    warp = bbox.get_udp_warp_matrix if udp else bbox.get_warp_matrix
    expected = np.stack([warp(c, s, 0.0, (192, 256)) for c, s in zip(center, scale, strict=True)])
    np.testing.assert_allclose(geometry.matrices(regions), expected, rtol=1e-4, atol=2e-3)


def test_a_point_goes_into_the_crop_and_back() -> None:
    geometry = CropGeometry(96, 128)
    regions = geometry.regions(np.array([[10.0, 20, 50, 120], [60, 60, 160, 100]]))
    matrices = geometry.matrices(regions)
    points = np.random.default_rng(0).uniform(0, 150, (2, 17, 2))
    inside = np.einsum("pij,pkj->pki", matrices[:, :, :2], points) + matrices[:, None, :, 2]
    np.testing.assert_allclose(geometry.to_picture(inside, regions), points, rtol=1e-9)
    # the whole box with its padding is inside
    corners = np.einsum("ij,kj->ki", matrices[0, :, :2], np.array([[10, 20], [50, 120]])) + matrices[0, :, 2]
    assert (corners >= 0).all()
    assert (corners < [96, 128]).all()


def test_crops_made_on_a_gpu_are_those_made_on_a_cpu() -> None:
    """`sample` is what a GPU runs; OpenCV places samples on a grid of 1/32 px, hence a few grey levels."""
    scene = Scene(SceneSpec(seed=(1,), num_frames=20, persons=(2, 2)))
    frames = torch.from_numpy(np.stack([scene.frame(i) for i in (0, 10)]))
    geometry = CropGeometry(96, 128)
    boxes = np.concatenate([scene.boxes(0), scene.boxes(10), [[-30, -40, 60, 80]]])
    frame_P = np.array([0, 0, 1, 1, 1])
    matrices = geometry.matrices(geometry.regions(boxes))
    ours, reference = (f(frames, frame_P, matrices, geometry).int() for f in (sample, crop))
    assert reference[4, :20, :20].max() == 0  # outside the picture
    difference = (ours - reference).abs()
    assert difference.float().mean() < 0.5
    assert difference.max() <= 12
    order = [4, 0, 3, 1, 2]  # persons of a frame need not lie together
    assert torch.equal(sample(frames, frame_P[order], matrices[order], geometry).int(), ours[order])


# Networks


@pytest.mark.parametrize("name", [RTMPOSE, TINY_POSE, pytest.param(HRNET, marks=pytest.mark.slow)])
def test_joints_are_those_of_mmpose(name: str, shared: Path, filler: ModuleType) -> None:
    """Same weights, same boxes: its `inference_topdown` one picture at a time, ours in one batch."""
    network = build_pose_network(name)
    network.module.load_state_dict(filler.filled_state_dict(network.module.state_dict()))
    estimator = PoseEstimator.__new__(PoseEstimator)
    estimator.device, estimator._network = CPU, network
    pictures, boxes = people_of(shared)
    reference = mmpose_model(name, network.module.state_dict())
    inference = mm("mmpose.apis").inference_topdown
    assert [len(b) for b in boxes] == [1, 3, 5, 5]
    for picture, boxes_P5 in zip(pictures, boxes, strict=True):
        expected = [one.pred_instances for one in inference(reference, picture, boxes_P5[:, :4])]
        rgb = torch.from_numpy(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))[None]
        (ours,) = estimator.poses(rgb, [boxes_P5])
        joints = np.concatenate([one.keypoints for one in expected])
        scores = np.concatenate([one.keypoint_scores for one in expected])
        assert np.abs(ours.joints_PJ3[..., :2] - joints).max() < 0.5
        largest = max(1, np.abs(scores).max())  # HRNet's are huge under these weights
        assert np.abs(ours.joints_PJ3[..., 2] - scores).max() < 1e-3 * largest
        assert joints.std(axis=1).min() > 1  # weights under which every joint is somewhere else


def people_of(shared: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Real pictures (BGR, as mmpose wants them) and the boxes (P, 5) of the people in them."""
    folder = shared / "data" / "images"
    coco = json.loads((folder / "test_coco.json").read_text())
    pictures, boxes = [], []
    for image in coco["images"]:
        rows = [a["bbox"] for a in coco["annotations"] if a["image_id"] == image["id"]]
        pictures.append(cv2.imread(str(folder / image["file_name"])))
        boxes.append(np.array([[x, y, x + w, y + h, 1] for x, y, w, h in rows], np.float32))
    return pictures, boxes


def mmpose_model(name: str, state: dict[str, torch.Tensor]) -> Any:
    """The same network, built by mmpose's own `init_model`, without the flip test."""
    config = pose._tiny_config() if name == TINY_POSE else pose._config(name)
    config.model.backbone.pop("_scope_", None)
    config.model.backbone.pop("init_cfg", None)
    config.model.test_cfg.flip_test = False
    config.test_dataloader = config.val_dataloader
    init_model = mm("mmpose.apis").init_model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for its own configs in the current folder first
        model = init_model(config, device="cpu")
    model.load_state_dict(state, strict=False)
    return model


def test_networks_are_built_without_fetching_anything(no_network: None) -> None:
    network = build_pose_network(RTMPOSE)
    assert (network.geometry.width, network.geometry.height, network.geometry.padding) == (192, 256, 1.25)
    assert not network.bgr
    assert network.kept is None
    assert not any(isinstance(m, torch.nn.SyncBatchNorm) for m in network.module.modules())


def test_geometry_follows_the_config() -> None:
    assert build_pose_network("td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192").geometry.udp
    tiny = build_pose_network(TINY_POSE)
    assert (tiny.geometry.width, tiny.geometry.height) == (96, 128)
    assert sum(v.numel() for v in tiny.module.state_dict().values()) * 2 <= 2.5e6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rtmpose-t_8xb256-420e_coco-256x129", r"no config .*near it: .*rtmpose-t_8xb256-420e_coco-256x192"),
        ("td-hm_ViTPose-small_8xb64-210e_coco-256x192", "cannot be built from mmpose alone"),
        ("dekr_hrnet-w32_8xb10-140e_coco-512x512", "a top-down network is needed"),
    ],
)
def test_names_that_cannot_be_used_are_explained(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_pose_network(name)


@pytest.mark.slow
def test_configs_of_mmpose_are_built_or_refused_in_words() -> None:
    """Every tenth by name, of all kinds: heads that regress, heatmaps, SimCC; backbones old and new."""
    mm("mmpose.models")
    root = Path(mm("mmpose").__path__[0]) / ".mim" / "configs"
    names = sorted(path.stem for path in root.glob(f"{pose._CONFIGS}/*.py"))
    built = refused = 0
    for name in [*names[::10], "cspnext-tiny_udp_8xb256-210e_aic-coco-256x192"]:
        try:
            network = build_pose_network(name)
            built += 1
            assert network.geometry.width <= network.geometry.height, name
        except NetworkError as error:
            found = str(error)
            refused += bool(re.search(f"{name}.*(top-down|from mmpose alone|COCO's 17)", found))
    assert built >= 10
    assert built + refused == len(names[::10]) + 1


# The shipped weights


@pytest.mark.parametrize("domain", ["train", "test"])
def test_ours_finds_the_joints_of_people_it_has_never_seen(estimator: PoseEstimator, domain: str) -> None:
    """PCK@0.2 of the torso on visible joints, in true boxes; actions of the demo."""
    right: list[np.ndarray] = []
    for seed in range(20):
        scene = Scene(SceneSpec(seed=(seed, 6), actions=DEMO_ACTIONS, domain=domain, num_frames=50, fps=12.5))
        joints = scene.joints(40)
        seen = joints[..., 2].sum(1) >= 10
        boxes = np.column_stack([scene.boxes(40)[seen], np.ones(seen.sum())]).astype(np.float32)
        (found,) = estimator.poses(torch.from_numpy(scene.frame(40))[None], [boxes])
        error = np.linalg.norm(found.joints_PJ3[..., :2] - joints[seen][..., :2], axis=-1)
        torso = np.linalg.norm(joints[seen][:, 5, :2] - joints[seen][:, 12, :2], axis=-1)
        right.append((error < 0.2 * torso[:, None])[joints[seen][..., 2] > 0])
    assert np.concatenate(right).mean() > 0.85


def test_frames_with_and_without_people_in_one_batch(estimator: PoseEstimator) -> None:
    scene = Scene(SceneSpec(seed=(3,), num_frames=20, persons=(2, 2)))
    blank = np.zeros((144, 192, 3), np.uint8)
    frames = torch.from_numpy(np.stack([blank, scene.frame(0), blank, scene.frame(19)]))
    found = estimator.frames(frames)
    assert [len(one.boxes_P5) for one in found] == [0, 2, 0, 2]
    for one in found:
        assert one.boxes_P5.shape == (len(one.boxes_P5), 5)
        assert one.joints_PJ3.shape == (len(one.boxes_P5), 17, 3)
        assert one.boxes_P5.dtype == one.joints_PJ3.dtype == np.float32
    (alone,) = estimator.frames(frames[3:])
    np.testing.assert_allclose(alone.joints_PJ3, found[3].joints_PJ3, atol=0.02)


def test_nobody_at_all_is_no_error(estimator: PoseEstimator) -> None:
    found = estimator.frames(torch.zeros((3, 90, 120, 3), dtype=torch.uint8))
    assert [one.joints_PJ3.shape for one in found] == [(0, 17, 3)] * 3


def test_identity_holds_every_setting(estimator: PoseEstimator) -> None:
    identity = estimator.identity()
    assert json.loads(json.dumps(identity)) == identity
    assert identity["crop"] == {"width": 96, "height": 128, "padding": 1.25, "udp": False}
    assert identity["detector"]["threshold"] == 0.5
    assert identity["pose_weights"] == load_weights(TINY_POSE).sha256


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="detect_every"):
        PoseConfig(detect_every=0)


# Checkpoints and installations


def checkpoint(path: Path, state: dict[str, torch.Tensor]) -> Path:
    """A file as mmengine writes it: weights, and arrays and logs beside them."""
    history = mm("mmengine.logging.history_buffer").HistoryBuffer([0.5, 0.4], [1, 1])
    meta = {"dataset_meta": {"sigmas": np.ones(17, np.float32), "colors": np.ones((17, 3), np.uint8)}}
    meta["cfg"] = "text"
    log = {"log_scalars": OrderedDict(loss=history), "runtime_info": OrderedDict(lr=np.float64(0.1))}
    torch.save({"meta": meta, "state_dict": OrderedDict(state), "message_hub": log}, path)
    return path


def test_checkpoints_of_mmengine_are_read_without_running_anything(ours: None, tmp_path: Path) -> None:
    state = build_pose_network(TINY_POSE).module.state_dict()
    path = checkpoint(tmp_path / "epoch_210.pth", state)
    loaded = load_weights(str(path))
    assert loaded.state.keys() == state.keys()
    config = PoseConfig(TINY, TINY, pose=TINY_POSE, pose_weights=str(path))
    found = PoseEstimator(config, CPU)._network.module.state_dict()
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_weights_of_another_size_are_refused(ours: None) -> None:
    with pytest.raises(WeightsError, match=r"tiny_pose.safetensors does not fit TopdownPoseEstimator"):
        PoseEstimator(PoseConfig(TINY, TINY, pose=RTMPOSE, pose_weights=TINY_POSE), CPU)


@pytest.mark.parametrize("broken", ["mmpose", "mmpose.models", "mmcv"])
def test_a_broken_installation_names_the_remedy(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    monkeypatch.setitem(sys.modules, broken, None)
    for name in [name for name in sys.modules if name.startswith(f"{broken}.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(PoseUnavailable, match=r"mmpose.*cannot be imported.*requirements/augrgb.lock.*leave"):
        PoseEstimator(PoseConfig(TINY, TINY, pose=TINY_POSE, pose_weights=TINY_POSE), CPU)


def test_what_stands_in_for_compiled_operators_fails_when_used() -> None:
    operators = pose._Operators("mmcv.ops")
    with pytest.raises(PoseUnavailable, match=r"mmcv\.ops\.DeformConv2d; install mmcv"):
        operators.DeformConv2d(3, 3)
    assert not hasattr(operators, "__wrapped__")


def test_nothing_of_mmpose_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, extractors, extractors.pose, extractors.tracking, extractors.detector\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    imported = set(done.stdout.split())
    assert {"torch", "torchvision", "extractors"} <= imported
    assert imported.isdisjoint({"mmpose", "mmcv", "mmengine", "mmdet", "norfair"})
