import json
from pathlib import Path

import pytest

from pipeline.datasets import load_annotations
from pipeline.labels import Annotations, Interval, LabelError

VALIDATION, TEST = "video_validation_0000001", "video_test_0000002"


def load(tmp_path: Path, document: object) -> Annotations:
    path = tmp_path / "labels.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return load_annotations(path)


def actions(*of_video: list, subset: str = "training", duration: float | None = 30.0) -> dict:
    return {"subset": subset, "duration": duration, "actions": list(of_video)}


def segments(*of_video: tuple[float, float, str], **more: object) -> dict:
    return {"annotations": [{"segment": [a, b], "label": label} for a, b, label in of_video], **more}


def subsets(found: Annotations) -> list[str | None]:
    return [video.subset for video in found.videos]


# JSON of actions: Charades, MultiTHUMOS, TSU


def test_charades_counts_from_zero_in_seconds(tmp_path):
    document = {"7UPGT": actions([0, 1.5, 2], [156, 0, 31]), "AB12C": actions(subset="testing")}
    found = load(tmp_path, document)
    assert (found.dataset, found.classes[0], found.classes[-1], len(found.classes)) == (
        *("charades", "c000", "c156"),
        157,
    )
    assert found.videos[0].intervals == (Interval(1.5, 2, "c000"), Interval(0, 31, "c156"))
    assert found.videos[0].duration_sec == 30.0
    assert subsets(found) == ["training", "testing"]
    assert any(
        "no Charades_v1_classes.txt beside it: classes are named by their ids" in r for r in found.remarks
    )


def test_multithumos_counts_from_one(tmp_path):
    found = load(tmp_path, {TEST: actions([1, 0, 1], [65, 0, 1])})
    assert (found.dataset, found.classes[0], found.classes[-1]) == ("multithumos", "class_01", "class_65")
    assert [i.label for i in found.videos[0].intervals] == ["class_01", "class_65"]
    for wrong in (0, 66, -1):
        with pytest.raises(LabelError, match=f"{TEST}': class id {wrong}; expected 1 to 65"):
            load(tmp_path, {TEST: actions([wrong, 0, 1])})


def test_tsu_counts_frames(tmp_path):
    found = load(tmp_path, {"P02T01C06": actions([0, 25, 50], [50, 0, 1], duration=1000)})
    assert found.videos[0].intervals == (Interval(1.0, 2.0, "class_00"), Interval(0.0, 0.04, "class_50"))
    assert found.videos[0].duration_sec == 40.0


@pytest.mark.parametrize(
    ("training", "testing", "dataset"),
    [
        (["P01T01C01", "P01T01C02"], ["P02T01C01", "P02T01C02"], "tsu-cs"),
        (["P01T01C01", "P02T01C01"], ["P01T01C02", "P02T01C02"], "tsu-cv"),
        (["P01T01C01"], ["P02T01C02"], "tsu"),  # could be either
        (["P01T01C01", "P02T01C02"], ["P01T02C01", "P02T02C02"], "tsu"),  # is neither
    ],
)
def test_the_protocol_is_what_separates_the_subsets(tmp_path, training, testing, dataset):
    document = {name: actions([0, 0, 1]) for name in training}
    document |= {name: actions([0, 0, 1], subset="testing") for name in testing}
    assert load(tmp_path, document).dataset == dataset


