"""What extraction leaves behind: where each video's features and joints are, and which are missing."""

from dataclasses import dataclass

from pipeline.cache import CachedFile, CacheError, FeatureFile, JointFile, MappedTrack
from pipeline.job import Job, StageResult
from pipeline.recipe import Recipe
from pipeline.timeline import Clock


@dataclass(frozen=True)
class Features:
    """The features of a job: how they are made, and where each readable video's are."""

    recipe: Recipe
    files: dict[str, dict[str, FeatureFile]]  # video -> modality -> file
    joints: dict[str, JointFile]  # by video, where skeletons are wanted


def locate(job: Job, recipe: Recipe, result: StageResult) -> Features:
    """Where each video's features are, made or not; a video that cannot be read is a failure of the stage."""
    features = Features(recipe, {}, {})
    for source in job.sources:
        try:
            sha256 = job.hashes.sha256(source.path)
        except OSError as error:
            message = f"{source.path}: {error.strerror}; check the path and its rights"
            job.fail(result, source.name, "unreadable", message)
            continue
        features.files[source.name] = recipe.locate(job.out, source.name, sha256)
        if joints := recipe.locate_joints(job.out, source.name, sha256):
            features.joints[source.name] = joints
    job.hashes.save()
    return features


def missing(job: Job, features: Features, video: str, *, say: bool = True) -> list[str]:
    """Modalities whose features of a video have to be made; damaged ones are said."""
    return [name for name, file in features.files[video].items() if not usable(job, file, say=say)]


def joints_missing(job: Job, features: Features, video: str, *, say: bool = True) -> bool:
    """Whether persons have to be looked for in its frames, should its skeletons be missing."""
    joints = features.joints.get(video)
    return joints is not None and not usable(job, joints, say=say)


def usable(job: Job, file: CachedFile, *, say: bool = True) -> bool:
    """Whether a product is there: neither damaged, nor of a part of its video where that will not do."""
    problem = file.intact()
    if problem == "absent":
        return False
    if problem:
        if say:
            job.progress.say(f"  made again: {problem}")
            job.progress.event("damaged", file=str(file.path), problem=problem)
        return False
    return job.config.decode.partial != "fail" or not (file.record() or {}).get("partial")


def clocks(features: Features) -> dict[str, Clock]:
    """The clock of every video whose features are there, by video."""
    records = {video: next(iter(files.values())).record() for video, files in features.files.items()}
    return {video: Clock.from_json(record["clock"]) for video, record in records.items() if record}


def load_tracks(
    job: Job, features: Features, name: str, result: StageResult
) -> dict[str, tuple[MappedTrack, str]]:
    """Cached tracks by video, each with the hash of its data; verified, and left in their files.

    A video without one is a failure of the stage, unless an earlier one failed it already.
    """
    tracks = {}
    extracted = {failure.video for failure in job.failures}
    for video, files in features.files.items():
        try:
            track, record = files[name].map()
            if record["partial"] and job.config.decode.partial == "fail":
                raise CacheError(f"{video}: only a part of it was decoded ({record['error']})")
            tracks[video] = track, record["data_sha256"]
        except CacheError as error:
            if video not in extracted:
                job.fail(result, video, "no_features", str(error))
    return tracks
