"""Weights of the right shapes and random values: what a network costs does not depend on them.

Only the number of persons found does. So the detector is made to see them everywhere: as many in each
frame as `pose.max_persons` allows, the most that a video can ask for.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.fcos import FCOSClassificationHead

from extractors.detector import DETECTORS
from extractors.i3d import I3D, I3DConfig
from pipeline.config import RunConfig
from pipeline.recipe import FLOW, RGB, SKELETON

_PERSON = 1  # of COCO's classes
_SURE = 10.0  # of what the detector's classifier adds for a person


def stand_in_weights(config: RunConfig, features: Sequence[str], folder: Path) -> RunConfig:
    """The same settings with such weights, in files below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if RGB in features:
            config = replace(config, rgb=_rgb(config.rgb, folder))
        if FLOW in features:
            config = _with_flow(config, folder)
        if SKELETON in features:
            config = _with_skeletons(config, folder)
    return config


def _rgb(config: I3DConfig, folder: Path) -> I3DConfig:
    weights = _saved(I3D(3, None, config.width), folder / "rgb")
    detector = _saved(_sure_detector(config.person.detector), folder / "rgb-detector")
    person = replace(config.person, detector_weights=detector, threshold=0.0)
    return replace(config, weights=weights, person=person)


def _with_flow(config: RunConfig, folder: Path) -> RunConfig:
    from extractors.raft import build_raft

    flow = config.flow
    raft = replace(flow.raft, weights=_saved(build_raft(flow.raft.variant), folder / "raft"))
    i3d = replace(flow.i3d, weights=_saved(I3D(2, None, flow.i3d.width), folder / "flow"))
    return replace(config, flow=replace(flow, raft=raft, i3d=i3d))


def _with_skeletons(config: RunConfig, folder: Path) -> RunConfig:
    from extractors.pose import build_pose_network
    from extractors.skeleton import build_graph

    pose = replace(
        config.pose,
        detector_weights=_saved(_sure_detector(config.pose.detector), folder / "detector"),
        detector_threshold=0.0,
        pose_weights=_saved(build_pose_network(config.pose.pose).module, folder / "pose"),
    )
    skeleton = replace(config.skeleton, weights=_saved(build_graph(config.skeleton), folder / "graph"))
    return replace(config, pose=pose, skeleton=skeleton)


def _sure_detector(name: str) -> nn.Module:
    """Finds a person wherever it looks, if its classifier is of a kind that is known here."""
    detector = DETECTORS[name].build()
    part: Any
    for part in detector.modules():
        if isinstance(part, FastRCNNPredictor):
            part.cls_score.bias.data[_PERSON] = _SURE
        elif isinstance(part, FCOSClassificationHead):
            nn.init.zeros_(part.cls_logits.bias)
    return detector


def _saved(network: nn.Module, stem: Path) -> str:
    path = stem.with_suffix(".safetensors")
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    return str(path)
