"""How a job makes features: its networks, ready to work, and what of decoding changes the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from extractors import build_extractor
from extractors.base import Extractor
from extractors.weights import fetch_weights
from pipeline.cache import FeatureFile, JointFile
from pipeline.config import RunConfig
from pipeline.inputs import UsageError
from pipeline.precision import with_precision
from pipeline.progress import Progress

if TYPE_CHECKING:  # who wants RGB alone needs nothing of flow and skeletons
    from extractors.pose import PoseEstimator
    from extractors.skeleton import SkeletonFeatures

RGB, FLOW, SKELETON = MODALITIES = ("rgb", "flow", "skeleton")
_SETTINGS = {RGB: ("rgb",), FLOW: ("flow",), SKELETON: ("pose", "skeleton")}  # of RunConfig


@dataclass(frozen=True)
class Skeletons:
    """Frames to joints, and joints to features."""

    pose: "PoseEstimator"
    features: "SkeletonFeatures"


@dataclass(frozen=True)
class Recipe:
    """Networks by modality ("rgb", ...), all fed by one decode."""

    modalities: tuple[str, ...]
    extractors: Mapping[str, Extractor]  # those that work on frames
    skeletons: Skeletons | None
    decode: dict[str, Any]  # policy, library versions and rate

    @classmethod
    def build(
        cls, config: RunConfig, modalities: Sequence[str], progress: Progress, device: torch.device
    ) -> "Recipe":
        """Find, fetch and load all weights; one ValueError, before any work, names all that are missing."""
        if SKELETON in modalities:
            from extractors.pose import require_mmpose

            require_mmpose()  # before anything is fetched
        config = with_precision(config)
        fetch_weights(needed_weights(config, modalities), progress.fetching)
        extractors = {
            name: build_extractor(name, getattr(config, name), device)
            for name in modalities
            if name != SKELETON
        }
        skeletons = _skeletons(config, device) if SKELETON in modalities else None
        decode = {**config.decode.identity(), "fps": config.fps}
        # Whether a part of a video will do changes nothing for whole ones. `extract` looks at the others.
        del decode["partial"]
        return cls(tuple(modalities), extractors, skeletons, decode)

    @cached_property
    def identities(self) -> dict[str, dict[str, Any]]:
        """By modality, everything but the video that changes its numbers: what a checkpoint expects."""
        extractors = {name: extractor.identity() for name, extractor in self.extractors.items()}
        if self.skeletons:
            extractors[SKELETON] = {**self.skeletons.features.identity(), "joints": self.pose_identity}
        return {name: {"extractor": extractors[name], "decode": self.decode} for name in self.modalities}

    @cached_property
    def pose_identity(self) -> dict[str, Any]:
        """Everything but the video and its decoding that changes the joints."""
        assert self.skeletons is not None, "asked for by skeletons alone"
        return self.skeletons.pose.identity()

    def locate(self, out: Path, video: str, video_sha256: str) -> dict[str, FeatureFile]:
        """Where the features of a video are kept below `out`, by modality, made or not."""
        return {
            name: FeatureFile.locate(out, video, video_sha256, **identity)
            for name, identity in self.identities.items()
        }

    def locate_joints(self, out: Path, video: str, video_sha256: str) -> JointFile | None:
        """The same for the joints that skeletons are made of."""
        if self.skeletons is None:
            return None
        return JointFile.locate(out, video, video_sha256, self.pose_identity, self.decode)


def check_modalities(names: Sequence[str]) -> None:
    """UsageError for a modality that there is not."""
    if unknown := [name for name in names if name not in MODALITIES]:
        raise UsageError(f"no features {', '.join(unknown)!r}; there is: {', '.join(MODALITIES)}")


def needed_weights(config: RunConfig, modalities: Sequence[str]) -> list[str]:
    """Names of all weights that these modalities load; UsageError for one that there is not."""
    check_modalities(modalities)
    parts = [getattr(config, part) for name in modalities for part in _SETTINGS[name]]
    return [weights for part in parts for weights in part.needed_weights]


def _skeletons(config: RunConfig, device: torch.device) -> Skeletons:
    from extractors.pose import PoseEstimator
    from extractors.skeleton import SkeletonFeatures

    return Skeletons(PoseEstimator(config.pose, device), SkeletonFeatures(config.skeleton, device))
