"""A folder of practice videos with labels and truth: written once, completed where something is missing.

    out/world.json            what the folder is made from
    out/videos/train_000.mp4  H.264, 8 bit
    out/labels.csv            video, start, end, label, subset: seconds on the player's clock
    out/truth/train_000.npz   joints_FMJ3, boxes_FM4, person_FM; the scene's spec and the video's sha256

Shapes: F frames, M persons, J = 17 COCO joints, H W pixels.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from pipeline.files import file_sha256, sweep_temporary, write_atomic
from pipeline.synthetic.actions import DEMO_ACTIONS
from pipeline.synthetic.mp4 import write_mp4
from pipeline.synthetic.scene import Scene
from pipeline.synthetic.spec import SceneSpec
from pipeline.synthetic.workers import run_all
from pipeline.synthetic.world import VERSION, World, claim

_SUBSETS = {"train": "training", "test": "testing"}


def render_practice(
    out: Path,
    *,
    seed: int = 0,
    train_videos: int = 24,
    test_videos: int = 12,
    seconds: float = 20.0,
    actions: tuple[str, ...] = DEMO_ACTIONS,
    size: tuple[int, int] = (192, 144),
    fps: float = 25.0,
    workers: int = 2,
    progress: Callable[[str], object] | None = None,
) -> int:
    """Render what is missing below `out`; returns how many videos that were, the others were there.

    `progress` is called with the name of every video once it is there. May be killed at any moment and
    called again; a video that is missing or damaged is made alone, with the same bytes, which do not
    depend on `workers` (processes) either. ValueError when `out` holds a world made from something else.
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
    claim(out, world)
    specs = world.specs()
    missing = {stem: spec for stem, spec in specs.items() if not _is_whole(out, stem, spec)}
    made = run_all(_render, [(out, stem, spec) for stem, spec in missing.items()], workers)
    for stem in chain((stem for stem in specs if stem not in missing), made):
        if progress is not None:
            progress(stem)
    _write_labels(out / "labels.csv", specs)
    sweep_temporary(out)  # of a run that was killed: its processes may have lived on for a moment
    return len(missing)


def truth_spec(path: Path) -> SceneSpec:
    """The spec in a truth file: `Scene(truth_spec(path)).flow(i)` is the flow of its video."""
    with np.load(path, allow_pickle=False) as truth:
        data = json.loads(str(truth["spec"]))
    version = data.pop("version")
    if version != VERSION:
        raise ValueError(
            f"{path}: made by version {version} of the practice world, this is {VERSION}; "
            "delete the folder and render it again"
        )
    return SceneSpec.from_json(data)


def _render(out: Path, stem: str, spec: SceneSpec) -> str:
    """Write one video, then its truth; each appears whole or not at all. Returns the stem."""
    scene = Scene(spec)
    joints: list[np.ndarray] = []

    def frames() -> Iterator[np.ndarray]:
        for i in range(spec.num_frames):
            picture_HW3, top_HW = scene.frame_and_top(i)
            joints.append(scene.joints(i, top_HW))
            yield picture_HW3

    video, truth = _paths(out, stem)
    write_atomic(video, lambda file: write_mp4(file, frames(), spec.fps, spec.size))
    boxes_FM4 = np.stack([scene.boxes(i) for i in range(spec.num_frames)])
    arrays = {
        "joints_FMJ3": np.stack(joints),
        "boxes_FM4": boxes_FM4,
        "person_FM": (boxes_FM4[..., 2:] > boxes_FM4[..., :2]).all(axis=-1),  # some of it is in the picture
        "spec": np.array(_spec_text(spec)),
        "video_sha256": np.array(file_sha256(video)),
    }
    write_atomic(truth, lambda file: np.savez_compressed(file, **arrays))
    return stem


def _is_whole(out: Path, stem: str, spec: SceneSpec) -> bool:
    """Whether a video is the one its truth, written after it, was written for, and of this spec."""
    video, truth_path = _paths(out, stem)
    if not (video.exists() and truth_path.exists()):
        return False
    try:
        with truth_path.open("rb") as file, np.load(file, allow_pickle=False) as truth:
            same = str(truth["spec"]) == _spec_text(spec)
            return same and str(truth["video_sha256"]) == file_sha256(video)
    except Exception:  # whatever a damaged archive raises: it is made anew
        return False


def _write_labels(path: Path, specs: dict[str, SceneSpec]) -> None:
    """All labels, from the specs alone; a video without an action has one row that says so."""
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
    content = text.getvalue().encode()
    if not path.exists() or path.read_bytes() != content:
        write_atomic(path, lambda file: file.write(content))


def _paths(out: Path, stem: str) -> tuple[Path, Path]:
    return out / "videos" / f"{stem}.mp4", out / "truth" / f"{stem}.npz"


def _spec_text(spec: SceneSpec) -> str:
    return json.dumps({"version": VERSION} | spec.to_json(), sort_keys=True)
