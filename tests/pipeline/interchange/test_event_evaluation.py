"""Events against annotations. Shapes: F frames, K classes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.datasets import load_annotations
from pipeline.events import Event, events_from_scores
from pipeline.interchange.event_evaluation import (
    event_protocols,
    match_events,
    measure_matched,
    rasterise,
)
from pipeline.interchange.event_import import read_events
from pipeline.interchange.names import InterchangeError
from pipeline.labels import Annotations, Interval, VideoLabels
from pipeline.protocols import ProtocolError

WAVE, POUR = Interval(1.0, 3.0, "wave"), Interval(2.0, 6.0, "pour")


def annotations(*videos, dataset=""):
    return Annotations(videos, ("pour", "wave"), Path("labels.csv"), "0" * 64, dataset)


ALL = annotations(
    VideoLabels("k/a", "testing", (WAVE, POUR), 10.0),
    VideoLabels("k/b", "testing", (POUR,), 8.0),
    VideoLabels("t", "training", (WAVE,), 9.0),
    VideoLabels("u", "unlabelled", ()),
)


def event(interval, score=0.5):
    return Event(interval.start_sec, interval.end_sec, interval.label, score)


def figures(found, labels=ALL, protocols=("segment_map@0.1:0.9",), **more):
    measured = measure_matched(match_events(found, labels), labels.classes, protocols, **more)
    return [figure.measured.value for figure in measured]


def test_videos_are_matched_by_name_and_the_rest_is_said():
    found = {"a.mp4": [event(WAVE)], "t": [event(WAVE)], "z.mp4": [event(WAVE)]}
    matched = match_events(found, ALL)
    assert matched.events == {"k/a": [event(WAVE)], "k/b": []}
    assert {video: truth.duration_sec for video, truth in matched.truth.items()} == {"k/a": 10.0, "k/b": 8.0}
    assert matched.remarks == (
        "1 videos with events are not annotated, and not judged: z.mp4",
        "1 videos with events are not of the subset judged (testing): t",
        "1 videos have no events: all that happens in them counts as missed: k/b",
    )


def test_subsets():
    found = {"a": [event(WAVE)], "t": []}
    assert list(match_events(found, ALL, "training").truth) == ["t"]
    assert list(match_events(found, ALL, "all").truth) == ["k/a", "k/b", "t"]
    with pytest.raises(InterchangeError, match="expected testing, training, all"):
        match_events(found, ALL, "validation")
    plain = annotations(VideoLabels("a", None, (WAVE,)), VideoLabels("b", None, ()))
    assert list(match_events(found, plain).truth) == ["a", "b"]  # no subsets: all of them
    with pytest.raises(InterchangeError, match="has no testing videos; give another --subset"):
        match_events(found, annotations(VideoLabels("t", "training", ())))


def test_lengths_that_are_not_annotated_end_with_what_is_known():
    plain = annotations(VideoLabels("a", None, (WAVE,)), VideoLabels("b", None, ()))
    matched = match_events({"a": [Event(0.0, 7.5, "pour", 1.0)], "b": []}, plain)
    assert [truth.duration_sec for truth in matched.truth.values()] == [7.5, 1.0]
    assert matched.remarks == (
        "2 videos have no length in the annotations: taken to end with the last interval or event: a, b",
    )


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            {"a": [Event(0, 1, "waves", 1)]},
            r"1 labels .* none of the 2 classes annotated: 'waves' of 'a'; did you mean 'wave'\?",
        ),
        ({"a": [Event(0, 1, "xyz", 1)]}, "'xyz' of 'a'; expected such as pour, wave"),
        (
            {"z": [event(WAVE)]},
            "none of 2 testing videos has events: they are called k/a, k/b in labels.csv, .* z",
        ),
        ({"t": [event(WAVE)]}, "none of 2 testing videos has events"),
        ({"k/a.mp4": [], "a": []}, "'k/a.mp4' and 'a' both mean the video 'k/a'; keep one"),
    ],
)
def test_what_does_not_fit_is_refused(found, message):
    with pytest.raises(InterchangeError, match=message):
        match_events(found, ALL)


def test_the_truth_itself_is_perfect_and_half_of_it_is_not():
    perfect = {"a": [event(WAVE), event(POUR)], "b": [event(POUR)]}
    protocols = ("segment_map@0.5:0.95", "event_map/action@0.5", "event_map/video@0.5", "frame_map/all")
    assert figures(perfect, protocols=protocols) == pytest.approx([1.0] * 4)
    # b has no events: pour is found once of twice, AP 1/2; wave AP 1
    assert figures({"a": perfect["a"]}, protocols=protocols[:2]) == pytest.approx([0.75, 0.75])


def test_overlap_counts_as_the_protocol_says():
    # 2.0-6.0 against 2.0-4.0: overlap one half
    found = {"a": [event(WAVE), Event(2.0, 4.0, "pour", 0.9)], "b": [event(POUR)]}
    at = figures(found, protocols=("event_map/action@0.5", "event_map/action@0.7"))
    # at 0.7 the shorter is false and the surest: precision 1/2 at recall 1/2
    assert at == pytest.approx([1.0, (1 + 0.25) / 2])


def test_an_event_without_length_is_a_false_one():
    more = [event(WAVE), event(POUR), Event(2.0, 2.0, "pour", 0.9)]
    assert figures({"a": more, "b": [event(POUR)]}) == pytest.approx([(1 + 2 / 3) / 2])


def test_intervals_over_videos_and_none_where_not_asked_for():
    matched = match_events({"a": [event(WAVE), event(POUR)], "b": []}, ALL)
    (with_interval,) = measure_matched(matched, ALL.classes, ["segment_map@0.1:0.9"], samples=200)
    low, high = with_interval.interval
    assert low < with_interval.measured.value <= high == 1.0
    (without,) = measure_matched(matched, ALL.classes, ["segment_map@0.1:0.9"], samples=0)
    assert without.interval is None
    with pytest.raises(ProtocolError, match="there is no protocol 'map'"):
        measure_matched(matched, ALL.classes, ["map"])


def test_default_protocols_are_those_of_the_data_set():
    assert event_protocols("thumos14") == ("segment_map@0.3:0.7",)
    assert "event_map/action@0.5" in event_protocols("pku-mmd-cs")
    assert event_protocols("charades") == event_protocols("") == ("segment_map@0.1:0.9",)


def test_rasterised_events_take_the_highest_score():
    events = [Event(0.0, 0.4, "wave", 0.25), Event(0.2, 0.6, "wave", 0.75), Event(0.5, 9.0, "pour", 1.0)]
    track = rasterise(events, ("pour", "wave"), 0.8, fps=10.0)
    assert track.scores_FK[:, 1].tolist() == [0.25, 0.25, 0.75, 0.75, 0.75, 0.75, 0, 0]
    assert track.scores_FK[:, 0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert np.allclose(track.times_sec_F, np.arange(8) / 10)


@settings(deadline=None)
@given(
    hnp.arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 3))), st.sampled_from([10.0, 25.0, 29.97])
)
def test_frames_to_events_to_frames_is_the_identity(active_FK, fps):
    classes = tuple(str(k) for k in range(active_FK.shape[1]))
    blank = rasterise([], classes, len(active_FK) / fps, fps)
    assert blank.scores_FK.shape == active_FK.shape
    events = events_from_scores(active_FK.astype(np.float32), blank.times_sec_F, classes)
    assert np.array_equal(rasterise(events, classes, len(active_FK) / fps, fps).scores_FK, active_FK)


@pytest.mark.shared
def test_the_labels_of_pku_mmd_as_proposals_are_perfect(shared, tmp_path):
    folder = shared / "data" / "annotations" / "pku_mmd"
    labels = load_annotations(folder / "cross-subject.txt")
    judged = [video for video in labels.videos if video.subset == "testing"]
    assert len(judged) == 132
    for video in judged:
        rows = (folder / "Train_Label_PKU_final" / f"{video.video}.txt").read_text().split()
        proposals = [f"{row.rsplit(',', 1)[0]},0.{1 + n % 9}" for n, row in enumerate(rows)]
        (tmp_path / f"{video.video}.txt").write_text("\n".join(proposals))
    matched = match_events(read_events(tmp_path, labels), labels)
    measured = measure_matched(matched, labels.classes, event_protocols(labels.dataset), samples=0)
    assert len(measured) == 6
    assert [figure.measured.value for figure in measured] == pytest.approx([1.0] * len(measured))
