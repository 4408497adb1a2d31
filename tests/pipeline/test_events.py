import csv
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.config import EventConfig
from pipeline.events import (
    Event,
    decode,
    events_from_scores,
    grouped_events,
    spreadsheet_safe,
    write_events,
)
from pipeline.labels import Interval, interval_targets, read_annotations

TIMES = np.array([5.0, 5.1, 5.3, 5.4, 5.6])  # variable rate, 0.15 s a frame on average


def events(*scores: float, times: np.ndarray = TIMES, **settings: float) -> list[tuple[float, float, float]]:
    found = events_from_scores(np.array(scores, dtype=np.float32)[:, None], times, ["run"], **settings)
    return [(e.start_sec, pytest.approx(e.end_sec), pytest.approx(e.score)) for e in found]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0, 0, 0, 0, 0), []),
        ((0, 0.6, 0.8, 0.4, 0), [(5.1, 5.4, 0.7)]),
        ((0.5, 0, 0, 0, 0.9), [(5.0, 5.1, 0.5), (5.6, 5.75, 0.9)]),  # the threshold itself counts
        ((1, 1, 1, 1, 1), [(5.0, 5.75, 1.0)]),
    ],
)
def test_maximal_runs(scores, expected):
    assert events(*scores) == expected


def test_gaps_are_merged_before_short_events_are_dropped():
    scores = (1, 0, 1, 0, 1)  # gaps of 0.2 s, twice
    assert len(events(*scores, merge_gap_sec=0.19)) == 3
    assert events(*scores, merge_gap_sec=0.2) == [(5.0, 5.75, 0.6)]
    assert events(*scores, min_sec=0.12) == [(5.6, 5.75, 1.0)]
    assert events(*scores, min_sec=0.7, merge_gap_sec=0.2) == [(5.0, 5.75, 0.6)]
    assert events(*scores, threshold=0.0) == [(5.0, 5.75, 0.6)]


@pytest.mark.parametrize("start", range(0, 200, 7))
def test_five_frames_of_40_ms_last_a_fifth_of_a_second(start):
    times = np.arange(250) / 25
    scores = np.zeros(250)
    scores[start : start + 5] = scores[start + 10 : start + 15] = 1
    assert len(events(*scores, times=times, min_sec=0.2)) == 2
    assert len(events(*scores, times=times, merge_gap_sec=0.2)) == 1


def test_classes_are_apart_and_events_in_order_of_time():
    scores_FK = np.array([[0, 1, 1], [1, 1, 0], [1, 0, 1], [0, 0, 0], [0, 0, 0]])
    found = events_from_scores(scores_FK, TIMES, ["a", "b", "c"])
    assert [(e.label, e.start_sec, e.end_sec) for e in found] == [
        ("b", 5.0, 5.3),
        ("c", 5.0, 5.1),
        ("a", 5.1, 5.4),
        ("c", 5.3, 5.4),
    ]


def test_one_frame_and_none():
    assert events(1, times=np.array([2.0])) == [(2.0, 2.04, 1.0)]
    assert events(times=np.zeros(0)) == []


@pytest.mark.parametrize(
    ("scores", "times", "message"),
    [
        (np.zeros((5, 2)), TIMES, r"got \(5, 2\)"),
        (np.zeros((4, 1)), TIMES, r"got \(4, 1\)"),
        (np.zeros(5), TIMES, r"got \(5,\)"),
        (np.full((5, 1), np.nan), TIMES, "finite"),
        (np.zeros((2, 1)), np.array([1.0, 1.0]), "increase"),
        (np.zeros((2, 1)), np.array([np.inf, np.inf]), "increase"),
    ],
)
def test_bad_input(scores, times, message):
    for find in (events_from_scores, grouped_events):
        with pytest.raises(ValueError, match=message):
            find(scores, times, ["run"])


@settings(deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 3))), st.integers(1, 60))
def test_events_are_the_targets_they_came_from(active_FK, fps):
    """Frames to events to frames is the identity: an event ends before the frame after it."""
    times = 3.0 + np.arange(len(active_FK)) / fps
    classes = [str(k) for k in range(active_FK.shape[1])]
    found = events_from_scores(active_FK.astype(np.float32), times, classes)
    intervals = [Interval(e.start_sec, e.end_sec, e.label) for e in found]
    assert np.array_equal(interval_targets(intervals, times, classes), active_FK)
    assert all(e.score == 1.0 for e in found)


