"""Resizing against PIL, cropping against indices."""

import numpy as np
import pytest
import torch
from PIL import Image

from extractors.preprocess import center_crop, resize_short_side


def _frames(height: int, width: int) -> torch.Tensor:
    """Smooth shapes and hard noise."""
    rng = np.random.default_rng(height * width)
    y, x = np.mgrid[:height, :width][..., None]
    smooth = 127 + 120 * np.sin(x / 9 + np.arange(3)) * np.cos(y / 7)
    hard = rng.integers(0, 256, (height, width, 3))
    return torch.from_numpy(np.stack([smooth, hard]).astype(np.uint8))


@pytest.mark.parametrize(
    ("height", "width", "size", "out"),
    [
        (240, 320, 256, (256, 341)),  # larger
        (720, 1280, 256, (256, 455)),  # smaller; 455.1 rounded down
        (568, 320, 112, (198, 112)),  # upright
        (37, 51, 112, (112, 154)),  # odd, smaller than the crop
        (131, 131, 64, (64, 64)),
    ],
)
def test_resize_is_within_a_grey_level_of_pil(
    height: int, width: int, size: int, out: tuple[int, int]
) -> None:
    frames = _frames(height, width)
    got = resize_short_side(frames, size)
    assert got.shape == (2, *out, 3)
    assert got.dtype == torch.uint8
    for frame, resized in zip(frames.numpy(), got.numpy(), strict=True):
        want = np.asarray(Image.fromarray(frame).resize(out[::-1], Image.Resampling.BILINEAR))
        assert np.abs(resized.astype(int) - want).max() <= 1


def test_a_frame_of_the_right_size_is_left_alone() -> None:
    frames = _frames(112, 150)
    assert torch.equal(resize_short_side(frames, 112), frames)


def test_resize_does_not_depend_on_the_batch() -> None:
    frames = _frames(90, 130)
    assert torch.equal(resize_short_side(frames, 64)[1:], resize_short_side(frames[1:], 64))


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(4, 5, 3, dtype=torch.uint8),
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(1, 8, 8, 3),
    ],
)
def test_anything_but_frames_is_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="uint8 frames"):
        resize_short_side(wrong, 4)


def test_crop_is_the_middle_rounded_down() -> None:
    frames = torch.arange(7 * 10).view(1, 7, 10, 1)
    assert torch.equal(center_crop(frames, 4), frames[:, 1:5, 3:7])
    with pytest.raises(ValueError, match="cannot crop 8 px from frames of 10x7"):
        center_crop(frames, 8)
