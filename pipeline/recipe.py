"""How a job makes features: its networks, and what of them and of decoding changes the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from extractors import build_extractor
from extractors.base import Extractor
from extractors.identities import identify
from extractors.weights import WeightsError, fetch_weights, weights_sha256
from pipeline.cache import FeatureFile, JointFile
from pipeline.config import RunConfig
from pipeline.inputs import UsageError
from pipeline.memory import keep_freed
from pipeline.precision import with_precision
from pipeline.progress import Progress

if TYPE_CHECKING:  # who wants RGB alone needs nothing of flow and skeletons
    from extractors.pose import PoseEstimator
    from extractors.skeleton import SkeletonFeatures

RGB, FLOW, SKELETON = MODALITIES = ("rgb", "flow", "skeleton")
_SETTINGS = {RGB: ("rgb",), FLOW: ("flow",), SKELETON: ("pose", "skeleton")}  # of RunConfig


@dataclass(frozen=True)
class Skeletons:
    """Frames to joints, and joints to features; each network is loaded when it is first asked for."""

    config: RunConfig
    device: torch.device

    @cached_property
    def pose(self) -> "PoseEstimator":
        """Frames to joints."""
        from extractors.pose import PoseEstimator

        return PoseEstimator(self.config.pose, self.device)

    @cached_property
    def features(self) -> "SkeletonFeatures":
        """Joints to features."""
        from extractors.skeleton import SkeletonFeatures

        return SkeletonFeatures(self.config.skeleton, self.device)


@dataclass(frozen=True)
class Recipe:
    """How features are made: known from settings and weights. Networks are loaded when they are asked for."""

    config: RunConfig  # the precision of every network is said
    modalities: tuple[str, ...]
    device: torch.device
    identities: dict[str, dict[str, Any]]  # by modality, all but the video: what a checkpoint expects
    decode: dict[str, Any]  # policy, library versions and rate

    @classmethod
    def build(
        cls, config: RunConfig, modalities: Sequence[str], progress: Progress, device: torch.device
    ) -> "Recipe":
        """Find and fetch all weights; one ValueError, before any work, names all that are missing."""
        config = with_precision(config)
        needed = needed_weights(config, modalities)
        if SKELETON in modalities:
            from extractors.pose import geometry_of

            geometry_of(config.pose.pose)  # fails without mmpose, and before anything is fetched
        fetch_weights(needed, progress.fetching)
        decode = {**config.decode.identity(), "fps": config.fps}
        # Whether a part of a video will do changes nothing for whole ones. `extract` looks at the others.
        del decode["partial"]
        extractors = {name: identify(getattr(config, name), weights_sha256) for name in modalities}
        if SKELETON in modalities:
            extractors[SKELETON]["joints"] = identify(config.pose, weights_sha256)
        identities = {name: {"extractor": extractors[name], "decode": decode} for name in modalities}
        return cls(config, tuple(modalities), device, identities, decode)

    @cached_property
    def extractors(self) -> Mapping[str, Extractor]:
        """Networks by modality ("rgb", ...), those that work on frames, all fed by one decode."""
        return {
            name: build_extractor(name, getattr(self.config, name), self.device)
            for name in self.modalities
            if name != SKELETON
        }

    @cached_property
    def skeletons(self) -> Skeletons | None:
        """Of a recipe that has them."""
        return Skeletons(self.config, self.device) if SKELETON in self.modalities else None

    def load(self, *, joints: bool = True) -> None:
        """All networks now; `joints`: also those that find persons and their joints in frames.

        WeightsError, NetworkError or PoseUnavailable where one cannot work; WeightsError where a file is no
        longer the one that the identities name.
        """
        if self.device.type == "cpu":
            keep_freed()
        loaded = {name: extractor.identity() for name, extractor in self.extractors.items()}
        if self.skeletons:
            loaded[SKELETON] = {**self.skeletons.features.identity(), "joints": self.pose_identity}
            if joints:
                loaded[SKELETON]["joints"] = self.skeletons.pose.identity()
        if changed := [name for name in loaded if loaded[name] != self.identities[name]["extractor"]]:
            raise WeightsError(f"the weights of {', '.join(changed)} changed while they were read; run again")

    @property
    def pose_identity(self) -> dict[str, Any]:
        """Everything but the video and its decoding that changes the joints."""
        identity: dict[str, Any] = self.identities[SKELETON]["extractor"]["joints"]
        return identity

    def locate(self, out: Path, video: str, video_sha256: str) -> dict[str, FeatureFile]:
        """Where the features of a video are kept below `out`, by modality, made or not."""
        return {
            name: FeatureFile.locate(out, video, video_sha256, **identity)
            for name, identity in self.identities.items()
        }

    def locate_joints(self, out: Path, video: str, video_sha256: str) -> JointFile | None:
        """The same for the joints that skeletons are made of."""
        if SKELETON not in self.modalities:
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
