import zipfile
from pathlib import Path

import pytest

from pipeline.datasets import load_annotations
from pipeline.datasets.workbook import MAX_BYTES
from pipeline.labels import Annotations, Interval, LabelError

SPLIT = "Training videos: \n0002-L, 0002-R, \nValidataion videos: \n0002-M, \n"
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def load(
    folder: Path, labels: str = "1,30,60,2\n", *, split: str = SPLIT, where: str = "Label"
) -> Annotations:
    (folder / where).mkdir(exist_ok=True)
    for video in ("0002-L", "0002-M", "0002-R"):
        (folder / where / f"{video}.txt").write_text(labels)
    path = folder / "cross-view.txt"
    path.write_text(split)
    return load_annotations(path)


def test_frames_ids_and_subsets(tmp_path):
    found = load(tmp_path, "1,30,60,2\n51,0,1,0\n\n")
    assert found.classes == tuple(f"A{i:02d}" for i in range(1, 52))
    assert {video.video: video.subset for video in found.videos} == {
        "0002-L": "training",
        "0002-R": "training",
        "0002-M": "testing",
    }
    assert found.videos[0].intervals == (Interval(1.0, 2.0, "A01"), Interval(0.0, 1 / 30, "A51"))
    assert any("no Actions.xlsx beside it" in remark for remark in found.remarks)


def test_the_protocol_is_what_separates_the_subsets(tmp_path):
    assert load(tmp_path).dataset == "pku-mmd-cv"
    for video in ("0003-L", "0003-M"):
        (tmp_path / "Label" / f"{video}.txt").write_text("1,0,1,2")
    subjects = "Training videos:\n0002-L,0002-M\nValidation videos:\n0003-L,0003-M\n"
    assert load(tmp_path, split=subjects).dataset == "pku-mmd-cs"


def test_a_reversed_interval_is_kept_for_lint_and_said(tmp_path):
    found = load(tmp_path, "1,4925,4036,2\n2,0,9,2\n")
    assert len(found.videos[0].intervals) == 2
    assert any("3 intervals that do not end after their start: dropped" in remark for remark in found.remarks)


def test_the_folder_of_labels_may_be_beside_or_above(tmp_path):
    (tmp_path / "Split").mkdir()
    (tmp_path / "Train_Label_PKU_final").mkdir()
    (tmp_path / "Skeleton").mkdir()
    for video in ("0002-L", "0002-M", "0002-R"):
        (tmp_path / "Train_Label_PKU_final" / f"{video}.txt").write_text("3,0,30,2\n")
        (tmp_path / "Skeleton" / f"{video}.txt").write_text("0.1 0.2 0.3\n")  # the same names
    (tmp_path / "Split" / "cross-view.txt").write_text(SPLIT)
    found = load_annotations(tmp_path / "Split" / "cross-view.txt")
    assert found.videos[0].intervals == (Interval(0, 1, "A03"),)


def test_labels_that_are_nowhere_or_in_two_places(tmp_path):
    (tmp_path / "cross-view.txt").write_text(SPLIT)
    with pytest.raises(LabelError, match=r"found no folder with 'label' in its name that holds 0002-L.txt"):
        load_annotations(tmp_path / "cross-view.txt")
    load(tmp_path)
    with pytest.raises(LabelError, match="several folders hold labels"):
        load(tmp_path, where="labels (copy)")


def test_label_files_too_few_and_too_many(tmp_path):
    load(tmp_path)
    (tmp_path / "Label" / "0009-L.txt").write_text("1,0,1,2")
    assert any("1 label files of videos that are in neither list" in r for r in load(tmp_path).remarks)
    (tmp_path / "Label" / "0002-R.txt").unlink()
    with pytest.raises(LabelError, match=r"0002-R.txt: cannot be read"):
        load_annotations(tmp_path / "cross-view.txt")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("0,0,1,2", "0002-L.txt, line 1: '0,0,1,2'; expected class,start,end,confidence"),
        ("1,0,1,2\n52,0,1,2", "line 2: '52,0,1,2'"),
        ("1,-5,1,2", "'1,-5,1,2'"),
        ("1,0.5,1,2", "'1,0.5,1,2'"),
        ("1,nan,1,2", "expected class"),
        ("1,0,1", "expected class"),
        ("1,0," + "9" * 5000 + ",2", "expected class"),
        ("1,0,\0,2", "expected class"),
    ],
)
def test_lines_that_are_none(tmp_path, labels, message):
    with pytest.raises(LabelError, match=message):
        load(tmp_path, labels)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("Training videos:\n", "names no video"),
        ("Training videos:\n0002-L, ../../etc\n", r"line 2: '../../etc'; expected a heading or a video"),
        ("Training videos:\n/etc/passwd\n", "'/etc/passwd'; expected a heading"),
        ("Training videos:\n0002-X\n", "'0002-X'; expected a heading"),
        ("Training videos:\n0002-L\0\n", "expected a heading"),
        ("Training videos:\n0002-L\nValidation videos:\n0002-L\n", "line 4: 0002-L is there twice"),
    ],
)
def test_lists_that_are_none(tmp_path, split, message):
    with pytest.raises(LabelError, match=message):
        load(tmp_path, split=split)


