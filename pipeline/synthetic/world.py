"""What a practice folder is made from, and the scene of each of its videos."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pipeline.files import read_json, write_json
from pipeline.synthetic.actions import DEMO_ACTIONS
from pipeline.synthetic.spec import SceneSpec
from pipeline.synthetic.textures import Domain

VERSION = 1  # raise it whenever the same world gets other pixels, labels or bytes
_SHORTEST_SEC = 4.0


@dataclass(frozen=True, kw_only=True)
class World:
    """A set of training and test videos; kept in the folder's world.json."""

    seed: int = 0
    train_videos: int = 24
    test_videos: int = 12
    seconds: float = 20.0  # mean length; single videos differ by up to a quarter
    actions: tuple[str, ...] = DEMO_ACTIONS
    size: tuple[int, int] = (192, 144)  # width, height
    fps: float = 25.0

    def __post_init__(self) -> None:
        if min(self.train_videos, self.test_videos) < 0 or self.train_videos + self.test_videos == 0:
            raise ValueError(f"need at least one video, got {self.train_videos} + {self.test_videos}")
        if self.seed < 0:
            raise ValueError(f"a seed is 0 or more, got {self.seed}")
        if not self.seconds >= _SHORTEST_SEC:
            raise ValueError(
                f"videos of {self.seconds} s are too short for actions of 1.5 to 5 s; "
                f"ask for {_SHORTEST_SEC:g} or more"
            )
        self.specs()  # the scenes' own checks

    def specs(self) -> dict[str, SceneSpec]:
        """Scene of every video by its stem; each has a seed of its own, so any can be made alone."""
        train = {f"train_{i:03d}": self._spec("train", 0, i) for i in range(self.train_videos)}
        return train | {f"test_{i:03d}": self._spec("test", 1, i) for i in range(self.test_videos)}

    def _spec(self, domain: Domain, number: int, index: int) -> SceneSpec:
        seed = (self.seed, number, index)
        seconds = self.seconds * np.random.default_rng([*seed, 7]).uniform(0.75, 1.25)
        return SceneSpec(
            seed=seed,
            actions=self.actions,
            domain=domain,
            num_frames=round(seconds * self.fps),
            fps=self.fps,
            size=self.size,
        )


def claim(out: Path, world: World) -> None:
    """Write `out`/world.json; where there is one, ValueError unless it says the same."""
    path = out / "world.json"
    wanted = json.loads(json.dumps({"version": VERSION} | asdict(world)))
    if not path.exists():
        write_json(path, wanted)
        return
    found = read_json(path)
    differ = [key for key in wanted if found.get(key) != wanted[key]]
    if differ:
        what = "; ".join(f"{key} is {found.get(key)!r}, asked for {wanted[key]!r}" for key in differ)
        raise ValueError(
            f"{path}: this folder holds another practice world ({what}); "
            "ask for the same, choose another folder, or delete this one"
        )
