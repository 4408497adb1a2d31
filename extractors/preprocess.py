"""Geometry of frames before a network sees them: uint8 in, uint8 out.

Shapes: N frames, H W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

INTERPOLATION = "bilinear, antialiased, uint8"  # part of every identity: another one moves the features


def resize_short_side(rgb_NHWC: Tensor, size: int) -> Tensor:
    """Frames (N, H, W, 3) with the short side brought to `size` px, smaller or larger: uint8.

    The long side keeps the aspect ratio, rounded down. Within one grey level of PIL's bilinear:
    on a CPU by the same fixed-point arithmetic, on a GPU in float32, rounded.
    ValueError for anything but such frames.
    """
    if rgb_NHWC.dim() != 4 or rgb_NHWC.shape[-1] != 3 or rgb_NHWC.dtype != torch.uint8:
        raise ValueError(f"need uint8 frames (N, H, W, 3), got {rgb_NHWC.dtype} {tuple(rgb_NHWC.shape)}")
    height, width = rgb_NHWC.shape[1:3]
    short = min(height, width)
    if short == size:
        return rgb_NHWC
    x_NCHW = rgb_NHWC.permute(0, 3, 1, 2)  # channels-last strides: the fast path, no copy
    if rgb_NHWC.is_cuda:
        x_NCHW = x_NCHW.float()
    out = (size * height // short, size * width // short)
    x_NCHW = F.interpolate(x_NCHW, out, mode="bilinear", align_corners=False, antialias=True)
    if rgb_NHWC.is_cuda:
        x_NCHW = x_NCHW.round_().clamp_(0, 255).byte()
    return x_NCHW.permute(0, 2, 3, 1)


def center_crop(rgb_NHWC: Tensor, size: int | None) -> Tensor:
    """The middle `size` x `size` px of frames (N, H, W, C); an odd pixel left over falls below and right.

    No size: the whole frame.
    """
    if size is None:
        return rgb_NHWC
    height, width = rgb_NHWC.shape[1:3]
    if min(height, width) < size:
        raise ValueError(f"cannot crop {size} px from frames of {width}x{height}: resize them first")
    top, left = (height - size) // 2, (width - size) // 2
    return rgb_NHWC[:, top : top + size, left : left + size]
