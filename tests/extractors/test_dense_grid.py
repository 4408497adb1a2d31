"""When dense features are: against the layers' own arithmetic, and the public script's loop."""

from itertools import pairwise

import numpy as np
import pytest

from extractors.base import Window
from extractors.dense_grid import CenteredWindow, DenseGrid, WholeWindow, grid_of, same_steps
from extractors.i3d import I3DConfig
from extractors.skeleton_config import SkeletonConfig


def by_layers(length: int) -> list[float]:
    """Middle of what each output sees, layer by layer: three that halve the time, then means over two."""
    centers = [float(frame) for frame in range(max(length, 9))]
    for kernel in (7, 3, 2):
        steps = (len(centers) + 1) // 2
        padding = max((steps - 1) * 2 + kernel - len(centers), 0)
        spacing = centers[1] - centers[0]
        first = centers[0] + spacing * ((kernel - 1) / 2 - padding // 2)
        centers = [first + 2 * spacing * i for i in range(steps)]
    return [(one + two) / 2 for one, two in pairwise(centers)]


def by_the_script(length: int) -> list[tuple[int, int]]:
    """The pieces of extract_features.py: from its first line with a 1600 to its last."""
    if length <= 1600:
        return [(0, length)]
    pieces = []
    for start in range(1, length - 56, 1600):
        end = min(length - 1, start + 1600 + 56)
        pieces.append((max(1, start - 48), end))
    return pieces


@pytest.mark.parametrize("length", [*range(1, 201), 333, 334, 335, 1001, 1600, 1601, 40_000])
def test_steps_are_where_the_layers_put_them(length):
    centers = DenseGrid().centers_K(length)
    assert centers.tolist() == by_layers(length)
    assert DenseGrid().count(length) == len(centers) == max(1, -(-length // 8) - 1)


@pytest.mark.parametrize("length", [9, 200, 1600, 1601, 1657, 1658, 3256, 3257, 3258, 5000, 40_000])
def test_the_public_steps_are_those_of_the_scripts_pieces(length):
    wanted = [start + center for start, stop in by_the_script(length) for center in by_layers(stop - start)]
    grid = DenseGrid(public=True)
    assert grid.spans(length) == by_the_script(length)
    assert grid.centers_K(length).tolist() == wanted
    assert grid.count(length) == len(wanted)


def test_the_public_script_gives_more_steps_than_the_video_has():
    assert (DenseGrid().count(40_000), DenseGrid(public=True).count(40_000)) == (4999, 5287)


@pytest.mark.parametrize("length", [1, 8, 9, 10, 11, 12, 100])
def test_windows_around_the_steps(length):
    window = CenteredWindow(33, DenseGrid())
    frames_KL = window.frames_KL(length)
    assert window.centers_K(length).tolist() == DenseGrid().centers_K(length).tolist()
    for row, center in zip(frames_KL.tolist(), by_layers(length), strict=True):
        assert row == [min(max(int(center) + i, 0), length - 1) for i in range(-16, 17)]


def test_an_even_window_has_no_middle_frame():
    with pytest.raises(ValueError, match="odd length, such as 47 or 49, got 48"):
        SkeletonConfig(mode="dense")
    assert SkeletonConfig(mode="dense", window=Window(49, 8)).grid == CenteredWindow(49, DenseGrid())


def by_sliding(length: int, stride: int, num_frames: int) -> list[int]:
    """First frames of whole windows, found by moving one along until it would hang over."""
    starts, start = [], 0
    while start + length <= num_frames:
        starts.append(start)
        start += stride
    return starts or [0]


@pytest.mark.parametrize(("length", "stride"), [(16, 4), (16, 16), (9, 20), (1, 1), (64, 3)])
def test_whole_windows_lie_within_the_video(length, stride):
    window = WholeWindow(length, stride)
    for num_frames in range(1, 201):
        starts = by_sliding(length, stride, num_frames)
        frames_KL = window.frames_KL(num_frames)
        assert frames_KL[:, 0].tolist() == starts
        assert window.count(num_frames) == len(starts)
        assert window.centers_K(num_frames).tolist() == [start + (length - 1) / 2 for start in starts]
        if num_frames >= length:
            assert frames_KL.tolist() == [[*range(start, start + length)] for start in starts]
        else:  # one, padded
            assert frames_KL.tolist() == [[*range(num_frames)] + [num_frames - 1] * (length - num_frames)]


def test_longer_whole_windows_are_about_the_same_moments():
    middle, longer = WholeWindow(16, 4), WholeWindow(48, 4, -16)
    for num_frames in range(1, 201):
        assert longer.centers_K(num_frames).tolist() == middle.centers_K(num_frames).tolist()
    assert longer.frames_KL(20).tolist() == [
        [min(max(start + i, 0), 19) for i in range(48)] for start in (-16, -12)
    ]


@pytest.mark.parametrize("window", [Window(16, 4, 1), Window(16, 4, -8)])
def test_a_whole_window_has_a_middle(window):
    with pytest.raises(ValueError, match=r"offset <= 0 and a middle of length \+ 2 offset >= 1"):
        I3DConfig(mode="windows-whole", window=window)


def test_a_mode_is_a_grid():
    window = Window(16, 8)
    assert grid_of("windows", window) == window == I3DConfig(window=window).grid
    assert I3DConfig(mode="dense").grid == DenseGrid()
    assert I3DConfig(mode="dense-public").grid == DenseGrid(public=True)
    assert I3DConfig(mode="windows-whole", window=window).grid == WholeWindow(16, 8)
    with pytest.raises(ValueError, match="windows, windows-whole, dense, dense-public, got 'fast'"):
        I3DConfig(mode="fast")


def test_grids_with_the_same_steps_are_known():
    dense, public = DenseGrid(), DenseGrid(public=True)
    assert same_steps(dense, CenteredWindow(9, dense))
    assert same_steps(Window(16, 16), Window(48, 16, -16))
    assert same_steps(WholeWindow(16, 4), WholeWindow(48, 4, -16))
    others = [dense, public, Window(16, 8), Window(16, 7), Window(16, 200), Window(16, 201)]
    others += [WholeWindow(16, 8), WholeWindow(15, 8), WholeWindow(16, 7), WholeWindow(33, 8, -8)]
    for i, one in enumerate(others):
        for other in others[i + 1 :]:
            assert not same_steps(one, other)


def test_identities_of_windows_have_no_word_of_modes():
    """Features and checkpoints made before there were modes are still found."""
    old = {"weights", "width", "resize", "crop", "window", "precision"}
    assert I3DConfig().identity().keys() == old
    assert I3DConfig().identity()["window"] == {"length": 16, "stride": 16, "offset": 0}
    assert "mode" not in SkeletonConfig().identity()
    assert SkeletonConfig().identity()["window"] == {"length": 48, "stride": 16, "offset": -16}


def test_identities_of_whole_windows_name_both():
    for config in (I3DConfig, SkeletonConfig):
        whole = [
            config(mode="windows-whole", window=window).identity()
            for window in (Window(16, 8), Window(16, 4))
        ]
        assert whole[0]["mode"] == "windows-whole"
        assert whole[0]["window"] == {"length": 16, "stride": 8, "offset": 0}
        assert whole[0] != whole[1]
        assert whole[0] != config(window=Window(16, 8)).identity()


def test_identities_of_dense_features_have_no_word_of_windows():
    dense = [I3DConfig(mode="dense", window=window).identity() for window in (Window(16, 8), Window(32, 4))]
    assert dense[0] == dense[1]
    assert dense[0] != I3DConfig(mode="dense-public").identity()
    assert I3DConfig(geometry="charades").identity()["geometry"] == "charades"
    skeleton = [SkeletonConfig(mode="dense", window=Window(49, stride)) for stride in (1, 8)]
    assert skeleton[0].identity() == skeleton[1].identity()
    assert skeleton[0].identity() != SkeletonConfig(mode="dense", window=Window(47, 8)).identity()
    assert np.isfinite(skeleton[0].grid.centers_K(5)).all()
