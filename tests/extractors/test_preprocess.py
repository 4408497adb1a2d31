"""Resizing against PIL and OpenCV, cropping against indices."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from extractors.preprocess import center_crop, resize, resize_short_side


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


@pytest.mark.parametrize(
    ("height", "width", "out"),
    [
        (720, 1280, (226, 402)),  # by way of 180x320; 401.8 rounded
        (1280, 720, (402, 226)),
        (480, 640, (240, 320)),
        (240, 320, (240, 320)),
        (226, 227, (226, 227)),
        (180, 320, (226, 402)),
        (200, 301, (226, 340)),
    ],
)
def test_charades_frames_are_320_px_long_and_226_px_high(
    height: int, width: int, out: tuple[int, int]
) -> None:
    frames = _frames(height, width)
    got = resize(frames, 226, "charades")
    assert got.shape == (2, *out, 3)
    if (height, width) == out:
        assert torch.equal(got, frames)


def test_charades_enlarges_as_the_published_reader_does() -> None:
    """cv2.resize of what is too small, by a factor, within a grey level."""
    frames = _frames(180, 320)
    scale = 226 / 180
    for frame, got in zip(frames.numpy(), resize(frames, 226, "charades").numpy(), strict=True):
        want = cv2.resize(frame, dsize=(0, 0), fx=scale, fy=scale)
        assert got.shape == want.shape
        assert np.abs(got.astype(int) - want).max() <= 1


@pytest.mark.parametrize("width", range(224, 232))
def test_charades_crops_at_half_of_the_rest_rounded_to_even(width: int) -> None:
    frames = torch.arange(226 * width).view(1, 226, width, 1)
    left = int(np.round((width - 224) / 2.0))
    assert torch.equal(center_crop(frames, 224, "charades"), frames[:, 1:225, left : left + 224])


def test_unknown_geometry_is_refused() -> None:
    from extractors.i3d import I3DConfig

    with pytest.raises(ValueError, match="short-side, charades, person, got 'square'"):
        I3DConfig(geometry="square")  # type: ignore[arg-type]
