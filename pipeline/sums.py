"""Checksums of results that people and other programs read: events.sha256 and metrics.sha256, in OUT.

They are what `sha256sum -c` takes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.files import file_sha256, write_atomic

CHANGED = "some of its bytes changed since it was written"
_HEX_DIGITS = 64


@contextmanager
def summed(sums: Path, names: Sequence[str]) -> Iterator[None]:
    """Around the writing of files beside `sums`; where it is cut short there are none, not wrong ones."""
    sums.unlink(missing_ok=True)
    yield
    lines = [f"{file_sha256(sums.with_name(name))}  {name}\n" for name in names]
    write_atomic(sums, lambda file: file.write("".join(lines).encode()))


def changed(sums: Path) -> list[str]:
    """Names of files that are not what was written, or gone; none where there are no sums to tell."""
    return [name for name, sha256 in read_sums(sums).items() if problem_of(sums.with_name(name), sha256)]


def read_sums(sums: Path) -> dict[str, str]:
    """sha256 by name; {} where there are none. Sums that cannot be read are themselves what changed."""
    try:
        lines = sums.read_text().splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        lines = [""]
    found = {}
    for line in lines:
        sha256, _, name = line.partition("  ")
        if len(sha256) != _HEX_DIGITS or not name or Path(name).name != name:
            return {sums.name: ""}
        found[name] = sha256
    return found


def problem_of(path: Path, sha256: str) -> str | None:
    """What is wrong with a file that was written with this content; None where nothing is."""
    if not path.is_file():
        return "is gone"
    return None if file_sha256(path) == sha256 else CHANGED
