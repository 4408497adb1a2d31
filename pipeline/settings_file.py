"""Settings as text: YAML or JSON of somebody else's, read as plain values and nothing more."""

import json
import math
import reprlib
import stat
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 256 << 20  # a run.json names its videos: a hundred bytes each

_MOST_SHOWN = 1000  # characters
_repr = reprlib.Repr()  # Python 3.11 takes no arguments here
_repr.maxstring = _repr.maxother = 80
_repr.maxdict = _repr.maxlist = 4
_repr.maxlevel = 3


def read_text(path: Path) -> str:
    """A regular file of a sensible size in UTF-8; OSError or ValueError for anything else."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
        kind = stat.filemode(status.st_mode)
        raise ValueError(
            f"expected a regular file of at most {MAX_BYTES} bytes, found {status.st_size} ({kind})"
        )
    return path.read_text(encoding="utf-8")


def parse(text: str) -> Any:
    """The values of YAML or JSON, which is read as such because that is a hundred times as fast.

    ValueError for what is neither. Aliases are refused: a few lines of them stand for billions of values.
    """
    try:
        if text.lstrip().startswith("{"):
            return json.loads(text)
    except (ValueError, RecursionError):
        pass  # the braces of YAML, or broken: YAML's message says where
    try:
        return yaml.load(text, _NoAliases)  # noqa: S506 - a safe loader
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # also 2001-99-99, a number of 5000 digits
        raise ValueError(str(error)) from error


class _NoAliases(yaml.SafeLoader):
    """Plain values alone, each written out."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not read; write it out", mark)
        return super().compose_node(parent, index)


def shown(value: object) -> str:
    """Any value, short enough for a message."""
    return _repr.repr(value)


def brief(text: str) -> str:
    """Words of somebody else within a message."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def not_finite(values: Any, path: str = "") -> str | None:
    """The name of the first setting below `values` that is NaN or infinite; None where there is none."""
    if isinstance(values, float) and not math.isfinite(values):
        return path
    if isinstance(values, dict):
        found = (not_finite(value, f"{path}.{name}" if path else str(name)) for name, value in values.items())
    elif isinstance(values, list | tuple):
        found = (not_finite(value, path) for value in values)
    else:
        return None
    return next(filter(None, found), None)
