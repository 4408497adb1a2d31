"""frame_map and step_map: edges, ties, empty classes, videos without action, steps read back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.labels import Interval
from pipeline.protocols import Truth, measure
from pipeline.timeline import frames_from_steps
from pipeline.tracks import ScoreTrack


def active(truth: Truth, times: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """1 where something happens: (F, K)."""
    rows = [
        [any(i.label == c and i.start_sec <= t < i.end_sec for i in truth.intervals) for c in classes]
        for t in times
    ]
    return np.array(rows, dtype=np.float32)


def test_a_frame_at_the_start_counts_one_at_the_end_does_not(track):
    """Frames at 0, 1, 2, 3 s; the action is from 1 to 3: the first and the last are negatives."""
    truth = {"a": Truth((Interval(1.0, 3.0, "run"),), 4.0)}
    measured = measure("frame_map/all", {"a": track(range(4), {"run": [0.9, 0.8, 0.1, 0.5]})}, truth, ["run"])
    assert measured.value == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert (measured.chance, measured.details["positives"]) == (0.5, {"run": 2})
    assert measured.details["frames"] == 4


def test_equal_scores_share_the_last_rank(track):
    """Ranks of the positives: 1, and two of the three tied at rank 4."""
    truth = {"a": Truth((Interval(0, 1, "run"), Interval(2, 4, "run")), 5.0)}
    scores = {"a": track(range(5), {"run": [0.9, 0.4, 0.4, 0.4, 0.0]})}
    assert measure("frame_map/all", scores, truth, ["run"]).value == pytest.approx((1 + 3 / 4 + 3 / 4) / 3)


def test_empty_classes_and_videos_without_action(track):
    truth = {"a": Truth((Interval(0, 1, "run"),), 2.0), "b": Truth((), 2.0)}
    columns = {"run": [0.8, 0.1], "never": [0.9, 0.9]}
    scores = {"a": track([0, 1], columns), "b": track([0, 1], {"run": [0.9, 0.0], "never": [0, 0]})}
    present, every = (
        measure(f"frame_map/{mean}", scores, truth, tuple(columns)) for mean in ("all", "all_classes")
    )
    assert present.per_class == every.per_class == {"run": 0.5, "never": None}
    assert (present.value, present.chance) == (0.5, 0.25)
    assert (every.value, every.chance) == (0.25, 0.125)
    assert present.videos == 2


@pytest.mark.parametrize("protocol", ["frame_map/all", "step_map/all"])
def test_perfect_scores_and_constant_ones(protocol, random_set):
    scores, truth, classes = random_set(0)
    times = {v: t.times_sec_F for v, t in scores.items()}
    perfect = {v: ScoreTrack(active(truth[v], times[v], classes), times[v], classes) for v in truth}
    constant = {
        v: ScoreTrack(np.full_like(t.scores_FK, 0.3), t.times_sec_F, classes) for v, t in scores.items()
    }
    assert measure(protocol, perfect, truth, classes).value == 1.0
    measured = measure(protocol, constant, truth, classes)
    assert measured.value == pytest.approx(measured.chance)


def test_step_map_reads_the_steps_back():
    """Frame scores are linear between step centres: at the centres they are the steps' scores."""
    rng = np.random.default_rng(0)
    centers = (np.arange(12) * 8 + 8) / 25  # every eighth frame of 25 fps
    steps = {v: rng.random((12, 2)).astype(np.float32) for v in ("a", "b")}
    times = np.arange(104) / 25
    scores = {
        v: ScoreTrack(frames_from_steps(s, centers, times).astype(np.float32), times, ("run", "sit"))
        for v, s in steps.items()
    }
    truth = {"a": Truth((Interval(0.5, 1.9, "run"), Interval(1, 3, "sit")), 4.16)}
    truth["b"] = Truth((Interval(2.2, 4, "run"),), 4.16)
    exact = {v: ScoreTrack(s, centers, ("run", "sit")) for v, s in steps.items()}
    read = measure("step_map/all", scores, truth, ("run", "sit"), grids={"a": centers, "b": centers})
    given = measure("step_map/all", exact, truth, ("run", "sit"))
    assert read.value == pytest.approx(given.value)
    assert (read.chance, read.details["positives"], read.details["frames"]) == (
        given.chance,
        given.details["positives"],
        24,
    )
    on_frames = measure("step_map/all", scores, truth, ("run", "sit"))
    assert on_frames.value == measure("frame_map/all", scores, truth, ("run", "sit")).value != given.value


@given(st.integers(0, 10_000))
def test_equals_the_definition(seed):
    """Word by word, frame by frame."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(rng.integers(1, 15))) / 2
    starts = rng.integers(0, 7, (2, 3)) / 2  # many on a frame
    truth = {
        v: Truth(
            tuple(Interval(s, s + w, "run") for s, w in zip(row, rng.integers(1, 5, 3) / 4, strict=True)), 9
        )
        for v, row in zip("ab", starts, strict=True)
    }
    scores = {
        v: ScoreTrack((rng.integers(0, 4, (len(times), 1)) / 4).astype(np.float32), times, ("run",))
        for v in "ab"
    }
    rows = [
        (score, any(i.start_sec <= t < i.end_sec for i in truth[v].intervals))
        for v in "ab"
        for t, score in zip(times, scores[v].scores_FK[:, 0], strict=True)
    ]
    precisions = []
    for score, positive in rows:
        retrieved = [p for s, p in rows if s >= score]
        if positive:
            precisions.append(sum(retrieved) / len(retrieved))
    measured = measure("frame_map/all", scores, truth, ["run"])
    assert measured.value == (pytest.approx(np.mean(precisions)) if precisions else None)
