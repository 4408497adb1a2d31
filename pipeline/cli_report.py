"""`augrgb report`: the page, and a server for it."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli_errors import errors, stop
from pipeline.inputs import UsageError, printable

if TYPE_CHECKING:
    from pipeline.page_serve import PageServer


def report(
    out: Annotated[Path | None, typer.Argument(help="Folder of results.")] = None,
    out_option: Annotated[Path | None, typer.Option("--out", "-o", help="The same, as an option.")] = None,
    previews: Annotated[
        bool,
        typer.Option(
            "--previews/--no-previews",
            help="A small H.264 preview of every video, so that OUT/report is complete in itself and plays "
            "in any browser; without, links to the videos.",
        ),
    ] = True,
    serve: Annotated[
        bool, typer.Option("--serve", help="Then serve it on this machine; for browsers elsewhere: ssh -L.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of --serve; 0: any free one.")] = 8000,
) -> None:
    """OUT/report: every video in sync with its scores, offline, from what OUT holds."""
    folder = out or out_option
    if folder is None or (out and out_option):
        stop(2, "give the folder of results once: augrgb report OUT")
    from pipeline import commands
    from pipeline.request import request

    with errors():
        server = _listen(folder, port) if serve else None
        command = shlex.join(["augrgb", *sys.argv[1:]])
        asked = request(None, folder, device="cpu", remember=True, command=command)
        page = commands.report(asked, previews=previews)
        code = commands.summary(asked)
        typer.echo(f"page: {printable(page)}")
        if server is not None:
            typer.echo(f"page: {server.url}  (Ctrl-C ends)")
            server.serve_until_interrupted()
        raise typer.Exit(code)


def _listen(out: Path, port: int) -> "PageServer":
    """Before any work: the port may be taken."""
    from pipeline.page_serve import PageServer

    try:
        return PageServer(out / "report", port)
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror}; take another, or 0 for any free one") from error
