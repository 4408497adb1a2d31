"""A video's data file: what a threshold finds in it is what it finds in the scores."""

import base64
import zlib

import numpy as np
import pytest

from pipeline.events import events_from_scores
from pipeline.report_data import VideoPanel
from pipeline.report_video import (
    MAX_VALUES,
    frame_f1,
    json_for_script,
    levels,
    pack,
    put_script,
    video_id,
    video_json,
)


def panel(scores_FK: np.ndarray | None, intervals=(), times=None, **changes) -> VideoPanel:
    times = np.arange(len(scores_FK)) / 25 if times is None else times
    return VideoPanel("a.mp4", "testing", times, scores_FK, intervals, "", 25.0, len(times), **changes)


def unpack(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype)


def levels_of(data: dict, model: int = 0) -> np.ndarray:
    """As the page makes them: (F, K)."""
    differences = unpack(data["models"][model]["scores"], "<i2").reshape(len(data["classes"]), -1)
    return differences.cumsum(axis=1).T


def test_every_threshold_holds_in_the_page_where_it_holds_in_the_scores():
    grid = np.arange(1001) / 1000
    near = np.concatenate(
        [grid, np.nextafter(grid, 2, dtype=np.float32), np.nextafter(grid, -1, dtype=np.float32)]
    )
    scores = np.clip(near, 0, 1).astype(np.float32)
    found = levels(scores)
    for step in range(0, 1001):
        np.testing.assert_array_equal(found >= step, scores >= step / 1000)


def test_scores_come_back_and_events_are_those_of_the_program():
    rng = np.random.default_rng(0)
    scores = rng.random((4000, 5)).astype(np.float32)
    other = rng.random((4000, 5)).astype(np.float32)
    times = np.cumsum(rng.choice([0.04, 0.05, 0.011], 4000)) + 1.5  # variable rate, a late start
    classes = ("a", "b", "c", "d", "e")
    data = video_json(panel(scores, times=times, others={"vanilla": other}), "student", {})
    assert [model["name"] for model in data["models"]] == ["student", "vanilla"]
    edges = (data["start"] + np.concatenate([[0], unpack(data["frames"], "<i4").cumsum()])) / 10_000
    np.testing.assert_allclose(edges[:-1], times, atol=0.00006)
    for model, of in enumerate((scores, other)):
        back = levels_of(data, model)[:, np.argsort(data["classes"])]
        assert (np.abs(back / 1000 - of) < 0.001).all()
        found = events_from_scores(back / np.float32(1000), times, classes, 0.731, 0.1, 0.06)
        expected = events_from_scores(of, times, classes, 0.731, 0.1, 0.06)
        assert [e.__dict__ | {"score": 0} for e in found] == [e.__dict__ | {"score": 0} for e in expected]
        assert len(found) > 100


def test_labelled_classes_come_first_and_what_is_kept_is_bounded():
    frames, classes = 40_000, 300
    scores = np.tile(np.linspace(0, 1, classes, dtype=np.float32), (frames, 1))
    intervals = ((0.8, 1.0, "c3"), (0.1, 0.5, "c7"), (0.3, 0.4, "not a class"))
    number = {f"c{k}": k for k in range(classes)} | {"not a class": classes}
    data = video_json(panel(scores, intervals), "m", number)
    kept = MAX_VALUES // frames
    assert data["classes"] == [7, 3, *(k for k in range(299, 299 - kept + 2, -1))]
    assert data["left_out"] == classes - kept
    assert levels_of(data).shape == (frames, kept)
    assert [row[2] for row in data["intervals"]] == [7, classes, 3]  # in order of time


def test_a_video_without_scores_or_labels():
    data = video_json(panel(None, None, times=np.arange(3) / 25), "m", {})
    assert data["models"] == data["classes"] == []
    assert data["intervals"] is None
    assert list(unpack(data["frames"], "<i4")) == [400, 400, 400]


def test_size_is_that_of_what_changes():
    smooth = (0.5 + 0.5 * np.sin(np.arange(100_000)[:, None] / 200 + np.arange(40))).astype(np.float32)
    data = video_json(panel(smooth), "m", {})
    assert len(data["models"][0]["scores"]) < smooth.size * 0.75  # characters a score


def test_a_script_hands_over_a_value_and_nothing_else():
    hostile = "</script>\u2028<!--\ud800"
    script = put_script("0123", {hostile: [1, None]})
    assert script.startswith(b'augrgb.put("0123",{')
    assert not set(b"<>&") & set(script)
    assert json_for_script(hostile).isascii()
    assert pack(np.zeros(3, np.int8)) == pack(np.zeros(3, np.int8))
    assert video_id("caf\udce9.mp4") != video_id("café.mp4")  # a name that is not UTF-8 has an id, too


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        (((0.0, 2.0, "a"),), 1.0),  # found, and nothing else
        (((0.0, 1.0, "a"),), 2 / 3),  # half of what is said is right
        (((0.0, 4.0, "a"),), 2 / 3),  # half is found
        (((0.0, 2.0, "b"),), 0.0),
        (((0.0, 2.0, "unknown"),), 0.0),
        ((), 0.0),
        (None, None),
    ],
)
def test_f1_of_frames(intervals, expected):
    scores = np.zeros((100, 2), np.float32)
    scores[:50, 0] = 0.5
    found = frame_f1(panel(scores, intervals), ("a", "b"), 0.5)
    assert found == (None if expected is None else pytest.approx(expected))


def test_f1_of_nothing_said_where_nothing_happens():
    assert frame_f1(panel(np.zeros((10, 2), np.float32), ()), ("a", "b"), 0.5) is None
    assert frame_f1(panel(None, (), times=np.arange(3) / 25), ("a",), 0.5) is None
