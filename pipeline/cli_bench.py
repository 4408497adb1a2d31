"""`augrgb bench`: how fast the pipeline is here, beside its bare networks."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from pipeline.cli_errors import errors, stop

Number = TypeVar("Number", int, float)


def bench(
    videos: Annotated[list[Path], typer.Argument(help="Files, folders (recursive), or .txt/.csv lists.")],
    preset: Annotated[
        str | None, typer.Option("--preset", help="Complete settings by name. (default: kinetics)")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings from a saved run.json or a YAML file.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override one setting: work.clips=8. Repeatable.")
    ] = None,
    features: Annotated[
        str, typer.Option("--features", help="Modalities by commas: rgb and what else is to be made with it.")
    ] = "rgb,flow,skeleton",
    precision: Annotated[
        str | None, typer.Option("--precision", help="32, bf16, 16-mixed; several by commas, side by side.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, or cuda[:i].")] = "auto",
    repeats: Annotated[int | None, typer.Option(help="Rounds, interleaved. (default: 3; --quick: 2)")] = None,
    lengths: Annotated[
        str, typer.Option(help="Minutes of video by commas, made by repeating the first one; none.")
    ] = "1,5,25",
    counts: Annotated[
        str, typer.Option(help="Numbers of 10-second videos by commas, cut from those given; none.")
    ] = "1,8,64",
    random_weights: Annotated[
        bool,
        typer.Option(
            "--random-weights",
            help="Needs no weight files: networks have random ones, and persons are found everywhere.",
        ),
    ] = False,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A first impression in a minute: 3 s of the first video, 2 rounds."),
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Keep all figures, each round's; see benchmarks/speed.md.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="A picture: .svg, .png, .pdf or .html.")] = None,
) -> None:
    """Pipeline, bare networks and decoder side by side; memory, bounds, cost against length and number."""
    with errors():
        from pipeline.files import write_json
        from pipeline.progress import Progress
        from pipeline.speed.bench import bench as measure
        from pipeline.speed.options import Options
        from pipeline.speed.plot import write_plot
        from pipeline.speed.tables import show

        options = Options(
            videos=videos,
            preset=preset,
            config=config,
            overrides=overrides or (),
            features=_names(features),
            precisions=_names(precision or ""),
            device=device,
            repeats=repeats if repeats is not None else 2 if quick else 3,
            minutes=_numbers("--lengths", lengths, float),
            counts=_numbers("--counts", counts, int),
            random_weights=random_weights,
            quick=quick,
            plot=plot,
            command=shlex.join(["augrgb", *sys.argv[1:]]),
        )
        progress = Progress()
        report = measure(options, progress)
        show(report, progress.console)
        if json_file is not None:
            write_json(json_file, report.to_json())
        if plot is not None:
            write_plot(report, plot)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(option: str, text: str, kind: Callable[[str], Number]) -> list[Number]:
    if text.strip() in ("", "none"):
        return []
    try:
        return [kind(number) for number in text.split(",")]
    except ValueError:
        stop(2, f"{option} {text}: expected numbers by commas, or none")