def grouped(*rows: tuple[float, ...], times: np.ndarray = TIMES, **settings: float) -> list[tuple]:
    classes = ["a", "b", "c"][: len(rows[0])]
    found = grouped_events(np.array(rows, dtype=np.float32), times, classes, **settings)
    return [(e.start_sec, pytest.approx(e.end_sec), e.label, pytest.approx(e.score)) for e in found]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0, 0), (0.3, 0.3), (0, 0.39), (0, 0), (0, 0)], []),  # the best class counts, not the sum
        (
            [(0, 0), (0.4, 0.1), (0.2, 0.6), (0.4, 0.1), (0, 0)],
            [(5.1, 5.6, "a", 1 / 3)],
        ),  # by mean, not by peak
        ([(0.9, 0), (0, 0), (0, 0.8), (0, 0.6), (0, 0)], [(5.0, 5.1, "a", 0.9), (5.3, 5.6, "b", 0.7)]),
        ([(0.9, 0), (0, 0.8), (0, 0.8), (0, 0), (0, 0)], [(5.0, 5.4, "b", 1.6 / 3)]),  # no gap: one group
        ([(0.5, 0.5)] * 5, [(5.0, 5.75, "a", 0.5)]),
    ],
)
def test_groups_between_background(rows, expected):
    assert grouped(*rows) == expected


def test_groups_are_merged_and_short_ones_dropped():
    rows = [(0.9, 0), (0, 0), (0, 0.8), (0, 0), (0.6, 0)]
    assert len(grouped(*rows)) == 3
    assert grouped(*rows, merge_gap_sec=0.2) == [(5.0, 5.75, "a", 0.3)]
    assert grouped(*rows, min_sec=0.12) == [(5.6, 5.75, "a", 0.6)]
    assert grouped(*rows, activity=0.7) == [(5.0, 5.1, "a", 0.9), (5.3, 5.4, "b", 0.8)]


def test_the_rule_of_the_settings():
    scores = np.array([[0.45, 0.1], [0.9, 0.6], [0.45, 0.7], [0, 0], [0.2, 0.5]], dtype=np.float32)
    settings = {"min_sec": 0.12, "merge_gap_sec": 0.01}
    by_threshold = decode(scores, TIMES, ["a", "b"], EventConfig(threshold=0.6, **settings))
    assert by_threshold == events_from_scores(scores, TIMES, ["a", "b"], 0.6, 0.12, 0.01)
    assert [e.label for e in by_threshold] == ["a", "b"]
    rule = EventConfig(rule="background-grouping", threshold=0.9, activity=0.45, **settings)
    by_group = decode(scores, TIMES, ["a", "b"], rule)
    assert by_group == grouped_events(scores, TIMES, ["a", "b"], 0.45, 0.12, 0.01)
    assert [(e.start_sec, e.label) for e in by_group] == [(5.0, "a"), (5.6, "b")]


FOUND = {
    "d/a, b.mp4": [Event(1 / 3, 2.0, 'say "hi"', 0.1 + 0.2), Event(1.5, 1e-7 + 2, "=1+1", 1.0)],
    "-v.mp4": [Event(0.0, 0.04, "日本", 0.5)],
    "none.mp4": [],
}


def test_csv_round_trip(tmp_path):
    write_events(tmp_path / "events.csv", tmp_path / "events.json", FOUND)
    with (tmp_path / "events.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["video", "start", "end", "label", "score"]
    name = [(row["video"].removeprefix("'"), row["label"].removeprefix("'")) for row in rows]
    read = [
        (v, float(r["start"]), float(r["end"]), k, float(r["score"]))
        for (v, k), r in zip(name, rows, strict=True)
    ]
    assert read == [
        (v, e.start_sec, e.end_sec, e.label, e.score) for v, found in FOUND.items() for e in found
    ]
    assert not any(cell.startswith(("=", "-", "+", "@")) for row in rows for cell in row.values())


def test_json_round_trip_keeps_names_and_videos_without_events(tmp_path):
    write_events(tmp_path / "events.csv", tmp_path / "events.json", FOUND)
    data = json.loads((tmp_path / "events.json").read_text(encoding="utf-8"))
    read = {
        v: [Event(r["start"], r["end"], r["label"], r["score"]) for r in rows] for v, rows in data.items()
    }
    assert read == FOUND


def test_events_without_their_score_are_annotations(tmp_path):
    write_events(tmp_path / "events.csv", tmp_path / "events.json", {"a.mp4": [Event(1.0, 2.0, "run", 0.9)]})
    lines = (tmp_path / "events.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    assert read_annotations(tmp_path / "labels.csv").videos[0].intervals == (Interval(1.0, 2.0, "run"),)


def test_old_files_survive_a_failed_write(tmp_path):
    paths = tmp_path / "events.csv", tmp_path / "events.json"
    write_events(*paths, FOUND)
    before = [path.read_bytes() for path in paths]
    with pytest.raises(ValueError, match="JSON"):
        write_events(*paths, {"a.mp4": [Event(0.0, 1.0, "run", math.nan)]})
    assert [path.read_bytes() for path in paths] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.csv", "events.json"]


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx", "＝1", "'x"])
def test_formulas_are_disarmed(text):
    assert spreadsheet_safe(text) == "'" + text


@pytest.mark.parametrize("text", ["run", "a=b", " =1", "", "x-1"])
def test_other_text_is_left_alone(text):
    assert spreadsheet_safe(text) == text
