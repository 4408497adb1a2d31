"""Boxes of persons to the crops a top-down pose network sees, and its joints back to the picture.

The geometry is mmpose's (GetBBoxCenterScale, TopdownAffine without rotation, TopdownPoseEstimator),
for all boxes at once; with a crop size of its own it needs no mmpose.
Shapes: N frames, P boxes or crops, H W pixels of a frame, h w of a crop, J joints.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Regions:
    """What part of the picture each crop shows."""

    center_P2: np.ndarray  # px
    extent_P2: np.ndarray  # width and height, px


@dataclass(frozen=True)
class CropGeometry:
    """How a network wants its persons: padded boxes of one aspect ratio, all of one size."""

    width: int  # px
    height: int
    padding: float = 1.25  # of the box
    udp: bool = False  # corners of pixels, or their centres (UDP, Huang et al., CVPR 2020), lie on each other

    def regions(self, boxes_P4: np.ndarray) -> Regions:
        """Boxes x1, y1, x2, y2 padded, and widened or heightened to the crop's aspect ratio."""
        center_P2 = (boxes_P4[:, 2:] + boxes_P4[:, :2]) * 0.5
        width_P, height_P = ((boxes_P4[:, 2:] - boxes_P4[:, :2]) * self.padding).T
        aspect = self.width / self.height
        extent_P2 = np.stack(
            [np.maximum(width_P, height_P * aspect), np.maximum(height_P, width_P / aspect)], 1
        )
        return Regions(center_P2, extent_P2)

    def matrices(self, regions: Regions) -> np.ndarray:
        """Affine maps from the picture to the crops: (P, 2, 3) float64."""
        size_2 = np.array([self.width, self.height], dtype=np.float64)
        if self.udp:
            scale_P2 = (size_2 - 1) / regions.extent_P2
            shift_P2 = scale_P2 * (0.5 * regions.extent_P2 - regions.center_P2)
        else:
            scale_P2 = np.repeat(self.width / regions.extent_P2[:, :1].astype(np.float64), 2, axis=1)
            shift_P2 = size_2 / 2 - scale_P2 * regions.center_P2
        matrices_P23 = np.zeros((len(scale_P2), 2, 3))
        matrices_P23[:, [0, 1], [0, 1]] = scale_P2
        matrices_P23[:, :, 2] = shift_P2
        return matrices_P23

    def to_picture(self, joints_PJ2: np.ndarray, regions: Regions) -> np.ndarray:
        """Joints in px of the crops to px of the picture, as mmpose does it (with UDP or without)."""
        extent_P12, center_P12 = regions.extent_P2[:, None], regions.center_P2[:, None]
        return joints_PJ2 / np.array([self.width, self.height]) * extent_P12 + center_P12 - 0.5 * extent_P12


def crop(rgb_NHWC: Tensor, frame_P: np.ndarray, matrices_P23: np.ndarray, geometry: CropGeometry) -> Tensor:
    """Crops (P, h, w, 3) uint8 of uint8 frames, bilinear, black outside; crop p is of frame `frame_P[p]`.

    On a CPU by OpenCV, bit for bit what mmpose cuts; on a GPU there, within a few grey levels of it at
    sharp edges (OpenCV places samples on a grid of 1/32 px).
    """
    if rgb_NHWC.is_cuda:
        return sample(rgb_NHWC, frame_P, matrices_P23, geometry)
    size = (geometry.width, geometry.height)
    frames = rgb_NHWC.numpy()
    cut = [
        cv2.warpAffine(frames[n], matrix_23, size, flags=cv2.INTER_LINEAR)
        for n, matrix_23 in zip(frame_P, matrices_P23, strict=True)
    ]
    return torch.from_numpy(np.stack(cut))


def sample(rgb_NHWC: Tensor, frame_P: np.ndarray, matrices_P23: np.ndarray, geometry: CropGeometry) -> Tensor:
    """`crop` by `grid_sample`, on the frames' device: one call for each frame with persons."""
    device = rgb_NHWC.device
    last_2 = torch.tensor([rgb_NHWC.shape[2] - 1, rgb_NHWC.shape[1] - 1], device=device).clamp_(min=1)
    scale_P12 = torch.from_numpy(matrices_P23[:, [0, 1], [0, 1]]).to(device)[:, None]
    shift_P12 = torch.from_numpy(matrices_P23[:, :, 2]).to(device)[:, None]
    x_W, y_H = torch.arange(geometry.width, device=device), torch.arange(geometry.height, device=device)
    at_Q2 = torch.stack(torch.meshgrid(x_W, y_H, indexing="xy"), dim=-1).reshape(-1, 2)
    grid_PQ2 = (2 * (at_Q2 - shift_P12) / scale_P12 / last_2 - 1).float()
    out = torch.empty((len(frame_P), geometry.height, geometry.width, 3), dtype=torch.uint8, device=device)
    for n in np.unique(frame_P).tolist():
        picked = np.flatnonzero(frame_P == n)
        frame_1CHW = rgb_NHWC[n].permute(2, 0, 1)[None].float()
        cut_1CPQ = F.grid_sample(frame_1CHW, grid_PQ2[picked][None], align_corners=True)
        cut_PQC = cut_1CPQ[0].permute(1, 2, 0).round_().clamp_(0, 255).byte()
        out[torch.from_numpy(picked).to(device)] = cut_PQC.view(len(picked), *out.shape[1:])
    return out
