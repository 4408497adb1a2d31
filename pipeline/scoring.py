"""Stage score: cached features and a checkpoint to a score for every frame, and to events.

    scores/<relative path with suffix>.npz    scores (F, K), times (F,), classes
    scores/<relative path with suffix>.csv    frame, time, one column per class
    events.csv, events.json                   maximal runs of high scores

Shapes: F frames, T steps, D feature size, K classes.
"""

import hashlib
import time
from collections.abc import Container, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.base import TemporalModel
from models.windows import encode_any_length
from pipeline.cache import CacheError
from pipeline.checkpoint import Checkpoint, CheckpointError
from pipeline.events import decode, write_events
from pipeline.files import digest
from pipeline.job import Job, StageResult
from pipeline.memory import is_out_of_memory
from pipeline.products import Features
from pipeline.recipe import Recipe
from pipeline.score_files import ScoreFile
from pipeline.sums import CHANGED, changed, summed
from pipeline.timeline import frames_from_steps
from pipeline.track_set import TrackSet, cached_tracks
from pipeline.tracks import ScoreTrack, Track


@dataclass(frozen=True)
class Scorer:
    """One model, or several whose logits are averaged (two-stream).

    A model whose `features` name several inputs sees them joined (early concatenation).
    """

    name: str
    parts: tuple[Checkpoint, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Columns of its scores."""
        return self.parts[0].classes

    @property
    def inputs(self) -> tuple[tuple[str, ...], ...]:
        """What each part sees."""
        return tuple(tuple(part.features) for part in self.parts)

    @property
    def modalities(self) -> tuple[str, ...]:
        """What its parts see, each modality once."""
        return tuple(dict.fromkeys(modality for inputs in self.inputs for modality in inputs))

    def build(self, device: torch.device) -> list[TemporalModel]:
        """The model of each part, ready to score."""
        return [part.build().to(device) for part in self.parts]

    @cached_property
    def digest(self) -> str:
        """Of the numbers that score: tensors, class names, kind of model."""
        total = hashlib.sha256()
        for part in self.parts:
            total.update(digest([list(part.classes), part.config["model"], *_unseen(part)]).encode())
            for key, tensor in sorted(part.state.items()):
                total.update(key.encode() + tensor.numpy().tobytes())
        return total.hexdigest()

    def score(self, tracks: Sequence[Track], models: Sequence[TemporalModel]) -> ScoreTrack:
        """One video, as each part sees it: step logits averaged, to frame scores on the player's clock."""
        logits = [_logits(model, track) for model, track in zip(models, tracks, strict=True)]
        scores_TK = torch.stack(logits).mean(0).double().sigmoid().cpu().numpy()
        clock = tracks[0].clock
        scores_FK = frames_from_steps(scores_TK, tracks[0].center_sec_T, clock.sec_F).astype(np.float32)
        return ScoreTrack(scores_FK, clock.sec_F + clock.start_sec, self.classes)


def score(
    job: Job,
    scorer: Scorer,
    features: Features,
    *,
    folder: str = "scores",
    videos: Container[str] | None = None,
) -> dict[str, ScoreTrack]:
    """Scores by video, kept below OUT/`folder`; of `videos`, by default of all that have features.

    What is there already is left as it is.
    """
    with job.stage("score" if folder == "scores" else f"score {scorer.name}") as result:
        tracks = cached_tracks(job, features, scorer.modalities, result)
        common = [
            v for v in features.files if tracks.has(scorer.modalities, v) and (videos is None or v in videos)
        ]
        files = {
            video: _locate(job, folder, video, scorer, tracks.hashes(scorer.modalities, video), clock)
            for video in common
            for clock in [tracks.joined(scorer.inputs[0], video).clock.to_json()]
        }
        scores = {video: _found(job, file, "made again") for video, file in files.items()}
        todo = [video for video, track in scores.items() if track is None]
        result.cached = len(common) - len(todo)
        models: list[TemporalModel] = []
        claimed = job.claims.each(f"score {folder}", todo, job.progress.say)
        with job.progress.bar(result.stage, len(todo)) as bar, closing(claimed):
            for video in claimed:
                track = files[video].load_made_meanwhile()
                if track is None:
                    models = models or scorer.build(job.device)
                    track = _score_one(job, scorer, models, tracks, video, files[video], result)
                else:
                    result.cached += 1
                scores[video] = track
                bar.advance(video)
    return {video: track for video, track in scores.items() if track is not None}


def _score_one(
    job: Job,
    scorer: Scorer,
    models: Sequence[TemporalModel],
    tracks: TrackSet,
    video: str,
    file: ScoreFile,
    result: StageResult,
) -> ScoreTrack | None:
    """Score a video and keep it; None, and a failure of the stage, where memory does not suffice."""
    started = time.monotonic()
    try:
        track = scorer.score([tracks.joined(inputs, video) for inputs in scorer.inputs], models)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        message = f"{video}: {job.device} has too little memory to score it whole; take another --device"
        job.fail(result, video, "out_of_memory", message)
        return None
    file.save(track)
    result.done += 1
    seconds = round(time.monotonic() - started, 3)
    job.progress.event("scored", video=video, model=scorer.name, frames=len(track.scores_FK), seconds=seconds)
    return track


def score_tracks(
    scorer: Scorer, tracks: TrackSet, videos: Sequence[str], device: torch.device
) -> dict[str, ScoreTrack]:
    """Scores by video, in memory alone; of those of `videos` that have what every part sees."""
    models = scorer.build(device)
    return {
        video: scorer.score([tracks.joined(inputs, video) for inputs in scorer.inputs], models)
        for video in videos
        if tracks.has(scorer.modalities, video)
    }


def saved_scores(
    job: Job, scorer: Scorer, features: Features, *, folder: str = "scores"
) -> dict[str, ScoreTrack]:
    """Scores that are there and are this scorer's, of these features, by video."""
    scores = {}
    for video, files in features.files.items():
        records = [files[modality].record() for modality in scorer.modalities]
        if not all(records):
            continue
        data = [record["data_sha256"] for record in records if record]
        file = _locate(job, folder, video, scorer, data, (records[0] or {})["clock"])
        found = _found(job, file, "left out")
        if found is not None:
            scores[video] = found
    return scores


def _found(job: Job, file: ScoreFile, otherwise: str) -> ScoreTrack | None:
    """Scores that are there, else None; where that is for their damage, it is said."""
    try:
        return file.load()
    except CacheError as error:
        job.progress.say(f"  {otherwise}: {error}")
        return None


def _locate(
    job: Job, folder: str, video: str, scorer: Scorer, data: Sequence[str], clock: dict[str, Any]
) -> ScoreFile:
    key = digest({"weights": scorer.digest, "data": list(data), "clock": clock})
    return ScoreFile(job.out / folder / f"{video}.npz", key)


def _unseen(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """Settings of a model that move its scores and that none of its tensors shows, where it has any."""
    settings = checkpoint.config.get(checkpoint.config["model"], {})
    found = {name: settings[name] for name in ("heads", "window_steps", "exclusive") if settings.get(name)}
    return [found] if found else []


def _logits(model: TemporalModel, track: Track) -> Tensor:
    """Logits (T, K) of a whole video."""
    device = next(model.parameters()).device
    x_1TD = torch.from_numpy(track.data_TD)[None].to(device)
    with torch.inference_mode():
        h_1TC = encode_any_length(model, x_1TD, torch.ones(x_1TD.shape[:2], device=device))
        return model.classify(h_1TC)[0]


def save_events(job: Job, scores: Mapping[str, ScoreTrack]) -> None:
    """events.csv and events.json of all videos."""
    events = {
        video: decode(track.scores_FK, track.times_sec_F, track.classes, job.config.events)
        for video, track in scores.items()
    }
    sums = job.out / "events.sha256"
    for name in changed(sums):
        job.progress.say(f"  made again: {job.out / name}: {CHANGED}")
    with summed(sums, ["events.csv", "events.json"]):
        write_events(job.out / "events.csv", job.out / "events.json", events)


def check_features(checkpoint: Checkpoint, recipe: Recipe) -> None:
    """CheckpointError where the features to be made are not those the checkpoint was trained on."""
    for name, expected in checkpoint.features.items():
        found = recipe.identities[name]
        if found != expected:
            differing = ", ".join(differences(expected, found))
            raise CheckpointError(
                f"checkpoint {checkpoint.name!r} expects other {name} features: {differing}; "
                "score with the settings and weights it was trained with"
            )


def differences(expected: object, found: object, path: str = "") -> list[str]:
    """Where two JSON values differ, in words."""
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = sorted(expected.keys() | found.keys())
        parts = (differences(expected.get(k), found.get(k), f"{path}.{k}" if path else k) for k in keys)
        return [text for part in parts for text in part]
    return [] if expected == found else [f"{path} was {expected}, is {found}"]
