"""Every row of every cell: models that are missing are trained, rows judged, in several processes."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.benchmark.cells import Cell
from pipeline.benchmark.features import FeatureSource
from pipeline.benchmark.rows import CHANCE, Row, all_plans, closure
from pipeline.benchmark.work import Judging, Measuring, Training, measure_row, train_model
from pipeline.benchmark.workers import Workers
from pipeline.progress import Progress

Results = dict[str, list[dict[str, Any]]]  # by row, one per cell


def train_and_judge(
    cells: Sequence[Cell],
    rows: Mapping[str, Row],
    features: FeatureSource,
    judging: Judging,
    *,
    device: str,
    workers: Workers,
    progress: Progress,
) -> Results:
    """What was measured of each row in each cell, in the order of the cells."""
    wanted = measurings(cells, rows, features, judging, device)
    found: dict[tuple[str, str], dict[str, Any] | None] = {_place(item): item.found() for item in wanted}
    missing = [item for item in wanted if found[_place(item)] is None]
    if missing:
        _train(trainings(missing), workers, progress)
        with progress.bar("evaluate", len(missing)) as bar:
            for item, measured in workers.map(measure_row, missing):
                found[_place(item)] = measured
                bar.advance(f"{item.row.name}, {item.cell.name}")
    results: Results = {}
    for item in wanted:
        figures = found[_place(item)]
        assert figures is not None, "measured above"
        results.setdefault(item.row.name, []).append(figures)
    return results


def measurings(
    cells: Sequence[Cell], rows: Mapping[str, Row], features: FeatureSource, judging: Judging, device: str
) -> list[Measuring]:
    """Every row of every cell that has models."""
    return [
        Measuring(cell, row, features, judging, device)
        for row in rows.values()
        if row.name != CHANCE
        for cell in cells
    ]


def trainings(missing: Sequence[Measuring]) -> list[list[Training]]:
    """The models that these rows need: first those that nobody teaches, then the others."""
    needed: dict[str, tuple[Measuring, dict[str, Row]]] = {}
    for item in missing:
        needed.setdefault(item.cell.name, (item, {}))[1][item.row.name] = item.row
    generations: list[list[Training]] = [[], []]
    for item, rows in needed.values():
        plans = all_plans(rows)
        for plan in plans:
            generations[bool(plan.teachers)] += [
                Training(item.cell, part, closure(plan, plans), item.features, item.device)
                for part in item.cell.parts
            ]
    return generations


def _train(generations: Sequence[Sequence[Training]], workers: Workers, progress: Progress) -> None:
    with progress.bar("train", sum(map(len, generations))) as bar:
        for items in generations:
            for item, model in workers.map(train_model, items):
                where = (
                    f"{item.cell.name}, {item.part.out.name}" if len(item.cell.parts) > 1 else item.cell.name
                )
                progress.event(
                    "trained", model=model.name, cell=where, epochs=len(model.history), **model.best
                )
                bar.advance(f"{model.name}, {where}")


def _place(item: Measuring) -> tuple[str, str]:
    return item.cell.name, item.row.name
