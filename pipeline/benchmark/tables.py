"""benchmark.md, and the tables of a terminal."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from pipeline.benchmark.columns import (
    Found,
    beside,
    by_protocol,
    caption,
    curve,
    curve_note,
    headline,
    notes,
    numeric,
    sources,
)


def terminal(found: Found) -> Iterator[Table]:
    """The headline without explanations, and the label curve."""
    if found["rows"]:
        header, rows = headline(found)
        yield _rich(f"{found['title']}: {caption(found)}", header[:-1], [row[:-1] for row in rows])
    if found["label_curve"]:
        yield _rich("label curve: mAP % by number of labelled videos", *curve(found))


def markdown(found: Found) -> str:
    """Everything but settings and single seeds, which are in benchmark.json."""
    parts = [f"# {found['title']}", *_about(found)]
    if found["rows"]:
        parts += [f"## {caption(found)}", _markdown(*headline(found)), *notes(found)]
    if found["rows"] and len(found["protocols"]) > 1:
        parts += ["## Every protocol (mean over seeds, %)", _markdown(*by_protocol(found))]
    if found["published"]:
        listed = "\n".join(f"{number}. {source}" for number, source in enumerate(sources(found), 1))
        parts += ["## Published figures beside ours (%)", _markdown(*beside(found)), listed]
    if found["label_curve"]:
        parts += ["## Label curve (%)", _markdown(*curve(found)), curve_note(found)]
    for title, key in (("Not as published", "not_as_published"), ("Annotations", "remarks")):
        if found[key]:
            parts += [f"## {title}", "\n".join(f"- {_plain(line)}" for line in found[key])]
    return "\n\n".join(parts) + "\n"


def _about(found: Found) -> Iterator[str]:
    config, missing = found["config"], found["missing"]
    yield "Made by"
    yield f"    {found['command']}"
    features = "our own features" if found["features"] == "cache" else "features made elsewhere"
    yield f"with {features}, preset {config['preset']}, model {config['model']}, on {found['device']}."
    if missing:
        some = ", ".join(map(_plain, missing[:5]))
        yield f"**{len(missing)} annotated videos are missing**, such as {some}. Figures are of the others."


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---:" if numeric(rows, i) else "---" for i in range(len(header))]
    return "\n".join(f"| {' | '.join(map(_plain, line))} |" for line in (header, rule, *rows))


def _plain(text: str) -> str:
    """Names come from users: they do not end a cell, and are no markup."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _rich(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if numeric(rows, i) else "left", no_wrap=not i)
    for row in rows:
        table.add_row(*row)
    return table
