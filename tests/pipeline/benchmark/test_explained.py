"""How much one modality's features tell of another's."""

from fractions import Fraction

import numpy as np
import pytest

from pipeline.benchmark.explained import explained
from pipeline.cache import FeatureFile
from pipeline.interchange.stored_features import StoredFeatures
from pipeline.timeline import Clock
from pipeline.tracks import FeatureTrack


def store(out, name, arrays) -> StoredFeatures:
    for video, data_TD in arrays.items():
        file = FeatureFile.locate(out, video, "0" * 64, {"name": name}, {})
        centers = np.arange(len(data_TD)) + 0.5
        file.save(FeatureTrack(data_TD, centers, Clock.constant(len(data_TD) * 5, Fraction(5))), {})
    return StoredFeatures(next((out / "features").glob(f"{name}-*")))


@pytest.fixture
def source() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"{i}.mp4": rng.normal(size=(60, 4)).astype(np.float32) for i in range(9)}


def test_a_linear_map_of_neighbouring_steps_is_explained(tmp_path, source) -> None:
    mixing = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    target = {video: np.roll(x_TD, 2, axis=0) @ mixing for video, x_TD in source.items()}
    assert explained(store(tmp_path, "a", source), store(tmp_path, "b", target)) > 0.85


def test_noise_is_not_explained_and_half_noise_half(tmp_path, source) -> None:
    rng = np.random.default_rng(2)
    noise = {video: rng.normal(size=x_TD.shape).astype(np.float32) for video, x_TD in source.items()}
    a = store(tmp_path, "a", source)
    assert explained(a, store(tmp_path, "b", noise)) < 0.05
    half = {video: source[video] + noise[video] for video in source}
    assert 0.35 < explained(a, store(tmp_path, "c", half)) < 0.6
