"""`--precision`: one setting for all networks that make features, and what it means to each.

| setting | networks compute in |
|---|---|
| 32 | float32, without TF32: numbers that can be compared with anybody's |
| bf16 | bfloat16 where it is safe; for GPUs, and for CPUs with bfloat16 instructions |
| 16-mixed | float16 where it is safe; for GPUs: a CPU takes ten times as long as in float32 |
| auto | as 32, on every device |

What is safe is said in `extractors.precision`. Precision moves the numbers, so it is part of the features'
identity; this is why `auto` does not look at the device: which features are found in a cache, and which
checkpoint fits, would change with the machine. What trains the temporal models is `train.precision`.

Measured with bf16 on one core of a CPU that has it, beside float32:

| network | times as fast | drift |
|---|---|---|
| I3D | 2.9 | cosine 0.9999 |
| RAFT-small, 20 updates | 1.5 | on real videos mean 0.03 to 0.4 px; several px in fast, ambiguous motion |
| pose (RTMPose-m, HRNet-w32) | 1.7, 1.9 | joints of the tiny network: mean 0.03 px, at most 1.3 px |
| detectors | 1 to 2 | boxes of the tiny one: median 0.03 px, at most 0.11 px |
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch

from extractors.precision import Precision
from pipeline.inputs import UsageError

if TYPE_CHECKING:  # which imports this
    from pipeline.config import RunConfig

RunPrecision = Literal["auto", "32", "16-mixed", "bf16"]
MEANINGS: Mapping[RunPrecision, Precision] = {
    "auto": "float32",
    "32": "float32",
    "16-mixed": "float16",
    "bf16": "bfloat16",
}
# networks for which `--set` may make an exception
_EXCEPTIONS = ("rgb.precision", "flow.raft.precision", "flow.i3d.precision", "pose.precision")


def check_run_precision(name: str) -> None:
    """ValueError for a setting that there is not."""
    if name not in MEANINGS:
        raise ValueError(f"precision is one of {', '.join(MEANINGS)}, got {name!r}")


def as_overrides(name: str) -> list[str]:
    """What `--precision` says as settings: of every network, also where saved settings make an exception."""
    return [f"precision={json.dumps(name)}", *(f"{exception}=null" for exception in _EXCEPTIONS)]


def with_precision(config: "RunConfig") -> "RunConfig":
    """The same with the precision of every network said, where it was left to the run."""
    return _each(config, lambda given: given or MEANINGS[config.precision])


def in_float32(config: "RunConfig") -> "RunConfig":
    """The same with every network in float32."""
    return _each(replace(config, precision="32"), lambda _: "float32")


def _each(config: "RunConfig", said: Callable[[Precision | None], Precision]) -> "RunConfig":
    """The same with another precision of every network."""
    raft, i3d = config.flow.raft, config.flow.i3d
    flow = replace(
        config.flow,
        raft=replace(raft, precision=said(raft.precision)),
        i3d=replace(i3d, precision=said(i3d.precision)),
    )
    rgb = replace(config.rgb, precision=said(config.rgb.precision))
    return replace(
        config, rgb=rgb, flow=flow, pose=replace(config.pose, precision=said(config.pose.precision))
    )


def check_device(config: "RunConfig", modalities: Sequence[str], device: torch.device) -> None:
    """UsageError where these features cannot be made on this device in reasonable time."""
    config = with_precision(config)
    flow = config.flow
    used = {
        "rgb": {config.rgb.precision},
        "flow": {flow.raft.precision, flow.i3d.precision},
        "skeleton": {config.pose.precision},
    }
    if device.type == "cpu" and any("float16" in used.get(name, ()) for name in modalities):
        raise UsageError(
            "--precision 16-mixed is for GPUs: a CPU takes ten times as long as in float32; use bf16 (on "
            "a CPU with bfloat16 instructions up to 3 times as fast as float32), or 32"
        )
