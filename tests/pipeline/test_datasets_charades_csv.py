from pathlib import Path

import pytest

from pipeline.datasets import load_annotations
from pipeline.labels import Annotations, Interval, LabelError

HEADER = "id,subject,script,actions,length"
TRAIN = f'{HEADER}\n46GP8,HR43,"A person, cooking.",c092 11.90 21.20;c147 0.00 12.60,24.83\n'
TEST = f"{HEADER}\nYSKX3,CP6Y,,,16.62\n"


def write(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text, newline="")
    return tmp_path / f"{next(iter(files))}.csv"


def load(tmp_path: Path, text: str) -> Annotations:
    return load_annotations(write(tmp_path, Charades_v1_train=text))


@pytest.mark.parametrize("given", ["Charades_v1_train", "Charades_v1_test"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_either_file_brings_the_other(tmp_path, given, newline):
    write(
        tmp_path,
        Charades_v1_train=TRAIN.replace("\n", newline),
        Charades_v1_test=TEST.replace("\n", newline),
    )
    found = load_annotations(tmp_path / f"{given}.csv")
    training, testing = found.videos
    assert found.dataset == "charades"
    assert found.source == tmp_path / f"{given}.csv"
    assert (training.video, training.subset, training.duration_sec) == ("46GP8", "training", 24.83)
    assert training.intervals == (Interval(11.9, 21.2, "c092"), Interval(0.0, 12.6, "c147"))
    assert (testing.video, testing.subset, testing.intervals) == ("YSKX3", "testing", ())


def test_the_hash_is_of_all_files(tmp_path):
    path = write(tmp_path, Charades_v1_train=TRAIN, Charades_v1_test=TEST)
    before = load_annotations(path).sha256
    assert load_annotations(path).sha256 == before
    write(tmp_path, Charades_v1_test=TEST.replace("16.62", "16.63"))
    assert load_annotations(path).sha256 != before


def test_one_part_alone_is_said(tmp_path):
    found = load(tmp_path, TRAIN)
    assert len(found.videos) == 1
    assert "Charades_v1_train.csv: no CSV of the test videos beside it: they are unknown" in found.remarks


def test_names_of_classes(tmp_path):
    (tmp_path / "Charades_v1_classes.txt").write_text("".join(f"c{i:03d} name {i}\n" for i in range(157)))
    assert load(tmp_path, TRAIN).videos[0].intervals[0] == Interval(11.9, 21.2, "name 92")


def test_columns_may_stand_in_any_order(tmp_path):
    found = load(tmp_path, "length,id,extra,actions\n20,ABCDE,,c001 1 2\n")
    assert found.videos[0].intervals == (Interval(1, 2, "c001"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\n", "names no video"),
        (TRAIN + "46GP8,HR43,,,24.83\n", "line 3: '46GP8' is there twice; keep one"),
        (TRAIN + "ABCDE,x,,\n", "line 3: 4 cells, expected 5"),
        (f"{HEADER}\nABCDE,,,c157 0 1,9\n", "line 2: action 'c157 0 1'; expected such as c092"),
        (f"{HEADER}\nABCDE,,,c15 0 1,9\n", "action 'c15 0 1'"),
        (f"{HEADER}\nABCDE,,,c001 0,9\n", "action 'c001 0'"),
        (f"{HEADER}\nABCDE,,,c001 -1 2,9\n", "action 'c001 -1 2'"),
        (f"{HEADER}\nABCDE,,,c001 nan 2,9\n", "action 'c001 nan 2'"),
        (f"{HEADER}\nABCDE,,,c001 1.2.3 2,9\n", "start is '1.2.3'; expected seconds"),
        (f"{HEADER}\nABCDE,,,,\n", "length is ''; expected seconds"),
        (f"{HEADER}\nABCDE,,,,nan\n", "the length is nan s; expected more than 0"),
        (f"{HEADER}\nABCDE,,,,1e999\n", "the length is inf s"),
        (f"{HEADER}\n,,,,9\n", "video is empty"),
        (f"{HEADER}\nA\0B,,,,9\n", "control character"),
        (f'{HEADER}\nABCDE,,"open,,9\n', "not a CSV file"),
    ],
)
def test_rows_that_are_none(tmp_path, text, message):
    with pytest.raises(LabelError, match=message):
        load(tmp_path, text)


def test_videos_of_both_parts(tmp_path):
    path = write(tmp_path, Charades_v1_test=TEST, Charades_v1_train=TEST)
    with pytest.raises(LabelError, match=r"Charades_v1_test.csv, line 2: 'YSKX3' is there twice"):
        load_annotations(path)


def test_a_name_that_says_no_subset(tmp_path):
    with pytest.raises(LabelError, match=r"its name alone; expected Charades_v1_train.csv"):
        load_annotations(write(tmp_path, mine=TRAIN))
    with pytest.raises(LabelError, match="the columns are"):
        load_annotations(write(tmp_path, my_train=TRAIN, my_test="a,b\n1,2\n"))


def test_the_subset_is_the_last_word_of_the_name(tmp_path):
    assert load_annotations(write(tmp_path, contest_train=TRAIN)).videos[0].subset == "training"
    assert load_annotations(write(tmp_path, Train_v2_Test=TEST)).videos[0].subset == "testing"
