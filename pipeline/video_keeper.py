"""What is kept of one video: its products, each with a record of the video and of how it was made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from extractors.base import Grid
from pipeline.config import WorkConfig
from pipeline.inputs import Source
from pipeline.job import Job, describe_device, versions
from pipeline.products import Features
from pipeline.recipe import SKELETON, Recipe
from pipeline.timeline import Clock, centers_sec
from pipeline.tracks import FeatureTrack, JointTrack
from pipeline.video import DecodeResult, VideoError

if TYPE_CHECKING:  # RGB alone needs nothing of skeletons
    from extractors.skeleton_input import Joints

JOINTS = "joints"
# In the record of every product: the video, and what decoding found out.
_DESCRIBED = (
    *("video", "fps", "decoder", "decoder_reason", "F", "S", "expected_frames", "partial", "error"),
    *("width", "height", "codec", "pix_fmt", "color_range", "color_matrix", "rotation", "notes"),
)


@dataclass(frozen=True)
class Decoded:
    """What one pass over the frames gave, and how it was made."""

    products: dict[str, Any]  # by modality, and JOINTS
    result: DecodeResult
    work: WorkConfig
    seconds: float
    waited_sec: float  # of these, for frames


@dataclass(frozen=True)
class FromJoints:
    """Features of skeletons, and the record of the joints where these were there before."""

    data_TD: np.ndarray
    clock: Clock
    record: Mapping[str, Any] | None
    seconds: float


@dataclass(frozen=True)
class VideoKeeper:
    """Writes the products of a video to where they belong."""

    job: Job
    source: Source
    features: Features

    @property
    def _recipe(self) -> Recipe:
        return self.features.recipe

    def keep_decoded(self, decoded: Decoded) -> Mapping[str, Any] | None:
        """Write what the frames gave; the record of the joints, where they are among it."""
        clock, seconds = decoded.result.meta.clock, round(decoded.seconds, 3)
        about = {**self._describe(decoded.result), **self._made_with(decoded.work), "seconds": seconds}
        record = None
        for name, product in decoded.products.items():
            if name == JOINTS:
                record = self._save_joints(product, clock, about)
            else:
                self._save_features(name, product, self._recipe.extractors[name].grid, clock, about)
        self.job.progress.event(
            "extracted",
            video=self.source.name,
            products=list(decoded.products),
            frames=decoded.result.num_frames,
            decoder=decoded.result.decoder,
            seconds=seconds,
            decode_sec=round(decoded.waited_sec, 3),
        )
        for note in _notes(decoded.result):
            self.job.progress.say(f"  {self.source.name}: {note}")
        return record

    def keep_skeletons(self, made: FromJoints, joints: Mapping[str, Any]) -> None:
        """Write them; `joints` is the record of what they are made of."""
        skeletons, seconds = self._recipe.skeletons, round(made.seconds, 3)
        assert skeletons is not None
        empty = int((made.data_TD == 0).all(axis=1).sum())
        if empty == len(made.data_TD):
            self.job.progress.say(f"  {self.source.name}: nobody is found, its skeleton features are zero")
        about = {
            **{name: joints[name] for name in _DESCRIBED if name in joints},  # earlier versions said less
            **self._made_with(self.job.config.work),
            "joints_sha256": joints["data_sha256"],
            "empty": empty,  # windows in which nobody is seen: zero
            "seconds": seconds,
        }
        self._save_features(SKELETON, made.data_TD, skeletons.features.grid, made.clock, about)
        self.job.progress.event("extracted", video=self.source.name, products=[SKELETON], seconds=seconds)

    def _save_joints(self, joints: "Joints", clock: Clock, about: Mapping[str, Any]) -> Mapping[str, Any]:
        identity = {"pose": self._recipe.pose_identity, "decode": self._recipe.decode}
        file = self.features.joints[self.source.name]
        return file.save(JointTrack(joints, clock), {**identity, **about})

    def _save_features(
        self, modality: str, data_TD: np.ndarray, grid: Grid, clock: Clock, about: Mapping[str, Any]
    ) -> None:
        centers_T = centers_sec(grid, about["S"], clock, self.job.config.fps)
        file = self.features.files[self.source.name][modality]
        file.save(FeatureTrack(data_TD, centers_T, clock), {**self._recipe.identities[modality], **about})

    def _describe(self, decoded: DecodeResult) -> dict[str, Any]:
        """For the record: the video, and what decoding found out."""
        meta = decoded.meta
        values: tuple[Any, ...] = (
            {"name": self.source.name, "sha256": self._unchanged()},
            self.job.config.fps,
            decoded.decoder,
            decoded.why,
            decoded.num_frames,
            decoded.num_sampled,
            decoded.expected_frames,
            decoded.partial,
            decoded.error,
            *(meta.width, meta.height, meta.codec, meta.pix_fmt),
            *(meta.color_range, meta.color_matrix, meta.rotation),
            list(meta.notes),
        )
        return dict(zip(_DESCRIBED, values, strict=True))

    def _unchanged(self) -> str:
        """The video's sha256; VideoError where it is not what it was before it was decoded."""
        path, name = self.source.path, self.source.name
        try:
            sha256 = self.job.hashes.sha256(path)
        except OSError as error:
            raise VideoError(path, "not_found", f"gone while it was decoded ({error.strerror})") from error
        if self._recipe.locate(self.job.out, name, sha256) != self.features.files[name]:
            raise VideoError(path, "changed", "its content changed while it was decoded")
        return sha256

    def _made_with(self, work: WorkConfig) -> dict[str, Any]:
        return {
            "device": describe_device(self.job.device),
            "batch": batch_of(work),
            "versions": versions(),
        }


def batch_of(work: WorkConfig) -> dict[str, int]:
    """How much the networks saw at once: not part of a key, but the last bits of numbers depend on it."""
    return {"frames": work.frames, "clips": work.clips, "dense_frames": work.dense_frames}


def _notes(decoded: DecodeResult) -> list[str]:
    """What a user should know of how a video was decoded."""
    notes = list(decoded.meta.notes)
    if decoded.decoder != "decord":
        notes.append(f"decoded by {decoded.decoder}: {decoded.why}")
    if decoded.partial:
        notes.append(f"kept {decoded.num_frames} of {decoded.expected_frames} frames: {decoded.error}")
    return notes
