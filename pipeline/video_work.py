"""One video from its file to what is kept of it: opened, computed, kept.

`extraction` has each step done by a thread of its own: while one video is computed, the next one is opened
and the one before is kept. Features of frames (rgb, flow) come from the decode itself; those of skeletons
from the joints that are found in it, which are kept: they are made again without a decode.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from extractors.base import DenseExtractor, Extractor, Grid, Window
from pipeline.config import WorkConfig
from pipeline.dense_stream import DenseStream
from pipeline.files import digest
from pipeline.inputs import Source
from pipeline.job import Job, describe_device, versions
from pipeline.memory import halved, is_out_of_memory, release
from pipeline.products import Features, missing, usable
from pipeline.recipe import SKELETON, Recipe
from pipeline.stopwatch import Stopwatch
from pipeline.streams import FeatureStream, Stream, run_streams
from pipeline.timeline import Clock, centers_sec
from pipeline.tracks import FeatureTrack, JointTrack
from pipeline.video import DecodeResult, VideoError, VideoStream, decode, open_video

if TYPE_CHECKING:  # RGB alone needs nothing of skeletons
    from extractors.skeleton_input import Joints

MAX_ASPECT = 32  # of a picture, long side to short
JOINTS = "joints"
# In the record of every product: the video, and what decoding found out.
_DESCRIBED = (
    *("video", "fps", "decoder", "decoder_reason", "F", "S", "expected_frames", "partial", "error"),
    *("width", "height", "codec", "pix_fmt", "color_range", "color_matrix", "rotation", "notes"),
)


@dataclass(frozen=True)
class _Decoded:
    """What one pass over the frames gave, and how it was made."""

    products: dict[str, Any]  # by modality, and JOINTS
    result: DecodeResult
    work: WorkConfig
    seconds: float
    waited_sec: float  # of these, for frames


@dataclass(frozen=True)
class _FromJoints:
    """Features of skeletons, and the record of the joints where these were there before."""

    data_TD: np.ndarray
    clock: Clock
    record: Mapping[str, Any] | None
    seconds: float


@dataclass
class VideoWork:
    """A video on its way: `open`, `compute`, `keep`, or at any time `drop`.

    It may be opened before it is claimed: see `still_missing`. What is wrong with the video is in `error`
    from then on; later steps do nothing.
    """

    job: Job
    source: Source
    features: Features
    claim: ExitStack = field(default_factory=ExitStack)  # closed when all is kept
    modalities: list[str] = field(default_factory=list)  # to be made
    error: VideoError | None = None
    _wanted: list[str] = field(default_factory=list)  # of the frames: modalities, and JOINTS
    _frames: VideoStream | None = None
    _decoded: _Decoded | None = None
    _from_joints: _FromJoints | None = None

    @property
    def recipe(self) -> Recipe:
        """How features are made."""
        return self.features.recipe

    def open(self, stop: threading.Event) -> Self:
        """See what is missing; the decoder begins, and goes on until its frames have to be taken.

        `stop`: see `video.open_video`.
        """
        with self._own_errors():
            self.modalities = missing(self.job, self.features, self.source.name, say=False)
            self._wanted = [name for name in self.modalities if name != SKELETON]
            if SKELETON in self.modalities and not usable(self.job, self.features.joints[self.source.name]):
                self._wanted.append(JOINTS)
            if self._wanted:
                config = self.job.config
                self._frames = open_video(
                    self.source.path,
                    fps=config.fps,
                    policy=config.decode,
                    limits=config.work.limits,
                    stop=stop,
                )
                check_shape(self._frames)
                self._frames.start()
        return self

    def fails_elsewhere(self) -> bool:
        """Whether another process, since this one began, failed to make what is missing: `error` says how."""
        self.modalities = missing(self.job, self.features, self.source.name, say=False)
        self.error = self.job.failed_elsewhere.find(self.source.path, self.attempt)
        return self.error is not None

    @property
    def attempt(self) -> str:
        """Names everything by which making what is missing may fail."""
        files, config = self.features.files[self.source.name], self.job.config
        keys = [files[name].key for name in self.modalities]
        how = [asdict(config.work), config.decode.partial, describe_device(self.job.device)]
        return digest([str(self.source.path), keys, *how])

    def still_missing(self) -> bool:
        """Whether what was missing is so now that nobody else may make it."""
        return missing(self.job, self.features, self.source.name, say=False) == self.modalities

    def compute(self) -> None:
        """Make what is missing."""
        with self._own_errors():
            if self.error is None and self._wanted:
                self._see_frames()
            if self.error is None and SKELETON in self.modalities:
                self._see_joints()

    def keep(self) -> Self:
        """Write what was made, and give the claim back."""
        with self._own_errors():
            about = self._keep_decoded(self._decoded) if self._decoded else None
            if self._from_joints:
                self._keep_skeletons(self._from_joints, self._from_joints.record or about or {})
        self.claim.close()
        return self

    def drop(self) -> Self:
        """Leave it to others."""
        if self._frames is not None:
            self._frames.close()
        self.claim.close()
        return self

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Keep what is wrong with the video and nothing of what was made; any other error drops it."""
        try:
            yield
        except VideoError as error:
            self.error, self._decoded, self._from_joints = error, None, None
            if self._frames is not None:
                self._frames.close()
        except BaseException:
            self.drop()
            raise

    def _see_frames(self) -> None:
        """One decode. Where memory does not suffice: half a batch.

        The whole video then is made in these batches, and its record names them; the next one starts with
        what the settings say, whatever came before: what a video gives does not depend on others.
        """
        work: WorkConfig | None = self.job.config.work
        while work is not None:
            if self._in_batches(work):
                return
            work = halved(work)
            release(self.job.device)
            if work is not None:
                batch = f"{work.frames} frames, {work.clips} clips, {work.dense_frames} dense frames"
                self.job.progress.say(f"  {self.source.name}: out of memory; once more, {batch} at a time")
        raise VideoError(self.source.path, "out_of_memory", "one frame at a time is too much for the memory")

    def _in_batches(self, work: WorkConfig) -> bool:
        """False where memory does not suffice for these batches: nothing is made then."""
        try:
            self._decoded = self._decode(work)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self.job.progress.event("out_of_memory", video=self.source.name, batch=_batch(work))
            return False
        return True

    def _decode(self, work: WorkConfig) -> _Decoded:
        started, job, waited = time.monotonic(), self.job, Stopwatch()

        def consume(frames: VideoStream) -> dict[str, Any]:
            """Called again, from the first frame, where the video turned out to be another than announced."""
            check_shape(frames)
            streams = self._streams(frames.num_sampled, work)
            shown = job.progress.within(self.source.name, frames, frames.num_sampled)
            made = run_streams(
                shown, list(streams.values()), device=job.device, chunk_frames=work.frames, waited=waited
            )
            by_name = dict(zip(streams, made, strict=True))
            return {name: by_name[name] for name in self._wanted}

        opened, self._frames = self._frames, None
        products, result = decode(
            self.source.path,
            consume,
            fps=job.config.fps,
            policy=job.config.decode,
            limits=job.config.work.limits,
            opened=opened,
        )
        return _Decoded(products, result, work, time.monotonic() - started, waited.seconds)

    def _streams(self, num_sampled: int, work: WorkConfig) -> dict[str, Stream]:
        """Joints come first: they have the host wait, and the others then leave the device work to do."""
        streams: dict[str, Stream] = {}
        if JOINTS in self._wanted:
            from extractors.tracking import JointStream

            assert self.recipe.skeletons is not None
            streams[JOINTS] = JointStream(self.recipe.skeletons.pose)
        for name in self._wanted:
            if name != JOINTS:
                streams[name] = _feature_stream(self.recipe.extractors[name], num_sampled, work)
        return streams

    def _see_joints(self) -> None:
        """Features of skeletons: no frame is needed."""
        started, skeletons = time.monotonic(), self.recipe.skeletons
        assert skeletons is not None
        track, record = self._joints()
        data_TD = skeletons.features.features(track.joints).cpu().numpy()
        self._from_joints = _FromJoints(data_TD, track.clock, record, time.monotonic() - started)

    def _joints(self) -> tuple[JointTrack, Mapping[str, Any] | None]:
        """Those that were found now, or else those in the cache and their record."""
        if self._decoded and JOINTS in self._decoded.products:
            return JointTrack(self._decoded.products[JOINTS], self._decoded.result.meta.clock), None
        return self.features.joints[self.source.name].load()

    def _keep_decoded(self, decoded: _Decoded) -> Mapping[str, Any] | None:
        """Write what the frames gave; the record of the joints, where they are among it."""
        clock, seconds = decoded.result.meta.clock, round(decoded.seconds, 3)
        about = {**self._describe(decoded.result), **self._made_with(decoded.work), "seconds": seconds}
        record = None
        for name, product in decoded.products.items():
            if name == JOINTS:
                record = self._save_joints(product, clock, about)
            else:
                self._save_features(name, product, self.recipe.extractors[name].grid, clock, about)
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

    def _keep_skeletons(self, made: _FromJoints, joints: Mapping[str, Any]) -> None:
        """Write them; `joints` is the record of what they are made of."""
        skeletons, seconds = self.recipe.skeletons, round(made.seconds, 3)
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
        identity = {"pose": self.recipe.pose_identity, "decode": self.recipe.decode}
        file = self.features.joints[self.source.name]
        return file.save(JointTrack(joints, clock), {**identity, **about})

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


