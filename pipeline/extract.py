"""Stage extract: one decode of each video feeds every extractor whose features are not cached yet."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from extractors import build_extractor
from extractors.base import Extractor
from pipeline.cache import CacheError, FeatureFile
from pipeline.inputs import Source
from pipeline.job import Job, StageResult, describe_device, versions
from pipeline.streams import run_streams
from pipeline.timeline import Clock, centers_sec
from pipeline.tracks import FeatureTrack
from pipeline.video import DecodeResult, VideoError, VideoStream, decode


@dataclass(frozen=True)
class Features:
    """The features of a job: which extractors made them, and where each video's are."""

    extractors: Mapping[str, Extractor]
    decode: dict[str, Any]  # what of decoding changes the numbers
    files: dict[str, dict[str, FeatureFile]]  # video -> extractor -> file; videos that can be read

    def identity(self, name: str) -> dict[str, Any]:
        """Everything that changes an extractor's numbers but the video: what a checkpoint expects."""
        return {"extractor": self.extractors[name].identity(), "decode": self.decode}


def locate(job: Job, names: Sequence[str], result: StageResult) -> Features:
    """Build the extractors and say where each video's features are, made or not.

    A video that cannot be read at all becomes a failure of the stage.
    """
    extractors = {name: build_extractor(name, getattr(job.config, name), job.device) for name in names}
    decoding = {**job.config.decode.identity(), "fps": job.config.fps}
    # whether part of a video will do changes nothing for whole ones; `missing` looks at the others
    del decoding["partial"]
    identities = {name: extractor.identity() for name, extractor in extractors.items()}
    files = {}
    for source in job.sources:
        try:
            content = job.hashes.sha256(source.path)
        except OSError as error:
            job.fail(
                result,
                source.name,
                "unreadable",
                f"{source.path}: {error.strerror}; check the path and its rights",
            )
            continue
        files[source.name] = {
            name: FeatureFile.locate(job.out, source.name, content, identity, decoding)
            for name, identity in identities.items()
        }
    return Features(extractors, decoding, files)


def missing(job: Job, files: Mapping[str, FeatureFile]) -> list[str]:
    """Extractors whose features of one video are absent, damaged, or of a part of it that is not accepted."""
    names = []
    for name, file in files.items():
        problem = file.intact()
        if problem not in (None, "absent"):
            job.progress.say(f"  made again: {problem}")
        partial = problem is None and (file.record() or {}).get("partial")
        if problem or (partial and job.config.decode.partial == "fail"):
            names.append(name)
    return names


def extract(job: Job, names: Sequence[str] = ("rgb",)) -> Features:
    """Features of every video, by every named extractor; what is there already is left as it is."""
    with job.stage("extract") as result:
        features = locate(job, names, result)
        todo = {}
        for source in job.sources:
            if source.name in features.files:
                todo[source] = missing(job, features.files[source.name])
        result.cached = sum(not wanted for wanted in todo.values())
        todo = {source: wanted for source, wanted in todo.items() if wanted}
        with job.progress.bar("extract", len(todo)) as bar:
            for source, wanted in todo.items():
                try:
                    _extract_video(
                        job, source, {name: features.extractors[name] for name in wanted}, features
                    )
                    result.done += 1
                except VideoError as error:
                    job.fail(result, source.name, error.reason, str(error))
                bar.advance(source.name)
    return features


def clocks(features: Features) -> dict[str, Clock]:
    """The clock of every video whose features are there, by video."""
    records = {video: next(iter(files.values())).record() for video, files in features.files.items()}
    return {video: Clock.from_json(record["clock"]) for video, record in records.items() if record}


def load_tracks(
    job: Job, features: Features, name: str, result: StageResult
) -> dict[str, tuple[FeatureTrack, str]]:
    """Cached tracks by video, each with the hash of its data.

    A video without one is a failure of the stage, unless an earlier one failed it already.
    """
    tracks = {}
    extracted = {failure.video for failure in job.failures}
    for video, files in features.files.items():
        try:
            track, record = files[name].load()
            if record["partial"] and job.config.decode.partial == "fail":
                raise CacheError(f"{video}: only a part of it was decoded ({record['error']})")
            tracks[video] = track, record["data_sha256"]
        except CacheError as error:
            if video not in extracted:
                job.fail(result, video, "no_features", str(error))
    return tracks


def _extract_video(job: Job, source: Source, extractors: Mapping[str, Extractor], features: Features) -> None:
    started = time.monotonic()
    work = job.config.work

    def consume(stream: VideoStream) -> list[Any]:
        return run_streams(
            stream, list(extractors.values()), chunk_frames=work.frames, batch_clips=work.clips
        )

    rows, decoded = decode(
        source.path,
        consume,
        fps=job.config.fps,
        policy=job.config.decode,
        timeout_sec=work.hang_sec,
        queue_bytes=work.queue_mb << 20,
    )
    seconds = time.monotonic() - started
    about = {
        "video": {"name": source.name, "sha256": job.hashes.sha256(source.path)},
        **_describe(decoded),
        "fps": job.config.fps,
        "decode": features.decode,
        "device": describe_device(job.device),
        "batch": {"frames": work.frames, "clips": work.clips},
        "versions": versions(),
        "seconds": round(seconds, 3),
    }
    clock = decoded.meta.clock
    for (name, extractor), data_TD in zip(extractors.items(), rows, strict=True):
        centers_T = centers_sec(extractor.window, decoded.num_sampled, clock, job.config.fps)
        track = FeatureTrack(data_TD, centers_T, clock)
        features.files[source.name][name].save(track, {"identity": extractor.identity(), **about})
    job.progress.event(
        "extracted", video=source.name, extractors=list(extractors), frames=decoded.num_frames,
        decoder=decoded.decoder, seconds=round(seconds, 3),
    )  # fmt: skip
    if decoded.decoder != "decord" or decoded.partial:
        kept = f"; kept {decoded.num_frames} of {decoded.expected_frames} frames: {decoded.error}"
        job.progress.say(
            f"  {source.name}: {decoded.decoder} ({decoded.why}){kept if decoded.partial else ''}"
        )


def _describe(decoded: DecodeResult) -> dict[str, Any]:
    """What decoding found out, for the record."""
    meta = decoded.meta
    return {
        "decoder": decoded.decoder,
        "decoder_reason": decoded.why,
        "F": decoded.num_frames,
        "S": decoded.num_sampled,
        "expected_frames": decoded.expected_frames,
        "partial": decoded.partial,
        "error": decoded.error,
        "width": meta.width,
        "height": meta.height,
        "codec": meta.codec,
        "pix_fmt": meta.pix_fmt,
        "rotation": meta.rotation,
        "notes": list(meta.notes),
    }
