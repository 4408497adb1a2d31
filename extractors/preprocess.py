"""Geometry of frames before a network sees them: uint8 in, uint8 out.

Shapes: N frames, H W pixels.
"""

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Geometry = Literal["short-side", "charades", "person"]
GEOMETRIES: tuple[Geometry, ...] = get_args(Geometry)
INTERPOLATION = "bilinear, antialiased, uint8"  # part of every identity: another one moves the features
_CHARADES_PX = 320  # long side of the frames that the data set comes as


def resize(rgb_NHWC: Tensor, size: int, geometry: Geometry = "short-side") -> Tensor:
    """Frames (N, H, W, 3) as a recipe wants them, `size` being that of the short side in px: uint8.

    - `short-side`: see `resize_short_side`
    - `charades`: see `resize_charades`
    - `person`: not of this function; see `extractors.person_crops`
    """
    assert geometry != "person", "what a person fills is not known here"
    return (resize_short_side if geometry == "short-side" else resize_charades)(rgb_NHWC, size)


def resize_short_side(rgb_NHWC: Tensor, size: int) -> Tensor:
    """Frames (N, H, W, 3) with the short side brought to `size` px, smaller or larger: uint8.

    The long side keeps the aspect ratio, rounded down. ValueError for anything but such frames.
    """
    _check_frames(rgb_NHWC)
    height, width = rgb_NHWC.shape[1:3]
    short = min(height, width)
    if short == size:
        return rgb_NHWC
    return _interpolate(rgb_NHWC, (size * height // short, size * width // short))


def resize_charades(rgb_NHWC: Tensor, size: int) -> Tensor:
    """Frames (N, H, W, 3) with a long side of at most 320 px, then a short side of at least `size`: uint8.

    The first is how the data set's own frames were made (by FFmpeg, other sides rounded), the second how
    `charades_dataset_full.py` of piergiaj/pytorch-i3d reads them (`cv2.resize` by a factor, which
    is to the pixel not the ratio of the rounded widths; within one grey level of it).
    ValueError for anything but such frames.
    """
    _check_frames(rgb_NHWC)
    height, width = rgb_NHWC.shape[1:3]
    if max(height, width) > _CHARADES_PX:
        scale = _CHARADES_PX / max(height, width)
        height, width = max(1, round(height * scale)), max(1, round(width * scale))
        rgb_NHWC = _interpolate(rgb_NHWC, (height, width))
    if min(height, width) >= size:
        return rgb_NHWC
    scale = size / min(height, width)
    # one more pixel, as the network library rounds sizes down
    rgb_NHWC = torch.cat([rgb_NHWC, rgb_NHWC[:, -1:]], dim=1)
    rgb_NHWC = torch.cat([rgb_NHWC, rgb_NHWC[:, :, -1:]], dim=2)
    return _interpolate(rgb_NHWC, scale=scale)[:, : round(height * scale), : round(width * scale)]


def resample_square(rgb_HWC: Tensor, left: float, top: float, side: float, size: int) -> Tensor:
    """A square of a frame (H, W, 3) as `size` x `size` px: uint8 (size, size, 3).

    `left` and `top` are those of the square, `side` its side, in px from the frame's upper left corner;
    none needs to be whole, and what lies outside the frame repeats its edge. Bilinear and antialiased, what
    PIL's `resize(..., box=...)` gives, to one grey level. A square moved by little is a picture changed by
    little: boxes of a network may differ in their last bits.
    """
    height, width = rgb_HWC.shape[:2]
    rows, weight_sh = _taps(top, side, size, height, rgb_HWC.device)
    columns, weight_sw = _taps(left, side, size, width, rgb_HWC.device)
    x_Chw = rgb_HWC[rows, columns].permute(2, 0, 1).float()
    return (weight_sh @ x_Chw @ weight_sw.T).round_().clamp_(0, 255).byte().permute(1, 2, 0)


def _taps(start: float, side: float, size: int, length: int, device: torch.device) -> tuple[slice, Tensor]:
    """Along an axis of `length` px: which pixels are seen, their shares in each of the new ones (size, h)."""
    scale = side / size
    reach = max(scale, 1.0)  # of a triangle: that of an interpolation, widened where many become one
    center_s = start - 0.5 + scale * (torch.arange(size, device=device, dtype=torch.float64) + 0.5)
    at_sk = (center_s - reach).floor()[:, None] + torch.arange(math.ceil(2 * reach) + 1, device=device)
    share_sk = (1 - (at_sk - center_s[:, None]).abs() / reach).clamp_(min=0)
    share_sk /= share_sk.sum(1, keepdim=True)
    first, last = (min(max(math.floor(x), 0), length - 1) for x in (start - reach, start + side + reach))
    at_sk = at_sk.clamp_(first, last).long() - first
    shares_sh = torch.zeros((size, last - first + 1), device=device, dtype=torch.float64)
    return slice(first, last + 1), shares_sh.scatter_add_(1, at_sk, share_sk).float()


def center_crop(rgb_NHWC: Tensor, size: int | None, geometry: Geometry = "short-side") -> Tensor:
    """The middle `size` x `size` px of frames (N, H, W, C). No size: the whole frame.

    An odd pixel left over falls below and right; with `charades`, where half of what is left over is
    rounded to even, to either side.
    """
    if size is None:
        return rgb_NHWC
    height, width = rgb_NHWC.shape[1:3]
    if min(height, width) < size:
        raise ValueError(f"cannot crop {size} px from frames of {width}x{height}: resize them first")
    top, left = (height - size) // 2, (width - size) // 2
    if geometry == "charades":
        top, left = round((height - size) / 2), round((width - size) / 2)
    return rgb_NHWC[:, top : top + size, left : left + size]


def _check_frames(rgb_NHWC: Tensor) -> None:
    if rgb_NHWC.dim() != 4 or rgb_NHWC.shape[-1] != 3 or rgb_NHWC.dtype != torch.uint8:
        raise ValueError(f"need uint8 frames (N, H, W, 3), got {rgb_NHWC.dtype} {tuple(rgb_NHWC.shape)}")


def _interpolate(
    rgb_NHWC: Tensor,
    size: tuple[int, int] | None = None,
    scale: float | None = None,
    *,
    in_float32: bool | None = None,
) -> Tensor:
    """Frames of another size (height, width), or enlarged by a factor; within one grey level of PIL's.

    On a GPU, or where it is asked for, in float32, rounded. On a CPU in fixed point, as PIL does it but with
    fewer bits: of white noise, 5 in 10^8 values are two grey levels away (measured on 8 * 10^9), of edges
    at the worst ratios 1 in 10^6 (128 to 224 px) and 4 in 10^7 (288 to 256 px). In float32 none is, but it
    takes 9 times as long (240 to 256 px).
    """
    in_float32 = rgb_NHWC.is_cuda if in_float32 is None else in_float32
    x_NCHW = rgb_NHWC.permute(0, 3, 1, 2)  # channels-last strides: the fast path, no copy
    if in_float32:
        x_NCHW = x_NCHW.float()
    x_NCHW = F.interpolate(x_NCHW, size, scale, mode="bilinear", align_corners=False, antialias=True)
    if in_float32:
        x_NCHW = x_NCHW.round_().clamp_(0, 255).byte()
    return x_NCHW.permute(0, 2, 3, 1)
