"""Which file is what, files that are nothing, and labels on their way into a run."""

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import LabelConfig
from pipeline.datasets import load_annotations, review
from pipeline.label_lint import lint
from pipeline.labels import Annotations, Interval, LabelError, VideoLabels, match_videos
from pipeline.request import request
from pipeline.splits import Split
from pipeline.task import make_task
from pipeline.timeline import Clock

CHARADES = {
    "7UPGT": {"subset": "training", "duration": 10.0, "actions": [[0, 1, 4], [1, 8, 12], [2, 5, 3]]},
    "AB12C": {"subset": "testing", "duration": 10.0, "actions": [[0, 1, 4]]},
    "QRWQ3": {"subset": "testing", "duration": 10.0, "actions": []},
}


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "labels"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "video,start,end,label\na,0,1,run\n",
        "\ufeffVideo , Start,end,label\r\na,0,1,run\r\n",
        '\n,,,\n"video",start,end,label\na,0,1,run\n',
    ],
)
def test_our_csv(tmp_path, text):
    found = load_annotations(write(tmp_path, text))
    assert found.videos == (VideoLabels("a", None, (Interval(0, 1, "run"),)),)
    assert (found.dataset, found.remarks) == ("", ())


def test_our_csv_keeps_its_own_messages(tmp_path):
    with pytest.raises(LabelError, match="line 2: start is 'x'; expected seconds"):
        load_annotations(write(tmp_path, "video,start,end,label\na,x,1,run\n"))
    with pytest.raises(LabelError, match="the columns are 'video,begin,end,label'"):
        load_annotations(write(tmp_path, "video,begin,end,label\na,0,1,run\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with ''; understood are: CSV"),
        (
            "clip;start;end\n",
            "begins with 'clip;start;end'; understood are: CSV .* PKU-MMD's cross-subject.txt",
        ),
        ("x" * 1_000_000, "begins with 'x{80}'; understood"),
        ('"' + "x" * 1_000_000, "understood are"),
        (b"\xff\xfe\x00", "cannot be read as text in UTF-8"),
        ("{}", "JSON without a video that has actions or annotations; understood are"),
        ('{"a": {"labels": []}}', "JSON without a video that has actions"),
        ('{"a": 1, "b": [], "c": null}', "JSON without a video that has actions"),
        ("[]", r"JSON \[\]; expected an object of videos"),
        ("{", "cannot be read as JSON"),
        ("{" + '"a":{' * 100_000, "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read as JSON"),
        ('{"7UPGT": {"subset": "training", "actions": [[0, NaN, 1]]}}', "NaN is no number of JSON"),
        ('{"7UPGT": {"subset": "training", "actions": [[0, 0, -Infinity]]}}', "-Infinity is no number"),
        ('{"7UPGT": {"subset": "training", "actions": [[0, 0, 1e999]]}}', "end is inf; expected seconds"),
        ('{"7UPGT": {"actions": []}, "7UPGT": {"actions": []}}', "'7UPGT' is there 2 times; keep one"),
        ('{"7UPGT": {"actions": [], "actions": []}}', "'actions' is there 2 times"),
    ],
)
def test_files_that_are_nothing(tmp_path, text, message):
    with pytest.raises(LabelError, match=message) as caught:
        load_annotations(write(tmp_path, text))
    assert str(tmp_path / "labels") in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_what_is_no_file(tmp_path):
    with pytest.raises(LabelError, match="none: cannot be read"):
        load_annotations(tmp_path / "none")
    with pytest.raises(LabelError, match="cannot be read"):
        load_annotations(tmp_path / "a\0b")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(LabelError, match="expected a regular file"):  # and does not wait for one
            load_annotations(path)
    with pytest.raises(LabelError, match=r"is a folder; give the file itself \(none that looks like it\)"):
        load_annotations(tmp_path)
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(LabelError, match=r"at most \d+ bytes, found 1099511627776"):
        load_annotations(tmp_path / "huge.json")


_SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_KEYS = st.sampled_from(["database", "7UPGT", "a", "subset", "duration", "actions", "annotations", "label"])
_JSON = st.recursive(
    _SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_KEYS | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(document=st.dictionaries(_KEYS, _JSON, max_size=3))
def test_any_json_is_annotations_or_a_clear_error(tmp_path_factory, document):
    path = write(tmp_path_factory.getbasetemp(), json.dumps(document))
    try:
        assert load_annotations(path).videos
    except LabelError as error:
        message = str(error)
    else:
        return
    assert message.startswith(str(path))


def test_review_counts_without_a_video():
    videos = (
        VideoLabels(
            "a", "training", (Interval(5, 3, "x"), Interval(0, 11, "y"), Interval(12, 13, "y")), 10.0
        ),
        VideoLabels("b", "training", (Interval(0, 10, "x"), Interval(0, 10, "x"), Interval(2, 2, "y")), 10.0),
        VideoLabels("c", "testing", (Interval(0, 99, "x"),)),  # states no length
        VideoLabels("d", "testing", ()),
        VideoLabels("e", "unlabelled", ()),
    )
    found = review(Annotations(videos, ("x", "y", "z"), Path("f"), ""))
    assert {f.kind: (f.count, f.examples) for f in found} == {
        "reversed": (2, ("a 5.00-3.00 x", "b 2.00-2.00 y")),
        "past_end": (2, ("a 0.00-11.00 y of 10.00", "a 12.00-13.00 y of 10.00")),
        "duplicate": (1, ("b 0.00-10.00 x",)),
        "no_action": (1, ("d",)),
        "not_in_training": (1, ("z",)),
        "not_in_testing": (2, ("y", "z")),
    }


def test_review_of_a_file_without_subsets():
    videos = (VideoLabels("a", None, (Interval(0, 1, "x"),)),)
    assert review(Annotations(videos, ("x",), Path("f"), "")) == ()


@pytest.mark.parametrize(
    ("stated_sec", "said"), [(10.0, 0), (11.0, 0), (11.01, 1), (9.0, 0), (8.99, 1), (None, 0)]
)
def test_a_video_that_is_not_as_long_as_annotated(stated_sec, said):
    """As at a frame rate that is not the one the data set counts in."""
    labels = VideoLabels("a", "training", (Interval(0, 1, "x"),), stated_sec)
    match = match_videos(Annotations((labels,), ("x",), Path("f"), ""), ["a"])
    split = Split(("a",), (), (), (), 0, False)
    report = lint(match, {"a": Clock.constant(100, Fraction(10))}, split)
    findings = {f.kind: f for f in report.findings}
    assert ("length_differs" in findings) == bool(said)
    if said:
        assert findings["length_differs"].examples == (f"a {stated_sec:.2f} s, found 10.00 s",)


def test_withheld_labels_are_not_taken_for_none():
    """A video that the annotations call unlabelled is not one in which nothing happens."""
    videos = (VideoLabels("a", "training", (Interval(0, 1, "x"),)), VideoLabels("b", "unlabelled", ()))
    match = match_videos(Annotations(videos, ("x",), Path("f"), ""), ["a", "b"])
    clock = Clock.constant(100, Fraction(10))
    report = lint(match, {"a": clock, "b": clock}, Split(("a",), (), (), ("b",), 0, False))
    assert "no_action" not in {finding.kind for finding in report.findings}


def test_a_data_set_becomes_a_task(tmp_path):
    found = load_annotations(write(tmp_path, json.dumps(CHARADES)))
    clock = Clock.constant(100, Fraction(10))
    names = ["7UPGT.mp4", "AB12C.mp4", "QRWQ3.mp4"]
    task = make_task(found, names, LabelConfig(), seed=0).on(dict.fromkeys(names, clock))
    assert (task.classes, task.split.training, task.split.testing) == (
        found.classes,
        ("7UPGT.mp4",),
        ("AB12C.mp4", "QRWQ3.mp4"),
    )
    assert task.intervals["7UPGT.mp4"] == (Interval(1, 4, "c000"), Interval(8, 10, "c001"))
    assert task.lint[0].startswith("labels: read as charades: 3 videos (1 training, 2 testing), 4 intervals")
    assert any(
        line.startswith("1 intervals that do not end after their start: dropped") for line in task.lint
    )
    assert any(line.startswith("1 labelled videos in which nothing happens") for line in task.lint)


def test_annotations_of_a_data_set_in_a_request(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "7UPGT.mp4").touch()
    labels = write(tmp_path, json.dumps(CHARADES))
    made = request(videos, tmp_path / "out", annotations=labels, preset="tiny", device="cpu", quiet=True)
    task = made.task()
    assert task is not None
    assert list(task.match.labels) == ["7UPGT.mp4"]
    assert task.match.absent == ("AB12C", "QRWQ3")
