"""Settings of the flow extractor, apart from its networks: reading settings loads neither."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from extractors.base import Window
from extractors.i3d import I3DConfig
from extractors.precision import Precision, check_precision

Variant = Literal["raft_large", "raft_small"]
Quantisation = Literal["float", "uint8-127.5", "uint8-128"]
_VARIANTS, _QUANTISATIONS = get_args(Variant), get_args(Quantisation)


@dataclass(frozen=True)
class RAFTConfig:
    """A flow network. The default is torchvision's best, with as many updates as the authors' demo."""

    variant: Variant = "raft_large"
    weights: str = "raft-large-C_T_SKHT_V2"  # a name of the weight table, or a file
    updates: int = 12
    arithmetic: Literal["torchvision", "reordered"] = "reordered"
    # of the convolutions; correlation and coordinates are float32. None: the run's, as in I3DConfig
    precision: Precision | None = None

    def __post_init__(self) -> None:
        if self.variant not in _VARIANTS:
            raise ValueError(f"variant is {' or '.join(_VARIANTS)}, got {self.variant!r}")
        if self.updates < 1:
            raise ValueError(f"RAFT needs at least one update, got {self.updates = }")
        if self.arithmetic not in ("torchvision", "reordered"):
            raise ValueError(f"arithmetic is torchvision or reordered, got {self.arithmetic!r}")
        check_precision(self.precision)


@dataclass(frozen=True)
class FlowConfig:
    """Two networks and what passes between them. The defaults are the Kinetics recipe.

    `i3d.resize` is the size at which flow is computed, `i3d.crop` what is kept of it.
    """

    raft: RAFTConfig = field(default_factory=RAFTConfig)
    i3d: I3DConfig = field(default_factory=lambda: I3DConfig(weights="i3d-flow-kinetics"))
    # flow of the middle square of the resized frame alone: cheaper, but nothing moves in from the sides
    square: bool = False
    max_px: float = 20.0  # faster motion is cut to this; becomes 1 at the I3D's input
    quantisation: Quantisation = "uint8-128"  # see `encode` in flow.py
    pool: int = 1  # px; I3D sees means over squares of this side (what is left over at the end is dropped)

    def __post_init__(self) -> None:
        if self.quantisation not in _QUANTISATIONS:
            raise ValueError(f"quantisation is one of {', '.join(_QUANTISATIONS)}, got {self.quantisation!r}")
        if not self.max_px > 0:
            raise ValueError(f"max_px must be positive, got {self.max_px}")
        if self.i3d.geometry == "person":
            raise ValueError("i3d.geometry: flow is of whole frames; persons are cut out for rgb alone")
        shown = self.i3d.crop or self.i3d.resize
        if self.pool < 1 or shown < 32 * self.pool:
            raise ValueError(f"pool must leave the I3D at least 32 of {shown} px, got {self.pool = }")

    @property
    def window(self) -> Window:
        """Which frames' flow a feature sees."""
        return self.i3d.window

    @property
    def needed_weights(self) -> tuple[str, ...]:
        """Names of all weights that are loaded."""
        return (self.raft.weights, self.i3d.weights)
