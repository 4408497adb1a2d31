"""Recipes on videos of odd shapes and clocks, against the same done once more by other tools.

By hand: frames and their times from PyAV, the nearest in time of each sample in whole fractions, PIL's and
OpenCV's resizing, crops by indices, and the network on all frames at once.
Shapes: F frames of the file, S sampled frames, H W pixels, D features.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from extractors.i3d import I3D
from pipeline import extract
from pipeline.config import load_config

WIDTH = 1 / 32  # of the network


def drifting(count: int, height: int, width: int) -> list[np.ndarray]:
    """Frames (H, W, 3) of coloured squares that move: another pixel or another frame is another feature."""
    rng = np.random.default_rng(height * width + count)
    squares = np.kron(rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3)), np.ones((8, 8, 1)))
    return [np.roll(squares, (i, 2 * i), (0, 1))[:height, :width].astype(np.uint8) for i in range(count)]


# Milliseconds at which the frames of a video of variable rate are shown
TIMES_MS = np.random.default_rng(0).integers(10, 90, 14).cumsum().tolist()
TEN_BITS = {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "log-level=none"}}
VIDEOS = {
    "upright.mp4": ((21, 128, 72), {"rate": 25}),
    "sliver.mp4": ((4, 33, 1000), {"rate": 30, "pix_fmt": "yuv444p"}),
    "stamp.mp4": ((17, 16, 16), {"rate": 24}),
    "one.mp4": ((1, 96, 128), {"rate": 25}),
    "two.mp4": ((2, 96, 128), {"rate": 25}),
    "variable.mkv": ((14, 96, 128), {"rate": 1000, "pts": TIMES_MS}),
    "ten_bits.mp4": ((10, 96, 128), {"rate": Fraction(30000, 1001), **TEN_BITS}),
    "turned.mp4": ((8, 96, 128), {"rate": 25, "rotation": 90}),
    "fast.mp4": ((22, 100, 140), {"rate": 60}),
    "slow.mp4": ((4, 100, 140), {"rate": 5}),
    "wide.mp4": ((3, 288, 512), {"rate": 25}),
}


@pytest.fixture(scope="module")
def videos(write_video, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    for name, (size, how) in VIDEOS.items():
        write_video(folder / name, drifting(*size), **how)
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> tuple[I3D, list[str]]:
    """A narrow one with random weights, and the settings that put it into a preset."""
    path = tmp_path_factory.mktemp("narrow") / "rgb.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        save_file(I3D(3, None, WIDTH).state_dict(), path)
    network = I3D(3, None, WIDTH).eval()
    network.load_state_dict(load_file(path))
    return network, [f"rgb.weights={path}", f"rgb.width={WIDTH}"]


def frames_and_times(path: Path) -> tuple[list[np.ndarray], list[Fraction]]:
    """Upright frames, and their seconds from the first one."""
    frames, times = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            eight_bit = frame.reformat(format=frame.format.name.removesuffix("10le"))
            turned = np.rot90(eight_bit.to_ndarray(format="rgb24"), frame.rotation // 90)
            frames.append(np.ascontiguousarray(turned))
            times.append(frame.pts * frame.time_base)
    return frames, [time - times[0] for time in times]


def nearest(times: list[Fraction], fps: int) -> list[int]:
    """The frame shown nearest to each multiple of 1 / fps, the earlier of two, up to the last one's time."""
    targets = (Fraction(j, fps) for j in range(math.floor(times[-1] * fps) + 1))
    return [min(range(len(times)), key=lambda i: (abs(times[i] - target), i)) for target in targets]


def kinetics_pixels(frame: np.ndarray) -> np.ndarray:
    """video_features: the short side 256 px by PIL, the other rounded down; the middle, rounded down."""
    height, width = frame.shape[:2]
    short = min(height, width)
    size = (256 * width // short, 256 * height // short)
    resized = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))
    top, left = (resized.shape[0] - 224) // 2, (resized.shape[1] - 224) // 2
    return resized[top : top + 224, left : left + 224]


