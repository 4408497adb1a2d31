"""Features of any origin, for comparison: folders or files of .npy, ours (with records) or others'.

A file holds one video, (T, D) or (D, T); axes of length 1 beside these two, as some tools write them, are
left out. Ours say when their steps are.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.files import read_json
from pipeline.interchange.names import stem, without_suffix

Layout = Literal["auto", "td", "dt"]
LAYOUTS: tuple[Layout, ...] = ("auto", "td", "dt")


class CompareError(ValueError):
    """Features that cannot be compared; the message names what was found and what to do."""


@dataclass(frozen=True)
class FeatureArray:
    """One video's features as they lie in a file: two axes, which is which is not said yet."""

    path: Path
    array: np.ndarray  # not read before it is used
    sec_T: np.ndarray | None = None  # centres of the steps, of ours alone; then the array is (T, D)

    def steps(self, layout: Layout) -> np.ndarray:
        """(T, D) float32; CompareError where a number is not finite."""
        x_TD = np.asarray(self.array if layout == "td" else self.array.T, dtype=np.float32)
        if not np.isfinite(x_TD).all():
            bad = int((~np.isfinite(x_TD)).any(axis=1).sum())
            raise CompareError(f"{self.path}: {bad} of {len(x_TD)} steps are not finite")
        return x_TD


def read_features(path: Path) -> dict[str, FeatureArray]:
    """All .npy below a folder, by path without the suffix; a single file by its name.

    A folder of results stands for the features in it, if there is one kind. CompareError where nothing is
    found, or something else than an array of numbers with two axes.
    """
    if path.is_file():
        return {path.stem: _read(path)}
    folder = _features_of_results(path) if (path / "features").is_dir() else path
    found = {
        file.relative_to(folder).as_posix().removesuffix(".npy"): _read(file)
        for file in sorted(folder.rglob("*.npy"))
    }
    if not found:
        raise CompareError(f"{path}: no .npy in it; expected a folder of features, or one file")
    return found


def pair_up(a: Mapping[str, object], b: Mapping[str, object]) -> list[tuple[str, str]]:
    """Names of the same video in both, in the order of A.

    By path, else without the video's suffix, else by stem; what is not unique on both sides is left out.
    Two single files are a pair whatever their names.
    """
    if len(a) == len(b) == 1:
        return [(next(iter(a)), next(iter(b)))]
    left_a, left_b, pairs = list(a), list(b), dict[str, str]()
    for rule in (str, without_suffix, stem):
        of_b = _by(rule, left_b)
        for key, names in _by(rule, left_a).items():
            if len(names) == len(of_b.get(key, ())) == 1:
                pairs[names[0]] = of_b[key][0]
        left_a = [name for name in left_a if name not in pairs]
        left_b = [name for name in left_b if name not in pairs.values()]
    return [(name, pairs[name]) for name in a if name in pairs]


def find_layouts(
    a: Mapping[str, FeatureArray],
    b: Mapping[str, FeatureArray],
    layout_a: Layout = "auto",
    layout_b: Layout = "auto",
) -> tuple[Layout, Layout, int]:
    """Which axis of A and of B is time, and the feature size D that both have then.

    (T, D) wherever that is possible; (D, T) only where nothing else gives all files of both sides one
    D. CompareError where nothing does, or where several readings do but (T, D) of both.
    """
    readings = []
    for one, other in product(_options(a, layout_a), _options(b, layout_b)):
        sizes = _sizes(a, one) | _sizes(b, other)
        if len(sizes) == 1:
            readings.append((one, other, sizes.pop()))
    if readings and (readings[0][:2] == ("td", "td") or len(readings) == 1):
        return readings[0]
    found = f"A has arrays of {_shapes(a)}, B of {_shapes(b)}"
    if not readings:
        raise CompareError(f"{found}: no feature size D is the same in all; these are not the same features")
    raise CompareError(f"{found}: which axis is time is not clear; say it with --layout-a and --layout-b")


def _features_of_results(out: Path) -> Path:
    kinds = sorted(folder for folder in (out / "features").iterdir() if folder.is_dir())
    if len(kinds) == 1:
        return kinds[0]
    there = ", ".join(str(folder) for folder in kinds) or "none"
    raise CompareError(f"{out}: holds {len(kinds)} kinds of features; name one of these folders: {there}")


def _read(path: Path) -> FeatureArray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CompareError(f"{path}: cannot be read as an array ({error})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise CompareError(f"{path}: holds {getattr(array, 'dtype', type(array))}, expected floating point")
    long = tuple(length for length in array.shape if length != 1)
    if array.ndim > 2 and len(long) <= 2:
        array = array.reshape(long if len(long) == 2 else (array.shape[0], -1))
    if array.ndim != 2 or array.size == 0:
        raise CompareError(
            f"{path}: has the shape {array.shape}; expected steps and features, (T, D) or (D, T)"
        )
    centers = read_json(path.with_suffix(".json")).get("centers_sec")
    if isinstance(centers, list) and len(centers) == len(array):
        return FeatureArray(path, array, np.asarray(centers, dtype=np.float64))
    return FeatureArray(path, array)


def _by(rule: Callable[[str], str], names: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[rule(name)].append(name)
    return found


def _options(features: Mapping[str, FeatureArray], layout: Layout) -> tuple[Layout, ...]:
    if layout != "auto":
        return (layout,)
    ours = any(one.sec_T is not None for one in features.values())
    return ("td",) if ours else ("td", "dt")


def _sizes(features: Mapping[str, FeatureArray], layout: Layout) -> set[int]:
    return {one.array.shape[1 if layout == "td" else 0] for one in features.values()}


def _shapes(features: Mapping[str, FeatureArray]) -> str:
    shapes = sorted({one.array.shape for one in features.values()})
    return ", ".join(map(str, shapes[:3])) + (", ..." if len(shapes) > 3 else "")
