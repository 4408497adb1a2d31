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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import nn

from pipeline.checkpoint import Checkpoint, CheckpointError
from pipeline.events import events_from_scores, spreadsheet_safe, write_events
from pipeline.extract import Features, load_tracks
from pipeline.files import digest, write_atomic
from pipeline.job import Job
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


def score(job: Job, checkpoint: Checkpoint, features: Features) -> dict[str, ScoreTrack]:
    """Scores of every video that has features, by video, and their events; what is there is left as it is."""
    with job.stage("score") as result:
        (name,) = checkpoint.features
        weights = _weights_digest(checkpoint)
        model: nn.Module | None = None
        scores = {}
        tracks = load_tracks(job, features, name, result)
        with job.progress.bar("score", len(tracks)) as bar:
            for video, (track, data_sha256) in tracks.items():
                file = _locate(job, video, weights, data_sha256, track.clock.to_json())
                found = file.load()
                if found is None:
                    model = model or checkpoint.build().to(job.device)
                    found = score_track(model, track, checkpoint.classes)
                    file.save(found)
                    result.done += 1
                else:
                    result.cached += 1
                scores[video] = found
                bar.advance(video)
        _save_events(job, scores)
    return scores


def saved_scores(job: Job, checkpoint: Checkpoint, features: Features) -> dict[str, ScoreTrack]:
    """Scores that are there and are this checkpoint's, of these features, by video."""
    (name,) = checkpoint.features
    weights = _weights_digest(checkpoint)
    scores = {}
    for video, files in features.files.items():
        record = files[name].record()
        if record is None:
            continue
        found = _locate(job, video, weights, record["data_sha256"], record["clock"]).load()
        if found is not None:
            scores[video] = found
    return scores


def _locate(job: Job, video: str, weights: str, data_sha256: str, clock: dict[str, Any]) -> ScoreFile:
    key = digest({"weights": weights, "data": data_sha256, "clock": clock})
    return ScoreFile(job.out / "scores" / f"{video}.npz", key)


def score_track(model: nn.Module, track: FeatureTrack, classes: tuple[str, ...]) -> ScoreTrack:
    """One video through a temporal model: steps to frames, times on the player's clock."""
    device = next(model.parameters()).device
    x_1TD = torch.from_numpy(track.data_TD)[None].to(device)
    with torch.inference_mode():
        logits_1TK = model(x_1TD, torch.ones(x_1TD.shape[:2], device=device))
    scores_TK = logits_1TK[0].double().sigmoid().cpu().numpy()
    clock = track.clock
    scores_FK = frames_from_steps(scores_TK, track.center_sec_T, clock.sec_F).astype(np.float32)
    return ScoreTrack(scores_FK, clock.sec_F + clock.start_sec, classes)


def _save_events(job: Job, scores: Mapping[str, ScoreTrack]) -> None:
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
            differing = ", ".join(_differences(expected, found))
            raise CheckpointError(
                f"checkpoint {checkpoint.name!r} expects other {name} features: {differing}; "
                "score with the settings and weights it was trained with"
            )


def _differences(expected: object, found: object, path: str = "") -> list[str]:
    """Where two JSON values differ, in words."""
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = sorted(expected.keys() | found.keys())
        parts = (_differences(expected.get(k), found.get(k), f"{path}.{k}" if path else k) for k in keys)
        return [text for part in parts for text in part]
    return [] if expected == found else [f"{path} was {expected}, is {found}"]


def _weights_digest(checkpoint: Checkpoint) -> str:
    """Of the numbers that score: tensors and class names."""
    total = hashlib.sha256(digest([list(checkpoint.classes), checkpoint.config["model"]]).encode())
    for key, tensor in sorted(checkpoint.state.items()):
        total.update(key.encode() + tensor.numpy().tobytes())
    return total.hexdigest()


def _write_csv(file: IO[bytes], track: ScoreTrack) -> None:
    header = io.StringIO()

    csv.writer(header, lineterminator="\n").writerow(["frame", "time", *map(spreadsheet_safe, track.classes)])
    file.write(header.getvalue().encode())
    table = np.column_stack([np.arange(len(track.times_sec_F)), track.times_sec_F, track.scores_FK])
    np.savetxt(file, table, fmt=["%d", "%.6f"] + ["%.6f"] * len(track.classes), delimiter=",")
