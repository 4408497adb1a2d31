"""Frame pairs with exact optical flow to train on: rendered once, moved and coloured anew every time.

Shapes: N clips of the pool, L frames, B pairs of a batch, H W pixels; flow (..., 2) is x, y in px.
"""

import math
import random
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.synthetic import PRETRAIN_ACTIONS, sample_clip_truth
from scripts.pretrain_clips import Pool, color_matrix

Pairs = tuple[
    Tensor, Tensor, Tensor
]  # first, second (B, 3, H, W) in [-1, 1]; flow (B, 2, H, W), NaN: unknown


@dataclass(frozen=True)
class FlowPool(Pool):
    """Rendered clips with the flow from each frame to the next; `size` is the height, the width 5/4 of it."""

    def array(self, name: str) -> np.memmap:
        """Memory map of `clips` (N, L, H, W, 3) uint8, their flow as `labels` (N, L - 1, H, W, 2), `done`."""
        path = self.folder / f"{name}.npy"
        if path.exists():
            return np.lib.format.open_memmap(path, mode="r+")
        self.folder.mkdir(parents=True, exist_ok=True)
        picture = (self.size, self.size * 5 // 4)
        shape, dtype = {
            "clips": ((self.count, self.frames, *picture, 3), np.uint8),
            "labels": ((self.count, self.frames - 1, *picture, 2), np.float16),
            "done": ((self.count,), np.bool_),
        }[name]
        return np.lib.format.open_memmap(path, "w+", dtype, shape)

    def clip(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames (L, H, W, 3) and the flow from each to the next (L - 1, H, W, 2)."""
        clip = sample_clip_truth(
            seed,
            PRETRAIN_ACTIONS,
            num_frames=self.frames,
            fps=self.fps,
            size=(self.size * 5 // 4, self.size),
            domain=self.domain,
            persons=(1, 3),
        )
        return clip.frames_LHW3, clip.flow_LHW2[:-1]

    def pairs(self, picked_B: list[int]) -> Pairs:
        """Pair p is frames p % (L - 1) and the next one of clip p // (L - 1)."""
        clips, flow = self.array("clips"), self.array("labels")
        places = [divmod(p, self.frames - 1) for p in picked_B]
        first, second = (
            torch.from_numpy(np.stack([clips[n, i + k] for n, i in places])).permute(0, 3, 1, 2)
            for k in (0, 1)
        )
        flow_B2HW = torch.from_numpy(np.stack([flow[n, i] for n, i in places])).permute(0, 3, 1, 2)
        return normalized(first), normalized(second), flow_B2HW.float()


def normalized(rgb: Tensor) -> Tensor:
    """uint8 to [-1, 1]."""
    return rgb.float().div_(255 / 2).sub_(1)


def augment_pairs(pairs: Pairs, size: int, reach_px: tuple[float, ...], rng: random.Random) -> Pairs:
    """Other pairs with flow as exact as theirs, `size` x `size` px.

    Both frames are turned, zoomed and mirrored alike; in half of the pairs the second is then moved
    against the first, by about one of `reach_px`; one in twelve is a frame and itself. Colours change,
    a little also within a pair, and each frame gets its own noise.
    """
    first, second, flow_B2HW = pairs
    still_B = torch.tensor([rng.random() < 1 / 12 for _ in first])
    second = torch.where(still_B[:, None, None, None], first, second)
    flow_B2HW = torch.where(still_B[:, None, None, None], 0.0, flow_B2HW)
    view_B33 = torch.stack([view(first.shape[-2:], size, rng) for _ in first])
    drift_B33 = torch.stack([torch.eye(3) if still else drift(size, reach_px, rng) for still in still_B])
    moved_B33 = drift_B33 @ view_B33
    looks = recolor(warp(first, view_B33, size), warp(second, moved_B33, size), rng)
    return *looks, warp_flow(flow_B2HW, view_B33, moved_B33, size)


def affine(scale_x: float, scale_y: float, angle: float, x: float, y: float) -> Tensor:
    """Scale, then turn (radians), then shift: (3, 3)."""
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.tensor([[cos * scale_x, -sin * scale_y, x], [sin * scale_x, cos * scale_y, y], [0, 0, 1]])


def view(source: tuple[int, int], size: int, rng: random.Random) -> Tensor:
    """Pixels of the source to those of the crop: a part of it, turned, zoomed, perhaps mirrored."""
    height, width = source
    zoom = math.exp(rng.uniform(-0.05, 0.45))
    mirror = rng.choice((-1, 1))
    turn = affine(zoom * mirror, zoom * math.exp(rng.uniform(-0.1, 0.1)), rng.gauss(0, 0.08), 0, 0)
    room_x, room_y = (max(zoom * side - size, 0) / 2 for side in (width, height))
    to_middle = affine(1, 1, 0, -(width - 1) / 2, -(height - 1) / 2)
    middle = (size - 1) / 2
    back = affine(1, 1, 0, middle + rng.uniform(-room_x, room_x), middle + rng.uniform(-room_y, room_y))
    return back @ turn @ to_middle


def drift(size: int, reach_px: tuple[float, ...], rng: random.Random) -> Tensor:
    """Motion of the whole picture: none in half of the cases, else as of a camera."""
    if rng.random() < 0.5:
        return torch.eye(3)
    reach = rng.choice(reach_px)
    scales = (math.exp(rng.gauss(0, 0.03)) for _ in range(2))
    turn = affine(*scales, rng.gauss(0, 0.03), 0, 0)
    middle = (size - 1) / 2
    back = affine(1, 1, 0, middle + rng.gauss(0, reach), middle + rng.gauss(0, reach))
    return back @ turn @ affine(1, 1, 0, -middle, -middle)


def positions(maps_B33: Tensor, size: int) -> Tensor:
    """Where the pixels of a `size` x `size` grid land: (B, 3, size * size), homogeneous."""
    axis = torch.arange(size, dtype=torch.float32)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return maps_B33 @ torch.stack([x, y, torch.ones_like(x)]).flatten(1)


def sample(x_BCHW: Tensor, at_B3P: Tensor, size: int, mode: str) -> Tensor:
    """Values at pixel positions, the border repeated: (B, C, size, size)."""
    height, width = x_BCHW.shape[-2:]
    grid_BP2 = torch.stack([at_B3P[:, 0] * 2 / (width - 1) - 1, at_B3P[:, 1] * 2 / (height - 1) - 1], -1)
    return F.grid_sample(
        x_BCHW, grid_BP2.view(-1, size, size, 2), mode=mode, padding_mode="border", align_corners=True
    )


def warp(x_BCHW: Tensor, maps_B33: Tensor, size: int) -> Tensor:
    return sample(x_BCHW, positions(torch.linalg.inv(maps_B33), size), size, "bilinear")


def warp_flow(flow_B2HW: Tensor, view_B33: Tensor, moved_B33: Tensor, size: int) -> Tensor:
    """A pixel p of the first frame is at V p now, and goes to M (p + flow(p)); NaN outside the source."""
    height, width = flow_B2HW.shape[-2:]
    source_B3P = positions(torch.linalg.inv(view_B33), size)
    flow_B2P = sample(flow_B2HW, source_B3P, size, "nearest").flatten(2)
    target_B3P = moved_B33 @ (source_B3P + F.pad(flow_B2P, (0, 0, 0, 1)))
    moved_B2P = (target_B3P - positions(torch.eye(3).expand_as(view_B33), size))[:, :2]
    limit = torch.tensor([width - 1.0, height - 1.0])[:, None]
    inside_BP = ((source_B3P[:, :2] >= 0) & (source_B3P[:, :2] <= limit)).all(1)
    moved_B2P = torch.where(inside_BP[:, None], moved_B2P, torch.nan)
    return moved_B2P.unflatten(2, (size, size))


def recolor(first: Tensor, second: Tensor, rng: random.Random) -> tuple[Tensor, Tensor]:
    """New colours, in the second frame a trace brighter or darker; noise of its own in each."""
    matrix_BCC = torch.stack([color_matrix(rng) for _ in first])
    brightness_B = torch.tensor([rng.uniform(-0.25, 0.25) for _ in first])
    change_B = torch.tensor([math.exp(rng.gauss(0, 0.03)) for _ in first])
    noise_B = torch.tensor([rng.choice((0, rng.uniform(0, 0.04))) for _ in first])
    looks = []
    for x_BCHW, gain_B in ((first, torch.ones_like(change_B)), (second, change_B)):
        x_BCHW = torch.einsum("bchw,bcd->bdhw", x_BCHW, matrix_BCC * gain_B[:, None, None])
        x_BCHW = x_BCHW + brightness_B[:, None, None, None]
        x_BCHW = x_BCHW + torch.randn_like(x_BCHW) * noise_B[:, None, None, None]
        looks.append(x_BCHW.clamp(-1, 1))
    return looks[0], looks[1]
