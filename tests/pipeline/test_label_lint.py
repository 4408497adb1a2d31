import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.label_lint import LintReport, clean, lint
from pipeline.labels import Annotations, Interval, VideoLabels, interval_targets, match_videos
from pipeline.splits import Split
from pipeline.timeline import Clock

CLOCK = Clock.constant(100, Fraction(10))  # 10 s
LATE = Clock.constant(100, Fraction(10), start_sec=5.0)  # 5-15 s on the player's clock


def labels(*intervals: tuple[float, float, str], video: str = "a") -> VideoLabels:
    return VideoLabels(video, None, tuple(Interval(*interval) for interval in intervals))


def report(*videos: VideoLabels, clocks: dict[str, Clock], present: list[str], split: Split) -> LintReport:
    classes = tuple(sorted({i.label for video in videos for i in video.intervals}))
    return lint(match_videos(Annotations(videos, classes, Path("x.csv"), ""), present), clocks, split)


def findings(video: VideoLabels, clock: Clock = CLOCK) -> dict[str, int]:
    """Of one video that is training and testing at once, so that its classes are seen in both."""
    name = video.video
    split = Split((name,), (), (name,), (), 0, False)
    return {
        f.kind: f.count for f in report(video, clocks={name: clock}, present=[name], split=split).findings
    }


@pytest.mark.parametrize(
    ("interval", "kept", "kind"),
    [
        ((2.0, 4.0), (2.0, 4.0), None),
        ((0.0, 10.0), (0.0, 10.0), None),
        ((2.0, 10.1), (2.0, 10.0), None),  # within one frame of the end: rounding
        ((2.0, 10.11), (2.0, 10.0), "past_end"),
        ((9.99, 50.0), (9.99, 10.0), "past_end"),
        ((10.0, 50.0), None, "outside"),
        ((4.0, 2.0), None, "reversed"),
        ((4.0, 4.0), None, "reversed"),
    ],
)
def test_policy_at_the_edges(interval, kept, kind):
    video = labels((*interval, "run"), (0, 1, "fall"))
    expected = [Interval(0, 1, "fall"), *([Interval(*kept, "run")] if kept else [])]
    assert set(clean(video, CLOCK)) == set(expected)
    kinds = findings(video)
    assert {k: n for k, n in kinds.items() if k in ("past_end", "outside", "reversed")} == (
        {kind: 1} if kind else {}
    )


def test_seconds_are_those_of_the_player():
    """The video is shown from 5 to 15 s."""
    video = labels((0, 5, "run"), (0, 5.1, "run"), (14, 15, "fall"), (14, 16, "sit"), (15, 16, "sit"))
    assert clean(video, LATE) == (Interval(0, 5.1, "run"), Interval(14, 15, "fall"), Interval(14, 15, "sit"))
    assert findings(video, LATE) == {"outside": 2, "past_end": 1}


def test_overlaps_of_a_class_are_merged_and_neighbours_are_not():
    video = labels((5, 7, "run"), (1, 3, "run"), (2, 4, "run"), (1, 3, "run"), (4, 5, "run"), (1, 3, "fall"))
    merged = (Interval(1, 3, "fall"), Interval(1, 4, "run"), Interval(4, 5, "run"), Interval(5, 7, "run"))
    assert clean(video, CLOCK) == merged
    assert findings(video) == {"duplicate": 1, "overlap": 1}


def test_an_interval_between_two_frames_has_no_positive():
    assert findings(labels((1.01, 1.09, "run"), (1.0, 1.09, "fall"))) == {
        "between_frames": 1,
        "not_in_training": 1,
        "not_in_testing": 1,
    }


def test_videos_and_classes():
    videos = [
        labels((0, 1, "run"), (0, 1, "fall"), video="train.mp4"),
        labels((0, 1, "run"), (0, 1, "sit"), video="test.mp4"),
        labels((0, 1, "jump"), video="validation.mp4"),
        labels((0, 1, "sit"), video="broken.mp4"),
        labels((0, 1, "run"), video="gone.mp4"),
    ]
    read = ["train.mp4", "validation.mp4", "test.mp4", "extra.mp4"]
    found = report(
        *videos,
        clocks=dict.fromkeys(read, CLOCK),
        present=[*read, "broken.mp4"],
        split=Split(
            ("train.mp4", "broken.mp4"), ("validation.mp4",), ("test.mp4",), ("extra.mp4",), 0, False
        ),
    )
    assert {f.kind: f.examples for f in found.findings} == {
        "absent_video": ("gone.mp4",),
        "unlabelled_video": ("extra.mp4",),
        "unread_video": ("broken.mp4",),
        "not_in_training": ("jump", "sit"),
        "not_in_testing": ("fall", "jump"),
    }
    assert (found.videos, found.intervals_read, found.intervals_kept) == (3, 5, 5)
    assert found.lines()[0] == "3 labelled videos, 5 of 5 intervals kept"
    assert "1 labelled videos that are not in the input: ignored (gone.mp4)" in found.lines()
    assert json.loads(json.dumps(found.to_json()))["findings"][0]["count"] == 1


def test_examples_are_few_and_counts_are_whole():
    found = report(
        labels(*[(i, 20 + i, f"c{i}") for i in range(8)]),
        clocks={"a": CLOCK},
        present=["a"],
        split=Split(("a",), (), ("a",), (), 0, False),
    )
    (line,) = found.lines()[1:]
    assert line.startswith(
        "8 intervals that end after the video: clipped to its end (a 0.00-20.00 c0 of 10.00, "
    )
    assert line.endswith(", ...)")
    assert line.count("of 10.00") == 5


def test_clean_labels_have_no_findings():
    found = report(
        labels((0, 1, "run")),
        clocks={"a": CLOCK},
        present=["a"],
        split=Split(("a",), (), ("a",), (), 0, False),
    )
    assert found.lines() == ["1 labelled videos, 1 of 1 intervals kept"]


tenths = st.integers(0, 150).map(lambda n: n / 10)
many = st.lists(st.tuples(tenths, tenths, st.sampled_from("xy")), max_size=12)


@settings(deadline=None)
@given(many, st.sampled_from([CLOCK, LATE]))
def test_cleaning_changes_no_target_and_cleans_for_good(intervals, clock):
    video = labels(*intervals)
    cleaned = clean(video, clock)
    times = clock.sec_F + clock.start_sec
    before, after = (interval_targets(found, times, "xy") for found in (video.intervals, cleaned))
    assert np.array_equal(before, after)
    assert clean(VideoLabels("a", None, cleaned), clock) == cleaned
