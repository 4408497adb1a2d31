"""Public RAFT checkpoints: which layout a file has, and its tensors under torchvision's names.

Two layouts are about: torchvision's (`feature_encoder.convnormrelu.0.weight`) and that of the
authors, princeton-vl/RAFT (`module.fnet.conv1.weight`).
"""

import re
from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from extractors.weight_state import WeightsError

Layout = Literal["torchvision", "princeton"]
_COUNTER = "num_batches_tracked"  # of batch norms that never train here
_RENAMES = [
    (re.compile(r"^fnet\."), "feature_encoder."),
    (re.compile(r"^cnet\."), "context_encoder."),
    (re.compile(r"_encoder\.conv1\."), "_encoder.convnormrelu.0."),
    (re.compile(r"_encoder\.norm1\."), "_encoder.convnormrelu.1."),
    (re.compile(r"_encoder\.conv2\."), "_encoder.conv."),
    (re.compile(r"(layer\d\.\d)\.conv(\d)\."), r"\1.convnormrelu\2.0."),
    (re.compile(r"(layer\d\.\d)\.norm(\d)\."), r"\1.convnormrelu\2.1."),
    (re.compile(r"^update_block\.encoder\.convc(\d)\."), r"update_block.motion_encoder.convcorr\1.0."),
    (re.compile(r"^update_block\.encoder\.convf(\d)\."), r"update_block.motion_encoder.convflow\1.0."),
    (re.compile(r"^update_block\.encoder\.conv\."), "update_block.motion_encoder.conv.0."),
    (re.compile(r"^update_block\.gru\.conv([zrq])\."), r"update_block.recurrent_block.convgru1.conv\1."),
    (re.compile(r"^update_block\.gru\.conv([zrq])(\d)\."), r"update_block.recurrent_block.convgru\2.conv\1."),
    (re.compile(r"^update_block\.mask\.0\."), "mask_predictor.convrelu.0."),
    (re.compile(r"^update_block\.mask\.2\."), "mask_predictor.conv."),
]


def load_raft_state(model: nn.Module, state: Mapping[str, Tensor], source: str) -> Layout:
    """Load a checkpoint of either layout into a torchvision RAFT; returns the layout's name.

    A key or shape that does not fit is a WeightsError that names `source` and lists the first few.
    """
    renamed, layout = _torchvision_keys(state, source)
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
        raise WeightsError(
            f"{source} ({layout} layout) does not fit this RAFT (small and large differ): {shown}"
        )
    model.load_state_dict(renamed, strict=False)  # the counters alone may be absent
    return layout


def _torchvision_keys(state: Mapping[str, Tensor], source: str) -> tuple[dict[str, Tensor], Layout]:
    """The checkpoint under torchvision's names, without batch counters, and the layout it had."""
    state = {key.removeprefix("module."): value for key, value in state.items()}  # saved data-parallel
    state = {key: value for key, value in state.items() if not key.endswith(_COUNTER)}
    if any(key.startswith("feature_encoder.") for key in state):
        return state, "torchvision"
    if not any(key.startswith("fnet.") for key in state):
        raise WeightsError(
            f"{source} is no RAFT checkpoint of a known layout; its keys begin {sorted(state)[:3]}"
        )
    state = {key: value for key, value in state.items() if not _is_alias(key, state)}
    for pattern, name in _RENAMES:
        state = {pattern.sub(name, key): value for key, value in state.items()}
    return state, "princeton"


def _is_alias(key: str, state: Mapping[str, Tensor]) -> bool:
    """The authors store the norm of a shortcut twice: `layer2.0.norm3` is `layer2.0.downsample.1`."""
    twin, found = re.subn(r"(layer\d\.\d)\.norm3\.", r"\1.downsample.1.", key)
    return bool(found) and twin in state
