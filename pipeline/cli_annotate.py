"""`augrgb annotate`: a video with what was found in it drawn onto it."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli_errors import errors


def annotate(
    video: Annotated[Path, typer.Argument(help="One video, of a run or new.", metavar="VIDEO")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of a run: its models score, and what it holds is not made again. Left out, with "
            "--checkpoint: nothing is kept but the file.",
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", help="The file to write. (default: OUT/annotated/VIDEO, or VIDEO-annotated.mp4 here)"
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="Score with this trained model.")
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            "--annotations", "-a", help="Labels to show beside the scores. Left out: those of the run."
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=1, max=40, help="Classes in the strip: those that score highest.")
    ] = 6,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold", min=0.0, max=1.0, help="Score of an active label. (default: the run's events)"
        ),
    ] = None,
    skeletons: Annotated[
        bool | None,
        typer.Option(
            "--skeletons/--no-skeletons",
            help="Find people where the run did not, or leave them out. (default: those that are known)",
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, or cuda[:i].")] = "auto",
) -> None:
    """The video with skeletons, active labels and a score strip drawn onto it: an MP4 that browsers play.

    Without sound, at the times of its frames, upright. Narrow pictures are enlarged so that text can be read.
    """
    with errors():
        from pipeline.annotate import Look
        from pipeline.annotate import annotate as run
        from pipeline.job import FailFast

        look = Look(top=top, threshold=threshold, skeletons=skeletons)
        try:
            run(
                video,
                out,
                to=to,
                checkpoint=checkpoint,
                annotations=annotations,
                look=look,
                device=device,
            )
        except FailFast:  # it was said
            raise typer.Exit(1) from None
