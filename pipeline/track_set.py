"""Features, wherever they came from: our cache, or others' folders.

Shapes: T steps, D feature size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.job import Job, StageResult
from pipeline.products import Features, load_tracks
from pipeline.tracks import FeatureTrack, Track


@dataclass(frozen=True)
class TrackSet:
    """Tracks by modality and video, each with the SHA-256 of its data; and what each modality's are.

    An identity is everything but the video that changes the numbers, as plain values.
    """

    tracks: Mapping[str, Mapping[str, tuple[Track, str]]]
    identities: Mapping[str, dict[str, Any]]

    def has(self, inputs: Sequence[str], video: str) -> bool:
        """Whether there are features of all these modalities of a video."""
        return all(video in self.tracks[name] for name in inputs)

    def hashes(self, inputs: Sequence[str], video: str) -> list[str]:
        """Of the data of each of these modalities."""
        return [self.tracks[name][video][1] for name in inputs]

    def joined(self, inputs: Sequence[str], video: str) -> Track:
        """What a model with these inputs sees of a video: its features side by side on the D axis.

        ValueError where their steps are not the same.
        """
        first, *others = (self.tracks[name][video][0] for name in inputs)
        if not others:
            return first
        for name, track in zip(inputs[1:], others, strict=True):
            if not np.array_equal(track.center_sec_T, first.center_sec_T):
                raise ValueError(
                    f"{video}: the {len(first.data_TD)} steps of {inputs[0]} and the {len(track.data_TD)} of "
                    f"{name} are at other times; features that are joined need the same steps"
                )
        data_TD = np.concatenate([first.data_TD, *(track.data_TD for track in others)], axis=1)
        return FeatureTrack(data_TD, first.center_sec_T, first.clock)


def cached_tracks(job: Job, features: Features, modalities: Sequence[str], result: StageResult) -> TrackSet:
    """All features of a job that are in its cache; a video without is a failure of the stage."""
    return TrackSet(
        {name: load_tracks(job, features, name, result) for name in modalities}, features.recipe.identities
    )
