"""Stage extract: one decode of each video feeds every network whose products are not cached yet.

Features of frames (rgb, flow) come from the decode itself; those of skeletons from the joints that
are found in it, which are kept: they are made again without a decode.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from extractors.base import DenseExtractor, Extractor, Grid, Window
from pipeline.cache import JointFile
from pipeline.config import WorkConfig
from pipeline.dense_stream import DenseStream
from pipeline.inputs import Source
from pipeline.job import Job, describe_device, versions
from pipeline.products import Features, locate, missing, usable
from pipeline.recipe import SKELETON, Recipe
from pipeline.streams import FeatureStream, Stream, run_streams
from pipeline.timeline import Clock, centers_sec
from pipeline.tracks import FeatureTrack, JointTrack
from pipeline.video import DecodeResult, VideoError, VideoStream, decode

if TYPE_CHECKING:  # RGB alone needs nothing of skeletons
    from extractors.skeleton_input import Joints

MAX_ASPECT = 32  # of a picture, long side to short
JOINTS = "joints"
# In the record of every product: the video, and what decoding found out.
_DESCRIBED = (
    *("video", "fps", "decoder", "decoder_reason", "F", "S", "expected_frames", "partial", "error"),
    *("width", "height", "codec", "pix_fmt", "rotation", "notes"),
)


def extract(job: Job, recipe: Recipe) -> Features:
    """Features of every video, of every modality; what is there already is left as it is."""
    with job.stage("extract") as result:
        features = locate(job, recipe, result)
        todo = {video: missing(job, features, video) for video in features.files}
        sources = [source for source in job.sources if todo.get(source.name)]
        result.cached = len(features.files) - len(sources)
        with job.progress.bar("extract", len(sources)) as bar:
            for source in sources:
                try:
                    _Extraction(job, source, features).run(todo[source.name])
                    result.done += 1
                except VideoError as error:
                    job.fail(result, source.name, error.reason, str(error))
                bar.advance(source.name)
    return features


@dataclass(frozen=True)
class _Extraction:
    """One video, and where its products go."""

    job: Job
    source: Source
    features: Features

    @property
    def recipe(self) -> Recipe:
        return self.features.recipe

    def run(self, modalities: Sequence[str]) -> None:
        """Make the features that are missing, and the joints where they are needed and not there."""
        wanted = [name for name in modalities if name != SKELETON]
        joints = self.features.joints[self.source.name] if SKELETON in modalities else None
        if joints is not None and not usable(self.job, joints):
            wanted.append(JOINTS)
        if wanted:
            self._from_frames(wanted)
        if joints is not None:
            self._from_joints(joints)

    def _from_frames(self, wanted: Sequence[str]) -> None:
        """One decode; `wanted` are modalities, and JOINTS."""
        started, job = time.monotonic(), self.job

        def consume(frames: VideoStream) -> dict[str, Any]:
            """Called again, from the first frame, where the video turned out to be another than announced."""
            _check_shape(frames)
            streams, chunk = self._streams(wanted, frames.num_sampled), job.config.work.frames
            made = run_streams(frames, list(streams.values()), device=job.device, chunk_frames=chunk)
            return dict(zip(streams, made, strict=True))

        made, decoded = decode(
            self.source.path,
            consume,
            fps=job.config.fps,
            policy=job.config.decode,
            timeout_sec=job.config.work.hang_sec,
            queue_bytes=job.config.work.queue_mb << 20,
        )
        seconds = round(time.monotonic() - started, 3)
        about = {**self._describe(decoded), **self._made_with(), "seconds": seconds}
        for name, product in made.items():
            if name == JOINTS:
                self._save_joints(product, decoded.meta.clock, about)
            else:
                grid = self.recipe.extractors[name].grid
                self._save_features(name, product, grid, decoded.meta.clock, about)
        job.progress.event(
            "extracted",
            video=self.source.name,
            products=list(made),
            frames=decoded.num_frames,
            decoder=decoded.decoder,
            seconds=seconds,
        )
        for note in _notes(decoded):
            job.progress.say(f"  {self.source.name}: {note}")

    def _streams(self, wanted: Sequence[str], num_sampled: int) -> dict[str, Stream]:
        extractors, skeletons = self.recipe.extractors, self.recipe.skeletons
        streams: dict[str, Stream] = {
            name: _feature_stream(extractor, num_sampled, self.job.config.work)
            for name, extractor in extractors.items()
            if name in wanted
        }
        if JOINTS in wanted and skeletons is not None:
            from extractors.tracking import JointStream

            streams[JOINTS] = JointStream(skeletons.pose)
        return streams

    def _from_joints(self, joints: JointFile) -> None:
        """Features of skeletons: no frame is needed."""
        started, skeletons = time.monotonic(), self.recipe.skeletons
        assert skeletons is not None
        track, record = joints.load()
        data_TD = skeletons.features.features(track.joints).cpu().numpy()
        about = {
            **{name: record[name] for name in _DESCRIBED},
            **self._made_with(),
            "joints_sha256": record["data_sha256"],
            "seconds": round(time.monotonic() - started, 3),
        }
        self._save_features(SKELETON, data_TD, skeletons.features.grid, track.clock, about)

    def _save_joints(self, joints: "Joints", clock: Clock, about: Mapping[str, Any]) -> None:
        identity = {"pose": self.recipe.pose_identity, "decode": self.recipe.decode}
        self.features.joints[self.source.name].save(JointTrack(joints, clock), {**identity, **about})

    def _save_features(
        self, modality: str, data_TD: np.ndarray, grid: Grid, clock: Clock, about: Mapping[str, Any]
    ) -> None:
        centers_T = centers_sec(grid, about["S"], clock, self.job.config.fps)
        file = self.features.files[self.source.name][modality]
        file.save(FeatureTrack(data_TD, centers_T, clock), {**self.recipe.identities[modality], **about})

    def _describe(self, decoded: DecodeResult) -> dict[str, Any]:
        """For the record: the video, and what decoding found out."""
        meta = decoded.meta
        values: tuple[Any, ...] = (
            {"name": self.source.name, "sha256": self.job.hashes.sha256(self.source.path)},
            self.job.config.fps,
            decoded.decoder,
            decoded.why,
            decoded.num_frames,
            decoded.num_sampled,
            decoded.expected_frames,
            decoded.partial,
            decoded.error,
            *(meta.width, meta.height, meta.codec, meta.pix_fmt, meta.rotation),
            list(meta.notes),
        )
        return dict(zip(_DESCRIBED, values, strict=True))

    def _made_with(self) -> dict[str, Any]:
        work = self.job.config.work
        return {
            "device": describe_device(self.job.device),
            "batch": {"frames": work.frames, "clips": work.clips, "dense_frames": work.dense_frames},
            "versions": versions(),
        }


def _feature_stream(extractor: Extractor, num_sampled: int, work: WorkConfig) -> Stream:
    if isinstance(extractor.grid, Window):
        return FeatureStream(extractor, work.clips)
    assert isinstance(extractor, DenseExtractor)
    return DenseStream(extractor, num_sampled, work.dense_frames)


def _check_shape(stream: VideoStream) -> None:
    """Frames are brought to a short side: a sliver of a picture would become a wall of pixels."""
    width, height = stream.meta.width, stream.meta.height
    if max(width, height) > MAX_ASPECT * min(width, height):
        found = f"{width}x{height} px, more than {MAX_ASPECT} times as long as wide"
        raise VideoError(stream.meta.path, "bad_dimensions", found)


def _notes(decoded: DecodeResult) -> list[str]:
    """What a user should know of how a video was decoded."""
    notes = list(decoded.meta.notes)
    if decoded.decoder != "decord":
        notes.append(f"decoded by {decoded.decoder}: {decoded.why}")
    if decoded.partial:
        notes.append(f"kept {decoded.num_frames} of {decoded.expected_frames} frames: {decoded.error}")
    return notes
