"""A small world for the page: moving squares with labels, the scores of four models, hostile names."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from extractors.skeleton_input import Joints
from pipeline.page_joints import joints_json
from pipeline.page_preview import make_preview
from pipeline.report import Curve, Media, ReportData, VideoPanel
from pipeline.report_video import put_script
from pipeline.timeline import Clock
from pipeline.tracks import JointTrack

CLASSES = ("wave", "clap", "stand up", "<script>alert(1)</script>")
HOSTILE = '"><img src=x onerror=alert(2)> & <b>.mp4'
FRAMES, FPS = 100, 25
RULE = {"rule": "threshold", "threshold": 0.5, "activity": 0.4, "min_sec": 0.2, "merge_gap_sec": 0.2}


def report_data(out: Path) -> ReportData:
    """What is on the page; previews and joints are written into `out`."""
    rich = tuple(rich_panel(out, name, seed) for seed, name in enumerate(("a.mp4", HOSTILE, "train/b.mkv")))
    poor = tuple(plain_panel(f"more/{i:03}.mp4", i) for i in range(40))
    names = ("vanilla", "teacher-flow", "two-stream", "student")
    metrics = {
        f"{name} ({protocol})": result(protocol, seed)
        for protocol in ("event_map", "frame_map/all")
        for seed, name in enumerate(names)
    }
    curve = [
        {"epoch": i, "train_loss": 1 / (i + 1), "atomic": 0.5 / (i + 1), "val_map": i / 9} for i in range(8)
    ]
    return ReportData(
        title="augrgb: <b>out</b>",
        classes=CLASSES,
        metrics=metrics,
        curves=(Curve("vanilla", tuple(curve)), Curve("student", tuple(curve))),
        videos=(*rich, *poor),
        failures=(
            {"video": HOSTILE, "stage": "extract", "reason": "truncated", "message": "28 of 50 frames"},
        ),
        stages=({"stage": "extract", "done": 43, "cached": 0, "failed": 1, "seconds": 61.0},),
        lint=("3 intervals cut",),
        run={"preset": "tiny", "device": "cpu", "seed": 0},
        final="student",
        events=RULE,
        label_curve=[
            {"name": "student", "rgb": True, "x": [1, 2, 4], "y": [20.0, 30.0, 41.0], "std": [3.0, 2.0, 1.0]}
        ],
    )


def rich_panel(out: Path, name: str, seed: int) -> VideoPanel:
    """With a preview, flow, joints, and the scores of several models."""
    key = f"{seed:016x}"
    source = out / f"source{seed}.mp4"
    write_moving_square(source)
    make_preview(source, out / "media" / f"{key}.mp4", out / "media" / f"{key}.js", key)
    (out / "joints").mkdir(exist_ok=True)
    (out / "joints" / f"{key}.js").write_bytes(put_script(key, joints_json(joint_track(), FPS)))
    others = {
        model: scores(seed + shift)
        for shift, model in enumerate(("vanilla", "teacher-flow", "two-stream"), 1)
    }
    plain = plain_panel(name, seed)
    media = Media("preview", f"media/{key}.mp4", 0.0, f"media/{key}.js")
    return VideoPanel(
        **{**vars(plain), "subset": "testing", "others": others, "media": media, "joints": f"joints/{key}.js"}
    )


def plain_panel(name: str, seed: int) -> VideoPanel:
    """Scores and labels alone."""
    intervals = ((0.4, 1.6, "wave"), (1.2, 2.8, CLASSES[3]), (3.0, 3.6, "clap"))
    return VideoPanel(
        name=name,
        subset="training",
        times_sec_F=np.arange(FRAMES) / FPS,
        scores_FK=scores(seed),
        intervals=intervals,
        note="decord (default)",
        fps=FPS,
        num_frames=FRAMES,
        seconds=1.5 + seed,
    )


def scores(seed: int) -> np.ndarray:
    """Slowly changing scores (F, K) float32 that cross every threshold."""
    at = np.arange(FRAMES)[:, None]
    k = np.arange(len(CLASSES))
    wave = np.sin(at / (9 + 4 * k) + 1.7 * k + 0.6 * seed)
    return ((0.5 + 0.49 * wave) ** (1 + 0.3 * k)).astype(np.float32)


def result(protocol: str, seed: int) -> dict[str, Any]:
    """As metrics.json has it."""
    ap = {name: 0.3 + 0.1 * k + 0.05 * seed for k, name in enumerate(CLASSES)}
    value = sum(ap.values()) / len(ap)
    return {
        "protocol": protocol,
        "mean_ap": value,
        "interval": [value - 0.05, value + 0.04],
        "chance": 0.1,
        "ap": ap,
        "positives": dict.fromkeys(CLASSES, 120),
        "chance_per_class": dict.fromkeys(CLASSES, 0.1),
        "frames": 300,
        "videos": 3,
        "missing": [],
    }


def joint_track() -> JointTrack:
    """One person who walks from left to right of a picture of 160 x 120 px."""
    joints = np.zeros((FRAMES, 2, 17, 3), np.float32)
    joints[:, 0, :, 0] = np.linspace(30, 130, FRAMES)[:, None] + np.linspace(-12, 12, 17)
    joints[:, 0, :, 1] = np.linspace(20, 100, 17)
    joints[:, 0, :, 2] = 0.9
    ids = np.tile([0, -1], (FRAMES, 1))
    found = Joints(ids, joints, np.zeros((FRAMES, 2, 5), np.float32), 160, 120)
    return JointTrack(found, Clock.constant(FRAMES, Fraction(FPS)))


def write_moving_square(path: Path) -> None:
    """A bright square that moves to the right over noise, in MPEG-4 part 2, which no browser plays."""
    noise = np.random.default_rng(0).integers(0, 90, (120, 160, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for i in range(FRAMES):
            picture = noise.copy()
            picture[40:80, 10 + i : 50 + i] = noise[40:80, 10:50] + 140
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
