"""Joints of persons: mmpose's top-down networks on batches of crops from many frames.

The only file that imports mmpose and what belongs to it, and it does so when an estimator is built.
Shapes: N frames, P persons of a frame or of all, H W pixels of a frame, h w of a crop, J = 17 COCO joints.
"""

import sys
import types
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from extractors.base import NetworkError
from extractors.crops import CropGeometry, crop
from extractors.identities import of_joints
from extractors.pose_config import TINY_POSE, PoseConfig
from extractors.precision import Precision, computing_in, exact, to_float32
from extractors.weights import fit_state, load_weights

JOINTS = 17
_CONFIGS = "body_2d_keypoint/*/coco*"  # below mmpose's own configs: the layout of the joints is COCO's
_CROPS = 64  # at once


class PoseUnavailable(ValueError):
    """mmpose is missing or broken; the message says how to install a set that works."""


@dataclass(frozen=True)
class Persons:
    """Everyone found in one frame, surest box first."""

    boxes_P5: np.ndarray  # float32: x1, y1, x2, y2 in px of the frame, score
    joints_PJ3: np.ndarray  # float32: x, y in px of the frame, score


@dataclass(frozen=True)
class PoseNetwork:
    """A network of mmpose and what it wants to see."""

    module: nn.Module
    geometry: CropGeometry
    mean: tuple[float, ...]  # of its channels, 0..255
    std: tuple[float, ...]
    bgr: bool  # whether it was trained on blue first
    kept: tuple[int, ...] | None  # joints to keep, of a network that finds those of several data sets
    precision: Precision | None = None  # of its features; where joints are is said in float32

    def __call__(self, rgb_PhwC: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """uint8 crops to joints (P, J, 2) in px of the crop and their scores (P, J)."""
        device = rgb_PhwC.device
        x_PhwC = rgb_PhwC.flip(-1) if self.bgr else rgb_PhwC
        x_PhwC = (x_PhwC - _constant(self.mean, device)) / _constant(self.std, device)
        module: Any = self.module
        with computing_in(self.precision, device):
            features = to_float32(module.extract_feat(x_PhwC.permute(0, 3, 1, 2)))
        with exact():
            found = module.head.predict(features, [], test_cfg={})
        joints_PJ2 = np.concatenate([one.keypoints for one in found])
        score_PJ = np.concatenate([one.keypoint_scores for one in found])
        kept = slice(None) if self.kept is None else list(self.kept)
        return joints_PJ2[:, kept], score_PJ[:, kept]


@cache
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Copied there once."""
    return torch.tensor(values, device=device)


class PoseEstimator:
    """Frames to persons with joints: detector, crops, pose network, all in batches. No flip test."""

    name = "joints"

    def __init__(self, config: PoseConfig, device: torch.device) -> None:
        """Finds, verifies and loads all weights.

        PoseUnavailable where mmpose does not work; NetworkError for names that cannot be used, WeightsError
        for weights that do not fit.
        """
        from extractors.detector import PersonDetector  # torchvision's take seconds to import

        self.config, self.device = config, device
        self._network = replace(build_pose_network(config.pose), precision=config.precision)
        loaded = load_weights(config.pose_weights)
        fit_state(self._network.module, loaded.state, str(loaded.path))
        self.weights_sha256 = loaded.sha256
        self._network.module.eval().requires_grad_(False).to(device)
        self.detector = PersonDetector(
            config.detector,
            config.detector_weights,
            threshold=config.detector_threshold,
            max_persons=config.max_persons,
            device=device,
            precision=config.precision,
        )

    def frames(self, rgb_NHWC: Tensor) -> list[Persons]:
        """Everyone in each of the uint8 frames (N, H, W, 3)."""
        rgb_NHWC = rgb_NHWC.to(self.device)  # once, for both
        return self.poses(rgb_NHWC, self.find(rgb_NHWC))

    def find(self, rgb_NHWC: Tensor) -> list[np.ndarray]:
        """Boxes of the persons in each frame: (P, 5) float32."""
        return [boxes_P5.cpu().numpy() for boxes_P5 in self.detector(rgb_NHWC.to(self.device))]

    @torch.inference_mode()
    def poses(self, rgb_NHWC: Tensor, boxes_NP5: Sequence[np.ndarray]) -> list[Persons]:
        """The joints in given boxes (P, 5) of each frame."""
        rgb_NHWC = rgb_NHWC.to(self.device)
        counts = [len(boxes_P5) for boxes_P5 in boxes_NP5]
        frame_P = np.repeat(np.arange(len(counts)), counts)
        joints_PJ3 = np.zeros((len(frame_P), JOINTS, 3), np.float32)
        boxes_P4 = np.concatenate([*boxes_NP5, np.zeros((0, 5), np.float32)])[:, :4]
        regions = self._network.geometry.regions(boxes_P4)
        matrices_P23 = self._network.geometry.matrices(regions)
        for start in range(0, len(frame_P), _CROPS):
            part = slice(start, start + _CROPS)
            crops_PhwC = crop(rgb_NHWC, frame_P[part], matrices_P23[part], self._network.geometry)
            joints_PJ3[part, :, :2], joints_PJ3[part, :, 2] = self._network(crops_PhwC)
        joints_PJ3[..., :2] = self._network.geometry.to_picture(joints_PJ3[..., :2], regions)
        rows_NPJ3 = np.split(joints_PJ3, np.cumsum(counts)[:-1])
        return [Persons(*found) for found in zip(boxes_NP5, rows_NPJ3, strict=True)]

    def identity(self) -> dict[str, Any]:
        """See `identities`."""
        config = self.config
        loaded = {
            config.detector_weights: self.detector.weights_sha256,
            config.pose_weights: self.weights_sha256,
        }
        return of_joints(config, asdict(self._network.geometry), loaded.__getitem__)


def require_mmpose() -> None:
    """Import mmpose's networks; PoseUnavailable where that does not work.

    mmpose imports compiled operators of mmcv for networks that are not used here: with mmcv-lite, which
    has none, a module stands in for them.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations in mmengine and in what it imports
            if find_spec("mmcv._ext") is None:
                sys.modules.setdefault("mmcv.ops", _Operators("mmcv.ops"))
            import mmpose.codecs
            import mmpose.models  # noqa: F401
        # its networks call an older name of autocast whenever they run
        warnings.filterwarnings("ignore", category=FutureWarning, module="mmpose")
    except Exception as error:  # a broken binary raises anything
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> PoseUnavailable:
    return PoseUnavailable(
        f"skeletons need mmpose, and it cannot be imported ({type(error).__name__}: {error}). Install "
        "the set that is known to work, from a checkout of augrgb: uv pip install --no-deps "
        "--require-hashes -r requirements/augrgb.lock; or leave skeletons out (--teachers flow)"
    )


class _Operators(types.ModuleType):
    """In place of mmcv.ops: whatever is imported from it fails when it is used, not before."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_args: object, **_kwargs: object) -> None:
            raise PoseUnavailable(f"this network needs mmcv.ops.{name}; install mmcv instead of mmcv-lite")

        return type(name, (), {"__init__": missing})


def build_pose_network(name: str) -> PoseNetwork:
    """The network of a config, with the weights it was initialised with; nothing is fetched.

    PoseUnavailable where mmpose does not work; NetworkError for an unknown name, and for a network that
    does not find COCO's 17 joints top-down.
    """
    require_mmpose()
    from mmengine.model import revert_sync_batchnorm
    from mmpose.registry import MODELS

    config = _settings(name)
    model = config.model
    if model.type != "TopdownPoseEstimator":
        raise _not_top_down(name, model)
    preprocessing = model.data_preprocessor
    _make_buildable(model)
    try:
        module = MODELS.build(model)
    except (KeyError, ImportError) as error:  # its backbone is in another package
        raise NetworkError(f"{name} cannot be built from mmpose alone: {error}") from error
    kept = model.get("test_cfg", {}).get("output_keypoint_indices")
    network = PoseNetwork(
        module=revert_sync_batchnorm(module).eval().to(memory_format=torch.channels_last),
        geometry=_geometry(config),
        mean=tuple(preprocessing.mean),
        std=tuple(preprocessing.std),
        bgr=not preprocessing.get("bgr_to_rgb", False),
        kept=tuple(kept) if kept else None,
    )
    found = len(network.kept) if network.kept else _joints_of(network)
    if found != JOINTS:
        raise NetworkError(f"{name} finds {found} joints; one for COCO's {JOINTS} is needed")
    return network


def geometry_of(name: str) -> CropGeometry:
    """How the network of a config wants its persons; it is not built, and mmpose not imported.

    PoseUnavailable where mmpose is not installed, NetworkError for an unknown name.
    """
    config = _settings(name)
    if config.model.type != "TopdownPoseEstimator":
        raise _not_top_down(name, config.model)
    return _geometry(config)


def _not_top_down(name: str, model: Any) -> NetworkError:
    return NetworkError(f"{name} is a {model.type} of mmpose; a top-down network is needed")


@torch.inference_mode()
def _joints_of(network: PoseNetwork) -> int:
    """How many joints its head knows, from maps it gives: where each is cannot always be said untrained."""
    module: Any = network.module
    blank = torch.zeros((1, 3, network.geometry.height, network.geometry.width))
    maps = module.head(module.extract_feat(blank))
    while not isinstance(maps, Tensor):  # one for each axis, stage, or kind of output
        maps = maps[0]
    return int(maps.shape[1])


def _package(name: str) -> Path:
    """Where it is installed; it is not imported."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {name!r}")
    return Path(spec.submodule_search_locations[0])


