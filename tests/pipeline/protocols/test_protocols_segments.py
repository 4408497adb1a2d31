"""Segment mAP against ActivityNet's rules, proposal by proposal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events import Event
from pipeline.labels import Interval
from pipeline.protocols import Truth, measure_events

RANGES = {
    "segment_map@0.1:0.9": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
    "segment_map@0.3:0.7": [0.3, 0.4, 0.5, 0.6, 0.7],
    "segment_map@0.5:0.95": [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95],
}


def tiou(a: tuple, b: tuple) -> float:
    meet = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return meet / ((a[1] - a[0]) + (b[1] - b[0]) - meet)


def official(proposals: list[tuple], true: list[tuple], threshold: float) -> float:
    """AP of one class: rows (start, end, video[, score]); VOC's interpolation with its sentinels."""
    taken, hits, true = set(), [], sorted(true)
    for p in sorted(proposals, key=lambda p: -p[3]):
        of_video = [(tiou(p, t), n) for n, t in enumerate(true) if t[2] == p[2]]
        best = next((n for o, n in sorted(of_video, reverse=True) if o >= threshold and n not in taken), None)
        hits.append(best is not None)
        taken |= {best} - {None}
    if not hits:
        return 0.0
    found = np.cumsum(hits)
    precision = np.concatenate([[0.0], found / np.arange(1, len(hits) + 1), [0.0]])
    recall = np.concatenate([[0.0], found / len(true), [1.0]])
    for n in range(len(precision) - 2, -1, -1):
        precision[n] = max(precision[n], precision[n + 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(((recall[steps] - recall[steps - 1]) * precision[steps]).sum())


def ap(true: list, proposals: list) -> dict[str, float]:
    """One class, one video, by threshold."""
    truth = {"v": Truth(tuple(Interval(s, e, "a") for s, e in true), 100.0)}
    events = {"v": [Event(s, e, "a", score) for s, e, score in proposals]}
    return measure_events("segment_map@0.1:0.9", events, truth, ["a"]).details["map_at"]


@pytest.mark.parametrize(
    ("true", "proposals", "at", "expected"),
    [
        ([(0, 10)], [(0, 10, 0.5)], "0.9", 1.0),
        ([(0, 10)], [(0, 3, 0.5)], "0.3", 1.0),  # overlap of exactly the threshold
        ([(0, 10)], [(0, 3, 0.5)], "0.4", 0.0),
        ([(0, 10)], [(0, 10, 0.9), (0, 9, 0.8)], "0.5", 1.0),  # the second is false, but after full recall
        ([(0, 10)], [(0, 9, 0.9), (0, 10, 0.8)], "0.5", 1.0),
        ([(0, 10), (20, 30)], [(0, 10, 0.9), (0, 9, 0.8), (20, 30, 0.7)], "0.5", (1 + 2 / 3) / 2),
        ([(0, 10), (8, 18)], [(5, 12, 0.9), (5, 13, 0.8)], "0.3", 1.0),  # the second takes the one left
        ([(0, 10)], [(20, 30, 0.9), (0, 10, 0.5)], "0.5", 0.5),
        ([(0, 10)], [(20, 30, 0.5), (0, 10, 0.5)], "0.5", 0.5),  # a tie: both share rank 2
        ([(0, 10), (0, 10)], [(0, 10, 0.5)], "0.5", 0.5),
        ([(10, 0), (0, 10)], [(0, 10, 0.5)], "0.5", 0.5),  # a reversed one cannot be found
    ],
)
def test_by_hand(true, proposals, at, expected):
    assert ap(true, proposals)[at] == pytest.approx(expected)
    assert ap(true[::-1], proposals[::-1])[at] == pytest.approx(expected)


rows = st.tuples(st.integers(0, 12), st.integers(1, 8), st.sampled_from("ab"), st.sampled_from("uvw"))


@settings(max_examples=40)
@given(
    st.lists(rows, min_size=1, max_size=12), st.lists(rows, max_size=14), st.randoms(use_true_random=False)
)
def test_equals_the_official_script(true_rows, proposal_rows, random):
    marks = random.sample(range(100), len(proposal_rows))
    truth = {
        v: Truth(tuple(Interval(s, s + w, k) for s, w, k, u in true_rows if u == v), 50.0) for v in "uvw"
    }
    scored = [(*row, mark / 100) for row, mark in zip(proposal_rows, marks, strict=True)]
    events = {v: [Event(s, s + w, k, m) for s, w, k, u, m in scored if u == v] for v in "uvw"}
    occurring = sorted({row[2] for row in true_rows})
    for protocol, thresholds in RANGES.items():
        table = [
            [
                official(
                    [(s, s + w, v, m) for s, w, k, v, m in scored if k == label],
                    [(s, s + w, v) for s, w, k, v in true_rows if k == label],
                    threshold,
                )
                for label in occurring
            ]
            for threshold in thresholds
        ]
        measured = measure_events(protocol, events, truth, ("a", "b", "never"))
        assert measured.value == pytest.approx(np.mean(table))
        assert list(measured.details["map_at"].values()) == pytest.approx(np.mean(table, axis=1).tolist())
        expected = dict(zip(occurring, np.mean(table, axis=0).tolist(), strict=True))
        assert {k: ap for k, ap in measured.per_class.items() if ap is not None} == pytest.approx(expected)


def test_videos_without_action_and_without_scores():
    truth = {v: Truth((Interval(0, 10, "a"),), 20.0) for v in "uv"} | {"quiet": Truth((), 20.0)}
    right = [Event(0, 10, "a", 0.9)]
    name = "segment_map@0.5:0.95"
    assert measure_events(name, {"u": right, "v": right, "quiet": []}, truth, ["a"]).value == 1.0
    false = [Event(0, 10, "a", 0.95)]
    assert measure_events(
        name, {"u": right, "v": right, "quiet": false}, truth, ["a"]
    ).value == pytest.approx(2 / 3)
    lost = measure_events(name, {"u": right, "quiet": []}, truth, ["a"])
    assert (lost.value, lost.details["missing"], lost.videos) == (0.5, ["v"], 3)
