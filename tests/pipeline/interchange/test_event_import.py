import json
from pathlib import Path

import pytest

from pipeline.events import Event, write_events
from pipeline.interchange.event_import import read_events
from pipeline.interchange.names import InterchangeError
from pipeline.labels import Annotations, LabelError

FOUND = {
    "d/a, b.mp4": [Event(1 / 3, 2.0, 'say "hi"', 0.1 + 0.2), Event(1.5, 1.5, "=1+1", 1.0)],
    "'-v.mp4": [Event(-0.5, 0.04, "'日本", 0.0)],
    "none.mp4": [],
}


@pytest.mark.parametrize("name", ["events.json", "events.csv"])
def test_our_own_files_come_back_as_they_were(tmp_path, name):
    write_events(tmp_path / "events.csv", tmp_path / "events.json", FOUND)
    expected = FOUND if name.endswith("json") else {v: e for v, e in FOUND.items() if e}
    assert read_events(tmp_path / name) == expected


def test_a_csv_by_hand(tmp_path):
    (tmp_path / "e.csv").write_text("Label,video,START,end,score\nwave,'tis.mp4,1,2,0.5\n\nwave,b,2,3,1\n")
    assert read_events(tmp_path / "e.csv") == {
        "'tis.mp4": [Event(1.0, 2.0, "wave", 0.5)],
        "b": [Event(2.0, 3.0, "wave", 1.0)],
    }


def test_activitynet_as_other_programs_write_it(tmp_path):
    document = {
        "results": {"v": [{"label": "wave", "segment": [1, 2.5], "score": 0.25}], "w": []},
        "version": "?",
    }
    (tmp_path / "r.json").write_text(json.dumps(document))
    assert read_events(tmp_path / "r.json") == {"v": [Event(1.0, 2.5, "wave", 0.25)], "w": []}


def activitynet(**changes):
    return json.dumps({"results": {"v": [{"label": "wave", "segment": [1, 2], "score": 0.5} | changes]}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (activitynet(score=1.5), r"video 'v', event 1: score is 1\.5; expected 0 to 1"),
        (activitynet(score=-0.1), "score is -0.1; expected 0 to 1"),
        (activitynet(score="0.5"), "score is '0.5'; expected a number"),
        (activitynet(score=None), "score is None"),
        (activitynet(segment=[2, 1]), "event 1: ends at 1, before it starts at 2; are the two swapped"),
        (activitynet(segment=[1]), r"expected segment \[start, end\], label and score"),
        (activitynet(segment=[1, 1e400]), "expected seconds"),
        (activitynet(label=3), "label and score"),
        (activitynet(label=" "), "label is empty"),
        (activitynet(label="a\nb"), "holds a control character"),
        ('{"results": {"v": [{"segment": [1, NaN], "label": "a", "score": 1}]}}', "NaN is no number"),
        ('{"results": {"v": {}}}', "understood are: ActivityNet JSON"),
        ('{"results": {"": []}}', "video is empty"),
        ('{"v": [{"start": 1, "end": 2, "label": "a"}]}', "video 'v', event 1: score is None"),
        ('{"v": [7]}', "7; expected start, end, label and score"),
        ('{"v": 7}', "understood are: ActivityNet JSON"),
        ("[]", "expected an object"),
        ("{", "cannot be read as JSON"),
        ("", "is empty; understood are"),
        ("class,start\n1,2\n", r"line 1: begins with 'class,start'; understood are"),
        ("video,start,end,label,score\na,1,2,b\n", "line 2: 4 cells .*, expected 5; quote commas"),
        ("video,start,end,label,score\na,1,0x2,b,1\n", "line 2: end is '0x2'; expected a number"),
        ("video,start,end,label,score\na,1,2_0,b,1\n", "line 2: end is '2_0'; expected a number"),
        ("video,start,end,label,score\na,nan,2,b,1\n", "line 2: from nan to 2.0; expected seconds"),
        ("video,start,end,label,score\na,1,2,b,nan\n", "line 2: score is nan; expected 0 to 1"),
        ('video,start,end,label,score\n"a,1,2,b,1\n', "line 2: unexpected end"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, text, message):
    (tmp_path / "e.txt").write_text(text)
    with pytest.raises(InterchangeError, match=message) as caught:
        read_events(tmp_path / "e.txt")
    assert str(caught.value).count(str(tmp_path / "e.txt")) == 1


def annotations(dataset, classes=("bow", "clap", "wave")):
    return Annotations((), classes, Path("split.txt"), "0" * 64, dataset)


def test_texts_of_proposals_by_the_numbering_of_their_data_set(tmp_path):
    (tmp_path / "0002-L.txt").write_text("1,30,90,0.5\n\n 3, 60.0, 75, 1\n")
    (tmp_path / "0002-M.txt").write_text("")
    (tmp_path / "readme.md").write_text("not read")
    assert read_events(tmp_path, annotations("pku-mmd-cs")) == {
        "0002-L": [Event(1.0, 3.0, "bow", 0.5), Event(2.0, 2.5, "wave", 1.0)],
        "0002-M": [],
    }
    assert read_events(tmp_path, annotations("tsu-cv", ("a", "b", "c", "d")))["0002-L"] == [
        Event(1.2, 3.6, "b", 0.5),
        Event(2.4, 3.0, "d", 1.0),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4,1,2,0.5", "line 1: class 4; expected 1 to 3"),
        ("0,1,2,0.5", "line 1: class 0; expected 1 to 3"),
        ("1.5,1,2,0.5", "class 1.5"),
        ("1,1,2", "'1,1,2'; expected class,start,end,score"),
        ("1,30,90,0.5\n1,4925,4036,1", "line 2: ends at 134.533, before it starts at 164.167"),
        ("1,1,2,x", "score is 'x'; expected a number"),
        ("1,1,2,2", "score is 2; expected 0 to 1"),
    ],
)
def test_texts_of_proposals_that_are_wrong(tmp_path, text, message):
    (tmp_path / "0043-L.txt").write_text(text)
    with pytest.raises(InterchangeError, match=message) as caught:
        read_events(tmp_path, annotations("pku-mmd-cs"))
    assert str(tmp_path / "0043-L.txt") in str(caught.value)


def test_texts_without_a_meaning(tmp_path):
    with pytest.raises(InterchangeError, match=r"no \.txt in it; understood are"):
        read_events(tmp_path, annotations("pku-mmd-cs"))
    (tmp_path / "a.txt").write_text("1,1,2,1")
    for given in (None, annotations("charades"), annotations("")):
        with pytest.raises(InterchangeError, match="only annotations of pku-mmd or tsu say"):
            read_events(tmp_path, given)


def test_no_file(tmp_path):
    with pytest.raises((InterchangeError, LabelError), match=r"absent\.json: cannot be read"):
        read_events(tmp_path / "absent.json")
