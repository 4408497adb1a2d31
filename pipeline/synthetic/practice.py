"""A folder of practice videos with labels and truth: written once, completed where something is missing.

    out/world.json            what the folder was made from
    out/videos/train_000.mp4  H.264
    out/labels.csv            video, start, end, label, subset: seconds on the player's clock
    out/truth/train_000.npz   joints_FMJ3, boxes_FM4, person_FM, and the scene's spec

Shapes: F frames, M persons, J = 17 COCO joints.
"""

import csv
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from shutil import rmtree
from threading import Thread
from typing import Any

import numpy as np

from pipeline.synthetic.actions import DEMO_ACTIONS
from pipeline.synthetic.mp4 import write_mp4
from pipeline.synthetic.scene import Scene
from pipeline.synthetic.spec import SceneSpec

WORLD_VERSION = 1  # raise it whenever the same spec gives other pixels, labels or bytes
_SUBSETS = {"train": "training", "test": "testing"}
Progress = Callable[[int, int, str], None]  # videos done, videos in all, name of the last one


@dataclass(frozen=True, kw_only=True)
class World:
    """What a practice folder is made from; kept in its world.json."""

    seed: int = 0
    train_videos: int = 24
    test_videos: int = 12
    seconds: float = 16.0  # mean length; single videos differ by up to a quarter
    actions: tuple[str, ...] = DEMO_ACTIONS
    size: tuple[int, int] = (192, 144)
    fps: float = 25.0

    def __post_init__(self) -> None:
        if self.train_videos < 0 or self.test_videos < 0 or self.train_videos + self.test_videos == 0:
            raise ValueError(f"need at least one video, got {self.train_videos} + {self.test_videos}")
        if not self.seconds >= 4:
            raise ValueError(
                f"videos of {self.seconds} s are too short for actions of 1.5-5 s; ask for 4 or more"
            )

    def specs(self) -> dict[str, SceneSpec]:
        """Scene of every video by its stem; each has its own seed, so that any is made alone."""
        specs = {}
        for d, (domain, count) in enumerate((("train", self.train_videos), ("test", self.test_videos))):
            for i in range(count):
                seed = (self.seed, d, i)
                seconds = self.seconds * np.random.default_rng([*seed, 7]).uniform(0.75, 1.25)
                specs[f"{domain}_{i:03d}"] = SceneSpec(
                    seed=seed,
                    actions=self.actions,
                    domain="train" if d == 0 else "test",
                    num_frames=round(seconds * self.fps),
                    fps=self.fps,
                    size=self.size,
                )
        return specs


@dataclass(frozen=True)
class Practice:
    """A finished practice folder."""

    out: Path
    labels: Path
    videos: tuple[Path, ...]
    rendered: int  # how many of them this call made; the others were there


def render_practice(
    out: Path,
    *,
    seed: int = 0,
    train_videos: int = 24,
    test_videos: int = 12,
    seconds: float = 16.0,
    actions: tuple[str, ...] = DEMO_ACTIONS,
    size: tuple[int, int] = (192, 144),
    fps: float = 25.0,
    workers: int = 2,
    progress: Progress | None = None,
) -> Practice:
    """Render what is missing below `out`; a video that is there and whole is left alone.

    May be killed and called again. The bytes do not depend on `workers`. One call per folder at a time.
    ValueError when `out` holds a world made from something else.
    """
    world = World(
        seed=seed,
        train_videos=train_videos,
        test_videos=test_videos,
        seconds=seconds,
        actions=actions,
        size=size,
        fps=fps,
    )
    specs = world.specs()
    _claim(out, world)
    for folder in ("videos", "truth", ".partial"):
        (out / folder).mkdir(exist_ok=True)
    missing = [stem for stem, spec in specs.items() if not _is_whole(out, stem, spec)]
    done = len(specs) - len(missing)
    for stem in _render_all(out, {stem: specs[stem] for stem in missing}, workers):
        done += 1
        if progress is not None:
            progress(done, len(specs), stem)
    labels = _write_labels(out, specs)
    rmtree(out / ".partial", ignore_errors=True)
    return Practice(out, labels, tuple(out / "videos" / f"{stem}.mp4" for stem in specs), len(missing))


def truth_spec(path: Path) -> SceneSpec:
    """The spec in a truth file: `Scene(truth_spec(path)).flow(i)` recomputes the flow of its video."""
    with np.load(path, allow_pickle=False) as truth:
        data = json.loads(str(truth["spec"]))
    version = data.pop("version")
    if version != WORLD_VERSION:
        raise ValueError(
            f"{path}: made by version {version} of the practice world, this is {WORLD_VERSION}; render anew"
        )
    return SceneSpec.from_json(data)


