"""`augrgb clean`: remove what no current run refers to; listed first, and asked."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli_errors import errors


def clean(
    out: Annotated[Path, typer.Argument(help="Folder of results.")],
    unused: Annotated[
        bool,
        typer.Option("--unused", help="Products of other settings and other videos than those of its run."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
) -> None:
    """List what the run in OUT does not refer to, ask, remove it."""
    with errors():
        from pipeline.clean import find_unused, remove
        from pipeline.inputs import UsageError, printable

        if not unused:
            raise UsageError("say what is to be removed: --unused")
        found = find_unused(out)
        if not found:
            typer.echo("nothing is unused")
            return
        for one in found:
            files = f"  ({one.files} files)" if one.path.is_dir() else ""
            typer.echo(f"{_size(one.size):>10}  {printable(one.path.relative_to(out.absolute()))}{files}")
        total = f"{sum(one.files for one in found)} files, {_size(sum(one.size for one in found))}"
        if not yes:
            try:
                agreed = typer.confirm(f"Remove {total}?")
            except typer.Abort as error:
                raise UsageError("nobody answers; add --yes to remove them") from error
            if not agreed:
                typer.echo("nothing was removed")
                return
        remove(out, found)
        typer.echo(f"removed: {total}")


def _size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
