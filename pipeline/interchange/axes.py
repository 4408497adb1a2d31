"""Which axis of a foreign array is time: layouts by name, and how a wrong name is noticed.

    td      (T, D)          ActionFormer, OpenTAD, video_features
    t11d    (T, 1, 1, D)    I3D features as PDAN and MS-TCT are given them
    dt      (D, T)          channels first

Shapes: T steps, D feature size.
"""

from collections.abc import Collection, Mapping
from typing import Literal, get_args

import numpy as np

from pipeline.inputs import printable
from pipeline.interchange.foreign_arrays import ForeignArray
from pipeline.interchange.names import InterchangeError

Layout = Literal["td", "t11d", "dt"]
AXES: Mapping[Layout, str] = {"td": "(T, D)", "t11d": "(T, 1, 1, D)", "dt": "(D, T)"}
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_SLACK = 1.1  # more steps than this times the frames are no steps


def from_layout(array: np.ndarray, layout: Layout) -> np.ndarray:
    """An array of `layout` as (T, D): a view."""
    if layout == "t11d":
        return array[:, 0, 0, :]
    return array.T if layout == "dt" else array


def to_layout(data_TD: np.ndarray, layout: Layout) -> np.ndarray:
    """(T, D) as an array of `layout`."""
    if layout == "t11d":
        return data_TD[:, None, None, :]
    return np.ascontiguousarray(data_TD.T) if layout == "dt" else data_TD


def steps_and_size(shape: tuple[int, ...], layout: Layout) -> tuple[int, int] | None:
    """(T, D) of an array, None where it cannot be of this layout."""
    if layout == "t11d":
        return (shape[0], shape[3]) if len(shape) == 4 and shape[1:3] == (1, 1) else None
    if len(shape) != 2:
        return None
    return shape if layout == "td" else (shape[1], shape[0])


def check_layout(
    arrays: Mapping[str, ForeignArray], layout: Layout, frames: Mapping[str, int], where: str
) -> None:
    """Whether all arrays (by video) are of this layout, with one D, and no more steps than frames.

    InterchangeError otherwise, with the layout that they probably are of; `where` is their folder.
    """
    if layout not in LAYOUTS:
        raise InterchangeError(f"layout {layout!r}; expected {', '.join(LAYOUTS)}")
    likely, first = _likely(arrays.values(), layout), next(iter(arrays.values()))
    for video, array in arrays.items():
        size, size_of_first = steps_and_size(array.shape, layout), steps_and_size(first.shape, layout)
        has = f"{printable(array.path)}: has the shape {array.shape}"
        if size is None or size_of_first is None:
            raise InterchangeError(f"{has}, layout {layout} is {AXES[layout]}{likely}")
        if size[1] != size_of_first[1]:
            raise InterchangeError(
                f"{where}: read as {layout}, {AXES[layout]}, D is {size_of_first[1]} in "
                f"{printable(first.path.name)} and {size[1]} in {printable(array.path.name)}"
                f"{likely or '; these are not the same features'}"
            )
        if size[0] > _SLACK * frames[video] + 2:
            raise InterchangeError(
                f"{has}: read as {layout}, {AXES[layout]}, {size[0]} steps for {frames[video]} frames"
                f"{likely or '; is its length or the frame rate wrong?'}"
            )


def _likely(arrays: Collection[ForeignArray], layout: Layout) -> str:
    """Which other layout would fit all of them, in words; nothing where none does."""
    for other in LAYOUTS:
        sizes = {steps_and_size(array.shape, other) for array in arrays}
        if other != layout and None not in sizes and len({size[1] for size in sizes if size}) == 1:
            return f"; it looks like layout {other}, {AXES[other]}"
    return ""
