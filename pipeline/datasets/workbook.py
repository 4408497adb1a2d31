"""The first sheet of an Excel file (Office Open XML) as rows of text, by the standard library.

Enough for a list of names, and no dependency for the sake of one file. The file is somebody else's: what it
unpacks to is bounded, and a document type, by which XML expands and includes, is refused.
"""

import io
import zipfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

from pipeline.datasets.text_file import read_bytes
from pipeline.inputs import printable
from pipeline.labels import LabelError

MAX_BYTES = 4 * 2**20  # of the file, and of each part unpacked
_NS = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def read_workbook(path: Path) -> list[list[str]]:
    """Rows of cells, empty cells left out; LabelError where the file cannot be read so."""
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path, MAX_BYTES))) as archive:
            strings = [_text(item) for item in _part(archive, "xl/sharedStrings.xml").findall("x:si", _NS)]
            sheet = _part(archive, "xl/worksheets/sheet1.xml")
        rows = sheet.findall("x:sheetData/x:row", _NS)
        return [[text for cell in row.findall("x:c", _NS) if (text := _cell(cell, strings))] for row in rows]
    except LabelError:
        raise
    except (
        *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
        *(KeyError, IndexError, ValueError, ElementTree.ParseError),
    ) as error:
        raise LabelError(
            f"{printable(path)}: cannot be read as an Excel file ({error}); without it, classes go by id"
        ) from None


def _part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    with archive.open(name) as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{name} unpacks to more than {MAX_BYTES} bytes")
    text = data.decode("utf-8")  # any other encoding could hide what is looked for next
    if "<!" in text:
        raise ValueError(f"{name} has a comment or a document type")
    return ElementTree.fromstring(text)  # noqa: S314 - bounded, and without a document type


def _text(item: ElementTree.Element) -> str:
    """Of a string, plain or in runs; phonetic readings are no part of it."""
    parts = [*item.findall("x:t", _NS), *item.findall("x:r/x:t", _NS)]
    return "".join(part.text or "" for part in parts).strip()


def _cell(cell: ElementTree.Element, strings: list[str]) -> str:
    if cell.get("t") == "inlineStr":
        inline = cell.find("x:is", _NS)
        return "" if inline is None else _text(inline)
    value = (cell.findtext("x:v", namespaces=_NS) or "").strip()
    return strings[int(value)] if cell.get("t") == "s" and value else value
