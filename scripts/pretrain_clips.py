"""Clips to pre-train on: rendered once into memory maps, and made to look different every time.

Shapes: N clips, B clips of a batch, F frames of a scene, L frames per clip, S possible starts,
H W pixels, P pixels of a whole clip, C colours, K classes.
"""

import logging
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from pipeline.synthetic import PRETRAIN_ACTIONS, Scene, SceneSpec
from pipeline.synthetic.textures import Domain
from pipeline.synthetic.workers import run_all
from pipeline.synthetic.world import VERSION

logger = logging.getLogger("pretrain")
_PART = 32  # clips rendered by one call


@dataclass(frozen=True)
class Pool:
    """Rendered clips on disk: clip i has seed `first_seed` + i. Made once, a part at a time."""

    folder: Path
    count: int
    first_seed: int
    domain: Domain
    frames: int
    fps: float
    size: int

    def array(self, name: str) -> np.memmap:
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
        for name in ("clips", "labels"):
            self.array(name)
        parts = [(todo[i : i + _PART],) for i in range(0, len(todo), _PART)]
        started = time.monotonic()
        for n, _ in enumerate(run_all(self.render_part, parts, workers), 1):
            if n % 20 == 0 or n == len(parts):
                rate = _PART * n / (time.monotonic() - started)
                logger.info("%s: %d of %d parts, %.1f clips/s", self.folder.name, n, len(parts), rate)

    def render_part(self, indices_N: np.ndarray) -> str:
        """In a worker: these clips, then the marks that they are done."""
        clips, labels, done = (self.array(name) for name in ("clips", "labels", "done"))
        for i in indices_N:
            clips[i], labels[i] = self.clip(self.first_seed + int(i))
        for written in (clips, labels):
            written.flush()
        done[indices_N] = True
        return self.folder.name

    def clip(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames (L, H, W, 3) and classes (K,) of a scene in which background and props are no hint.

        (`sample_clip` keeps the hints of the training domain; here only motion shall pay.) It starts
        where every class is active most of the time or hardly at all, and mostly where one is.
        """
        spec = SceneSpec(
            seed=(seed,),
            actions=PRETRAIN_ACTIONS,
            domain=self.domain,
            num_frames=round(6 * self.fps),
            fps=self.fps,
            size=(self.size, self.size),
            busy=0.85,
            bias=0.5,
        )
        scene = Scene(spec)
        active_FK = scene.active(np.arange(spec.num_frames))
        share_SK = sliding_window_view(active_FK, self.frames, axis=0).mean(-1)
        clear_S = ((share_SK <= 0.25) | (share_SK >= 0.6)).all(axis=1)
        busy_S = clear_S & (share_SK >= 0.6).any(axis=1)
        rng = np.random.default_rng(seed)
        wanted_S = busy_S if busy_S.any() and rng.random() < 0.9 else clear_S | ~clear_S.any()
        start = int(rng.choice(np.flatnonzero(wanted_S)))
        frames = [scene.frame(i) for i in range(start, start + self.frames)]
        return np.stack(frames), share_SK[start] >= 0.5


def pool(work: Path, count: int, first_seed: int, domain: Domain, shape: tuple[int, float, int]) -> Pool:
    """The pool of clips of `shape` (frames, fps, px) in this version of the world."""
    frames, fps, size = shape
    name = f"{domain}-{first_seed}-{count}-{frames}x{size}px-{fps:g}fps-world{VERSION}"
    return Pool(work / name, count, first_seed, domain, *shape)


def augment(clips_BLHWC: Tensor, size: int, rng: random.Random) -> Tensor:
    """Another look of the same motions: uint8 (B, L, H, W, 3) to float (B, L, size, size, 3) in [-1, 1].

    Never mirrored or played backwards: that would make other actions of them.
    """
    zoomed_BLHWC = torch.stack([zoom(clip, size, rng) for clip in clips_BLHWC])
    x_BPC = zoomed_BLHWC.flatten(1, 3).float().div_(255 / 2).sub_(1)
    matrix_BCC = torch.stack([color_matrix(rng) for _ in clips_BLHWC])
    brightness_B = torch.tensor([rng.uniform(-0.25, 0.25) for _ in clips_BLHWC])
    x_BPC = torch.baddbmm(brightness_B[:, None, None], x_BPC, matrix_BCC)
    return x_BPC.clamp_(-1, 1).view(zoomed_BLHWC.shape)


def zoom(clip_LHWC: Tensor, size: int, rng: random.Random) -> Tensor:
    """A random box of 70 to 100 % of each side, the same in every frame: (L, size, size, 3)."""
    height, width = clip_LHWC.shape[1:3]
    h, w = (round(side * rng.uniform(0.7, 1)) for side in (height, width))
    top, left = rng.randint(0, height - h), rng.randint(0, width - w)
    box_LCHW = clip_LHWC[:, top : top + h, left : left + w].permute(0, 3, 1, 2)
    x_LCHW = F.interpolate(box_LCHW, (size, size), mode="bilinear", antialias=True)
    return x_LCHW.permute(0, 2, 3, 1)


def color_matrix(rng: random.Random) -> Tensor:
    """Channel order, saturation (down to grey), contrast and inversion as one (3, 3) matrix."""
    matrix = torch.eye(3)[rng.sample(range(3), 3)]
    saturation = 0.0 if rng.random() < 0.2 else rng.uniform(0.3, 1.5)
    matrix = saturation * matrix + (1 - saturation) / 3
    return matrix * rng.uniform(0.5, 1.4) * (-1 if rng.random() < 0.2 else 1)
