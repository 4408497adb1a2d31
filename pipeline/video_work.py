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
from typing import Any, Self

from extractors.base import DenseExtractor, Extractor, Window
from pipeline.config import WorkConfig
from pipeline.dense_stream import DenseStream
from pipeline.files import digest
from pipeline.inputs import Source
from pipeline.job import Job, describe_device
from pipeline.memory import halved, is_out_of_memory, release
from pipeline.products import Features, joints_missing, missing
from pipeline.recipe import SKELETON, Recipe
from pipeline.stopwatch import Stopwatch
from pipeline.streams import FeatureStream, Stream, run_streams
from pipeline.tracks import JointTrack
from pipeline.video import VideoError, VideoStream, decode, open_video
from pipeline.video_keeper import JOINTS, Decoded, FromJoints, VideoKeeper, batch_of

MAX_ASPECT = 32  # of a picture, long side to short


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
    _decoded: Decoded | None = None
    _from_joints: FromJoints | None = None

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
            if SKELETON in self.modalities and joints_missing(self.job, self.features, self.source.name):
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
            keeper = VideoKeeper(self.job, self.source, self.features)
            about = keeper.keep_decoded(self._decoded) if self._decoded else None
            if self._from_joints:
                keeper.keep_skeletons(self._from_joints, self._from_joints.record or about or {})
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
            self.job.progress.event("out_of_memory", video=self.source.name, batch=batch_of(work))
            return False
        return True

    def _decode(self, work: WorkConfig) -> Decoded:
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
        return Decoded(products, result, work, time.monotonic() - started, waited.seconds)

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
        self._from_joints = FromJoints(data_TD, track.clock, record, time.monotonic() - started)

    def _joints(self) -> tuple[JointTrack, Mapping[str, Any] | None]:
        """Those that were found now, or else those in the cache and their record."""
        if self._decoded and JOINTS in self._decoded.products:
            return JointTrack(self._decoded.products[JOINTS], self._decoded.result.meta.clock), None
        return self.features.joints[self.source.name].load()


def check_shape(stream: VideoStream) -> None:
    """Frames are brought to a short side: a sliver of a picture would become a wall of pixels."""
    width, height = stream.meta.width, stream.meta.height
    if max(width, height) > MAX_ASPECT * min(width, height):
        found = f"{width}x{height} px, more than {MAX_ASPECT} times as long as wide"
        raise VideoError(stream.meta.path, "bad_dimensions", found)


def _feature_stream(extractor: Extractor, num_sampled: int, work: WorkConfig) -> Stream:
    if isinstance(extractor.grid, Window):
        return FeatureStream(extractor, work.clips)
    assert isinstance(extractor, DenseExtractor)
    return DenseStream(extractor, num_sampled, work.dense_frames)
