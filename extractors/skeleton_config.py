"""Settings of the skeleton extractor, apart from its network: reading settings loads nothing of it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from extractors.base import Window
from extractors.dense_grid import CenteredWindow, Mode, grid_of

GraphNetwork = Literal["aagcn", "stgcn++"]
Origin = Literal["picture", "person"]
Pooling = Literal["body", "parts"]
Stream = Literal["joint", "bone", "motion"]


@dataclass(frozen=True)
class GraphSize:
    """Channels of the first stage, and blocks of every stage; each next one doubles channels and halves time.

    The default is the published size: 10 blocks of 64, 128, 256 channels.
    """

    base: int = 64
    blocks: tuple[int, ...] = (4, 3, 3)

    def __post_init__(self) -> None:
        if self.base < 8 or not self.blocks or min(self.blocks) < 1:
            raise ValueError(f"need base >= 8 channels and a block in every stage, got {self}")

    @property
    def dim(self) -> int:
        """Channels of the last stage: D."""
        return self.base * 2 ** (len(self.blocks) - 1)

    def layers(self) -> Iterator[tuple[int, int, int]]:
        """(channels in, channels out, stride) of every block; 3 go into the first."""
        channels_in = 3
        for stage, blocks in enumerate(self.blocks):
            channels = self.base * 2**stage
            for i in range(blocks):
                yield channels_in, channels, 2 if stage > 0 and i == 0 else 1
                channels_in = channels


@dataclass(frozen=True)
class SkeletonConfig:
    """A graph network and what it sees. The defaults are pyskl's AAGCN, trained on NTU60 with 2-D joints.

    The window is longer than that of RGB and flow, its offset such that the centres coincide: 16 frames
    every 16 there, 48 from 16 frames earlier here.
    """

    network: GraphNetwork = "aagcn"
    weights: str = "aagcn-ntu60-joint"  # a name of the weight table, or a file
    base: int = 64  # channels of the first stage; must be that of the weights, like `blocks`
    blocks: tuple[int, ...] = (4, 3, 3)  # of each stage
    window: Window = field(default_factory=lambda: Window(48, 16, -16))
    persons: int = 2
    stream: Stream = "joint"  # what the weights were trained on
    origin: Origin = "picture"  # of the coordinates, likewise
    min_score: float = 0.01  # a joint with no more is missing
    max_gap: int = 8  # frames; longer gaps are not filled
    # body: the mean over all joints, as pyskl's classifier sees it; parts: of head, arms, legs one by one
    pooling: Pooling = "body"
    # dense: windows of `window.length` frames, an odd number, around the steps of dense I3D features
    mode: Mode = "windows"

    def __post_init__(self) -> None:
        if self.persons < 1 or self.max_gap < 0 or not 0 <= self.min_score < 1:
            raise ValueError(f"need persons >= 1, max_gap >= 0 and 0 <= min_score < 1, got {self}")
        if self.stream not in ("joint", "bone", "motion") or self.origin not in ("picture", "person"):
            raise ValueError(f"stream is joint, bone or motion, origin is picture or person, got {self}")
        if self.pooling not in ("body", "parts"):
            raise ValueError(f"pooling is body or parts, got {self.pooling!r}")
        self.size, self.grid  # noqa: B018  checks them

    @property
    def grid(self) -> Window | CenteredWindow:
        """When features are, and which frames each sees."""
        grid = grid_of(self.mode, self.window)
        return grid if isinstance(grid, Window) else CenteredWindow(self.window.length, grid)

    def identity(self) -> dict[str, Any]:
        """What changes the numbers. Settings of later versions are named only where they are in use:
        what was made before is still found."""
        values = asdict(self)
        if self.pooling == "body":
            del values["pooling"]
        if self.mode == "windows":
            del values["mode"]
        elif not isinstance(self.grid, Window):
            values["window"] = self.window.length
        return values

    @property
    def size(self) -> GraphSize:
        """Width and depth of the network."""
        return GraphSize(self.base, self.blocks)

    @property
    def needed_weights(self) -> tuple[str, ...]:
        """Names of all weights that are loaded."""
        return (self.weights,)
