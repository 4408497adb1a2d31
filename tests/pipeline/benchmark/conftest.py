"""A small data set of features made elsewhere: what the teacher sees tells the actions well, RGB less so."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.benchmark.options import Options

VIDEOS = 9
STEP_SEC = 0.5
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "td": lambda x_TD: x_TD,
    "t11d": lambda x_TD: x_TD[:, None, None, :],
    "dt": lambda x_TD: x_TD.T,
}


def write_features(folder: Path, layout: str = "td") -> Path:
    """folder/labels.json, folder/rgb/v0.npy, folder/flow/v0.npy, ...: every third video tests."""
    rng = np.random.default_rng(0)
    directions_MKD = rng.standard_normal((2, 2, 6))
    database = {}
    for i in range(VIDEOS):
        steps = 20 + i
        target_TK = np.zeros((steps, 2), np.float32)
        annotations = []
        for k, label in enumerate(["run", "jump"]):
            start = int(rng.integers(0, steps - 8))
            target_TK[start : start + 6, k] = 1
            annotations.append({"segment": [start * STEP_SEC, (start + 6) * STEP_SEC], "label": label})
        subset = "testing" if i % 3 == 2 else "training"
        database[f"v{i}"] = {"subset": subset, "duration": steps * STEP_SEC, "annotations": annotations}
        for modality, directions_KD, noise in zip(("rgb", "flow"), directions_MKD, (1.0, 0.3), strict=True):
            x_TD = target_TK @ directions_KD + noise * rng.standard_normal((steps, 6))
            path = folder / modality / f"v{i}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, LAYOUTS[layout](x_TD.astype(np.float32)))
    (folder / "labels.json").write_text(json.dumps({"database": database}))
    return folder


def small(features: Path, out: Path, **changes: object) -> Options:
    """Two short models on these features; `changes` are of Options."""
    values: dict[str, object] = {
        "name": "folder",
        "out": out,
        "annotations": features / "labels.json",
        "folders": {"rgb": features / "rgb", "flow": features / "flow"},
        "layout": "td",
        "preset": "tiny",
        "overrides": ["train.epochs=2", "tcn.hidden=8", "tcn.layers=1", "train.lr=0.01"],
        "rows": ["chance", "vanilla", "teacher-flow", "two-stream", "augmented"],
        "seeds": 1,
        "folds": 0,
        "samples": 50,
        "device": "cpu",
        "workers": 1,
        "command": "augrgb benchmark folder",
        "quiet": True,
    }
    return Options(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features and labels; nothing is to be changed in it."""
    return write_features(tmp_path_factory.mktemp("features"))


@pytest.fixture(name="write_features", scope="session")
def write_features_fixture() -> Callable[..., Path]:
    """`write_features(folder, layout="td")`."""
    return write_features


@pytest.fixture(name="small", scope="session")
def small_fixture() -> Callable[..., Options]:
    """`small(features, out, **changes)`."""
    return small
