"""`augrgb weights`: the table of published weights, fetching them ahead, checking those that are here."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli_errors import errors

if TYPE_CHECKING:
    from extractors.weight_files import WeightFile

app = typer.Typer(help="Weights of networks: what there is, fetch it, check it.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Names as `augrgb weights list` shows them.")]


@app.command("list")
def list_weights(names: Names = None) -> None:
    """What there is: name, size, where it is here, warnings. With NAMES: all that is known of these."""
    with errors():
        for entry in _entries(names):
            typer.echo("\n".join(_details(entry)) if names else _line(entry))


@app.command()
def fetch(
    names: Names = None,
    preset: Annotated[str | None, typer.Option("--preset", help="What this preset needs.")] = None,
    features: Annotated[str, typer.Option("--features", help="Of the preset: rgb, flow, skeleton.")] = "rgb",
) -> None:
    """Download ahead, into the cache folder, what is not on this machine; what is there is checked."""
    with errors():
        from extractors.weights import FILES, fetch_weights, verify
        from pipeline.config import load_config
        from pipeline.inputs import UsageError
        from pipeline.progress import Progress
        from pipeline.recipe import needed_weights

        wanted = [entry.name for entry in _entries(names)] if names else []
        if preset is not None:
            modalities = [name.strip() for name in features.split(",")]
            wanted += needed_weights(load_config(preset), modalities)
        if not wanted:
            raise UsageError("nothing to fetch: give names (augrgb weights list) or --preset")
        for name, path in fetch_weights(wanted, Progress().fetching).items():
            verify(path, FILES[name].digest)
            typer.echo(f"{name}: {path}")
            typer.echo(f"    {FILES[name].licence}")
            if FILES[name].warning:
                typer.echo(f"    {FILES[name].warning}")


@app.command()
def verify(names: Names = None) -> None:
    """Check the files on this machine, by digest and by reading them; exit code 1 if one is wrong."""
    with errors():
        from extractors.weights import WeightsError, find_weights, load_weights

        wrong = 0
        for entry in _entries(names):
            if find_weights(entry.name) is None:
                if names:
                    typer.echo(f"missing  {entry.name}: {entry.url or 'not in this package'}")
                    wrong += 1
                continue
            try:
                loaded = load_weights(entry.name)
                typer.echo(
                    f"ok       {entry.name}: {loaded.path} ({_known_by(entry)}, {len(loaded.state)} tensors)"
                )
            except WeightsError as error:
                typer.echo(f"wrong    {entry.name}: {error}")
                wrong += 1
        raise typer.Exit(1 if wrong else 0)


def _entries(names: list[str] | None) -> "list[WeightFile]":
    """Of the table: those named, else all. UsageError for a name that is not there."""
    from extractors.weight_files import FILES
    from pipeline.inputs import UsageError

    if unknown := [name for name in names or () if name not in FILES]:
        raise UsageError(f"no weights {', '.join(map(repr, unknown))}; there is: {', '.join(FILES)}")
    return [FILES[name] for name in names or FILES]


def _line(entry: "WeightFile") -> str:
    from extractors.weights import find_weights

    path = find_weights(entry.name)
    size = path.stat().st_size / 1e6 if path else entry.megabytes
    missing = "not here" if entry.url else "not in this package"
    line = f"{entry.name:36} {f'{size:.1f} MB' if size else '':>9}  {path or missing}"
    return f"{line}  (warning: {entry.warning})" if entry.warning else line


def _details(entry: "WeightFile") -> list[str]:
    about = {
        "from": entry.url or "this package",
        "known by": _known_by(entry),
        "expects": entry.expects,
        "licence": entry.licence,
    }
    return [_line(entry), *(f"    {what:9} {text}" for what, text in about.items() if text)]


def _known_by(entry: "WeightFile") -> str:
    """How one knows that a file is the right one."""
    if entry.url is None:
        return "shipped with the package"
    if entry.digest is None:
        return "no published digest; the sha256 of its first use"
    return "published " + entry.digest.replace(":", " ").replace("git-blob", "git blob SHA-1")
