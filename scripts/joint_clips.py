"""Windows of joints as a detector, a pose network and a tracker would leave them, with labels.

The practice world knows where every joint is; nothing is drawn. What those three get wrong is added:
shaking and misplaced joints, hidden ones guessed with a low score, people lost for a while or given
another's name, a lamp taken for a person. How wrong they are is drawn anew for every scene.

Shapes: S frames, M persons of the scene, R = M + 1 rows (a false person), J = 17 joints, K classes;
N windows, P persons of a window, L frames, T' = L / 4 steps of the network's output.
"""

import hashlib
import logging
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import pipeline.synthetic
from extractors.skeleton import SkeletonConfig, Windows
from extractors.skeleton_input import Joints
from pipeline.synthetic import PRETRAIN_ACTIONS, Scene, SceneSpec
from pipeline.synthetic.textures import Domain

logger = logging.getLogger(__name__)
FPS, SIZE, SCENE_FRAMES = 12.5, (192, 144), 375
STEP = 4  # frames per step of the network's output
_SCENES_PER_PART = 20
_CLEAR = (0.25, 0.6)  # a class active for a share between these leaves a window's label in doubt


@dataclass(frozen=True)
class Truth:
    """What really happens in a scene."""

    joints_SMJ2: np.ndarray  # px
    boxes_SM4: np.ndarray  # px
    active_SMK: np.ndarray  # bool

    @classmethod
    def of(cls, scene: Scene) -> "Truth":
        frames = range(scene.spec.num_frames)
        unseen_HW = np.zeros(scene.spec.size[::-1], np.uint8)  # visibility is not asked for: nothing is drawn
        time_S1 = np.arange(len(frames))[:, None] / scene.spec.fps
        active = np.zeros((len(frames), scene.num_persons, len(scene.spec.actions)), bool)
        for label in scene.labels():
            inside_S = ((time_S1 >= label.start) & (time_S1 < label.end))[:, 0]
            active[inside_S, label.person, scene.spec.actions.index(label.label)] = True
        joints = np.stack([scene.joints(i, unseen_HW)[..., :2] for i in frames])
        return cls(joints, np.stack([scene.boxes(i) for i in frames]), active)


@dataclass(frozen=True)
class Windowed:
    """Windows for training: network input, and what each person does at each step."""

    x_NPLJ3: np.ndarray  # float16
    active_NPTK: np.ndarray  # bool
    known_NPT: np.ndarray  # bool: is it known who this is
    label_NK: np.ndarray  # bool: done by anyone in the scene for half of the middle
    clear_N: np.ndarray  # bool: no class is done for about half of it

    def __len__(self) -> int:
        return len(self.x_NPLJ3)

    def where(self, wanted_N: np.ndarray) -> "Windowed":
        """Some of the windows."""
        return Windowed(*(getattr(self, f.name)[wanted_N] for f in fields(self)))

    @classmethod
    def join(cls, parts: list["Windowed"]) -> "Windowed":
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


def estimate(rng: np.random.Generator, truth: Truth) -> tuple[Joints, np.ndarray]:
    """What detector, pose network and tracker say, and whom each row really shows: (S, R) int.

    R - 1 is the false person; -1 where a row is empty.
    """
    joints_SMJ3, boxes_SM5 = _pose(rng, truth)
    ids_SM = _track(rng, *truth.boxes_SM4.shape[:2])
    false_SJ3, false_box_S5, false_id_S = _false_person(rng, truth)
    ids_SR = np.column_stack([ids_SM, false_id_S])
    joints_SRJ3 = np.concatenate([joints_SMJ3, false_SJ3[:, None]], axis=1)
    boxes_SR5 = np.concatenate([boxes_SM5, false_box_S5[:, None]], axis=1)
    owner_SR = np.where(ids_SR >= 0, np.arange(ids_SR.shape[1]), -1)
    return Joints(ids_SR, joints_SRJ3.astype(np.float32), boxes_SR5.astype(np.float32), *SIZE), owner_SR


def perfect(truth: Truth) -> tuple[Joints, np.ndarray]:
    """The truth itself in the same form."""
    owner_SM = np.broadcast_to(np.arange(truth.joints_SMJ2.shape[1]), truth.joints_SMJ2.shape[:2])
    joints = np.concatenate([truth.joints_SMJ2, np.ones_like(truth.joints_SMJ2[..., :1])], axis=-1)
    boxes = np.concatenate([truth.boxes_SM4, np.ones_like(truth.boxes_SM4[..., :1])], axis=-1)
    return Joints(owner_SM.copy(), joints.astype(np.float32), boxes.astype(np.float32), *SIZE), owner_SM


