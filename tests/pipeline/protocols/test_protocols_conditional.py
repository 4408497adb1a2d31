"""Action-conditional figures against the definition, pair by pair; the condition by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from pipeline.labels import Interval
from pipeline.protocols import Truth, measure
from pipeline.protocols.conditional import condition
from pipeline.protocols.grid import grid_targets
from pipeline.tracks import ScoreTrack


def by_definition(targets: list[np.ndarray], j: int, tau: int) -> list[np.ndarray]:
    """Step by step: is class j the condition here?"""
    masks = []
    for target_TK in targets:
        active = target_TK[:, j]
        masks.append(
            np.array(
                [
                    bool(active[t])
                    if tau == 0
                    else not active[t] and bool(active[max(0, t - tau + 1) : t].any())
                    for t in range(len(active))
                ]
            )
        )
    return masks


@pytest.mark.parametrize(
    ("tau", "expected"),
    [(0, "0110000100"), (1, "0000000000"), (2, "0001000010"), (4, "0001110011"), (40, "0001111011")],
)
def test_the_condition_by_hand(tau, expected):
    """Over for less than tau steps, and not active."""
    active = np.array([c == "1" for c in "0110000100"])
    assert "".join(str(int(c)) for c in condition(active, tau)) == expected


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.sampled_from([0, 1, 20, 40]))
def test_the_condition_is_the_definition(active, tau):
    target = np.array(active)[:, None]
    assert np.array_equal(condition(target[:, 0], tau), by_definition([target], 0, tau)[0])


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([0, 20, 40]))
def test_equals_the_definition(seed, tau):
    rng = np.random.default_rng(seed)
    classes = ("a", "b", "c")
    truth, scores = {}, {}
    for video, num_steps in (("x", 50), ("y", 70), ("z", 5)):
        spans = [
            (float(s), float(s + w))
            for s, w in zip(rng.uniform(0, 45, 7), rng.uniform(1, 15, 7), strict=True)
        ]
        intervals = tuple(Interval(s, e, classes[int(rng.integers(3))]) for s, e in spans)
        truth[video] = Truth(intervals, float(num_steps))
        table = (rng.integers(0, 9, (num_steps, 3)) / 8).astype(np.float32)
        scores[video] = ScoreTrack(table, np.arange(num_steps) + 0.5, classes)
    targets = [grid_targets(truth[v], len(scores[v].times_sec_F), classes) for v in truth]
    figures = []
    for j in range(3):
        mask = np.concatenate(by_definition(targets, j, tau))
        for i in range(3):
            y = np.concatenate(targets)[mask, i]
            if i == j or not y.any():
                continue
            s = np.concatenate([scores[v].scores_FK for v in truth])[mask, i]
            found = s >= 0.5
            figures.append(
                (
                    average_precision_score(y, s),
                    precision_score(y, found, zero_division=0),
                    recall_score(y, found, zero_division=0),
                    y.mean(),
                )
            )
    names = [f"action_conditional/tau{tau}/{name}" for name in ("map", "precision", "recall", "f1")]
    ap, precision, recall, f1 = (measure(name, scores, truth, classes) for name in names)
    assert {m.details["pairs"] for m in (ap, precision, recall, f1)} == {len(figures)}
    if not figures:
        assert {m.value for m in (ap, precision, recall, f1)} == {None}
        return
    expected = np.mean(figures, axis=0)
    assert (ap.value, precision.value, recall.value) == pytest.approx(tuple(expected[:3]))
    assert ap.chance == pytest.approx(expected[3])
    both = precision.value + recall.value
    assert f1.value == pytest.approx(2 * precision.value * recall.value / both if both else 0.0)
    assert precision.chance is recall.chance is f1.chance is None


def test_one_pair_by_hand():
    """Class b is active at steps 1 to 4; there, a is at 3 and 4 and has the scores 0.2, 0.9, 0.6, 0.4."""
    truth = {"v": Truth((Interval(0.5, 4.5, "b"), Interval(2.5, 9.0, "a")), 10.0)}
    a = [0.9, 0.2, 0.9, 0.6, 0.4, 0.9, 0.9, 0.9, 0.9, 0.9]
    scores = {"v": ScoreTrack(np.array([a, [0.0] * 10], np.float32).T, np.arange(10.0), ("a", "b"))}
    found = {
        name: measure(f"action_conditional/tau0/{name}", scores, truth, ("a", "b"))
        for name in ("map", "precision", "recall", "f1")
    }
    assert found["map"].per_class["a"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["precision"].per_class["a"] == found["recall"].per_class["a"] == 0.5
    assert (found["precision"].per_class["b"], found["recall"].per_class["b"]) == (
        0,
        0,
    )  # nothing reaches 0.5
    assert found["f1"].value == 0.25  # of means of 0.25, not the mean of 0.5 and 0
    y, s = [False, False, True, True], [False, True, True, False]
    assert f1_score(y, s) == 0.5
