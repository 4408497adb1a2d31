"""Whether a worker's products are what the driver would have made: their keys, and what made them."""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

_PACKAGES = ("extractors", "models", "pipeline")


@cache
def code_sha256() -> str:
    """Of all the code that is installed here, whatever version it says it is: 64 hex digits."""
    total = hashlib.sha256()
    for name in _PACKAGES:
        folder = Path(str(import_module(name).__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            total.update(f"{name}/{path.relative_to(folder).as_posix()}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def differences(here: Any, there: Any, name: str = "") -> Iterator[str]:
    """Where two JSON values differ: "a.b: 1 here, 2 there"."""
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        for key in sorted({*here, *there}):
            yield from differences(here.get(key), there.get(key), f"{name}.{key}" if name else key)
    elif here != there:
        yield f"{name}: {here!r} here, {there!r} there"