def _pose(rng: np.random.Generator, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Joints with scores (S, M, J, 3) and boxes (S, M, 5), both a little or a lot off."""
    xy, boxes = truth.joints_SMJ2, truth.boxes_SM4
    height_SM11 = np.maximum(boxes[..., 3] - boxes[..., 1], 8.0)[..., None, None]
    white, slow = rng.normal(size=(2, *xy.shape))
    error = white * rng.uniform(0.004, 0.02) + _smooth(slow) * rng.uniform(0.004, 0.03)
    hard_SMJ1 = (_outside(xy) | (_covered(xy, boxes) & (rng.random(xy.shape[:3]) < 0.6)))[..., None]
    error = np.where(hard_SMJ1, error * rng.uniform(2, 5), error)
    swapped_SMJ1 = rng.random((*xy.shape[:3], 1)) < rng.uniform(0, 0.04)
    other = xy[:, :, rng.permutation(xy.shape[2])]  # mistaken for another joint of the same person
    found = np.where(swapped_SMJ1, other, np.clip(xy, 0, np.array(SIZE))) + error * height_SM11
    far = np.linalg.norm(found - xy, axis=-1) / height_SM11[..., 0]
    score = rng.uniform(0.5, 0.95) - rng.uniform(1, 4) * far + 0.07 * rng.normal(size=far.shape)
    score = np.where(hard_SMJ1[..., 0], score * rng.uniform(0.3, 0.9), score).clip(0.02, 1.0)
    score[rng.random(score.shape) < rng.uniform(0, 0.04)] = 0.0
    box_error = rng.normal(0, rng.uniform(0.01, 0.05), boxes.shape) * height_SM11[..., 0]
    box_score = rng.uniform(0.6, 1.0, (*boxes.shape[:2], 1))
    return np.concatenate([found, score[..., None]], -1), np.concatenate([boxes + box_error, box_score], -1)


def _track(rng: np.random.Generator, frames: int, persons: int) -> np.ndarray:
    """Names over time (S, M): -1 where someone is not found, a new name or another's now and then."""
    ids_SM = np.tile(100 * np.arange(persons), (frames, 1))
    rate = rng.choice([0.0, 0.01, 0.03])  # chance per frame of losing someone
    for m in range(persons):
        frame = 0
        while (frame := frame + int(rng.geometric(rate)) if rate else frames) < frames:
            gap = int(rng.geometric(1 / rng.choice([2, 4, 12])))
            ids_SM[frame : frame + gap, m] = -1
            frame += gap
            if rng.random() < (0.5 if gap > 6 else 0.1):
                ids_SM[frame:, m] += 1  # the tracker starts over
    for frame in rng.integers(0, frames, rng.poisson(0.7) if persons > 1 else 0):
        a, b = rng.choice(persons, 2, replace=False)
        ids_SM[frame:, [a, b]] = ids_SM[frame:, [b, a]]
    return ids_SM


def _false_person(rng: np.random.Generator, truth: Truth) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Something that is no person: joints (S, J, 3), boxes (S, 5), and its name (S,), -1 where not found."""
    frames, persons = truth.joints_SMJ2.shape[:2]
    pose_J2 = truth.joints_SMJ2[rng.integers(frames), rng.integers(persons)]
    pose_J2 = (pose_J2 - pose_J2.mean(0)) * rng.uniform(0.2, 0.9) + rng.uniform(0.1, 0.9, 2) * SIZE
    wobble = _smooth(rng.normal(size=(frames, *pose_J2.shape))) * rng.uniform(0.5, 6)
    joints = np.concatenate([pose_J2 + wobble, rng.uniform(0.05, 0.5, (frames, len(pose_J2), 1))], -1)
    box = np.concatenate([pose_J2.min(0) - 4, pose_J2.max(0) + 4])
    boxes = np.column_stack([np.tile(box, (frames, 1)), rng.uniform(0.3, 0.7, frames)])
    start, end = np.sort(rng.integers(0, frames, 2))
    there_S = (np.arange(frames) >= start) & (np.arange(frames) < end) & (rng.random(frames) < 0.9)
    return joints, boxes, np.where(there_S & (rng.random() < 0.35), 9999, -1)


def _smooth(noise_S: np.ndarray) -> np.ndarray:
    """White noise to slow noise of the same variance, along the first axis."""
    slow_S = noise_S.copy()
    for i in range(1, len(slow_S)):
        slow_S[i] = 0.8 * slow_S[i - 1] + 0.6 * noise_S[i]
    return slow_S


def _outside(xy_SMJ2: np.ndarray) -> np.ndarray:
    return ((xy_SMJ2 < 0) | (xy_SMJ2 > np.array(SIZE))).any(-1)


def _covered(xy_SMJ2: np.ndarray, boxes_SM4: np.ndarray) -> np.ndarray:
    """Is a joint within the box of someone nearer (later in the list): (S, M, J) bool."""
    covered = np.zeros(xy_SMJ2.shape[:3], bool)
    for far in range(xy_SMJ2.shape[1]):
        for near in range(far + 1, xy_SMJ2.shape[1]):
            low, high = boxes_SM4[:, near, None, :2], boxes_SM4[:, near, None, 2:]
            covered[:, far] |= ((xy_SMJ2[:, far] > low) & (xy_SMJ2[:, far] < high)).all(-1)
    return covered


def windows_of(found: Joints, owner_SR: np.ndarray, truth: Truth, config: SkeletonConfig) -> Windowed:
    """All windows of a scene that lie within it."""
    windows = Windows(found, config)
    frames_TL = windows.frames_TL
    whole = np.flatnonzero(np.diff(frames_TL, axis=1).all(1))  # no frame is repeated
    part = slice(int(whole[0]), int(whole[-1]) + 1)
    ids = np.array([person.person_id for person in windows.people] + [-2])  # the last one: nobody
    id_NP = ids[windows.chosen_TP[part]]
    at_NT = frames_TL[part, ::STEP]
    is_NPTR = found.person_id_SM[at_NT][:, None] == id_NP[..., None, None]
    owner_NPT = np.where(is_NPTR, owner_SR[at_NT][:, None], -1).max(-1)
    nothing = np.zeros((len(truth.active_SMK), 1, truth.active_SMK.shape[2]), bool)
    active_SRK = np.concatenate([truth.active_SMK, nothing], axis=1)  # the false person does nothing
    middle = config.window.length // 4
    share_NK = truth.active_SMK.any(1)[frames_TL[part, middle:-middle]].mean(1)
    return Windowed(
        windows.clips(part).astype(np.float16),
        active_SRK[at_NT[:, None], owner_NPT],
        owner_NPT >= 0,
        share_NK >= 0.5,
        ((share_NK <= _CLEAR[0]) | (share_NK >= _CLEAR[1])).all(1),
    )


def scenes(
    seeds: range, *, domain: Domain, config: SkeletonConfig, exact: bool, actions: tuple[str, ...]
) -> Windowed:
    """Windows of the scenes with these seeds."""
    parts = []
    for seed in seeds:
        spec = SceneSpec(
            seed=(seed,),
            actions=actions,
            domain=domain,
            num_frames=SCENE_FRAMES,
            fps=FPS,
            size=SIZE,
            busy=0.75,
        )
        truth = Truth.of(Scene(spec))
        rng = np.random.default_rng([seed, 2])
        parts.append(windows_of(*(perfect(truth) if exact else estimate(rng, truth)), truth, config))
    return Windowed.join(parts)


def pool(
    work: Path,
    seeds: range,
    config: SkeletonConfig,
    *,
    domain: Domain = "train",
    exact: bool = False,
    actions: tuple[str, ...] = PRETRAIN_ACTIONS,
    workers: int = 2,
) -> Windowed:
    """Windows of many scenes; parts that lie in `work` are not made again."""
    sources = [Path(__file__), *sorted(Path(pipeline.synthetic.__file__).parent.glob("*.py"))]
    made_from = b"".join(path.read_bytes() for path in sources)
    seen = replace(config, network="aagcn", weights="", base=64, blocks=(1,))  # whatever looks at them
    made_from += repr((seen, domain, exact, actions)).encode()
    folder = work / f"joints-{hashlib.sha256(made_from).hexdigest()[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    parts = [seeds[i : i + _SCENES_PER_PART] for i in range(0, len(seeds), _SCENES_PER_PART)]
    todo = [part for part in parts if not _path(folder, part).exists()]
    make = partial(_make, folder, domain=domain, config=config, exact=exact, actions=actions)
    started = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
        for n, _ in enumerate(processes.map(make, todo), 1):
            if n % 10 == 0 or n == len(todo):
                logger.info("%s: %d of %d parts, %.0f s", domain, n, len(todo), time.monotonic() - started)
    return Windowed.join([_load(_path(folder, part)) for part in parts])


def _make(folder: Path, seeds: range, **how: object) -> None:
    made = scenes(seeds, **how)  # type: ignore[arg-type]
    path = _path(folder, seeds)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.savez(file, **{f.name: getattr(made, f.name) for f in fields(made)})
    temporary.replace(path)


def _load(path: Path) -> Windowed:
    with np.load(path, allow_pickle=False) as arrays:
        return Windowed(**{name: arrays[name] for name in arrays.files})


def _path(folder: Path, seeds: range) -> Path:
    return folder / f"{seeds.start}-{len(seeds)}.npz"
