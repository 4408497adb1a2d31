"""The tables of a benchmark as text: header and cells, for whatever shows them, and how to read them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.benchmark.rows import VANILLA

Found = Mapping[str, Any]  # what benchmark.json says, or a part of it
Cells = tuple[list[str], list[list[str]]]  # header and rows
NOTHING = "–"


def headline(found: Found) -> Cells:
    """Every row by the headline protocol; columns in which nothing is known are left out."""
    columns: dict[str, Callable[[Found], str]] = {
        "row": lambda row: row["name"],
        "test %": lambda row: percent(_figure(found, row)["mean"]),
        "± seeds": lambda row: percent(_figure(found, row)["std"]),
        "95 % over videos": lambda row: span(row["interval"]),
        "over vanilla": lambda row: points(_over(row).get("mean")),
        "95 % of that": lambda row: span(_over(row).get("interval"), signed=True),
        "validation %": lambda row: percent(_validation(row)),
        "published %": lambda row: "; ".join(one["text"] for one in _theirs(found, row)),
        "difference": lambda row: "; ".join(_signed(one["difference"]) for one in _theirs(found, row)),
        "what it is": lambda row: row["what"],
    }
    cells = {name: [column(row) for row in found["rows"]] for name, column in columns.items()}
    known = {name: column for name, column in cells.items() if set(column) - {"", NOTHING}}
    return list(known), [list(row) for row in zip(*known.values(), strict=True)]


def by_protocol(found: Found) -> Cells:
    """Every row by every protocol."""
    names = found["protocols"]
    rows = [[row["name"], *(percent(row["protocols"][p]["mean"]) for p in names)] for row in found["rows"]]
    return ["row", *names], rows


def beside(found: Found) -> Cells:
    """Every published figure, ours beside it, the difference, and the number of its source."""
    numbers = {source: number for number, source in enumerate(sources(found), 1)}
    columns: dict[str, Callable[[Found], str]] = {
        "method": lambda one: one["method"],
        "input at test": lambda one: one["inputs"],
        "published": lambda one: one["text"],
        "ours": lambda one: (_signed if one["value"] is None else _plain)(one["ours"]),
        "our row": lambda one: one["our_row"] or NOTHING,
        "difference": lambda one: _signed(one["difference"]),
        "protocol": lambda one: one["protocol"],
        "source": lambda one: f"[{numbers[one['source']]}]",
        "remark": lambda one: one["remark"],
    }
    return list(columns), [[column(one) for column in columns.values()] for one in found["published"]]


def sources(found: Found) -> list[str]:
    """Of the published figures, in the order of their numbers."""
    return list(dict.fromkeys(one["source"] for one in found["published"]))


def curve(found: Found) -> Cells:
    """Rows by number of labelled videos: test ± deviation over draws, validation in parentheses."""
    tables = [{row["name"]: row for row in table["rows"]} for table in found["label_curve"]]
    rows = [[name, *(_of_curve(found, table[name]) for table in tables)] for name in tables[0]]
    return ["row", *(str(table["labelled"]) for table in found["label_curve"])], rows


def notes(found: Found) -> list[str]:
    """How to read the headline."""
    chosen = found["chosen"]
    lines = [
        "Mean over seeds, ± their standard deviation; intervals of that mean over draws of the test videos, "
        "for differences over the same draws."
    ]
    if found["published"]:
        lines.append(
            "Published figures are set beside ours by the protocol that each is given with below, which need "
            "not be the headline's."
        )
    if chosen:
        lines.append(
            "Best of the rows that see RGB alone on the validation share (which also chose the epochs): "
            f"{chosen['row']} ({percent(chosen['validation'])} there); on the test videos "
            f"{percent(chosen['test'])}."
        )
    return lines


def curve_note(found: Found) -> str:
    """How to read the label curve."""
    tables = found["label_curve"]
    videos = tables[0]["videos"]
    parts = (
        f"Columns: number of labelled videos. Cells: test, ± over {tables[0]['draws']} draws of which "
        "videos are labelled (the smaller subsets of a draw are in the larger ones)"
    )
    held = sum(videos["validation"])
    choose = f", in parentheses the {held} held-out training videos to choose rows by" if held else ""
    return f"{parts}{choose}. All epochs are trained: choosing one would take more labels."


def numeric(rows: Sequence[Sequence[str]], column: int) -> bool:
    """Whether a column is to be read from the right."""
    return all(not row[column] or row[column][0] in f"+-0123456789{NOTHING}" for row in rows)


def caption(found: Found) -> str:
    """By what, on how many videos."""
    videos, seeds = found["videos"]["testing"], found["seeds"]
    folds = f" in {found['folds']} folds" if found["folds"] else ""
    return (
        f"{found['protocols'][0]}, {videos} test videos{folds}, {seeds} {'seed' if seeds == 1 else 'seeds'}"
    )


def percent(value: float | None) -> str:
    """83.4, from a figure in [0, 1]."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """+1.2, from a difference of figures in [0, 1]."""
    return NOTHING if value is None else f"{100 * value:+.1f}"


def span(interval: Sequence[float] | None, *, signed: bool = False) -> str:
    """40.1 to 45.2"""
    return " to ".join(map(points if signed else percent, interval)) if interval else NOTHING


def _figure(found: Found, row: Found) -> Found:
    return row["protocols"][found["protocols"][0]]


def _validation(row: Found) -> float | None:
    return row["validation"]["mean"] if row["validation"] else None


def _over(row: Found) -> Found:
    return row["over_vanilla"] or {} if row["name"] != VANILLA else {}


def _theirs(found: Found, row: Found) -> list[Found]:
    """Published figures of the same method, of which there is one of ours."""
    return [one for one in found["published"] if one["row"] == row["name"] and one["difference"] is not None]


def _of_curve(found: Found, row: Found) -> str:
    figure, chosen = _figure(found, row), _validation(row)
    deviation = "" if figure["std"] is None else f" ± {percent(figure['std'])}"
    return percent(figure["mean"]) + deviation + ("" if chosen is None else f" ({percent(chosen)})")


def _plain(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f}"


def _signed(value: float | None) -> str:
    return NOTHING if value is None else f"{value:+.1f}"