# Actions.xlsx


def workbook(folder: Path, rows: list[list[str]], **parts: str | bytes) -> None:
    """An Excel file with shared strings; `parts` replace what is written by default."""
    strings = [text for row in rows for text in row]
    shared = "".join(
        f"<si><t>{text}</t><phoneticPr/><rPh sb='0' eb='1'><t>x</t></rPh></si>" for text in strings
    )
    cells, number = "", 0
    for r, row in enumerate(rows, 1):
        indices = range(number, number + len(row))
        number += len(row)
        of_row = (f'<c r="{c}{r}" t="s"><v>{i}</v></c>' for c, i in zip("AB", indices, strict=False))
        cells += f'<row r="{r}">{"".join(of_row)}<c r="C{r}" s="4"/></row>'
    written = {
        "sharedStrings": f"<sst {MAIN}>{shared}</sst>",
        "sheet1": f"<worksheet {MAIN}><sheetData>{cells}</sheetData></worksheet>",
        **parts,
    }
    with zipfile.ZipFile(folder / "Actions.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", written["sharedStrings"])
        archive.writestr("xl/worksheets/sheet1.xml", written["sheet1"])


def actions(count: int = 51) -> list[list[str]]:
    return [["Label", "Action"], *([str(i), f"action {i}"] for i in range(1, count + 1))]


def test_names_of_classes(tmp_path):
    workbook(tmp_path, actions())
    found = load(tmp_path, "12,0,30,2\n")
    assert found.classes == tuple(f"action {i}" for i in range(1, 52))
    assert found.videos[0].intervals == (Interval(0, 1, "action 12"),)


def test_cells_may_hold_their_text_themselves(tmp_path):
    text = "<is><r><t>act</t></r><r><t>ion {0}</t></r></is>"
    row = f"<row><c t='n'><v>{{0}}</v></c><c t='inlineStr'>{text}</c></row>"
    rows = "".join(row.format(i) for i in range(1, 52))
    sheet = f"<worksheet {MAIN}><sheetData><row/>{rows}</sheetData></worksheet>"
    workbook(tmp_path, [], sheet1=sheet)
    assert load(tmp_path).classes[11] == "action 12"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (actions(50), "50 names for 50 class ids; expected a name of its own for each of 1 to 51"),
        ([*actions(50), ["51", "action 1"]], "50 names for 51 class ids"),
        ([], "0 names for 0 class ids"),
    ],
)
def test_names_that_are_not_all_there(tmp_path, rows, message):
    workbook(tmp_path, rows)
    with pytest.raises(LabelError, match=message):
        load(tmp_path)


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"sharedStrings": f"{BOMB}<sst {MAIN}><si><t>&b;</t></si></sst>"}, "a comment or a document type"),
        ({"sharedStrings": f"{BOMB}<sst/>".encode("utf-16")}, "codec can't decode"),
        ({"sharedStrings": " " * (MAX_BYTES + 1)}, "unpacks to more than"),
        ({"sheet1": "<worksheet"}, "cannot be read as an Excel file"),
        ({"sharedStrings": f"<sst {MAIN}/>"}, "list index out of range"),
        ({"sharedStrings": f"<sst {MAIN}><si><t>\0</t></si></sst>"}, "cannot be read as an Excel file"),
    ],
)
def test_workbooks_that_want_to_harm(tmp_path, parts, message):
    workbook(tmp_path, actions(), **parts)
    with pytest.raises(LabelError, match=message):
        load(tmp_path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"Label;Action\n1;bow\n"])
def test_files_that_are_no_workbook(tmp_path, data):
    (tmp_path / "Actions.xlsx").write_bytes(data)
    with pytest.raises(
        LabelError, match=r"Actions.xlsx: cannot be read as an Excel file .* classes go by id"
    ):
        load(tmp_path)


def test_a_workbook_without_the_sheet(tmp_path):
    with zipfile.ZipFile(tmp_path / "Actions.xlsx", "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(LabelError, match="There is no item named"):
        load(tmp_path)
