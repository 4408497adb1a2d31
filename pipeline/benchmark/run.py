"""`augrgb benchmark`: check, extract, train, judge, write the table; what is there is not done again."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.benchmark.catalogue import PRACTICE
from pipeline.benchmark.cells import Cell, Splits, curve_cells, describe, seed_cells
from pipeline.benchmark.features import CachedFeatures, FeatureSource
from pipeline.benchmark.options import Options
from pipeline.benchmark.prepare import Prepared, features_of, located, prepare, render, world
from pipeline.benchmark.results import summarise
from pipeline.benchmark.rows import Row, choose_rows, curve_rows, standard_rows
from pipeline.benchmark.tables import markdown, terminal
from pipeline.benchmark.train_and_judge import measurings, train_and_judge, trainings
from pipeline.benchmark.work import Judging
from pipeline.benchmark.workers import Workers
from pipeline.config import to_values
from pipeline.files import sweep_temporary, write_atomic, write_json
from pipeline.job import Failure, describe_device, versions
from pipeline.products import missing
from pipeline.progress import Progress


@dataclass(frozen=True)
class Plan:
    """Everything that is to be trained and judged."""

    rows: Mapping[str, Row]
    cells: Sequence[Cell]
    curve_rows: Mapping[str, Row]
    curve: Sequence[Cell]
    judging: Judging


def run_benchmark(options: Options) -> tuple[dict[str, Any], list[Failure]]:
    """What benchmark.json says, and the videos that could not be done. UsageError before any work."""
    progress = Progress(None if options.dry_run else options.out / "log.jsonl", quiet=options.quiet)
    if options.name == PRACTICE:
        options.check()
        if options.dry_run and not (world(options) / "labels.csv").is_file():
            progress.say(f"render: to do, in {world(options)}; then 96 videos to extract")
            return {}, []
        if not options.dry_run:
            render(world(options), progress, _workers(options, "cpu"))
    prepared = prepare(options, progress)
    _plan(prepared, prepared.videos)  # what cannot be done is found before any work
    if options.dry_run:
        _dry_run(prepared)
        return {}, []
    options.out.mkdir(parents=True, exist_ok=True)
    sweep_temporary(options.out)
    progress.event("start", command=options.command)
    try:
        features = features_of(prepared)
        found = _benchmark(prepared, features)
    finally:
        prepared.job.save_failures()
        if prepared.job.sources:
            prepared.job.save_run()  # `augrgb verify OUT` goes by it
    _write(found, options)
    for table in terminal(found):
        progress.console.print(table)
    progress.say(f"results: {options.out / 'benchmark.md'}, .json, .html")
    return found, prepared.job.failures


def _benchmark(prepared: Prepared, features: FeatureSource) -> dict[str, Any]:
    options, job = prepared.options, prepared.job
    plan = _plan(prepared, features.videos)
    device = str(job.device)
    with Workers(_workers(options, job.device.type)) as workers:
        settings = {"device": device, "workers": workers, "progress": job.progress}
        measured = train_and_judge(plan.cells, plan.rows, features, plan.judging, **settings)  # type: ignore[arg-type]
        curve = train_and_judge(plan.curve, plan.curve_rows, features, plan.judging, **settings)  # type: ignore[arg-type]
    protocols = plan.judging.protocols
    return {
        **_about(prepared, features, plan),
        **summarise(plan.rows, measured, protocols, options.data.figures),
        "label_curve": _curve(plan, curve),
    }


def _plan(prepared: Prepared, videos: Sequence[str]) -> Plan:
    options, config = prepared.options, prepared.config
    splits = Splits(prepared.annotations, tuple(videos), options.own_folds, options.grouping)
    rows = choose_rows(_rows(prepared), options.rows)
    cells = seed_cells(splits, config, options.seeds or options.data.seeds, options.out) if rows else []
    curve = []
    if options.label_curve:
        curve = curve_cells(splits, config, options.label_curve, options.draws, options.out / "label-curve")
    judging = Judging(options.judged_by(), options.samples)
    return Plan(rows, cells, curve_rows(config.teachers) if curve else {}, curve, judging)


def _rows(prepared: Prepared) -> dict[str, Row]:
    return standard_rows(prepared.config.teachers, prepared.config.distillation)


def _curve(plan: Plan, measured: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """A table for each number of labelled videos."""
    tables = []
    for count in dict.fromkeys(cell.labelled for cell in plan.curve):
        of_count = [i for i, cell in enumerate(plan.curve) if cell.labelled == count]
        chosen = {name: [cells[i] for i in of_count] for name, cells in measured.items()}
        found = summarise(plan.curve_rows, chosen, plan.judging.protocols, ())
        counts = describe([plan.curve[i] for i in of_count])
        tables.append({"labelled": count, "draws": len(of_count), "videos": counts, "rows": found["rows"]})
    return tables


def _about(prepared: Prepared, features: FeatureSource, plan: Plan) -> dict[str, Any]:
    """What the table is of: nothing that another run of the same command would have otherwise."""
    options, data = prepared.options, prepared.options.data
    absent = {source.name for source in prepared.job.sources} - set(features.videos)
    return {
        "benchmark": data.name,
        "title": data.title,
        "command": options.command,
        "annotations": {"file": prepared.annotations.source.name, "sha256": prepared.annotations.sha256},
        "classes": list(prepared.annotations.classes),
        "videos": describe(plan.cells or plan.curve) if plan.cells or plan.curve else {},
        "seeds": len(plan.cells),
        "folds": options.own_folds,
        "group_by": options.group_by,
        "missing": sorted({*prepared.missing, *absent}),
        "remarks": list(prepared.remarks),
        "not_as_published": list(data.not_as_published),
        "features": "cache" if isinstance(features, CachedFeatures) else "made elsewhere",
        "features_sha256": features.sha256,
        "protocols": list(plan.judging.protocols),
        "samples": plan.judging.samples,
        "device": describe_device(prepared.job.device),
        "versions": versions(),
        "config": to_values(prepared.config),
    }


def _write(found: Mapping[str, Any], options: Options) -> None:
    from pipeline.benchmark.page import write_page  # plotly takes a while to import

    write_json(options.out / "benchmark.json", found)
    text = markdown(found)
    write_atomic(options.out / "benchmark.md", lambda file: file.write(text.encode()))
    write_page(found, options.out / "benchmark.html")


def _dry_run(prepared: Prepared) -> None:
    """Say what would happen; nothing is written."""
    options, say = prepared.options, prepared.job.progress.say
    for remark in prepared.remarks:
        say(remark)
    if options.folders:
        features: FeatureSource = features_of(prepared)
        say(f"features: made elsewhere, of {len(features.videos)} videos")
    else:
        places = located(prepared)
        todo = [video for video in places.files if missing(prepared.job, places, video)]
        say(f"extract: {len(places.files) - len(todo)} videos cached, {len(todo)} to do")
        if todo:
            say(f"then: rows {', '.join(choose_rows(_rows(prepared), options.rows)) or 'none'}")
            return
        features = CachedFeatures.of(places)
    plan = _plan(prepared, features.videos)
    for what, cells, rows in (("", plan.cells, plan.rows), ("label curve: ", plan.curve, plan.curve_rows)):
        wanted = measurings(cells, rows, features, plan.judging, str(prepared.job.device))
        undone = [item for item in wanted if item.found() is None]
        models = sum(len(items) for items in trainings(undone))
        if wanted:
            done = f"{len(wanted) - len(undone)} of {len(wanted)} judged"
            say(f"{what}{len(rows)} rows in {len(cells)} cells: {done}")
            say(f"{what}models for the others, those trained already included: {models}")
    say(f"protocols: {', '.join(plan.judging.protocols)}")


def _workers(options: Options, device: str) -> int:
    """A process for each core; on a GPU, one."""
    if options.workers is not None:
        return options.workers
    return 1 if device == "cuda" else len(os.sched_getaffinity(0))
