"""Small test sets: scores with ties, overlapping events, a video without action, an empty class."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pytest

from pipeline.labels import Interval
from pipeline.protocols import Truth
from pipeline.tracks import ScoreTrack


class TestSet(NamedTuple):
    """By video."""

    scores: dict[str, ScoreTrack]
    truth: dict[str, Truth]
    classes: tuple[str, ...]


def track(times: object, columns: Mapping[str, object]) -> ScoreTrack:
    """A column of scores per class, over the times."""
    table = np.stack([np.asarray(values, dtype=np.float32) for values in columns.values()], axis=1)
    return ScoreTrack(table, np.asarray(times, dtype=np.float64), tuple(columns))


def random_set(seed: int, num_videos: int = 5, levels: int = 6, fps: float = 5.0) -> TestSet:
    """Scores of few levels follow the labels roughly; nothing happens in video 0; class "never" is empty."""
    rng = np.random.default_rng(seed)
    classes = ("run", "walk", "sit", "never")
    scores, truth = {}, {}
    for v in range(num_videos):
        frames = int(rng.integers(28, 70))
        length = frames / fps
        intervals = []
        for _ in range(0 if v == 0 else int(rng.integers(2, 7))):
            start = float(rng.uniform(0, length - 1))
            end = start + float(rng.uniform(0.5, 4))
            intervals.append(Interval(round(start, 2), round(end, 2), str(rng.choice(classes[:3]))))
        times = np.arange(frames) / fps
        active = np.stack(
            [
                np.any(
                    [(times >= i.start_sec) & (times < i.end_sec) for i in intervals if i.label == c], axis=0
                )
                if any(i.label == c for i in intervals)
                else np.zeros(frames, bool)
                for c in classes
            ],
            axis=1,
        )
        noisy = np.clip(0.25 + 0.4 * active + rng.normal(0, 0.2, active.shape), 0, 1)
        table = (np.round(noisy * levels) / levels).astype(np.float32)
        scores[f"v{v}"] = ScoreTrack(table, times, classes)
        truth[f"v{v}"] = Truth(tuple(intervals), length)
    return TestSet(scores, truth, classes)


@pytest.fixture(scope="session", name="track")
def track_fixture() -> Callable[..., ScoreTrack]:
    """`track(times, {class: scores})`."""
    return track


@pytest.fixture(scope="session", name="random_set")
def random_set_fixture() -> Callable[..., TestSet]:
    """`random_set(seed, num_videos=5, levels=6, fps=5.0)`."""
    return random_set
