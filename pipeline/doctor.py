"""`augrgb doctor`: what is installed, what works, what does not and the fix; tried, not assumed."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from pipeline.video import DecodePolicy, decode

State = Literal["ok", "optional", "broken"]
LIBRARIES = ("torch", "torchvision", "decord", "av", "numpy", "opencv-python-headless", "lightning")
POSE_LIBRARIES = ("mmpose", "mmcv-lite", "mmengine", "mmdet", "norfair")
FREE_BYTES = 2 << 30


@dataclass(frozen=True)
class Check:
    """One thing looked at: `fix` says what to do where it is not ok."""

    what: str
    state: State
    found: str
    fix: str = ""


def examine() -> bool:
    """Look at everything, print a line each; whether all that RGB needs works."""
    broken = 0
    for check in _checks():
        print(f"{check.state:8}  {check.what}: {check.found}")
        if check.fix:
            print(f"{'':10}  {check.fix}")
        broken += check.state == "broken"
    print(f"{broken} broken" if broken else "everything that is needed works")
    return not broken


def _checks() -> Iterator[Check]:
    yield from map(_installed, LIBRARIES)
    yield from (_installed(name, optional=True) for name in POSE_LIBRARIES)
    yield _tried("device", _device)
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "check.mp4"
        yield _tried("write H.264 (for the practice world)", lambda: _write(video))
        yield _tried("decode with decord", lambda: _decode(video, DecodePolicy(decoder="decord")))
        yield _tried("decode with pyav", lambda: _decode(video, DecodePolicy(decoder="pyav")))
    yield from _weights()
    yield _tried("tiny preset extracts rgb", lambda: _extract("rgb"))
    yield _tried("tiny preset extracts flow", lambda: _extract("flow"))
    yield _tried("tiny preset extracts skeleton", lambda: _extract("skeleton"), optional=True)
    free = shutil.disk_usage(Path.cwd()).free
    low = free < FREE_BYTES
    yield Check(
        "free disk here", "optional" if low else "ok", f"{free / 1e9:.1f} GB", "make room" if low else ""
    )


def _installed(name: str, *, optional: bool = False) -> Check:
    try:
        return Check(name, "ok", version(name))
    except PackageNotFoundError:
        state: State = "optional" if optional else "broken"
        return Check(name, state, "not installed", "`make install`" + " (for skeletons)" * optional)


def _tried(what: str, trial: Callable[[], str], *, optional: bool = False) -> Check:
    """Any failure is a finding here, with its message."""
    try:
        return Check(what, "ok", trial())
    except Exception as error:
        text = str(error).splitlines()[0] if str(error) else ""
        state: State = "optional" if optional else "broken"
        return Check(what, state, f"{type(error).__name__}: {text}", "`make install` mends the libraries")


def _device() -> str:
    import torch

    from pipeline.job import describe_device, resolve_device

    device = resolve_device("auto")
    threads = f"{torch.get_num_threads()} threads, {os.cpu_count()} cores"
    return f"{describe_device(device)}, {threads}"


def _write(path: Path) -> str:
    import numpy as np

    from pipeline.synthetic.mp4 import write_mp4

    frames = (np.full((64, 64, 3), 8 * i, dtype=np.uint8) for i in range(30))
    with path.open("wb") as file:
        write_mp4(file, frames, 25.0, (64, 64))
    return f"{path.stat().st_size} bytes for 30 frames"


def _decode(path: Path, policy: DecodePolicy) -> str:
    count, _ = decode(path, lambda stream: sum(1 for _ in stream), fps=None, policy=policy)
    if count != 30:
        raise ValueError(f"{count} of 30 frames")
    return "30 of 30 frames"


def _weights() -> Iterator[Check]:
    from extractors.weight_files import FILES
    from extractors.weights import cache_folder, find_weights

    for name, entry in FILES.items():
        path = find_weights(name)
        if path is not None:
            yield Check(f"weights {name}", "ok", str(path))
        elif entry.url is None:
            yield Check(f"weights {name}", "broken", "not in this package", "`make weights` trains them")
        else:
            fix = f"fetched on first use from {entry.url}; offline: put it into {cache_folder()}"
            yield Check(f"weights {name}", "optional", "not here", fix)


def _extract(name: str) -> str:
    import torch

    from pipeline.presets import tiny
    from pipeline.progress import Progress
    from pipeline.recipe import Recipe

    recipe = Recipe.build(tiny(), (name,), Progress(quiet=True), torch.device("cpu"))
    if recipe.skeletons is not None:
        recipe.skeletons.pose.frames(torch.zeros(2, 120, 160, 3, dtype=torch.uint8))
        return f"{recipe.skeletons.features.dim} features of a clip"
    extractor = recipe.extractors[name]
    frames = extractor.frames(torch.zeros(16 + extractor.lookahead, 120, 160, 3, dtype=torch.uint8))
    return f"{extractor.clips(frames[None]).shape[1]} features of a clip"