def check_shape(stream: VideoStream) -> None:
    """Frames are brought to a short side: a sliver of a picture would become a wall of pixels."""
    width, height = stream.meta.width, stream.meta.height
    if max(width, height) > MAX_ASPECT * min(width, height):
        found = f"{width}x{height} px, more than {MAX_ASPECT} times as long as wide"
        raise VideoError(stream.meta.path, "bad_dimensions", found)


def _batch(work: WorkConfig) -> dict[str, int]:
    """How much the networks saw at once: not part of a key, but the last bits of numbers depend on it."""
    return {"frames": work.frames, "clips": work.clips, "dense_frames": work.dense_frames}


def _feature_stream(extractor: Extractor, num_sampled: int, work: WorkConfig) -> Stream:
    if isinstance(extractor.grid, Window):
        return FeatureStream(extractor, work.clips)
    assert isinstance(extractor, DenseExtractor)
    return DenseStream(extractor, num_sampled, work.dense_frames)


def _notes(decoded: DecodeResult) -> list[str]:
    """What a user should know of how a video was decoded."""
    notes = list(decoded.meta.notes)
    if decoded.decoder != "decord":
        notes.append(f"decoded by {decoded.decoder}: {decoded.why}")
    if decoded.partial:
        notes.append(f"kept {decoded.num_frames} of {decoded.expected_frames} frames: {decoded.error}")
    return notes
