"""`augrgb benchmark`: a published table, or one of your own videos, from one command."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli_errors import errors, stop


def benchmark(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="charades, multithumos, pku-mmd-cs, pku-mmd-cv, tsu-cs, tsu-cv, thumos14, practice (needs "
            "nothing), or folder: any labelled videos, in folds.",
        ),
    ],
    videos: Annotated[
        list[Path] | None, typer.Argument(help="Files, folders (recursive), or .txt/.csv lists.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of results. (default: runs/benchmark/NAME)")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option("--annotations", "-a", help="Labels, as `augrgb run` takes them.")
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option("--features", help="Features made elsewhere instead of VIDEOS: rgb=DIR. Repeatable."),
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Axes of their arrays: td, t11d or dt.")] = None,
    steps: Annotated[
        str, typer.Option(help="When their steps are: even, pdan, or actionformer:STRIDE/WINDOW in frames.")
    ] = "even",
    steps_per_sec: Annotated[
        float | None, typer.Option(help="Their rate, where the annotations do not say how long videos are.")
    ] = None,
    rows: Annotated[
        str | None, typer.Option(help="Rows by commas; none: the label curve alone. (default: all there are)")
    ] = None,
    teachers: Annotated[
        str | None, typer.Option(help="Modalities that teach: flow, skeleton or flow,skeleton; none.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Seeds 0, 1, ... (default: 3; practice 5; folder 1)")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Of a folder; 0: the subsets of its annotations. (default: 5)")
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(help="Regular expression: videos in whose names it matches the same stay in one fold."),
    ] = None,
    label_curve: Annotated[
        str | None, typer.Option(help="Numbers of labelled videos by commas: 1,2,4,8,16,32.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Which videos are labelled is drawn so many times.")] = 3,
    protocols: Annotated[
        str | None, typer.Option(help="By commas, the headline first. (default: those of the data set)")
    ] = None,
    samples: Annotated[int, typer.Option(help="Draws of the test videos for intervals; 0: none.")] = 1000,
    preset: Annotated[str | None, typer.Option(help="Another recipe than the benchmark's.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings from a run.json or YAML file, nothing else.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override one setting: train.epochs=20. Repeatable.")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Go on without annotated videos that are not there.")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, or cuda[:i].")] = "auto",
    workers: Annotated[
        int | None, typer.Option(help="Processes that train, one thread each. (default: cores; on a GPU 1)")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is there and what is to do.")] = False,
) -> None:
    """Train and judge every row over seeds or folds: OUT/benchmark.md, .json, .html; resumable."""
    with errors():
        from pipeline.benchmark.options import Options
        from pipeline.benchmark.run import run_benchmark

        options = Options(
            name=name,
            out=out or Path("runs") / "benchmark" / name,
            videos=videos or (),
            annotations=annotations,
            folders=_folders(features or ()),
            layout=layout,  # type: ignore[arg-type]  # checked there
            steps=steps,
            steps_per_sec=steps_per_sec,
            preset=preset,
            config=config,
            overrides=overrides or (),
            teachers=[] if teachers == "none" else _names(teachers),
            rows=_names(rows),
            protocols=_names(protocols),
            seeds=seeds,
            folds=folds,
            group_by=group_by,
            label_curve=_numbers(label_curve),
            draws=draws,
            samples=samples,
            allow_missing=allow_missing,
            dry_run=dry_run,
            device=device,
            workers=workers,
            command=shlex.join(["augrgb", *sys.argv[1:]]),
        )
        _, failures = run_benchmark(options)
        raise typer.Exit(1 if failures else 0)


def _folders(given: Sequence[str]) -> dict[str, Path]:
    """modality=DIR each."""
    folders = {}
    for text in given:
        modality, equals, folder = text.partition("=")
        if not equals or not folder or modality in folders:
            stop(2, f"--features {text}: expected MODALITY=DIR, each modality once, such as rgb=features/rgb")
        folders[modality] = Path(folder)
    return folders


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str | None) -> list[int]:
    try:
        return [int(number) for number in text.split(",")] if text else []
    except ValueError:
        stop(2, f"--label-curve {text}: expected numbers of videos by commas, such as 1,2,4,8")
