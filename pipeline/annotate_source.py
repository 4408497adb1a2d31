"""What an annotated video shows: scores, events, persons and labels, found by the video's content or made.

Nothing of a run is changed but its cache: features and joints that are missing are made as `extract` would.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cache import CacheError, FeatureFile, JointFile
from pipeline.events import Event, decode
from pipeline.extraction import extract
from pipeline.files import read_json
from pipeline.inputs import Source, UsageError
from pipeline.job import Job, saved_sources
from pipeline.label_lint import clean
from pipeline.labels import Interval, match_videos
from pipeline.lineup import Lineup
from pipeline.recipe import SKELETON, Recipe
from pipeline.request import Request
from pipeline.scoring import Scorer, check_features, score_tracks
from pipeline.timeline import Clock
from pipeline.track_set import TrackSet
from pipeline.tracks import FeatureTrack, ScoreTrack

if TYPE_CHECKING:  # who wants no skeletons needs nothing of them
    from pipeline.annotate_people import People

Tracks = dict[str, tuple[FeatureTrack, str]]  # by modality, each with the hash of its data


@dataclass(frozen=True)
class Shown:
    """What there is to show of one video, all on the player's clock."""

    scores: ScoreTrack
    clock: Clock
    events: tuple[Event, ...]
    people: "People | None"
    truth: tuple[Interval, ...] | None  # None: nobody labelled it


def named_in(out: Path, video: Path, job: Job) -> Source:
    """The video under the name it has in OUT: of the same path, else of the same content, else its own.

    Its own with its hash in front where OUT has another one of that name: whose products are left alone.
    """
    own = Source(video.absolute(), video.name)
    inputs = saved_sources(out) if read_json(out / "run.json").get("inputs") else ()
    for source in inputs:
        if source.path.is_file() and source.path.samefile(video):
            return replace(own, name=source.name)
    sha256 = job.hashes.sha256(video)
    for name in sorted((source.name for source in inputs), key=lambda name: not name.endswith(video.name)):
        if any(_content(record) == sha256 for record in out.glob(f"features/*/{escape(name)}.json")):
            return replace(own, name=name)
    taken = video.name in {source.name for source in inputs}
    return replace(own, name=f"{sha256[:8]}-{video.name}") if taken else own


def gather(request: Request, lineup: Lineup, *, skeletons: bool | None, threshold: float | None) -> Shown:
    """All there is to show of the request's one video; what is missing is made.

    `skeletons`: True makes them where they are missing, None shows those that are there. `threshold`
    stands in for that of the settings. FailFast where the video cannot be done.
    """
    job, scorer = request.job, lineup.scorers[lineup.final]
    (source,) = job.sources
    sha256 = job.hashes.sha256(source.path)
    found = _cached(job.out, source.name, sha256, scorer)
    joints = _joints(job, source.name, sha256) if skeletons is not False else None
    if found is None or (skeletons and joints is None):
        found = _made(job, source.name, scorer, with_skeletons=bool(skeletons))
        joints = _joints(job, source.name, sha256) if skeletons is not False else None
    identities = {name: identity for part in scorer.parts for name, identity in part.features.items()}
    tracks = TrackSet({name: {source.name: track} for name, track in found.items()}, identities)
    scores = score_tracks(scorer, tracks, [source.name], job.device)[source.name]
    clock = next(iter(found.values()))[0].clock
    rule = job.config.events
    if threshold is not None:
        rule = replace(rule, rule="threshold", threshold=threshold)
    events = decode(scores.scores_FK, scores.times_sec_F, scores.classes, rule)
    return Shown(scores, clock, tuple(events), joints, _truth(job, source.name, clock))


def _cached(out: Path, video: str, sha256: str, scorer: Scorer) -> Tracks | None:
    """Features of the video that a model expects, if all of them are there and whole."""
    tracks: Tracks = {}
    for part in scorer.parts:
        for modality, identity in part.features.items():
            file = FeatureFile.locate(out, video, sha256, **identity)
            try:
                track, record = file.load()
            except CacheError:
                return None
            tracks[modality] = track, str(record["data_sha256"])
    return tracks


def _made(job: Job, video: str, scorer: Scorer, *, with_skeletons: bool) -> Tracks:
    """The same, made now, and joints where they are wanted."""
    modalities: Sequence[str] = scorer.modalities
    if with_skeletons and SKELETON not in modalities:
        modalities = (*modalities, SKELETON)
    recipe = Recipe.build(job.config, modalities, job.progress, job.device)
    for part in scorer.parts:
        check_features(part, recipe)
    files = extract(job, recipe).files[video]
    made = {name: files[name].load() for name in scorer.modalities}
    return {name: (track, str(record["data_sha256"])) for name, (track, record) in made.items()}


def _joints(job: Job, video: str, sha256: str) -> "People | None":
    """Everyone found in the video, by the newest of several pose recipes; None where nobody looked."""
    paths = job.out.glob("joints/*")
    records = [folder / f"{video}.json" for folder in paths if (folder / f"{video}.json").is_file()]
    for path in sorted(records, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        if _content(path) != sha256:
            continue
        from pipeline.annotate_people import People

        record = read_json(path)
        try:
            track, _ = JointFile(path.with_suffix(".npz"), str(record.get("key"))).load()
            return People.of(track, record.get("fps"))
        except CacheError as error:
            job.progress.say(f"  left out: {error}")
    return None


def _content(record: Path) -> str | None:
    """SHA-256 of the video that a product's record names."""
    video = read_json(record).get("video")
    return video.get("sha256") if isinstance(video, dict) else None


def _truth(job: Job, video: str, clock: Clock) -> tuple[Interval, ...] | None:
    """What the labels say of it; None where they say nothing."""
    if job.annotations is None:
        return None
    known = read_json(job.out / "run.json").get("inputs")
    names = [source.name for source in saved_sources(job.out)] if known else []
    match = match_videos(job.annotations, list(dict.fromkeys([*names, video])))
    return clean(match.labels[video], clock) if video in match.labels else None


def check_video(video: Path) -> None:
    """UsageError unless it is a file: folders and lists are the business of `run`."""
    if not video.is_file():
        found = "is a folder" if video.is_dir() else "does not exist"
        raise UsageError(f"{video}: {found}; expected one video")
