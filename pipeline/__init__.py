"""augrgb: temporal action detection from raw video.

The library face: `extract`, `train`, `score` and `run` do what the commands of the same names do,
on the same files; what `out` holds already is not computed again. Shapes: F frames, T steps,
D feature size, K classes.

    from pipeline import run
    scores = run(["videos/"], "out", annotations="labels.csv", preset="tiny")
    scores["a.mp4"].scores_FK, scores["a.mp4"].times_sec_F

All take `videos` (files, folders, or .txt/.csv lists), `out` (the folder of results), and by name:
`annotations` (labels: our CSV, or a data set's file), `preset` and `config` (settings: a preset's name, a
file), `overrides` ("a.b=c" each, as `--set` takes them), `device` ("auto", "cpu", "cuda:0"), `quiet`,
`engine` (where features are made, such as `pipeline.engines.EngineOptions("processes", workers=4)`). Wrong
use raises ValueError before any work; a video that cannot be done is left out of what is
returned and named in OUT/failures.jsonl.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

if TYPE_CHECKING:
    from pipeline.checkpoint import Checkpoint
    from pipeline.engines import EngineOptions
    from pipeline.tracks import FeatureTrack, ScoreTrack

__all__ = ["Settings", "extract", "run", "score", "train"]

Videos = str | Path | Sequence[str | Path]


class Settings(TypedDict, total=False):
    """What every function takes by name."""

    preset: str | None
    config: str | Path | None
    overrides: Sequence[str]
    device: str
    quiet: bool
    engine: "EngineOptions"


def extract(
    videos: Videos, out: str | Path, *, features: Sequence[str] = ("rgb",), **settings: Unpack[Settings]
) -> "dict[str, dict[str, FeatureTrack]]":
    """Features by modality and video: (T, D) float32, each row with the centre of its window in seconds.

    `features` are "rgb", "flow" and "skeleton".
    """
    from pipeline import commands
    from pipeline.request import request

    found = commands.extract(request(videos, out, features=features, **settings))
    return {
        name: {video: of[name].load()[0] for video, of in found.files.items() if of[name].record()}
        for name in found.recipe.modalities
    }


def train(
    videos: Videos, out: str | Path, *, annotations: str | Path, **settings: Unpack[Settings]
) -> "dict[str, Checkpoint]":
    """Train on the features that `extract` left in `out`: models by name, kept there, too."""
    from pipeline import commands
    from pipeline.request import request

    return commands.train(request(videos, out, annotations=annotations, **settings))


def score(
    videos: Videos, out: str | Path, *, checkpoint: str | Path, **settings: Unpack[Settings]
) -> "dict[str, ScoreTrack]":
    """Extract what is missing, then score every frame: (F, K) float32 by video."""
    from pipeline import commands
    from pipeline.request import request

    return commands.run(request(videos, out, checkpoint=checkpoint, **settings))


def run(
    videos: Videos, out: str | Path, *, annotations: str | Path | None = None, **settings: Unpack[Settings]
) -> "dict[str, ScoreTrack]":
    """The whole way: extract, train, score, evaluate, report; scores (F, K) float32 by video.

    Only a preset that trains nothing (`charades-i3d`) can do without `annotations`.
    """
    from pipeline import commands
    from pipeline.request import request

    return commands.run(request(videos, out, annotations=annotations, **settings))
