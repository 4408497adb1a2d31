"""Weight files without a published digest: what they were when first used, so that a change shows.

Kept in the cache folder as JSON, file name to `sha256:HEX`. It cannot say that the first one was right.
"""

import contextlib
import json
import os
from pathlib import Path

from filelock import FileLock

from extractors.weight_state import WeightsError

PINS = "pins.json"


def read_pins(folder: Path) -> dict[str, str]:
    """All pins kept in a folder, file name to digest; WeightsError where the file is damaged."""
    path = folder / PINS
    try:
        pins = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise WeightsError(f"{path}: not JSON ({error}); delete it, and files are pinned anew") from error
    if not isinstance(pins, dict) or not all(isinstance(digest, str) for digest in pins.values()):
        raise WeightsError(f"{path}: expected digests by file name; delete it, and files are pinned anew")
    return pins


def pin(folder: Path, file: str, sha256: str) -> str:
    """The digest a file is known by from now on: the one that is kept already, else this one.

    OSError where it cannot be kept. Several processes may pin at once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PINS
    with FileLock(f"{path}.lock"):
        pins = read_pins(folder)
        if file not in pins:
            pins[file] = f"sha256:{sha256}"
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            try:
                temporary.write_text(json.dumps(pins, indent=1, sort_keys=True) + "\n")
                temporary.replace(path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()
    return pins[file]
