"""Stage score: cached features and a checkpoint to a score for every frame, and to events.

    scores/<relative path with suffix>.npz    scores (F, K), times (F,), classes
    scores/<relative path with suffix>.csv    frame, time, one column per class
    events.csv, events.json                   maximal runs of high scores

Shapes: F frames, T steps, D feature size, K classes.
"""

import csv
import hashlib
import io
import zipfile
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from models.base import TemporalModel
from models.windows import encode_any_length
from pipeline.checkpoint import Checkpoint, CheckpointError
from pipeline.events import events_from_scores, spreadsheet_safe, write_events
from pipeline.files import digest, write_atomic
from pipeline.job import Job
from pipeline.products import Features, load_tracks
from pipeline.recipe import Recipe
from pipeline.timeline import frames_from_steps
from pipeline.tracks import FeatureTrack, ScoreTrack


@dataclass(frozen=True)
class ScoreFile:
    """Where one video's scores are kept, and the key they must have."""

    npz: Path
    key: str

    @property
    def csv(self) -> Path:
        """The same for spreadsheets."""
        return self.npz.with_suffix(".csv")

    def save(self, track: ScoreTrack) -> None:
        """The csv first: whoever finds the npz finds both."""
        write_atomic(self.csv, lambda file: _write_csv(file, track))
        arrays = {"scores": track.scores_FK, "times": track.times_sec_F, "classes": np.array(track.classes)}
        write_atomic(self.npz, lambda file: np.savez(file, **arrays, key=np.array(self.key)))

    def load(self) -> ScoreTrack | None:
        """The scores; None where they are absent, damaged or made under another key."""
        try:
            with np.load(io.BytesIO(self.npz.read_bytes()), allow_pickle=False) as arrays:
                if str(arrays["key"]) != self.key or not self.csv.is_file():
                    return None
                return ScoreTrack(arrays["scores"], arrays["times"], tuple(map(str, arrays["classes"])))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None


@dataclass(frozen=True)
class Scorer:
    """One model, or several whose logits are averaged (two-stream)."""

    name: str
    parts: tuple[Checkpoint, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Columns of its scores."""
        return self.parts[0].classes

    @property
    def modalities(self) -> tuple[str, ...]:
        """What each part sees."""
        return tuple(modality for part in self.parts for modality in part.features)

    @cached_property
    def digest(self) -> str:
        """Of the numbers that score: tensors, class names, kind of model."""
        total = hashlib.sha256()
        for part in self.parts:
            total.update(digest([list(part.classes), part.config["model"], *_unseen(part)]).encode())
            for key, tensor in sorted(part.state.items()):
                total.update(key.encode() + tensor.numpy().tobytes())
        return total.hexdigest()

    def score(self, tracks: Sequence[FeatureTrack], models: Sequence[TemporalModel]) -> ScoreTrack:
        """One video: step logits averaged, to frame scores on the player's clock."""
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
        tracks = {modality: load_tracks(job, features, modality, result) for modality in scorer.modalities}
        common = [
            v
            for v in features.files
            if all(v in of for of in tracks.values()) and (videos is None or v in videos)
        ]
        models: list[TemporalModel] = []
        scores = {}
        with job.progress.bar(result.stage, len(common)) as bar:
            for video in common:
                found = [tracks[modality][video] for modality in scorer.modalities]
                file = _locate(
                    job, folder, video, scorer, [data for _, data in found], found[0][0].clock.to_json()
                )
                track = file.load()
                if track is None:
                    models = models or [part.build().to(job.device) for part in scorer.parts]
                    track = scorer.score([track for track, _ in found], models)
                    file.save(track)
                    result.done += 1
                else:
                    result.cached += 1
                scores[video] = track
                bar.advance(video)
    return scores


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
        found = _locate(job, folder, video, scorer, data, (records[0] or {})["clock"]).load()
        if found is not None:
            scores[video] = found
    return scores


def _locate(
    job: Job, folder: str, video: str, scorer: Scorer, data: Sequence[str], clock: dict[str, Any]
) -> ScoreFile:
    key = digest({"weights": scorer.digest, "data": list(data), "clock": clock})
    return ScoreFile(job.out / folder / f"{video}.npz", key)


def _unseen(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """Settings of a model that move its scores and that none of its tensors shows, where it has any."""
    settings = checkpoint.config.get(checkpoint.config["model"], {})
    found = {name: settings[name] for name in ("heads", "window_steps") if settings.get(name) is not None}
    return [found] if found else []


def _logits(model: TemporalModel, track: FeatureTrack) -> Tensor:
    """Logits (T, K) of a whole video."""
    device = next(model.parameters()).device
    x_1TD = torch.from_numpy(track.data_TD)[None].to(device)
    with torch.inference_mode():
        h_1TC = encode_any_length(model, x_1TD, torch.ones(x_1TD.shape[:2], device=device))
        return model.classify(h_1TC)[0]


def save_events(job: Job, scores: Mapping[str, ScoreTrack]) -> None:
    """events.csv and events.json of all videos."""
    rule = job.config.events
    events = {
        video: events_from_scores(
            track.scores_FK,
            track.times_sec_F,
            track.classes,
            threshold=rule.threshold,
            min_sec=rule.min_sec,
            merge_gap_sec=rule.merge_gap_sec,
        )
        for video, track in scores.items()
    }
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


def _write_csv(file: IO[bytes], track: ScoreTrack) -> None:
    header = io.StringIO()

    csv.writer(header, lineterminator="\n").writerow(["frame", "time", *map(spreadsheet_safe, track.classes)])
    file.write(header.getvalue().encode())
    table = np.column_stack([np.arange(len(track.times_sec_F)), track.times_sec_F, track.scores_FK])
    np.savetxt(file, table, fmt=["%d", "%.6f"] + ["%.6f"] * len(track.classes), delimiter=",")
