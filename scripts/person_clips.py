"""Clips of one acting person with exact optical flow, to pre-train the RGB network on.

From whole scenes the network learns nothing in the time there is; cut out around the person, and told
how everything moves as well as what it is, it does.

Shapes: N clips, B clips of a batch, L frames, S possible starts, H W pixels, h w cells, K classes.
"""

import random
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from pipeline.synthetic import PRETRAIN_ACTIONS, Scene, SceneSpec
from scripts.pretrain_clips import Pool, color_matrix

CELL = 8  # px of a picture to a cell of flow: the stride of the layer that is asked for it
_PICTURE = (192, 144)  # of the scene, as in the practice folder
_MARGIN = (1.05, 2.0)  # side of the cut square in sizes of the person
_SHIFT = 0.08  # of the square, off the person's middle


@dataclass(frozen=True)
class PersonPool(Pool):
    """Rendered clips of `size` px around one person, the class, and the flow in px of the cut picture."""

    def array(self, name: str) -> np.memmap:
        """Memory map of `clips` (N, L, H, W, 3) uint8, `labels` (N, K), `flow` (N, L, h, w, 2), `done`."""
        path = self.folder / f"{name}.npy"
        if path.exists():
            return np.lib.format.open_memmap(path, mode="r+")
        self.folder.mkdir(parents=True, exist_ok=True)
        cells = self.size // CELL
        shape, dtype = {
            "clips": ((self.count, self.frames, self.size, self.size, 3), np.uint8),
            "labels": ((self.count, len(PRETRAIN_ACTIONS)), np.bool_),
            "flow": ((self.count, self.frames, cells, cells, 2), np.float16),
            "done": ((self.count,), np.bool_),
        }[name]
        return np.lib.format.open_memmap(path, "w+", dtype, shape)

    def render_part(self, indices_N: np.ndarray) -> str:
        """In a worker: these clips, then the marks that they are done."""
        clips, labels, flow, done = (self.array(name) for name in ("clips", "labels", "flow", "done"))
        for i in indices_N:
            clips[i], labels[i], flow[i] = self.person(self.first_seed + int(i))
        for written in (clips, labels, flow):
            written.flush()
        done[indices_N] = True
        return self.folder.name

    def person(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Frames, classes and flow of a scene in which background and props are no hint.

        It starts where every class is active most of the time or hardly at all, mostly where one is.
        """
        spec = SceneSpec(
            seed=(seed, 1),
            actions=PRETRAIN_ACTIONS,
            domain=self.domain,
            num_frames=round(6 * self.fps),
            fps=self.fps,
            size=_PICTURE,
            persons=(1, 1),
            busy=0.85,
            bias=0.5,
        )
        scene = Scene(spec)
        rng = np.random.default_rng(seed)
        share_SK = sliding_window_view(scene.active(np.arange(spec.num_frames)), self.frames, axis=0).mean(-1)
        clear_S = ((share_SK <= 0.25) | (share_SK >= 0.6)).all(axis=1)
        busy_S = clear_S & (share_SK >= 0.6).any(axis=1)
        wanted_S = busy_S if busy_S.any() and rng.random() < 0.9 else clear_S | ~clear_S.any()
        start = int(rng.choice(np.flatnonzero(wanted_S)))
        shown = range(start, start + self.frames)
        matrix, scale = _cut(np.stack([scene.boxes(i)[0] for i in shown]), self.size, rng)
        frames = [_warp(scene.frame(i), matrix, self.size) for i in shown]
        cells = self.size // CELL
        flow = [
            cv2.resize(_warp(scene.flow(i), matrix, self.size), (cells, cells), interpolation=cv2.INTER_AREA)
            for i in shown
        ]
        return np.stack(frames), share_SK[start] >= 0.5, np.stack(flow) * scale

    def batch(self, picked_B: np.ndarray, size: int, rng: random.Random) -> tuple[Tensor, Tensor, Tensor]:
        """A window of `size` px in other colours: x (B, 3, L, H, W), y (B, K), flow (B, 2, L, h, w).

        The window moves by whole cells, so that its flow does, too.
        """
        free = (self.size - size) // CELL
        top, left = rng.randint(0, free), rng.randint(0, free)
        rows, columns = (slice(CELL * at, CELL * at + size) for at in (top, left))
        x = torch.from_numpy(self.array("clips")[picked_B][:, :, rows, columns])
        x_BPC = x.flatten(1, 3).float().div_(255 / 2).sub_(1)
        looks_BCC = torch.stack([color_matrix(rng) for _ in picked_B])
        brightness_B = torch.tensor([rng.uniform(-0.25, 0.25) for _ in picked_B])
        x = torch.baddbmm(brightness_B[:, None, None], x_BPC, looks_BCC).clamp_(-1, 1).view(x.shape)
        cells = size // CELL
        flow = self.array("flow")[picked_B][:, :, top : top + cells, left : left + cells]
        flow_B2Lhw = torch.from_numpy(flow).float().permute(0, 4, 1, 2, 3)
        return x.permute(0, 4, 1, 2, 3), torch.from_numpy(self.array("labels")[picked_B]).float(), flow_B2Lhw


def _cut(boxes_L4: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """The affine map of a square around all boxes of a clip to `size` px, and its scale."""
    low, high = boxes_L4[:, :2].min(0), boxes_L4[:, 2:].max(0)
    side = (high - low).max() * rng.uniform(*_MARGIN)
    middle = (low + high) / 2 + rng.uniform(-_SHIFT, _SHIFT, 2) * side
    scale = float(size / side)
    shift = size / 2 - middle * scale
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), scale


def _warp(picture: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    return cv2.warpAffine(
        picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