def charades_pixels(frame: np.ndarray) -> np.ndarray:
    """pytorch-i3d, of frames at most 320 px long: a short side of 226 px by OpenCV; the middle, rounded."""
    height, width = frame.shape[:2]
    if max(height, width) > 320:
        size = (round(320 * width / max(height, width)), round(320 * height / max(height, width)))
        frame = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))
    height, width = frame.shape[:2]
    if min(height, width) < 226:
        factor = 1 + (226 - min(height, width)) / min(height, width)
        frame = cv2.resize(frame, dsize=(0, 0), fx=factor, fy=factor)
    top, left = (int(np.round((side - 224) / 2)) for side in frame.shape[:2])
    return frame[top : top + 224, left : left + 224]


def padded_stacks(count: int) -> list[tuple[list[int], float]]:
    """Frames of each feature, and where its middle is, in frames."""
    return [
        ([min(i, count - 1) for i in range(start, start + 16)], start + 7.5) for start in range(0, count, 16)
    ]


def whole_stacks(count: int) -> list[tuple[list[int], float]]:
    """The same, as long as they last."""
    starts = range(0, max(count - 15, 1), 4)
    return [([min(i, count - 1) for i in range(start, start + 16)], start + 7.5) for start in starts]


def stacked(
    stacks: Callable[[int], list[tuple[list[int], float]]],
) -> Callable[[I3D, torch.Tensor], tuple[np.ndarray, list[float]]]:
    """Features of stacks of frames, each the mean over its steps, and their middles."""

    def features(network: I3D, x_SHWC: torch.Tensor) -> tuple[np.ndarray, list[float]]:
        cut = stacks(len(x_SHWC))
        clips = torch.stack([x_SHWC[frames].permute(3, 0, 1, 2) for frames, _ in cut])
        return network.extract_features(clips).mean(2).numpy(), [middle for _, middle in cut]

    return features


def dense(network: I3D, x_SHWC: torch.Tensor) -> tuple[np.ndarray, list[float]]:
    """Features of all frames as one clip; below 9, the last one repeats."""
    seen = max(len(x_SHWC), 9)
    x_SHWC = torch.cat([x_SHWC, x_SHWC[-1:].expand(seen - len(x_SHWC), -1, -1, -1)])
    middles = [8.0 * k + (9, 6, 7, 8)[seen % 4] for k in range(math.ceil(seen / 8) - 1)]
    return network.extract_features(x_SHWC.permute(3, 0, 1, 2)[None])[0].T.numpy(), middles


def _network_input(shown_SHWC: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(shown_SHWC).float() / 127.5 - 1


RECIPES = {
    "kinetics-16": (25, kinetics_pixels, stacked(padded_stacks), 1e-3),
    "thumos": (30, kinetics_pixels, stacked(whole_stacks), 1e-3),
    "charades": (24, charades_pixels, dense, 5e-3),
}


@torch.inference_mode()
@pytest.mark.parametrize(
    "preset", ["kinetics-16", "charades", pytest.param("thumos", marks=pytest.mark.slow)]
)
def test_features_and_seconds_are_those_made_by_hand(videos, network, tmp_path, preset):
    """What is left between the two is a grey level here and there: of resizing, and of nothing else."""
    model, settings = network
    fps, pixels, features, tolerance = RECIPES[preset]
    assert load_config(preset).fps == fps
    made = extract(
        videos,
        tmp_path / "out",
        features=("rgb",),
        preset=preset,
        overrides=settings,
        quiet=True,
        device="cpu",
    )["rgb"]
    assert made.keys() == VIDEOS.keys()
    shown = {}
    for name, track in made.items():
        frames, times = frames_and_times(videos / name)
        shown[name] = np.stack([pixels(frames[i]) for i in nearest(times, fps)])
        wanted_TD, middles = features(model, _network_input(shown[name]))
        np.testing.assert_allclose(
            track.center_sec_T, np.array(middles) / fps, rtol=0, atol=1e-9, err_msg=name
        )
        largest = np.abs(wanted_TD).max()
        np.testing.assert_allclose(track.data_TD, wanted_TD, rtol=0, atol=tolerance * largest, err_msg=name)
    # a frame later is another feature: the tolerance is not so wide that anything would do
    later_TD, _ = features(model, _network_input(np.roll(shown["upright.mp4"], 1, axis=0)))
    off_TD = np.abs(later_TD - made["upright.mp4"].data_TD)
    assert off_TD.max() > 5 * tolerance * np.abs(later_TD).max()