def _claim(out: Path, world: World) -> None:
    """Write world.json, or make sure that the one there says the same."""
    wanted = json.loads(json.dumps({"version": WORLD_VERSION} | asdict(world)))
    path = out / "world.json"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        _replace(path, (json.dumps(wanted, indent=2) + "\n").encode(), out)
        return
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error}); delete {out} and render it again") from error
    differ = [
        f"{key} {found.get(key)!r} there, {wanted[key]!r} asked for"
        for key in wanted
        if found.get(key) != wanted[key]
    ]
    if differ:
        raise ValueError(
            f"{out} holds a practice world made from something else ({'; '.join(differ)}); "
            "ask for the same, choose another folder, or delete this one"
        )


def _is_whole(out: Path, stem: str, spec: SceneSpec) -> bool:
    """Whether a video is the one its truth file, written after it, was written for."""
    video, truth_path = _paths(out, stem)
    if not (video.exists() and truth_path.exists()):
        return False
    try:
        with np.load(truth_path, allow_pickle=False) as truth:
            return str(truth["spec"]) == _spec_text(spec) and str(truth["video_sha256"]) == _sha256(video)
    except (OSError, ValueError, KeyError):
        return False  # not ours or damaged: made anew


def _render_all(out: Path, specs: dict[str, SceneSpec], workers: int) -> Iterator[str]:
    """Render videos, in this process or in several; yields each stem when it is done."""
    if workers <= 1 or len(specs) <= 1:
        for stem, spec in specs.items():
            _render(out, stem, spec)
            yield stem
        return
    # python -P in the children: modules of the user's current folder must not shadow ours
    with _environment("PYTHONSAFEPATH", "1"):
        pool = ProcessPoolExecutor(min(workers, len(specs)), get_context("spawn"), _child_starts)
        with pool:
            jobs = {pool.submit(_render, out, stem, spec): stem for stem, spec in specs.items()}
            for job in as_completed(jobs):
                job.result()
                yield jobs[job]


def _render(out: Path, stem: str, spec: SceneSpec) -> None:
    """Write one video, then its truth; each appears whole or not at all."""
    scene = Scene(spec)
    joints, boxes = [], []

    def frames() -> Iterator[np.ndarray]:
        for i in range(spec.num_frames):
            picture, top_HW = scene.frame_and_top(i)
            joints.append(scene.joints(i, top_HW))
            boxes.append(scene.boxes(i))
            yield picture

    video, truth = _paths(out, stem)
    partial = _partial(out)
    write_mp4(partial, frames(), spec.fps, spec.size)
    digest = _sha256(partial)
    _move(partial, video)
    boxes_FM4 = np.stack(boxes)
    content = io.BytesIO()
    np.savez_compressed(
        content,
        joints_FMJ3=np.stack(joints),
        boxes_FM4=boxes_FM4,
        person_FM=(boxes_FM4[..., 2] > boxes_FM4[..., 0]) & (boxes_FM4[..., 3] > boxes_FM4[..., 1]),
        spec=np.array(_spec_text(spec)),
        video_sha256=np.array(digest),
    )
    _replace(truth, content.getvalue(), out / ".partial")


def _write_labels(out: Path, specs: dict[str, SceneSpec]) -> Path:
    """labels.csv, from the specs alone; a video without an action has one row that says so."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["video", "start", "end", "label", "subset"])
    for stem, spec in specs.items():
        video, subset = f"videos/{stem}.mp4", _SUBSETS[spec.domain]
        labels = Scene(spec).labels()
        for label in labels:
            writer.writerow([video, f"{label.start:.3f}", f"{label.end:.3f}", label.label, subset])
        if not labels:
            writer.writerow([video, "", "", "", subset])
    path = out / "labels.csv"
    content = text.getvalue().encode()
    if not path.exists() or path.read_bytes() != content:
        _replace(path, content, out / ".partial")
    return path


def _paths(out: Path, stem: str) -> tuple[Path, Path]:
    return out / "videos" / f"{stem}.mp4", out / "truth" / f"{stem}.npz"


def _spec_text(spec: SceneSpec) -> str:
    return json.dumps({"version": WORLD_VERSION} | spec.to_json(), sort_keys=True)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _partial(folder: Path) -> Path:
    """A new file beside the final ones, where no reader looks."""
    handle, name = tempfile.mkstemp(dir=folder)
    os.close(handle)
    return Path(name)


def _move(partial: Path, path: Path) -> None:
    """Bring a finished file to its place, on disk before it has its name."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.chmod(0o644)
    partial.replace(path)


def _replace(path: Path, content: bytes, folder: Path) -> None:
    partial = _partial(folder)
    partial.write_bytes(content)
    _move(partial, path)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _child_starts() -> None:
    """One thread per process, and no life after the parent's: a killed parent cannot end its pool."""
    import cv2

    cv2.setNumThreads(1)
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()
