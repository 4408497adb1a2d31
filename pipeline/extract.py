"""Stage extract: one decode of each video feeds every extractor whose features are not cached yet."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.cache import CacheError, FeatureFile
from pipeline.inputs import Source
from pipeline.job import Job, StageResult, describe_device, versions
from pipeline.recipe import Recipe
from pipeline.streams import run_streams
from pipeline.timeline import Clock, centers_sec
from pipeline.tracks import FeatureTrack
from pipeline.video import DecodeResult, VideoError, VideoStream, decode

MAX_ASPECT = 32  # of a picture, long side to short


@dataclass(frozen=True)
class Features:
    """The features of a job: how they are made, and where each readable video's are."""

    recipe: Recipe
    files: dict[str, dict[str, FeatureFile]]  # video -> modality -> file


def locate(job: Job, recipe: Recipe, result: StageResult) -> Features:
    """Where each video's features are, made or not; a video that cannot be read is a failure of the stage."""
    files = {}
    for source in job.sources:
        try:
            files[source.name] = recipe.locate(job.out, source.name, job.hashes.sha256(source.path))
        except OSError as error:
            message = f"{source.path}: {error.strerror}; check the path and its rights"
            job.fail(result, source.name, "unreadable", message)
    return Features(recipe, files)


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


def extract(job: Job, recipe: Recipe) -> Features:
    """Features of every video, of every modality; what is there already is left as it is."""
    with job.stage("extract") as result:
        features = locate(job, recipe, result)
        todo = {video: missing(job, files) for video, files in features.files.items()}
        sources = [source for source in job.sources if todo.get(source.name)]
        result.cached = len(features.files) - len(sources)
        with job.progress.bar("extract", len(sources)) as bar:
            for source in sources:
                try:
                    _extract_video(job, source, todo[source.name], features)
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


def _extract_video(job: Job, source: Source, modalities: Sequence[str], features: Features) -> None:
    started = time.monotonic()
    work = job.config.work
    extractors = [features.recipe.extractors[name] for name in modalities]

    def consume(stream: VideoStream) -> list[np.ndarray]:
        _check_shape(stream)
        return run_streams(stream, extractors, chunk_frames=work.frames, batch_clips=work.clips)

    rows, decoded = decode(
        source.path,
        consume,
        fps=job.config.fps,
        policy=job.config.decode,
        timeout_sec=work.hang_sec,
        queue_bytes=work.queue_mb << 20,
    )
    clock, seconds = decoded.meta.clock, round(time.monotonic() - started, 3)
    about = {
        "video": {"name": source.name, "sha256": job.hashes.sha256(source.path)},
        **_describe(decoded),
        "fps": job.config.fps,
        "device": describe_device(job.device),
        "batch": {"frames": work.frames, "clips": work.clips},
        "versions": versions(),
        "seconds": seconds,
    }
    for name, extractor, data_TD in zip(modalities, extractors, rows, strict=True):
        centers_T = centers_sec(extractor.window, decoded.num_sampled, clock, job.config.fps)
        identity = features.recipe.identities[name]
        features.files[source.name][name].save(FeatureTrack(data_TD, centers_T, clock), {**identity, **about})
    job.progress.event(
        "extracted",
        video=source.name,
        modalities=list(modalities),
        frames=decoded.num_frames,
        decoder=decoded.decoder,
        seconds=seconds,
    )
    for note in _notes(decoded):
        job.progress.say(f"  {source.name}: {note}")


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
