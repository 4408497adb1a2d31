"""Short clips straight from the renderer, for training networks: no file, no codec, exact truth.

Shapes: L frames of a clip, M = 3 persons (padded), J = 17 joints, K classes, H W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.synthetic.actions import PRETRAIN_ACTIONS
from pipeline.synthetic.scene import Scene
from pipeline.synthetic.spec import MAX_PERSONS, SceneSpec
from pipeline.synthetic.textures import Domain

_SCENE_SEC = 6.0  # a clip is cut from a scene of this length, or of twice its own
_CLEAR = (0.25, 0.6)  # a class active for a share between these leaves its label in doubt
_IDLE = 0.25  # share of clips in which nobody shall do anything; half of those scenes have such a stretch
Seed = int | Sequence[int] | np.random.Generator


@dataclass(frozen=True)
class Clip:
    """Consecutive frames and the truth about them; rows of absent persons are zero."""

    frames_LHW3: np.ndarray  # uint8 RGB
    active_LK: np.ndarray  # bool: is anyone doing class k
    person_M: np.ndarray  # bool: is there such a person
    joints_LMJ3: np.ndarray  # float32: x, y in pixels, visible (0 or 1)
    boxes_LM4: np.ndarray  # float32: x0, y0, x1, y1 in pixels
    flow_LHW2: np.ndarray  # float32: from each frame to the next, as Scene.flow; the last one too

    @property
    def multi_hot_K(self) -> np.ndarray:
        """Classes active in at least half of the frames: (K,) float32."""
        return _multi_hot(self.active_LK)


def sample_clip(
    seed: Seed,
    actions: tuple[str, ...] = PRETRAIN_ACTIONS,
    *,
    num_frames: int = 16,
    fps: float = 12.5,
    size: int | tuple[int, int] = 112,
    domain: Domain = "any",
    persons: tuple[int, int] = (1, 2),
) -> tuple[np.ndarray, np.ndarray]:
    """Frames (L, H, W, 3) uint8 and the classes active in at least half of them, (K,) float32.

    `size` is the side of a square, or (width, height). Equal seeds give equal clips; a generator is advanced.
    Clips in which a label would be in doubt are avoided; in about one of eight nothing happens.
    """
    scene, frames_L = _cut(seed, actions, num_frames, fps, size, domain, persons)
    return np.stack([scene.frame(i) for i in frames_L]), _multi_hot(scene.active(frames_L))


def sample_clip_truth(
    seed: Seed,
    actions: tuple[str, ...] = PRETRAIN_ACTIONS,
    *,
    num_frames: int = 16,
    fps: float = 12.5,
    size: int | tuple[int, int] = 112,
    domain: Domain = "any",
    persons: tuple[int, int] = (1, 2),
) -> Clip:
    """The clip `sample_clip` gives for the same arguments, with flow, joints and boxes."""
    scene, frames_L = _cut(seed, actions, num_frames, fps, size, domain, persons)
    pictures, tops = zip(*(scene.frame_and_top(i) for i in frames_L), strict=True)
    absent = MAX_PERSONS - scene.num_persons
    joints = np.stack([scene.joints(i, top) for i, top in zip(frames_L, tops, strict=True)])
    boxes = np.stack([scene.boxes(i) for i in frames_L])
    return Clip(
        frames_LHW3=np.stack(pictures),
        active_LK=scene.active(frames_L),
        person_M=np.arange(MAX_PERSONS) < scene.num_persons,
        joints_LMJ3=np.pad(joints, ((0, 0), (0, absent), (0, 0), (0, 0))),
        boxes_LM4=np.pad(boxes, ((0, 0), (0, absent), (0, 0))),
        flow_LHW2=np.stack([scene.flow(i, top) for i, top in zip(frames_L, tops, strict=True)]),
    )


def _cut(
    seed: Seed,
    actions: tuple[str, ...],
    num_frames: int,
    fps: float,
    size: int | tuple[int, int],
    domain: Domain,
    persons: tuple[int, int],
) -> tuple[Scene, np.ndarray]:
    """A scene, and which of its frames make the clip: (L,) int."""
    if isinstance(seed, np.random.Generator):
        entropy: tuple[int, ...] = (int(seed.integers(2**62)),)
    else:
        entropy = (seed,) if isinstance(seed, int) else tuple(seed)
    spec = SceneSpec(
        seed=entropy,
        actions=actions,
        domain=domain,
        num_frames=max(round(_SCENE_SEC * fps), 2 * num_frames),
        fps=fps,
        size=(size, size) if isinstance(size, int) else size,
        persons=persons,
        busy=0.85,
    )
    scene = Scene(spec)
    rng = np.random.default_rng([*entropy, 1])
    return scene, _clear_start(rng, scene, num_frames) + np.arange(num_frames)


def _clear_start(rng: np.random.Generator, scene: Scene, num_frames: int) -> int:
    """A first frame from which on every class is active most of the clip or hardly at all."""
    active_FK = scene.active(np.arange(scene.spec.num_frames)).astype(float)
    sums_FK = np.vstack([np.zeros_like(active_FK[:1]), active_FK.cumsum(axis=0)])
    share_SK = (sums_FK[num_frames:] - sums_FK[:-num_frames]) / num_frames
    clear_S = ((share_SK <= _CLEAR[0]) | (share_SK >= _CLEAR[1])).all(axis=1)
    busy_S = (share_SK >= _CLEAR[1]).any(axis=1)
    wanted_S = clear_S & (busy_S == (rng.random() >= _IDLE))
    for choice_S in (wanted_S, clear_S, np.ones_like(clear_S)):
        if choice_S.any():
            return int(rng.choice(np.flatnonzero(choice_S)))
    raise AssertionError("a scene is longer than its clip")


def _multi_hot(active_LK: np.ndarray) -> np.ndarray:
    return (active_LK.mean(axis=0) >= 0.5).astype(np.float32)
