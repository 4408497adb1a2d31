"""How a trained network is written down: half precision, what it is in the file itself."""

import json
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

SHIPPED = Path(__file__).parents[1] / "extractors" / "weights"  # in the package


def write_weights(model: nn.Module, path: Path, facts: dict[str, Any]) -> int:
    """Floating-point tensors of `model` in half precision, `facts` as metadata; how many numbers these are.

    The file is there whole or not at all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {k: v.half().contiguous() for k, v in model.state_dict().items() if v.is_floating_point()}
    temporary = path.with_suffix(".tmp")
    save_file(state, temporary, {key: json.dumps(value) for key, value in facts.items()})
    temporary.chmod(0o644)  # it is created for its owner alone
    temporary.replace(path)
    return sum(value.numel() for value in state.values())


def table(rows: dict[str, dict[str, float]], first: str) -> str:
    """Measures as a Markdown table, one row for each set of data they were taken on."""
    names = list(next(iter(rows.values())))
    head = f"| {first} | {' | '.join(names)} |\n|---|{'---|' * len(names)}\n"
    return head + "\n".join(
        f"| {row} | " + " | ".join(f"{measures[name]:.3f}" for name in names) + " |"
        for row, measures in rows.items()
    )


def command() -> str:
    """The command line that is running, as a reader would type it."""
    return " ".join(["python", "-m", f"scripts.{Path(sys.argv[0]).stem}", *sys.argv[1:]])
