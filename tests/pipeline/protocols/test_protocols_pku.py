"""Event mAP of PKU-MMD against the official script's rules, proposal by proposal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events import Event
from pipeline.labels import Interval
from pipeline.protocols import Truth, measure_events

ACTION, VIDEO = "event_map/action@{}", "event_map/video@{}"


def overlap(a: tuple, b: tuple) -> float:
    return (min(a[1], b[1]) - max(a[0], b[0])) / (max(a[1], b[1]) - min(a[0], b[0]))


def official(proposals: list[tuple], true: list[tuple], theta: float) -> float:
    """AP of rows (start, end, label, video[, score]): drop the worst proposal, look, drop the next."""
    if not true:
        return 0.0
    proposals, true = sorted(proposals, key=lambda p: p[4]), sorted(true)
    owners = []
    for p in proposals:
        fits = [(overlap(p, t), n) for n, t in enumerate(true) if t[2:4] == p[2:4] and overlap(p, t) >= theta]
        owners.append(max(fits)[1] if fits else None)

    def look(kept: list) -> tuple[float, float]:
        found = len({owner for owner in kept if owner is not None})
        return (found / len(kept), found / len(true)) if kept else (0.0, 0.0)

    best, recall = look(owners)
    total = 0.0
    for n, owner in enumerate(owners):
        if owner is None:
            continue
        precision, left = look(owners[n + 1 :])
        best = max(best, precision)
        total += best * (recall - left)
        recall = left
    return total


def action_ap(true: list, proposals: list, theta: float = 0.5) -> float:
    """One class, one video; rows (start, end[, score])."""
    truth = {"v": Truth(tuple(Interval(s, e, "a") for s, e in true), 100.0)}
    events = {"v": [Event(s, e, "a", score) for s, e, score in proposals]}
    return measure_events(ACTION.format(theta), events, truth, ["a"]).value


@pytest.mark.parametrize(
    ("true", "proposals", "expected"),
    [
        ([(0, 10)], [(0, 10, 0.1)], 1.0),
        ([(0, 10)], [], 0.0),
        ([(0, 10)], [(0, 5, 0.1)], 1.0),  # overlap of exactly theta
        ([(0, 10)], [(0, 4.9, 0.1)], 0.0),
        ([(0, 10)], [(10, 20, 0.9)], 0.0),
        ([(0, 10)], [(20, 30, 0.9), (0, 10, 0.1)], 0.5),  # the better one is false
        ([(0, 10)], [(0, 10, 0.9), (20, 30, 0.1)], 0.5),  # and the worse: not looked at before the last drop
        ([(0, 10)], [(0, 10, 0.9), (0, 9, 0.8)], 1.0),  # found twice: looked at when the second goes
        ([(0, 10), (20, 30)], [(0, 10, 0.9)], 0.5),
        ([(0, 10), (0, 10)], [(0, 10, 0.9)], 0.5),  # the same event annotated twice
        ([(5, 3), (0, 10)], [(0, 10, 0.9), (3, 5, 0.1)], 0.25),  # a reversed one counts, and cannot be found
        ([(0, 10), (20, 30)], [(0, 10, 0.9), (40, 50, 0.5), (20, 30, 0.1)], 2 / 3),
    ],
)
def test_by_hand(true, proposals, expected):
    assert action_ap(true, proposals) == pytest.approx(expected)
    rows = [(s, e, "a", "v") for s, e in true]
    assert official([(*p[:2], "a", "v", p[2]) for p in proposals], rows, 0.5) == pytest.approx(expected)


def test_a_proposal_belongs_to_the_event_it_overlaps_most():
    """Both overlap the first event; the second event stays unfound."""
    assert action_ap([(0, 10), (9, 19)], [(0, 10, 0.9), (2, 11, 0.8)], theta=0.1) == pytest.approx(0.5)


rows = st.tuples(st.integers(0, 12), st.integers(1, 8), st.sampled_from("ab"), st.sampled_from("uvw"))


@settings(max_examples=40)
@given(
    st.lists(rows, min_size=1, max_size=12), st.lists(rows, max_size=14), st.randoms(use_true_random=False)
)
def test_equals_the_official_script(true_rows, proposal_rows, random):
    """By action and by video, at each theta; no two scores are equal, as there the order would decide."""
    marks = random.sample(range(100), len(proposal_rows))
    true = [(s, s + w, label, v) for s, w, label, v in true_rows]
    proposals = [
        (s, s + w, label, v, m / 100) for (s, w, label, v), m in zip(proposal_rows, marks, strict=True)
    ]
    truth = {v: Truth(tuple(Interval(*t[:3]) for t in true if t[3] == v), 50.0) for v in "uvw"}
    events = {v: [Event(*p[:3], p[4]) for p in proposals if p[3] == v] for v in "uvw"}
    for theta in (0.1, 0.3, 0.5, 0.7):
        for name, key, groups in ((ACTION, 2, "abc"), (VIDEO, 3, "uvw")):
            aps = [
                official([p for p in proposals if p[key] == g], [t for t in true if t[key] == g], theta)
                for g in groups
            ]
            measured = measure_events(name.format(theta), events, truth, ("a", "b", "c"))
            assert measured.value == pytest.approx(np.mean(aps))  # over three classes, though c never occurs
            assert measured.chance is None


@pytest.mark.parametrize(
    ("protocol", "found", "one_false", "one_missing"),
    # by video, the quiet one has nothing to find and counts 0, whatever is said of it
    [(ACTION.format(0.5), 1, 2 / 3, 1 / 2), (VIDEO.format(0.5), 2 / 3, 2 / 3, 1 / 3)],
)
def test_videos_without_action_and_without_scores(protocol, found, one_false, one_missing):
    truth = {v: Truth((Interval(0, 10, "a"),), 20.0) for v in "uv"} | {"quiet": Truth((), 20.0)}
    right, false = [Event(0, 10, "a", 0.9)], [Event(0, 10, "a", 0.95)]
    for events, value in (
        ({"u": right, "v": right, "quiet": []}, found),
        ({"u": right, "v": right, "quiet": false}, one_false),
        ({"u": right, "quiet": []}, one_missing),
    ):
        measured = measure_events(protocol, events, truth, ["a"])
        assert measured.value == pytest.approx(value)
        assert (measured.details["missing"], measured.videos) == ([v for v in truth if v not in events], 3)


def test_equal_scores_go_together():
    """In whichever order: before them precision is 1/2, after them nothing is left."""
    one, other = (0, 10, 0.5), (20, 30, 0.5)
    assert action_ap([(0, 10)], [one, other]) == action_ap([(0, 10)], [other, one]) == 0.5
    assert action_ap([(0, 10)], [one, other, (40, 50, 0.9)]) == pytest.approx(1 / 3)
