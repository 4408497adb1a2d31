"""Everything that changes the numbers of an extractor, as JSON: part of the key of whatever it makes.

Known from settings and weight files alone: what is in a cache already is found without a network. Weights
count by content, not by name: `sha256_of` says it of a file as it is (`weights.weights_sha256`), or of what
a network has loaded.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from extractors.detector_names import SHORT_SIDES, check_detector
from extractors.flow_config import FlowConfig, RAFTConfig
from extractors.i3d import I3DConfig
from extractors.person_crops_config import PersonCropConfig
from extractors.pose_config import PoseConfig
from extractors.precision import Precision, named, only_reduced
from extractors.preprocess import INTERPOLATION
from extractors.skeleton_config import SkeletonConfig

Identity = dict[str, Any]
Sha256Of = Callable[[str], str]  # of weights by the name they have in the settings


def identify(config: object, sha256_of: Sha256Of) -> Identity:
    """Of the extractor with these settings. NetworkError for settings that name a network there is not."""
    if isinstance(config, I3DConfig):
        return of_rgb(config, sha256_of)
    if isinstance(config, FlowConfig):
        return of_flow(config, sha256_of)
    if isinstance(config, SkeletonConfig):
        return of_skeleton(config, sha256_of)
    assert isinstance(config, PoseConfig), config
    from extractors.pose import geometry_of  # here, not above: mmpose's settings are read

    return of_joints(config, asdict(geometry_of(config.pose)), sha256_of)


def of_rgb(config: I3DConfig, sha256_of: Sha256Of) -> Identity:
    """Of `I3DRGB`."""
    network = {**config.identity(), "weights": sha256_of(config.weights)}
    if config.geometry == "person":
        network["person"] = of_person_crops(config.person, config.precision, sha256_of)
    return {"name": "rgb", "version": 1, "network": "i3d", "interpolation": INTERPOLATION, **network}


def of_flow(config: FlowConfig, sha256_of: Sha256Of) -> Identity:
    """Of `I3DFlow`."""
    networks = {
        **asdict(config),
        "raft": of_raft(config.raft, sha256_of),
        "i3d": {**config.i3d.identity(), "weights": sha256_of(config.i3d.weights)},
    }
    return {"name": "flow", "version": 1, "network": "i3d", "interpolation": INTERPOLATION, **networks}


def of_raft(config: RAFTConfig, sha256_of: Sha256Of) -> Identity:
    """Of `FlowNetwork`."""
    return {
        "variant": config.variant,
        "weights": sha256_of(config.weights),
        "updates": config.updates,
        "arithmetic": config.arithmetic,
        "precision": named(config.precision),
    }


def of_skeleton(config: SkeletonConfig, sha256_of: Sha256Of) -> Identity:
    """Of `SkeletonFeatures`, apart from the joints it is given."""
    return {"name": "skeleton", "version": 1, **config.identity(), "weights": sha256_of(config.weights)}


def of_joints(config: PoseConfig, crop: dict[str, Any], sha256_of: Sha256Of) -> Identity:
    """Of `PoseEstimator`; `crop` is how its network wants its persons."""
    from importlib.metadata import version

    return {
        "name": "joints",
        "version": 1,
        "detector": of_detector(
            config.detector,
            sha256_of(config.detector_weights),
            config.detector_threshold,
            config.max_persons,
            config.precision,
        ),
        "detect_every": config.detect_every,
        "pose": config.pose,
        "pose_weights": sha256_of(config.pose_weights),
        "crop": crop,
        "max_gap": config.max_gap,
        "mmpose": version("mmpose"),
        **only_reduced(config.precision),
    }


def of_person_crops(config: PersonCropConfig, precision: Precision | None, sha256_of: Sha256Of) -> Identity:
    """Of `PersonCrops`, by the names of the settings where they have one."""
    weights = sha256_of(config.detector_weights)
    found_by = of_detector(config.detector, weights, config.threshold, 1, precision)
    return {**asdict(config), "detector_weights": weights, "found_by": found_by}


def of_detector(
    name: str, sha256: str, threshold: float, max_persons: int, precision: Precision | None
) -> Identity:
    """Of `PersonDetector`."""
    check_detector(name)
    short_side = SHORT_SIDES[name]
    resize = {"short_side": short_side, "interpolation": INTERPOLATION} if short_side else {}
    return {
        "name": name,
        "version": 1,
        "weights": sha256,
        "threshold": threshold,
        "max_persons": max_persons,
        **resize,
        **only_reduced(precision),
    }
