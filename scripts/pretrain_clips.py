"""Clips to pre-train on: rendered once into memory maps, and made to look different every time.

Shapes: N clips, L frames, H W pixels, K classes.
"""

import hashlib
import logging
import random
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import pipeline.synthetic
from pipeline.synthetic import PRETRAIN_ACTIONS, sample_clip

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """Rendered clips on disk: clip i has seed `first_seed` + i. Made once, a part at a time."""

    folder: Path
    count: int
    first_seed: int
    domain: str
    frames: int
    fps: float
    size: int

    def array(self, name: str) -> np.ndarray:
        """Memory map of `clips` (N, L, H, W, 3) uint8, `labels` (N, K) bool or `done` (N,) bool."""
        path = self.folder / f"{name}.npy"
        if path.exists():
            return np.lib.format.open_memmap(path, mode="r+")
        self.folder.mkdir(parents=True, exist_ok=True)
        shape = {
            "clips": (self.count, self.frames, self.size, self.size, 3),
            "labels": (self.count, len(PRETRAIN_ACTIONS)),
            "done": (self.count,),
        }[name]
        return np.lib.format.open_memmap(path, "w+", np.uint8 if name == "clips" else np.bool_, shape)

    def render(self, workers: int) -> None:
        """Render what is not there yet, in `workers` processes."""
        todo = np.flatnonzero(~self.array("done"))
        self.array("clips"), self.array("labels")
        parts = [todo[i : i + 32] for i in range(0, len(todo), 32)]
        started = time.monotonic()
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
            for n, _ in enumerate(processes.map(self.render_part, parts), 1):
                if n % 10 == 0 or n == len(parts):
                    rate = min(32 * n, len(todo)) / (time.monotonic() - started)
                    logger.info("%s: %d of %d clips, %.1f a second", self.domain, 32 * n, len(todo), rate)

    def render_part(self, indices_N: np.ndarray) -> None:
        """In a worker: these clips, then the marks that they are done."""
        clips, labels, done = (self.array(name) for name in ("clips", "labels", "done"))
        for i in indices_N:
            clips[i], labels[i] = sample_clip(
                self.first_seed + int(i),
                PRETRAIN_ACTIONS,
                num_frames=self.frames,
                fps=self.fps,
                size=self.size,
                domain=self.domain,
            )
        clips.flush(), labels.flush()
        done[indices_N] = True


def pool(work: Path, count: int, first_seed: int, domain: str, shape: tuple[int, float, int]) -> Pool:
    """The pool of clips of `shape` (frames, fps, px) in the world as it is: other code, other folder."""
    sources = sorted(Path(pipeline.synthetic.__file__).parent.glob("*.py"))
    world = hashlib.sha256(b"".join(path.read_bytes() for path in sources) + repr(shape).encode())
    folder = work / f"{domain}-{first_seed}-{count}-{world.hexdigest()[:8]}"
    return Pool(folder, count, first_seed, domain, *shape)


def augment(clips_BLHWC: Tensor, rng: random.Random) -> Tensor:
    """Another look of the same motions: uint8 (B, L, H, W, 3) to float (B, L, H, W, 3) in [-1, 1].

    Never mirrored or played backwards: that would make other actions of them.
    """
    x_BPC = torch.stack([zoom(clip, rng) for clip in clips_BLHWC]).flatten(1, 3).float().div_(255 / 2).sub_(1)
    matrix_BCC = torch.stack([color_matrix(rng) for _ in clips_BLHWC])
    brightness_B = torch.tensor([rng.uniform(-0.25, 0.25) for _ in clips_BLHWC])
    return torch.baddbmm(brightness_B[:, None, None], x_BPC, matrix_BCC).clamp_(-1, 1).view(clips_BLHWC.shape)


def zoom(clip_LHWC: Tensor, rng: random.Random) -> Tensor:
    """A random box of 70 to 100 % of each side, the same in every frame, at the old size."""
    height, width = clip_LHWC.shape[1:3]
    h, w = (round(side * rng.uniform(0.7, 1)) for side in (height, width))
    top, left = rng.randint(0, height - h), rng.randint(0, width - w)
    box_LCHW = clip_LHWC[:, top : top + h, left : left + w].permute(0, 3, 1, 2)
    x_LCHW = F.interpolate(box_LCHW, (height, width), mode="bilinear", antialias=True)
    return x_LCHW.permute(0, 2, 3, 1)


def color_matrix(rng: random.Random) -> Tensor:
    """Channel order, saturation (down to grey), contrast and inversion as one (3, 3) matrix."""
    matrix = torch.eye(3)[rng.sample(range(3), 3)]
    saturation = 0.0 if rng.random() < 0.2 else rng.uniform(0.3, 1.5)
    matrix = saturation * matrix + (1 - saturation) / 3
    return matrix * rng.uniform(0.5, 1.4) * (-1 if rng.random() < 0.2 else 1)
