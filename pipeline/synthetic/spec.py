"""What a scene is made from."""

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.synthetic.actions import DEMO_ACTIONS, confusable_pairs
from pipeline.synthetic.textures import FAMILIES, Domain

MAX_PERSONS = 3


@dataclass(frozen=True, kw_only=True)
class SceneSpec:
    """All that a scene is made from: the same spec gives the same pixels."""

    seed: tuple[int, ...]
    actions: tuple[str, ...] = DEMO_ACTIONS
    domain: Domain = "train"
    num_frames: int = 300
    fps: float = 25.0
    size: tuple[int, int] = (192, 144)  # width, height
    persons: tuple[int, int] = (1, 3)  # fewest, most
    busy: float = 0.5  # share of the time with an action, about
    bias: float | None = None  # of the context; None: CONTEXT_BIAS in "train", none elsewhere

    def __post_init__(self) -> None:
        if len(confusable_pairs(self.actions)) * 2 != len(self.actions):
            raise ValueError(f"actions come in pairs that share their poses; one is alone in {self.actions}")
        if self.domain not in FAMILIES:
            raise ValueError(f"domain {self.domain!r} is none of {', '.join(FAMILIES)}")
        if self.num_frames < 1 or self.fps <= 0 or not 0 < self.busy <= 1:
            raise ValueError(f"need a frame, a rate above 0 and 0 < busy <= 1, got {self}")
        if min(self.size) < 32 or any(side % 2 for side in self.size):
            raise ValueError(f"need even sides of at least 32 px (4:2:0 video), got {self.size}")
        if not 1 <= self.persons[0] <= self.persons[1] <= MAX_PERSONS:
            raise ValueError(f"need 1 to 3 persons, fewest first, got {self.persons}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "SceneSpec":
        """Inverse of `to_json`, also after a trip through JSON text."""
        lists = {key: tuple(value) for key, value in data.items() if isinstance(value, list)}
        return cls(**(data | lists))
