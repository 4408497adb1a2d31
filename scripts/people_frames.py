"""Frames of the practice world with the truth about its people, for training detector and pose.

Rendered once into memory maps. Shapes: S scenes, N frames, M = 3 persons, J = 17 joints, H W pixels.
"""

import hashlib
import logging
import random
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch

import pipeline.synthetic
from pipeline.synthetic import PRETRAIN_ACTIONS, Scene, SceneSpec
from pipeline.synthetic.spec import MAX_PERSONS
from pipeline.synthetic.textures import Domain
from scripts import any_pose
from scripts.any_pose import AnyPose
from scripts.pretrain_clips import color_matrix

logger = logging.getLogger(__name__)
FRAMES = 6  # of a scene
SIZE = (192, 144)  # px, width and height
_SEEN = 4  # joints of a person that must be visible for it to count as being in the picture


@dataclass(frozen=True)
class People:
    """Frames 0 .. FRAMES - 1 of S scenes on disk; scene i has seed `first_seed` + i. Made once, in parts."""

    folder: Path
    scenes: int
    first_seed: int
    domain: Domain

    @property
    def count(self) -> int:
        """N."""
        return self.scenes * FRAMES

    @cache  # noqa: B019  one map per array for the whole run
    def array(self, name: str) -> np.ndarray:
        """Memory map of `frames` (N, H, W, 3) uint8, `joints` (N, M, J, 3), `boxes` (N, M, 4) float32.

        And `done` (S,) bool. Joints are x, y, visible; boxes of absent persons are zero.
        """
        path = self.folder / f"{name}.npy"
        if path.exists():
            return np.lib.format.open_memmap(path, mode="r+")
        self.folder.mkdir(parents=True, exist_ok=True)
        shape, dtype = {
            "frames": ((self.count, SIZE[1], SIZE[0], 3), np.uint8),
            "joints": ((self.count, MAX_PERSONS, 17, 3), np.float32),
            "boxes": ((self.count, MAX_PERSONS, 4), np.float32),
            "done": ((self.scenes,), np.bool_),
        }[name]
        return np.lib.format.open_memmap(path, "w+", dtype, shape)

    def persons(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Joints (P, J, 3) and boxes (P, 4) of the persons who can be seen in frame n."""
        joints, boxes = self.array("joints")[n], self.array("boxes")[n]
        seen = (joints[..., 2].sum(1) >= _SEEN) & (boxes[:, 2:] - boxes[:, :2] > 3).all(1)
        return joints[seen], boxes[seen]

    def render(self, workers: int) -> None:
        """Render what is not there yet, in `workers` processes."""
        for name in ("frames", "joints", "boxes"):
            self.array(name)
        todo = np.flatnonzero(~self.array("done"))
        parts = [todo[i : i + 25] for i in range(0, len(todo), 25)]
        started = time.monotonic()
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
            for n, _ in enumerate(processes.map(self.render_part, parts), 1):
                if n % 10 == 0 or n == len(parts):
                    rate = min(25 * n, len(todo)) / (time.monotonic() - started)
                    logger.info("%s: %d of %d scenes, %.1f a second", self.domain, 25 * n, len(todo), rate)

    def render_part(self, scenes_S: np.ndarray) -> None:
        """In a worker: these scenes, then the marks that they are done."""
        cv2.setNumThreads(1)
        for s in scenes_S.tolist():
            self._render_scene(s)
        self.array("done")[scenes_S] = True

    def _render_scene(self, s: int) -> None:
        """FRAMES moments of one scene, as far apart as they can be."""
        spec = SceneSpec(
            seed=(self.first_seed + s,),
            actions=PRETRAIN_ACTIONS,
            domain=self.domain,
            num_frames=75,
            fps=12.5,
            size=SIZE,
            busy=0.85,
        )
        scene = Scene(spec)
        scene.script = AnyPose.of(scene.script, spec.seed[0])
        for j in range(FRAMES):
            n, moment = s * FRAMES + j, j * (spec.num_frames - 1) // (FRAMES - 1)
            self.array("frames")[n], top_HW = scene.frame_and_top(moment)
            self.array("joints")[n, : scene.num_persons] = scene.joints(moment, top_HW)
            self.array("boxes")[n, : scene.num_persons] = scene.boxes(moment)


def people(work: Path, scenes: int, first_seed: int, domain: Domain) -> People:
    """The frames of the world as it is: other code, other folder."""
    sources = [*sorted(Path(pipeline.synthetic.__file__).parent.glob("*.py")), Path(any_pose.__file__)]
    world = hashlib.sha256(b"".join(path.read_bytes() for path in sources) + f"{FRAMES} {SIZE}".encode())
    return People(
        work / f"people-{domain}-{first_seed}-{scenes}-{world.hexdigest()[:8]}", scenes, first_seed, domain
    )


def recolour(rgb: np.ndarray, rng: random.Random) -> np.ndarray:
    """Other colours, contrast, sharpness and grain of a uint8 picture (H, W, 3)."""
    matrix_CC = color_matrix(rng).numpy()
    x = (rgb.astype(np.float32) / 127.5 - 1) @ matrix_CC + rng.uniform(-0.3, 0.3)
    if rng.random() < 0.3:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.3:
        grain = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(0.02, 0.12), x.shape)
        x = x + grain.astype(np.float32)
    return np.clip((x + 1) * 127.5, 0, 255).astype(np.uint8)


def warp(rgb: np.ndarray, matrix_23: np.ndarray, size: tuple[int, int], rng: random.Random) -> np.ndarray:
    """A picture under an affine map, of `size` (width, height), with some colour around it."""
    fill = tuple(rng.randrange(256) for _ in range(3))
    return cv2.warpAffine(rgb, matrix_23, size, flags=cv2.INTER_LINEAR, borderValue=fill)


def tensor(pictures: list[np.ndarray]) -> torch.Tensor:
    """uint8 pictures (H, W, 3) to one float tensor (B, 3, H, W) in [0, 1], channels last in memory."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div_(255)
