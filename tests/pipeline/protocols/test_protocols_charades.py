"""charades_localize_25: the 25 instants, both edges, -inf, and the real annotations."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets import load_annotations
from pipeline.labels import Annotations, Interval
from pipeline.protocols import Truth, measure
from pipeline.protocols.charades import instant_targets, instants
from pipeline.tracks import ScoreTrack

NAME, WEIGHTED = "charades_localize_25", "charades_localize_25/weighted"


def official(table_NK: np.ndarray, label_NK: np.ndarray) -> tuple[float, float]:
    """Mean and weighted AP by the official script, step by step; scores without ties."""
    aps = []
    for score_N, label_N in zip(table_NK.T, label_NK.T, strict=True):
        hits = label_N[np.argsort(-score_N, kind="stable")]
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        aps.append(precision[hits].sum() / hits.sum())
    return float(np.mean(aps)), float((aps * label_NK.sum(0)).sum() / label_NK.sum())


def labels(truth: Truth, classes: tuple[str, ...]) -> np.ndarray:
    rows = [
        [any(i.label == c and i.start_sec <= t <= i.end_sec for i in truth.intervals) for c in classes]
        for t in [j / 25 * truth.duration_sec for j in range(25)]
    ]
    return np.array(rows)


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        (1.0, 3.0, 3),  # instants at 0, 1, ..., 24 s: 1, 2 and 3, both edges
        (1.01, 2.99, 1),
        (0.0, 0.0, 1),
        (23.5, 99.0, 1),  # past the end: the last instant is at 24 s
        (24.0, 24.5, 1),
        (24.01, 25.0, 0),
        (3.0, 1.0, 0),  # reversed
    ],
)
def test_25_instants_inclusive_on_both_sides(track, start, end, count):
    truth = {"a": Truth((Interval(start, end, "run"),), 25.0)}
    scores = {"a": track(range(25), {"run": np.linspace(0, 1, 25)})}
    measured = measure(NAME, scores, truth, ["run"])
    assert measured.details["positives"] == {"run": count}
    assert (measured.details["frames"], measured.videos) == (25, 1)


def test_instants_between_frames_and_after_the_last_one(track):
    """Half of a video of 25 s was decoded: instants at 0 to 12 s have scores, those of 13 to 24 s none."""
    half = track(np.arange(125) / 10, {"run": np.linspace(0, 1, 125)})
    truth = {"a": Truth((Interval(12.0, 13.0, "run"),), 25.0)}
    # 12 s has the best score; 13 s is among the twelve at the bottom, all at rank 25
    assert measure(NAME, {"a": half}, truth, ["run"]).value == pytest.approx((1 + 2 / 25) / 2)
    late = track(np.arange(5, 250) / 10, {"run": np.linspace(1, 0, 245)})  # starts at 0.5 s, holds to 24.9 s
    truth = {"a": Truth((Interval(0.0, 0.4, "run"),), 25.0)}
    assert measure(NAME, {"a": late}, truth, ["run"]).value == 1.0


def test_videos_without_scores_are_at_the_bottom(track):
    truth = {v: Truth((Interval(0, 0.5, "run"),), 25.0) for v in "abc"}
    scores = {"a": track(range(25), {"run": np.linspace(1, 0, 25)})}
    measured = measure(NAME, scores, truth, ["run"])
    # one positive at rank 1, two among the 50 instants that share rank 75
    assert measured.value == pytest.approx((1 + 3 / 75 + 3 / 75) / 3)
    assert (measured.videos, measured.details["missing"]) == (3, ["b", "c"])


def test_equals_the_official_script(random_set):
    scores, truth, classes = random_set(0, num_videos=9, levels=10**6)
    rng = np.random.default_rng(0)
    scores = {
        v: ScoreTrack(rng.random((25, 4)).astype(np.float32), instants(t), classes) for v, t in truth.items()
    }
    table = np.concatenate([track.scores_FK for track in scores.values()])[:, :3]
    target = np.concatenate([labels(t, classes) for t in truth.values()])[:, :3]  # "never" would be NaN there
    plain, weighted = official(table, target)
    assert measure(NAME, scores, truth, classes).value == pytest.approx(plain)
    assert measure(WEIGHTED, scores, truth, classes).value == pytest.approx(weighted)
    assert plain != pytest.approx(weighted)


@cache
def annotations(path: Path) -> Annotations:
    return load_annotations(path)


@pytest.fixture
def test_videos(shared):
    found = annotations(shared / "data" / "annotations" / "charades" / "charades.json")
    truth = {v.video: Truth(v.intervals, v.duration_sec) for v in found.videos if v.subset == "testing"}
    return truth, found.classes


@pytest.mark.shared
def test_all_annotations_have_as_many_positives_as_counted_elsewhere(shared):
    """705,470 positive instants in all 9,848 videos: an independent count by the official script's rule."""
    found = annotations(shared / "data" / "annotations" / "charades" / "charades.json")
    everyone = [Truth(v.intervals, v.duration_sec) for v in found.videos]
    counts = [int(instant_targets(truth, instants(truth), found.classes).sum()) for truth in everyone]
    assert (len(counts), sum(counts)) == (9848, 705_470)


@pytest.mark.shared
@pytest.mark.parametrize("count", [200, pytest.param(1863, marks=pytest.mark.slow)])
def test_perfect_and_constant_scores_of_the_test_set(test_videos, count):
    truth, classes = dict(list(test_videos[0].items())[:count]), test_videos[1]
    perfect = {
        v: ScoreTrack(instant_targets(t, instants(t), classes).astype(np.float32), instants(t), classes)
        for v, t in truth.items()
    }
    constant = {
        v: ScoreTrack(np.full((25, 157), 0.5, np.float32), instants(t), classes) for v, t in truth.items()
    }
    for protocol in (NAME, WEIGHTED):
        best, flat = (measure(protocol, scores, truth, classes) for scores in (perfect, constant))
        assert (best.value, best.videos, best.details["frames"]) == (1.0, count, count * 25)
        assert flat.value == pytest.approx(flat.chance) == pytest.approx(best.chance)
    if count == 1863:
        assert None not in best.per_class.values()  # each of the 157 occurs


@pytest.mark.shared
def test_random_scores_of_the_test_set_equal_the_official_script(test_videos):
    truth, classes = test_videos
    rng = np.random.default_rng(0)
    some = dict(list(truth.items())[:200])
    scores = {
        v: ScoreTrack(rng.random((25, 157)).astype(np.float32), np.arange(25) / 25 * t.duration_sec, classes)
        for v, t in some.items()
    }
    target = np.concatenate([labels(t, classes) for t in some.values()])
    there = target.any(axis=0)
    table = np.concatenate([track.scores_FK for track in scores.values()])
    plain, weighted = official(table[:, there].astype(np.float64), target[:, there])
    assert measure(NAME, scores, some, classes).value == pytest.approx(
        plain, abs=1e-4
    )  # a tie or two in 5000
    assert measure(WEIGHTED, scores, some, classes).value == pytest.approx(weighted, abs=1e-4)
