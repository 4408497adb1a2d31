"""The published files themselves: counts, units, ids and splits."""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from pipeline.datasets import load_annotations, review
from pipeline.labels import Annotations, Interval

pytestmark = pytest.mark.shared


@cache
def load(path: Path) -> Annotations:
    return load_annotations(path)


@pytest.fixture(scope="module")
def official(shared):
    return lambda name: load(shared / "data" / "annotations" / name)


def subset(annotations: Annotations, name: str) -> list[str]:
    return [video.video for video in annotations.videos if video.subset == name]


def counts(annotations: Annotations) -> dict[str, int]:
    return {finding.kind: finding.count for finding in review(annotations)}


@pytest.mark.parametrize(
    ("file", "dataset", "training", "testing", "classes", "intervals"),
    [
        ("charades/charades.json", "charades", 7985, 1863, 157, 66_500),
        ("charades/Charades_v1_train.csv", "charades", 7985, 1863, 157, 66_500),
        ("multithumos/multithumos.json", "multithumos", 200, 213, 65, 38_690),
        ("thumos14/thumos14.json", "thumos14", 200, 212, 20, 6365),
        ("pku_mmd/cross-subject.txt", "pku-mmd-cs", 944, 132, 51, 21_545),
        ("pku_mmd/cross-view.txt", "pku-mmd-cv", 717, 359, 51, 21_545),
        ("tsu/smarthome_CS_51.json", "tsu-cs", 351, 185, 51, 41_288),
        ("tsu/smarthome_CV_51.json", "tsu-cv", 369, 167, 51, 41_288),
    ],
)
def test_counts(official, file, dataset, training, testing, classes, intervals):
    found = official(file)
    assert found.dataset == dataset
    assert (len(subset(found, "training")), len(subset(found, "testing"))) == (training, testing)
    assert len(found.videos) == training + testing
    assert len(found.classes) == classes
    assert sum(len(video.intervals) for video in found.videos) == intervals
    assert found.remarks[0] == (
        f"{Path(file).name}: read as {dataset}: {training + testing} videos ({training} training, "
        f"{testing} testing), {intervals} intervals of {classes} classes"
    )


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("charades/charades.json", {"reversed": 7, "past_end": 19_623, "no_action": 174 + 49}),
        ("multithumos/multithumos.json", {"reversed": 7, "past_end": 65}),
        ("thumos14/thumos14.json", {"past_end": 92}),
        ("pku_mmd/cross-subject.txt", {"reversed": 1}),
        ("pku_mmd/cross-view.txt", {"reversed": 1}),
        ("tsu/smarthome_CS_51.json", {"reversed": 7, "duplicate": 194}),
        ("tsu/smarthome_CV_51.json", {"reversed": 7, "duplicate": 194, "not_in_testing": 51 - 33}),
    ],
)
def test_what_is_odd_is_counted_and_said(official, file, expected):
    found = official(file)
    assert counts(found) == expected
    for finding in review(found):
        assert f"{Path(file).name}: {finding}" in found.remarks


def test_charades_in_both_formats(official):
    """Two publications of the same labels."""
    as_json, as_csv = official("charades/charades.json"), official("charades/Charades_v1_test.csv")
    assert as_json.classes == as_csv.classes
    assert as_json.classes[59] == "Sitting in a chair"
    assert counts(as_json) == counts(as_csv)
    by_name = {video.video: video for video in as_json.videos}
    for video in as_csv.videos:
        other = by_name[video.video]
        assert Counter(video.intervals) == Counter(other.intervals)
        assert (video.subset, video.duration_sec) == (
            other.subset,
            pytest.approx(other.duration_sec, abs=0.011),
        )
    empty = [v for v in as_csv.videos if v.subset == "testing" and not v.intervals]
    assert len(empty) == 49
    (fixing_a_bed,) = (video for video in as_csv.videos if video.video == "YSKX3")
    assert fixing_a_bed.intervals[0] == Interval(12.1, 18.0, as_csv.classes[77])
    assert fixing_a_bed.duration_sec == 16.62


def test_the_ids_of_multithumos_start_at_one(official):
    """Its first 20 classes are those of THUMOS14: every segment of the one is in the other."""
    thumos, multi = official("thumos14/thumos14.json"), official("multithumos/multithumos.json")
    assert thumos.classes[0] == "BaseballPitch"
    assert multi.classes[0] == "class_01"
    named = dict(zip(multi.classes, thumos.classes, strict=False))
    segments = {
        (video.video, named.get(i.label), round(i.start_sec, 1), round(i.end_sec, 1))
        for video in multi.videos
        for i in video.intervals
    }
    for video in thumos.videos:
        assert {
            (video.video, i.label, round(i.start_sec, 1), round(i.end_sec, 1)) for i in video.intervals
        } <= segments


def test_thumos14_trains_on_what_it_calls_validation(official):
    found = official("thumos14/thumos14.json")
    assert all(name.startswith("video_validation_") for name in subset(found, "training"))
    assert all(name.startswith("video_test_") for name in subset(found, "testing"))
    assert "thumos14.json: subset validation is read as training" in found.remarks


def test_frames_of_pku_mmd_are_thirtieths_of_a_second(official):
    found = official("pku_mmd/cross-subject.txt")
    assert (found.classes[0], found.classes[50]) == ("bow", "writing")
    (video,) = (video for video in found.videos if video.video == "0043-L")
    assert Interval(4925 / 30, 4036 / 30, "bow") in video.intervals  # the reversed one, not dropped yet
    views = official("pku_mmd/cross-view.txt")
    assert {name[-1] for name in subset(views, "training")} == {"L", "R"}
    assert {name[-1] for name in subset(views, "testing")} == {"M"}
    assert {v.video: v.intervals for v in views.videos} == {v.video: v.intervals for v in found.videos}


def test_frames_of_tsu_are_twenty_fifths_of_a_second(official):
    subjects, views = official("tsu/smarthome_CS_51.json"), official("tsu/smarthome_CV_51.json")
    video = subjects.videos[0]
    assert (video.video, video.duration_sec) == ("P11T15C01", 22_760 / 25)
    assert video.intervals[0] == Interval(77 / 25, 987 / 25, "Use_laptop")
    assert subjects.classes == views.classes
    assert (subjects.classes[0], subjects.classes[50]) == ("Enter", "Pour.From_can")
    assert {name[-3:] for name in subset(views, "testing")} == {"C02", "C05"}
    assert not {name[:3] for name in subset(subjects, "testing")} & {
        name[:3] for name in subset(subjects, "training")
    }


def test_folders_and_lists_are_no_annotations(shared):
    folder = shared / "data" / "annotations"
    with pytest.raises(
        ValueError, match=r"is a folder; give the file itself \(cross-subject.txt, cross-view.txt"
    ):
        load_annotations(folder / "pku_mmd")
    with pytest.raises(ValueError, match=r"begins with 'c000 Holding some clothes'; understood are: CSV"):
        load_annotations(folder / "charades" / "Charades_v1_classes.txt")
