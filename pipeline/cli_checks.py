"""`augrgb verify` and `augrgb compare-features`: commands that prove, or disprove, what features are."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli_errors import errors

if TYPE_CHECKING:
    from pipeline.verify import Verification


def verify(
    out: Annotated[Path, typer.Argument(help="Folder of results.")],
    videos: Annotated[
        list[Path] | None,
        typer.Argument(help="Where its videos are. Left out: where they were in the run that made OUT."),
    ] = None,
    windows: Annotated[
        int, typer.Option("--windows", "-k", min=1, help="Rows of each file to make again.")
    ] = 4,
    everything: Annotated[bool, typer.Option("--all", help="Make all rows again.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other rows.")] = 0,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Largest difference in units of a row's largest number (default: 1e-4; flow 1e-3; half "
            "precision, or features made on a GPU and verified on a CPU, or the other way round, 3e-2)",
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, or cuda[:i].")] = "auto",
) -> None:
    """Hold features against their records, some rows of each against its video; exit code 1 on a mismatch."""
    with errors():
        from pipeline.inputs import find_videos
        from pipeline.job import resolve_device
        from pipeline.progress import Progress
        from pipeline.verify import verify as run

        progress = Progress()
        outcome = run(
            out,
            sources=find_videos(videos).sources if videos else (),
            windows=None if everything else windows,
            seed=seed,
            tolerance=tolerance,
            device=resolve_device(device),
            progress=progress,
        )
        for line in _lines(outcome):
            progress.say(line)
        raise typer.Exit(1 if outcome.findings else 0)


def compare_features(
    a: Annotated[Path, typer.Argument(metavar="A", help="Folder of features or of results, or one .npy.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The same, to be held against A.")],
    page: Annotated[Path, typer.Option("--out", "-o", help="The page with the plots.")] = Path(
        "compare-features.html"
    ),
    layout_a: Annotated[
        str, typer.Option(help="Axes of plain arrays of A: td (steps, features), dt, or auto.")
    ] = "auto",
    layout_b: Annotated[str, typer.Option(help="The same of B.")] = "auto",
    videos: Annotated[int, typer.Option(min=1, help="Compare at most so many, at even distances.")] = 50,
) -> None:
    """Two sets of features: cosine per step, shift, rate, a verdict; exit code 0 if the same, else 1."""
    with errors():
        from pipeline.compare import SAME
        from pipeline.compare import compare_features as run
        from pipeline.compare_page import write_comparison
        from pipeline.compare_verdict import remarks, verdict
        from pipeline.feature_folders import LAYOUTS
        from pipeline.inputs import UsageError

        for option in (layout_a, layout_b):
            if option not in LAYOUTS:
                raise UsageError(f"a layout is one of {', '.join(LAYOUTS)}, got {option!r}")
        found = run(a, b, layout_a=layout_a, layout_b=layout_b, videos=videos)  # type: ignore[arg-type]
        write_comparison(found, page, name_a=str(a), name_b=str(b))
        for line in [verdict(found), *remarks(found), f"page: {page}"]:
            typer.echo(line)
        raise typer.Exit(0 if found.kind in SAME else 1)


def _lines(outcome: "Verification") -> list[str]:
    """The outcome, folder by folder, then everything that is wrong, then the verdict."""
    lines = []
    for folder, checked in outcome.folders.items():
        found = f"{folder}: {checked.files} files"
        if checked.rows:
            found += f", {checked.recomputed} of {checked.rows} rows made again"
        if checked.recomputed:
            found += f", largest difference {checked.largest:.1e} (allowed {checked.tolerance:.0e})"
        lines.append(found)
    lines += [f"MISMATCH {finding}" for finding in outcome.findings]
    files = {finding.file for finding in outcome.findings}
    total = sum(checked.files for checked in outcome.folders.values())
    rows = sum(checked.recomputed for checked in outcome.folders.values())
    if files:
        return [*lines, f"not verified: {len(outcome.findings)} mismatches in {len(files)} of {total} files"]
    return [
        *lines,
        f"verified: {total} files are what their records say, {rows} rows what their sources give",
    ]