@pytest.mark.parametrize(
    ("line", "ids"), [("c{:03d} name {}", 157), ("{}\tname {}", 157), ("  {} name {}  ", 157)]
)
def test_names_of_classes_beside_it(tmp_path, line, ids):
    lines = [line.format(i, i) for i in reversed(range(ids))]
    (tmp_path / "Charades_v1_classes.txt").write_text("\n".join(["", *lines, ""]))
    found = load(tmp_path, {"7UPGT": actions([12, 0, 1])})
    assert found.classes == tuple(f"name {i}" for i in range(157))
    assert found.videos[0].intervals == (Interval(0, 1, "name 12"),)
    assert not any("named by their ids" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c000 a\nc001 b\n", "2 names for 2 class ids; expected a name of its own for each of 0 to 156"),
        ("\n".join(f"c{i:03d} same" for i in range(157)), "1 names for 157 class ids"),
        ("c000 a\nc000 b\n", "line 2: 'c000 b'; expected a new id and a name"),
        ("c000\n", "line 1: 'c000'; expected"),
        ("\n".join(f"c{i:03d} name\t{i}" for i in range(157)), r"class 'name\\t0' holds a control character"),
        ("", "0 names for 0 class ids"),
    ],
)
def test_a_list_of_classes_that_is_none(tmp_path, text, message):
    (tmp_path / "Charades_v1_classes.txt").write_text(text)
    with pytest.raises(LabelError, match=message):
        load(tmp_path, {"7UPGT": actions()})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"a.mp4": actions([0, 0, 1])}, "videos such as 'a.mp4', which are none of Charades"),
        ({"7UPGT": actions(), "../../x": actions()}, r"video '../../x': is no video of charades"),
        ({"7UPGT": actions(), TEST: actions()}, f"video '{TEST}': is no video of charades"),
        ({"7UPGT": actions(subset="validation")}, "subset is 'validation'; expected training or testing"),
        ({"7UPGT": actions(subset=["training"])}, r"subset is \['training'\]"),
        ({"7UPGT": {"subset": "training", "actions": {}}}, "expected subset, duration and a list of actions"),
        ({"7UPGT": actions(), "AB12C": 7}, "'AB12C': 7; expected subset"),
        ({"7UPGT": actions([1, 2])}, r"action \[1, 2\]; expected \[class id, start, end\]"),
        ({"7UPGT": actions("123")}, r"action '123'; expected"),
        ({"7UPGT": actions([True, 0, 1])}, "class id True; expected 0 to 156"),
        ({"7UPGT": actions([1.0, 0, 1])}, "class id 1.0; expected 0 to 156"),
        ({"7UPGT": actions([1, "0", 1])}, "start is '0'; expected a number"),
        ({"7UPGT": actions([1, 0, None])}, "end is None; expected a number"),
        ({"7UPGT": actions([1, False, 1])}, "start is False; expected a number"),
        ({"7UPGT": actions([1, -0.1, 1])}, "start is -0.1; expected seconds, 0 or more"),
        ({"7UPGT": actions([1, 0, 10**400])}, "end is 1000.*; too large"),
        ({"7UPGT": actions(duration=0)}, "the length is 0.0 s; expected more than 0"),
        ({"7UPGT": actions(duration="30")}, "duration is '30'; expected a number"),
    ],
)
def test_actions_that_are_none(tmp_path, document, message):
    with pytest.raises(LabelError, match=message):
        load(tmp_path, document)


# ActivityNet-style JSON


def test_activitynet(tmp_path):
    document = {
        "version": "VERSION 1.3",
        "taxonomy": [{"nodeName": "Root"}],
        "database": {
            "v_1": segments((1, 2.5, "run"), (0, 1, "jump"), subset="training", duration=10, url="x"),
            "v_2": segments((0, 9, "run"), subset="validation", duration=9.5),
            "v_3": segments(subset="testing", duration=12.0),
        },
    }
    found = load(tmp_path, document)
    assert (found.dataset, found.classes) == ("activitynet", ("jump", "run"))
    assert found.videos[0].intervals == (Interval(1, 2.5, "run"), Interval(0, 1, "jump"))
    assert [video.duration_sec for video in found.videos] == [10, 9.5, 12]
    assert subsets(found) == ["training", "testing", "unlabelled"]  # test annotations are withheld
    assert "labels.json: subset validation is read as testing" in found.remarks
    assert "labels.json: subset testing is read as unlabelled" in found.remarks
    assert not any("nothing happens" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["training", "testing"], ["training", "testing"]),
        (["Train", "TEST"], ["training", "testing"]),
        (["train", "val"], ["training", "testing"]),
        (["validation", "test"], ["training", "testing"]),  # THUMOS14
        (["training", "validation", "testing"], ["training", "training", "testing"]),
        (["validation"], ["testing"]),
        (["training", "unlabelled"], ["training", "unlabelled"]),
        ([None, None], [None, None]),
    ],
)
def test_subsets_by_their_names(tmp_path, given, expected):
    document = {f"v{i}": segments((0, 1, "run"), subset=name) for i, name in enumerate(given)}
    assert subsets(load(tmp_path, document)) == expected


