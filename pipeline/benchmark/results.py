"""From what was measured in every cell to the figures of the table, as JSON.

Values of ours are in [0, 1]; published ones are percent, and so are differences, in percentage points.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.benchmark.published import Figure
from pipeline.benchmark.rows import AUGMENTED, CHANCE, VANILLA, Row
from pipeline.protocols import span
from pipeline.recipe import RGB

Measured = Mapping[str, Any]  # what work.measure_row gives


def summarise(
    rows: Mapping[str, Row],
    measured: Mapping[str, Sequence[Measured]],
    protocols: Sequence[str],
    figures: Sequence[Figure],
) -> dict[str, Any]:
    """Rows of the table in order, and every published figure beside ours; `measured` is by row, one per cell.

    Intervals are of the mean over cells, over draws of the test videos (95 %).
    """
    table = [_row(row, measured[name], protocols) for name, row in rows.items() if name != CHANCE]
    if table and CHANCE in rows:
        table.insert(0, _chance(rows[CHANCE], table, protocols))
    by_name = {row["name"]: row for row in table}
    if VANILLA in measured:
        for name in measured:
            by_name[name]["over_vanilla"] = _difference(measured[name], measured[VANILLA], protocols[0])
    beside = [_beside(figure, by_name) for figure in figures]
    return {"rows": table, "published": beside, "chosen": _chosen(table, protocols[0])}


def _row(row: Row, cells: Sequence[Measured], protocols: Sequence[str]) -> dict[str, Any]:
    validated = [cell["validation"] for cell in cells if cell["validation"]]
    figures = {}
    for protocol in protocols:
        found = [cell["protocols"][protocol] for cell in cells]
        figures[protocol] = {
            **_spread(one["value"] for one in found),
            "chance": _mean(one["chance"] for one in found),
        }
    return {
        "name": row.name,
        "what": row.what,
        "inputs": list(row.inputs),
        "protocols": figures,
        "interval": _interval(_draws(cells)),
        "over_vanilla": None,
        "validation": _spread(one["value"] for one in validated) if validated else None,
        "per_class": _per_class([cell["protocols"][protocols[0]]["per_class"] for cell in cells]),
    }


def _chance(row: Row, table: Sequence[Mapping[str, Any]], protocols: Sequence[str]) -> dict[str, Any]:
    """That of any model, since all are judged on the same videos."""
    chances = {p: table[0]["protocols"][p]["chance"] for p in protocols}
    figures = {
        p: {"mean": chance, "std": None, "values": [], "chance": chance} for p, chance in chances.items()
    }
    about = {"name": row.name, "what": row.what, "inputs": []}
    return {
        **about,
        "protocols": figures,
        "interval": None,
        "over_vanilla": None,
        "validation": None,
        "per_class": {},
    }


def _beside(figure: Figure, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A published figure, the same figure of ours, and what ours is over it."""
    name = figure.row or AUGMENTED
    ours = _figure(rows.get(name), figure.protocol)
    if ours is not None and figure.gain is not None:
        vanilla = _figure(rows.get(VANILLA), figure.protocol)
        ours = None if vanilla is None else ours - vanilla
    theirs = figure.value if figure.value is not None else figure.gain
    assert theirs is not None, "checked when made"
    return {
        **figure.to_json(),
        "text": figure.text(),
        "our_row": name if ours is not None else None,
        "ours": ours,
        "difference": None if ours is None else ours - theirs,
    }


def _figure(row: Mapping[str, Any] | None, protocol: str) -> float | None:
    """Percent."""
    value = row["protocols"].get(protocol, {}).get("mean") if row else None
    return None if value is None else 100 * value


def _chosen(table: Sequence[Mapping[str, Any]], protocol: str) -> dict[str, Any] | None:
    """Of the rows that see RGB alone, the best on the held-out share, with its test figure as it is."""
    known = [
        row for row in table if row["inputs"] == [RGB] and (row["validation"] or {}).get("mean") is not None
    ]
    if not known:
        return None
    best = max(known, key=lambda row: row["validation"]["mean"])
    figure = best["protocols"][protocol]
    return {"row": best["name"], "validation": best["validation"]["mean"], "test": figure["mean"]}


def _spread(values: Iterable[float | None]) -> dict[str, Any]:
    """Mean and sample standard deviation over cells; None where a figure is undefined."""
    values = list(values)
    known = [value for value in values if value is not None]
    std = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return {"mean": _mean(values), "std": std, "values": values}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _difference(row: Sequence[Measured], vanilla: Sequence[Measured], protocol: str) -> dict[str, Any] | None:
    """Row minus vanilla, and its interval over the same draws of videos."""
    values = [_mean(cell["protocols"][protocol]["value"] for cell in cells) for cells in (row, vanilla)]
    if values[0] is None or values[1] is None:
        return None
    draws, base = _draws(row), _draws(vanilla)
    return {
        "mean": values[0] - values[1],
        "interval": _interval(draws - base) if len(draws) == len(base) else None,
    }


def _draws(cells: Sequence[Measured]) -> np.ndarray:
    """The mean over cells for each draw of videos: (S,), NaN where a cell has no figure."""
    draws_CS = np.array([cell["draws"] for cell in cells], dtype=np.float64)  # None becomes NaN
    return draws_CS.mean(axis=0)


def _interval(draws_S: np.ndarray) -> list[float] | None:
    found = span(draws_S)
    return None if found is None else list(found)


def _per_class(cells: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    return {label: _mean(cell[label] for cell in cells) for label in cells[0]}
