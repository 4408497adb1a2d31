"""How a job makes features: its extractors, ready to work, and what of decoding changes the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from extractors import build_extractor, weights_of
from extractors.base import Extractor
from extractors.weights import fetch_weights
from pipeline.cache import FeatureFile
from pipeline.config import RunConfig
from pipeline.progress import Progress


@dataclass(frozen=True)
class Recipe:
    """Extractors by modality ("rgb", ...), all fed by one decode."""

    extractors: Mapping[str, Extractor]
    decode: dict[str, Any]  # policy, library versions and rate

    @classmethod
    def build(
        cls, config: RunConfig, modalities: Sequence[str], progress: Progress, device: torch.device
    ) -> "Recipe":
        """Find, fetch and load all weights; one ValueError, before any work, names all that are missing."""
        names = [weights for name in modalities for weights in weights_of(getattr(config, name))]
        fetch_weights(names, progress.fetching)
        extractors = {name: build_extractor(name, getattr(config, name), device) for name in modalities}
        decode = {**config.decode.identity(), "fps": config.fps}
        # Whether a part of a video will do changes nothing for whole ones. `extract` looks at the others.
        del decode["partial"]
        return cls(extractors, decode)

    @cached_property
    def identities(self) -> dict[str, dict[str, Any]]:
        """By modality, everything but the video that changes its numbers: what a checkpoint expects."""
        return {
            name: {"extractor": extractor.identity(), "decode": self.decode}
            for name, extractor in self.extractors.items()
        }

    def locate(self, out: Path, video: str, video_sha256: str) -> dict[str, FeatureFile]:
        """Where the features of a video are kept below `out`, by modality, made or not."""
        return {
            name: FeatureFile.locate(out, video, video_sha256, **identity)
            for name, identity in self.identities.items()
        }
