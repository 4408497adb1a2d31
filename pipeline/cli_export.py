"""`augrgb export` and `augrgb evaluate-events`: results for other tools, and theirs for us."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli_errors import errors

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.interchange.event_evaluation import Figure
    from pipeline.task import Task

Annotations = Annotated[
    Path | None, typer.Option("--annotations", "-a", help="Labels. Left out: those of the run that made OUT.")
]


def export(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of results; for --events a file of events, too.")
    ],
    to: Annotated[Path, typer.Option("--to", help="Folder to write; for activitynet the .json file.")],
    features: Annotated[
        str | None, typer.Option("--features", help="For a toolbox: opentad, actionformer or pdan.")
    ] = None,
    events: Annotated[
        str | None, typer.Option("--events", help="As activitynet (one JSON) or srt (subtitles).")
    ] = None,
    modality: Annotated[
        str, typer.Option("--modality", help="Which features: rgb, flow, skeleton, or a folder's name.")
    ] = "rgb",
    annotations: Annotations = None,
) -> None:
    """Features or events of OUT in the formats of other tools."""
    with errors():
        from pipeline.inputs import UsageError

        if (features is None) == (events is None):
            raise UsageError("give one of --features and --events")
        if features is not None:
            lines = _export_features(out, features, to, modality, annotations)
        else:
            lines = _export_events(out, str(events), to, annotations)
        for line in [*lines, f"written: {to}"]:
            typer.echo(line)


def evaluate_events(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Events: ActivityNet JSON, our events.json or events.csv, or a folder of <video>.txt with "
            "class,start,end,score per line (PKU-MMD, TSU).",
        ),
    ],
    annotations: Annotated[Path, typer.Option("--annotations", "-a", help="What is true.")],
    protocols: Annotated[
        str | None,
        typer.Option(
            "--protocols",
            help="By commas, or the beginning of several: event_map,segment_map@0.1:0.9,frame_map/all. Left "
            "out: those that the data set's events are published by.",
        ),
    ] = None,
    subset: Annotated[str, typer.Option("--subset", help="testing, training or all.")] = "testing",
    fps: Annotated[
        float, typer.Option("--fps", help="Frames a second of events rasterised for protocols on frames.")
    ] = 25.0,
    samples: Annotated[
        int, typer.Option("--bootstrap", min=0, help="Draws of videos for the 95 % interval; 0: none.")
    ] = 1000,
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures here, too.")] = None,
) -> None:
    """Events found by any program against annotations: mAP by named protocols."""
    with errors():
        from rich.console import Console

        from pipeline.datasets import load_annotations
        from pipeline.files import write_json
        from pipeline.interchange.event_evaluation import event_protocols, match_events, measure_matched
        from pipeline.interchange.event_import import read_events
        from pipeline.protocols import resolve

        given = [name.strip() for name in (protocols or "").split(",") if name.strip()]
        labels = load_annotations(annotations)
        names = resolve(given) if given else event_protocols(labels.dataset)
        matched = match_events(read_events(file, labels), labels, subset)
        for remark in (*labels.remarks, *matched.remarks):
            typer.echo(remark)
        figures = measure_matched(matched, labels.classes, names, fps=fps, samples=samples)
        Console().print(_table(figures, f"{len(matched.truth)} {subset} videos"))
        if json is not None:
            found = {f.measured.protocol: {**f.measured.to_json(), "interval": f.interval} for f in figures}
            write_json(json, {"events": str(file), "annotations": str(annotations), "protocols": found})


def _export_features(out: Path, toolbox: str, to: Path, modality: str, annotations: Path | None) -> list[str]:
    from pipeline.inputs import UsageError
    from pipeline.interchange.stored_features import find_stored
    from pipeline.interchange.toolboxes import TOOLBOXES, export_toolbox

    if toolbox not in TOOLBOXES:
        raise UsageError(f"--features {toolbox}: expected {', '.join(TOOLBOXES)}")
    stored = find_stored(out, modality)
    clocks = {video: steps.clock for video, steps in stored.steps.items()}
    task = _task(out, annotations, list(stored))
    return export_toolbox(stored, toolbox, to, task.on(clocks) if task else None)


def _export_events(out: Path, form: str, to: Path, annotations: Path | None) -> list[str]:
    from pipeline.datasets import load_annotations
    from pipeline.inputs import UsageError
    from pipeline.interchange.event_export import write_activitynet, write_srt
    from pipeline.interchange.event_import import read_events

    if form not in ("activitynet", "srt"):
        raise UsageError(f"--events {form}: expected activitynet or srt")
    of_run = out / "events.json"
    events = read_events(
        of_run if of_run.is_file() else out, load_annotations(annotations) if annotations else None
    )
    lines = [f"{sum(map(len, events.values()))} events of {len(events)} videos"]
    if form == "activitynet":
        write_activitynet(to, events)
    elif silent := write_srt(to, events):
        lines.append(f"{len(silent)} videos have no event, and get no file, such as {silent[0]}")
    return lines


def _task(out: Path, annotations: Path | None, videos: list[str]) -> "Task | None":
    """What the labels say about these videos, by the settings of the run; None where no labels are known."""
    from pipeline.config import load_config
    from pipeline.datasets import load_annotations
    from pipeline.files import read_json
    from pipeline.task import make_task

    run = out / "run.json"
    path = annotations or read_json(run).get("annotations")
    if path is None:
        return None
    config = load_config(config_file=run if run.is_file() else None)
    labels = load_annotations(Path(path)).without(config.labels.ignore)
    return make_task(labels, videos, config.labels, seed=config.seed)


def _table(figures: "list[Figure]", title: str) -> "Table":
    from rich.table import Table

    table = Table(title=title)
    for column in ("protocol", "mAP %", "95 %", "chance %"):
        table.add_column(column, justify="left" if column == "protocol" else "right")
    for figure in figures:
        measured = figure.measured
        span = " - ".join(map(_percent, figure.interval)) if figure.interval else "-"
        table.add_row(measured.protocol, _percent(measured.value), span, _percent(measured.chance))
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
