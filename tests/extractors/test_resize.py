"""Resizing over hundreds of sizes: PIL's numbers and OpenCV's, on the path of a CPU and on that of a GPU."""

from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from extractors import preprocess
from extractors.preprocess import resize, resize_charades, resize_short_side


@pytest.fixture(params=["cpu", "gpu"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Fixed point, as on a CPU; float32, rounded, as on a GPU, but computed on a CPU."""
    if request.param == "gpu":
        interpolate = preprocess._interpolate
        monkeypatch.setattr(preprocess, "_interpolate", partial(interpolate, in_float32=True))
    return request.param


def frames(height: int, width: int, seed: int) -> np.ndarray:
    """Slopes, noise, and a chessboard of single pixels, which shows every other filter: (3, H, W, 3)."""
    y, x = np.mgrid[:height, :width][..., None]
    slopes = 127 + 120 * np.sin(x / 9 + np.arange(3)) * np.cos(y / 7)
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    board = (x + y) % 2 * 255 + np.zeros(3)
    return np.stack([slopes, noise, board]).astype(np.uint8)


def assert_near(
    got_NHWC: torch.Tensor, source_NHWC: np.ndarray, reference: Callable[[np.ndarray], np.ndarray], path: str
) -> None:
    """Within one grey level; in fixed point all but one value in a million are, and that one within two."""
    wanted_NHWC = np.stack([reference(frame) for frame in source_NHWC])
    assert got_NHWC.shape == wanted_NHWC.shape, source_NHWC.shape
    difference_NHWC = np.abs(got_NHWC.numpy().astype(np.int16) - wanted_NHWC)
    allowed = 1 + difference_NHWC.size // 1_000_000 if path == "cpu" else 0
    assert (difference_NHWC > 1).sum() <= allowed, source_NHWC.shape
    assert difference_NHWC.max() <= 2, source_NHWC.shape


def by_pil(width: int, height: int) -> Callable[[np.ndarray], np.ndarray]:
    def reference(frame: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))

    return reference


def sizes(count: int, low: int, high: int) -> list[tuple[int, int]]:
    """Heights and widths, odd and even, upright and lying, up to 32 times as long as wide."""
    drawn = np.random.default_rng(count).integers(low, high, (3 * count, 2)).tolist()
    return [(height, width) for height, width in drawn if max(height, width) <= 32 * min(height, width)][
        :count
    ]


def test_the_short_side_is_resized_as_pil_does(path: str) -> None:
    """Up and down, by factors of 1/20 to 20."""
    for seed, (height, width) in enumerate(sizes(30, 8, 300)):
        source, size = frames(height, width, seed), 20 + 37 * seed % 280
        # the long side rounded down, in whole numbers
        out_h = size if height <= width else height * size // width
        out_w = size if width <= height else width * size // height
        got = resize_short_side(torch.from_numpy(source), size)
        assert_near(got, source, by_pil(out_w, out_h), path)


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (854, 480), (240, 320)])
def test_usual_videos_at_the_sizes_of_the_recipes(path: str, height: int, width: int) -> None:
    source = frames(height, width, height)
    for size in (112, 256):
        out_h = size if height <= width else height * size // width
        out_w = size if width <= height else width * size // height
        got = resize_short_side(torch.from_numpy(source), size)
        assert_near(got, source, by_pil(out_w, out_h), path)


@pytest.fixture(scope="module")
def real_frames(shared: Path) -> dict[str, np.ndarray]:
    """Five frames (N, H, W, 3) of each real video."""
    found = {}
    for video in (shared / "data" / "videos" / "real").iterdir():
        with av.open(str(video)) as container:
            decoded = islice(container.decode(video=0), 0, 150, 30)
            found[video.name] = np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])
    return found


@pytest.mark.shared
@pytest.mark.parametrize("size", [112, 256])
def test_frames_of_real_videos_are_within_a_grey_level(
    real_frames: dict[str, np.ndarray], path: str, size: int
) -> None:
    """Whatever the path: no exceptions."""
    for name, source in real_frames.items():
        height, width = source.shape[1:3]
        reference = by_pil(size * width // min(height, width), size * height // min(height, width))
        wanted = np.stack([reference(frame) for frame in source]).astype(np.int16)
        got = resize_short_side(torch.from_numpy(source), size).numpy()
        assert np.abs(got - wanted).max() <= 1, name


def test_charades_reduces_as_pil_does(path: str) -> None:
    """To a long side of 320 px, the short one rounded to the nearest, in whole numbers."""
    for seed, (height, width) in enumerate(sizes(16, 150, 500)):
        if max(height, width) <= 320:
            continue
        source, long_side = frames(height, width, seed), max(height, width)
        out_h, out_w = ((2 * 320 * side + long_side) // (2 * long_side) for side in (height, width))
        got = resize_charades(torch.from_numpy(source), 1)
        assert_near(got, source, by_pil(out_w, out_h), path)


def test_charades_enlarges_as_opencv_does_by_a_factor(path: str) -> None:
    """`cv2.resize(img, dsize=(0, 0), fx=sc, fy=sc)` of the published reader, and its sizes."""
    for seed, (height, width) in enumerate(sizes(24, 60, 320)):
        if min(height, width) >= 226:
            continue
        source, factor = frames(height, width, seed), 226.0 / min(height, width)
        reference = partial(cv2.resize, dsize=(0, 0), fx=factor, fy=factor)
        got = resize(torch.from_numpy(source), 226, "charades")
        assert_near(got, source, reference, path)


def test_the_two_paths_are_not_the_same() -> None:
    """Else what is tested above would be one of them, twice."""
    source = torch.from_numpy(frames(200, 300, 0))
    fixed, rounded = (preprocess._interpolate(source, (90, 135), in_float32=path) for path in (False, True))
    assert not torch.equal(fixed, rounded)
    assert (fixed.int() - rounded.int()).abs().max() == 1