def _settings(name: str) -> Any:
    return _tiny_config() if name == TINY_POSE else _config(name)


def _config(name: str) -> Any:
    """One of mmpose's own configs, by the name of its file."""
    try:
        from mmengine import Config

        root = _package("mmpose") / ".mim" / "configs"
    except Exception as error:  # a broken installation raises anything
        raise _unavailable(error) from error
    paths = {path.stem: path for path in root.glob(f"{_CONFIGS}/*.py")}
    if name not in paths:
        near = get_close_matches(name, paths, n=3, cutoff=0.3)
        raise NetworkError(
            f"no config {name!r} among mmpose's {len(paths)} for COCO; near it: {', '.join(near) or 'none'}"
        )
    return Config.fromfile(paths[name])


def _tiny_config() -> Any:
    """RTMPose-t for crops of 96x128 px: a quarter of the full width, three of four stages, a smaller head.

    The last stage would leave 3x4 places of a crop: too few to say where a joint is. Stride 16 leaves 6x8,
    as RTMPose-t has of its larger crops.
    """
    config = _config("rtmpose-t_8xb256-420e_coco-256x192")
    size, backbone, head = (96, 128), config.model.backbone, config.model.head
    backbone.widen_factor = 0.25
    # of each stage: channels in, channels out, blocks, shortcut, spatial pyramid pooling
    backbone.arch_ovewrite = [
        [64, 128, 3, True, False],
        [128, 256, 6, True, False],
        [256, 512, 6, True, False],
    ]
    backbone.out_indices = (3,)
    head.update(in_channels=128, input_size=size, in_featuremap_size=(6, 8), final_layer_kernel_size=5)
    head.gau_cfg.update(hidden_dims=128, s=64)
    head.decoder.update(input_size=size, sigma=(3.46, 4.0))
    config.val_dataloader.dataset.pipeline = [
        {**step, "input_size": size} if step["type"] == "TopdownAffine" else step
        for step in config.val_dataloader.dataset.pipeline
    ]
    return config


def _make_buildable(model: Any) -> None:
    """Nothing fetched, nothing of mmdet: RTMPose's backbone is in mmpose too."""
    for part in (model, model.backbone, model.get("neck"), model.head):
        if part:
            part.pop("_scope_", None)
            part.pop("init_cfg", None)
    model.data_preprocessor = None  # done here, for all crops at once


def _geometry(config: Any) -> CropGeometry:
    """Crop size and padding from the config's validation pipeline."""
    steps = {step["type"].split(".")[-1]: step for step in config.val_dataloader.dataset.pipeline}
    width, height = steps["TopdownAffine"]["input_size"]
    return CropGeometry(
        width=width,
        height=height,
        padding=steps["GetBBoxCenterScale"].get("padding", 1.25),
        udp=steps["TopdownAffine"].get("use_udp", False),
    )
