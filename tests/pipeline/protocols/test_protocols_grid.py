"""grid_map and sampled_25: strict edges, the stated length, which steps are sampled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.labels import Interval
from pipeline.protocols import Truth, measure
from pipeline.protocols.grid import grid_targets, sampled
from pipeline.tracks import ScoreTrack


def steps(values_TK: np.ndarray, classes: tuple[str, ...]) -> ScoreTrack:
    return ScoreTrack(values_TK.astype(np.float32), np.arange(len(values_TK)) * 0.37, classes)


def test_both_edges_are_outside():
    """Four steps in 8 s are at 0, 2, 4, 6 s."""
    truth = Truth((Interval(2.0, 6.0, "run"), Interval(0.0, 2.1, "sit")), 8.0)
    assert grid_targets(truth, 4, ("run", "sit")).T.tolist() == [
        [False, False, True, False],
        [False, True, False, False],
    ]


def test_the_length_stretches_the_grid(track):
    """The times of the rows do not matter, their number does."""
    scores = {"a": steps(np.array([[0.1], [0.2], [0.9], [0.3]]), ("run",))}
    for length, positives in ((8.0, 1), (16.0, 1), (5.0, 2), (2.0, 0)):
        measured = measure(
            "grid_map/all", scores, {"a": Truth((Interval(2.0, 6.0, "run"),), length)}, ["run"]
        )
        assert measured.details["positives"] == {"run": positives}
        assert measured.details["frames"] == 4


@given(st.integers(1, 300), st.floats(0.5, 200), st.integers(0, 2**32 - 1))
def test_labels_are_those_of_the_community_code(num_steps, length, seed):
    """Step by step as PDAN's loader has them."""
    rng = np.random.default_rng(seed)
    edges = np.sort(
        rng.choice([*np.arange(num_steps) * length / num_steps, *rng.uniform(0, length, 5)], (3, 2))
    )
    truth = Truth(tuple(Interval(float(s), float(e), "run") for s, e in edges), length)
    fps = num_steps / length
    expected = [any(s < t / fps < e for s, e in edges) for t in range(num_steps)]
    assert grid_targets(truth, num_steps, ("run",))[:, 0].tolist() == expected


@pytest.mark.parametrize(
    ("num_steps", "last", "apart"),
    [(26, 25, 1), (49, 25, 1), (50, 49, 2), (51, 49, 2), (100, 97, 4), (137, 121, 5)],
)
def test_which_25_are_sampled(num_steps, last, apart):
    chosen = sampled(np.arange(num_steps))
    assert chosen.tolist() == list(range(1, last + 1, apart))
    assert len(chosen) == 25


def test_short_videos_are_not_sampled(random_set):
    rng = np.random.default_rng(0)
    scores = {f"v{n}": steps(rng.random((n, 1)), ("run",)) for n in (25, 26, 60)}
    truth = {f"v{n}": Truth((Interval(3, 7, "run"),), 10.0) for n in (25, 26, 60)}
    measured = measure("sampled_25", scores, truth, ["run"])
    assert measured.details["too_short"] == ["v25"]
    assert (measured.videos, measured.details["frames"]) == (2, 50)
    targets = [grid_targets(truth[v], len(scores[v].times_sec_F), ("run",)) for v in ("v26", "v60")]
    rows = [(sampled(scores[v].scores_FK), sampled(t)) for v, t in zip(("v26", "v60"), targets, strict=True)]
    pooled = sorted(((float(s), bool(p)) for pair in rows for s, p in zip(*pair, strict=True)), reverse=True)
    hits = [
        sum(p for _, p in pooled[: n + 1]) / (n + 1) for n, (_, positive) in enumerate(pooled) if positive
    ]
    assert measured.value == pytest.approx(np.mean(hits))  # no two scores are equal


def test_perfect_scores_on_the_grid_and_classes(random_set):
    scores, truth, classes = random_set(1)
    perfect = {
        v: steps(grid_targets(truth[v], len(t.times_sec_F), classes), classes) for v, t in scores.items()
    }
    for protocol in ("grid_map/all", "sampled_25"):
        assert measure(protocol, perfect, truth, classes).value == 1.0
    assert measure("grid_map/all_classes", perfect, truth, classes).value == 0.75  # one of four is empty


def test_the_grid_of_the_model_is_read_from_frame_scores(track):
    """Steps at 1, 3, 5, 7 s of a video with a frame a second."""
    frames = track(range(8), {"run": [0, 0.1, 0.2, 0.3, 0.6, 0.9, 0.5, 0.1]})
    truth = {"a": Truth((Interval(3.0, 5.0, "run"),), 8.0)}
    measured = measure("grid_map/all", {"a": frames}, truth, ["run"], grids={"a": np.array([1.0, 3, 5, 7])})
    # the third step of four, whatever its centre, is at 4 s; it has the best score
    assert (measured.value, measured.details["frames"], measured.details["positives"]) == (1.0, 4, {"run": 1})
