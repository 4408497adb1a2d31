"""Stage extract: one decode of each video feeds every network whose products are not cached yet.

Features of frames (rgb, flow) come from the decode itself; those of skeletons from the joints that
are found in it, which are kept: they are made again without a decode.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from extractors.base import DenseExtractor, Extractor, Grid, Window
from pipeline.cache import JointFile
from pipeline.config import WorkConfig
from pipeline.dense_stream import DenseStream
from pipeline.inputs import Source
from pipeline.job import Job, describe_device, versions
from pipeline.memory import halved, is_out_of_memory, release
from pipeline.precision import check_device
from pipeline.products import Features, locate, missing, usable
from pipeline.recipe import SKELETON, Recipe
from pipeline.stopwatch import Stopwatch
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
    *("width", "height", "codec", "pix_fmt", "color_range", "color_matrix", "rotation", "notes"),
)


def extract(job: Job, recipe: Recipe) -> Features:
    """Features of every video, of every modality; what is there already is left as it is."""
    with job.stage("extract") as result:
        features = locate(job, recipe, result)
        todo = {video: missing(job, features, video) for video in features.files}
        sources = [source for source in job.sources if todo.get(source.name)]
        result.cached = len(features.files) - len(sources)
        if sources:
            check_device(job.config, recipe.modalities, job.device)
        by_name = {source.name: source for source in sources}
        claimed = job.claims.each("extract", list(by_name), job.progress.say)
        with job.progress.bar("extract", len(sources)) as bar, closing(claimed):
            for video in claimed:
                try:
                    # looked at again: another process may have made them meanwhile
                    if modalities := missing(job, features, video, say=False):
                        _Extraction(job, by_name[video], features).run(modalities)
                        result.done += 1
                    else:
                        result.cached += 1
                except VideoError as error:
                    job.fail(result, video, error.reason, str(error))
                bar.advance(video)
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
        """One decode; `wanted` are modalities, and JOINTS. Where memory does not suffice: half a batch.

        The whole video then is made in these batches, and its record names them; the next one starts with
        what the settings say, whatever came before: what a video gives does not depend on others.
        """
        work: WorkConfig | None = self.job.config.work
        while work is not None:
            if self._in_batches(wanted, work):
                return
            work = halved(work)
            release(self.job.device)
            if work is not None:
                batch = f"{work.frames} frames, {work.clips} clips, {work.dense_frames} dense frames"
                self.job.progress.say(f"  {self.source.name}: out of memory; once more, {batch} at a time")
        raise VideoError(self.source.path, "out_of_memory", "one frame at a time is too much for the memory")

    def _in_batches(self, wanted: Sequence[str], work: WorkConfig) -> bool:
        """False where memory does not suffice for these batches: nothing is made then."""
        try:
            self._decode(wanted, work)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self.job.progress.event("out_of_memory", video=self.source.name, batch=_batch(work))
            return False
        return True

    def _decode(self, wanted: Sequence[str], work: WorkConfig) -> None:
        started, job, waited = time.monotonic(), self.job, Stopwatch()

        def consume(frames: VideoStream) -> dict[str, Any]:
            """Called again, from the first frame, where the video turned out to be another than announced."""
            check_shape(frames)
            streams = self._streams(wanted, frames.num_sampled, work)
            timed = waited.around(frames)
            made = run_streams(timed, list(streams.values()), device=job.device, chunk_frames=work.frames)
            return dict(zip(streams, made, strict=True))

        made, decoded = decode(
            self.source.path,
            consume,
            fps=job.config.fps,
            policy=job.config.decode,
            limits=job.config.work.limits,
        )
        seconds = round(time.monotonic() - started, 3)
        about = {**self._describe(decoded), **self._made_with(work), "seconds": seconds}
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
            decode_sec=round(waited.seconds, 3),  # of these, spent waiting for frames
        )
        for note in _notes(decoded):
            job.progress.say(f"  {self.source.name}: {note}")

    def _streams(self, wanted: Sequence[str], num_sampled: int, work: WorkConfig) -> dict[str, Stream]:
        extractors, skeletons = self.recipe.extractors, self.recipe.skeletons
        streams: dict[str, Stream] = {
            name: _feature_stream(extractor, num_sampled, work)
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
        empty = int((data_TD == 0).all(axis=1).sum())
        if empty == len(data_TD):
            self.job.progress.say(f"  {self.source.name}: nobody is found, its skeleton features are zero")
        about = {
            **{name: record[name] for name in _DESCRIBED if name in record},  # earlier versions said less
            **self._made_with(self.job.config.work),
            "joints_sha256": record["data_sha256"],
            "empty": empty,  # windows in which nobody is seen: zero
            "seconds": round(time.monotonic() - started, 3),
        }
        self._save_features(SKELETON, data_TD, skeletons.features.grid, track.clock, about)
        self.job.progress.event(
            "extracted", video=self.source.name, products=[SKELETON], seconds=about["seconds"]
        )

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
        if self.recipe.locate(self.job.out, name, sha256) != self.features.files[name]:
            raise VideoError(path, "changed", "its content changed while it was decoded")
        return sha256

    def _made_with(self, work: WorkConfig) -> dict[str, Any]:
        return {
            "device": describe_device(self.job.device),
            "batch": _batch(work),
            "versions": versions(),
        }


def _batch(work: WorkConfig) -> dict[str, int]:
    """How much the networks saw at once: not part of a key, but the last bits of numbers depend on it."""
    return {"frames": work.frames, "clips": work.clips, "dense_frames": work.dense_frames}


def _feature_stream(extractor: Extractor, num_sampled: int, work: WorkConfig) -> Stream:
    if isinstance(extractor.grid, Window):
        return FeatureStream(extractor, work.clips)
    assert isinstance(extractor, DenseExtractor)
    return DenseStream(extractor, num_sampled, work.dense_frames)


def check_shape(stream: VideoStream) -> None:
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