def test_videos_without_database_around_them_or_without_annotations(tmp_path):
    found = load(tmp_path, {"a": {"subset": "training"}, "b": segments((0, 1, "run"), subset="training")})
    assert [len(video.intervals) for video in found.videos] == [0, 1]
    assert [video.duration_sec for video in found.videos] == [None, None]
    assert any("1 labelled videos in which nothing happens" in remark for remark in found.remarks)


def test_thumos14_is_told_by_its_videos_and_20_classes(tmp_path):
    classes = [f"class {i}" for i in range(20)]
    document = {
        VALIDATION: segments(*[(0, 1, label) for label in classes], subset="validation"),
        TEST: segments((0, 1, "class 0"), subset="test"),
    }
    assert load(tmp_path, document).dataset == "thumos14"
    document[TEST]["annotations"][0]["label"] = "a 21st"
    assert load(tmp_path, document).dataset == "activitynet"


def test_order_of_classes(tmp_path):
    document = {"a": segments((0, 1, "b"), (1, 2, "a"), (2, 3, "b"))}
    assert load(tmp_path, document).classes == ("a", "b")
    for annotation, class_id in zip(document["a"]["annotations"], (0, 7, 0), strict=True):
        annotation["label_id"] = class_id
    assert load(tmp_path, document).classes == ("b", "a")
    del document["a"]["annotations"][2]["label_id"]
    assert load(tmp_path, document).classes == ("a", "b")


@pytest.mark.parametrize("ids", [(0, 0, 0), (0, 1, 2)])
def test_ids_that_contradict_the_labels(tmp_path, ids):
    document = {"a": segments((0, 1, "b"), (1, 2, "a"), (2, 3, "b"))}
    for annotation, class_id in zip(document["a"]["annotations"], ids, strict=True):
        annotation["label_id"] = class_id
    with pytest.raises(LabelError, match="label and label_id do not belong together one to one"):
        load(tmp_path, document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"database": []}, r"database is \[\]; expected an object of videos"),
        ({"database": {}}, "names no video"),
        ({"database": {"a": 1}}, "video 'a': 1; expected subset"),
        ({"database": {"a": {"annotations": None}}}, "expected subset, duration and a list of annotations"),
        ({"a": segments((0, 1, "run"), subset="dev")}, "subset is 'dev'; expected training, validation, "),
        ({"a": segments((0, 1, "run"), subset=3)}, "subset is 3; expected"),
        ({"a": segments((0, 1, "x"), subset="training"), "b": segments()}, "1 of 2 videos have no subset"),
        ({"a": {"annotations": [[0, 1]]}}, r"annotation \[0, 1\]; expected a segment"),
        ({"a": {"annotations": [{"segment": [0], "label": "x"}]}}, "expected a segment"),
        ({"a": {"annotations": [{"segment": [0, 1], "label": 3}]}}, "expected a segment .* and a label"),
        ({"a": {"annotations": [{"segment": [0, 1]}]}}, "expected a segment .* and a label"),
        ({"a": {"annotations": [{"segment": [0, 1], "label": "x", "label_id": "1"}]}}, "label_id is '1'"),
        ({"a": segments((0, "1", "x"))}, "end is '1'; expected a number"),
        ({"a": segments((-1, 1, "x"))}, "start is -1.0; expected seconds"),
        ({"a": segments((0, 1, ""))}, "label is empty"),
        ({"a": segments((0, 1, "x\n"))}, "label 'x.n' holds a control character"),
        ({"a\0": segments((0, 1, "x"))}, r"video 'a\\x00' holds a control character"),
        ({"\ud800": segments((0, 1, "x"))}, r"holds a undecodable byte"),
        ({"": segments((0, 1, "x"))}, "video is empty"),
        ({"a": segments((0, 1, "x"), duration=-3)}, "the length is -3.0 s"),
    ],
)
def test_annotations_that_are_none(tmp_path, document, message):
    with pytest.raises(LabelError, match=message):
        load(tmp_path, document)


def test_a_name_is_never_a_path(tmp_path):
    """Names only ever meet the names of videos; nothing they point to is opened."""
    (tmp_path / "secret.txt").write_text("1,0,30,2\n")
    found = load(tmp_path, {"../secret": segments((0, 1, "x")), "/etc/passwd": segments((0, 1, "x"))})
    assert [video.video for video in found.videos] == ["../secret", "/etc/passwd"]
