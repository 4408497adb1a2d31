"""Features stay in their files while a model learns from them: memory is that of a batch, not of the set."""

import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from models.masking import Standardise
from pipeline.cache import CacheError, FeatureFile, MappedTrack
from pipeline.dataset import EpochShuffle, Example, collate
from pipeline.examples import MadeWhenAsked
from pipeline.timeline import Clock
from pipeline.tracks import FeatureTrack

STEPS, DIM, VIDEOS = 300, 512, 24
MEGABYTES = STEPS * DIM * 4 / 1e6  # of one video


def kept(folder: Path, number: int, steps: int = STEPS) -> FeatureFile:
    """Features of one video in the cache."""
    data_TD = np.random.default_rng(number).normal(size=(steps, DIM)).astype(np.float32)
    clock = Clock.constant(steps, Fraction(25))
    file = FeatureFile(folder / f"{number}.npy", f"key {number}")
    file.save(FeatureTrack(data_TD, np.arange(steps) / 25, clock), {})
    return file


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[FeatureFile]:
    folder = tmp_path_factory.mktemp("features")
    return [kept(folder, number) for number in range(VIDEOS)]


def test_a_mapped_track_is_the_one_that_is_loaded(files):
    (mapped, record), (loaded, same) = files[0].map(), files[0].load()
    assert record == same
    assert isinstance(mapped.data_TD, np.memmap)
    np.testing.assert_array_equal(mapped.data_TD, loaded.data_TD)
    np.testing.assert_array_equal(mapped.step_sec_T, loaded.step_sec_T)
    mapped.data_TD[:] = 0  # a copy of its own
    np.testing.assert_array_equal(mapped.data_TD, loaded.data_TD)


def test_damage_is_found_when_it_is_mapped_and_when_it_is_used(tmp_path):
    file = kept(tmp_path, 0)
    track, _ = file.map()
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:-4] + b"\0\0\0\0")
    for use in (file.map, lambda: track.data_TD):
        with pytest.raises(CacheError, match=r"0\.npy: content is .*, its record says .*run extract again"):
            use()
    file.path.write_bytes(whole)
    assert len(track.data_TD) == STEPS  # touched, not changed
    file.path.unlink()
    for use in (file.map, lambda: track.data_TD):
        with pytest.raises(CacheError, match="run extract again"):
            use()


def test_features_made_anew_while_they_are_in_use_are_not_taken_for_the_old_ones(tmp_path):
    file = kept(tmp_path, 0)
    track, _ = file.map()
    other, _ = kept(tmp_path / "other", 1).load()
    file.save(other, {})
    with pytest.raises(CacheError, match="was made anew while it was in use; run again"):
        track.data_TD  # noqa: B018  reads


def made(track: MappedTrack, number: int) -> Example:
    return Example(str(number), track.data_TD, np.zeros((STEPS, 3), np.float32))


def test_memory_does_not_grow_with_the_features(files):
    tracks = [file.map()[0] for file in files]
    examples = MadeWhenAsked([lambda t=track, i=i: made(t, i) for i, track in enumerate(tracks)])
    standardise = Standardise(DIM)
    tracemalloc.start()
    try:
        standardise.fit_parts(lambda: (torch.from_numpy(example.x_TD) for example in examples))
        batches = list(EpochShuffle(examples, 0))
        for start in range(0, VIDEOS, 2):
            batch = collate([examples[i] for i in batches[start : start + 2]])
            assert batch.x_BTD.shape == (2, STEPS, DIM)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * MEGABYTES  # numpy's; that of 24 videos would be 24 times one's


def test_statistics_of_parts_are_those_of_all_steps(files):
    parts = [torch.from_numpy(np.asarray(file.load()[0].data_TD)) for file in files[:5]]
    parts = [part[: 7 * (i + 1)] for i, part in enumerate(parts)]  # of unequal lengths
    parts = [
        torch.cat([part, torch.full((len(part), 1), 3.0)], 1) for part in parts
    ]  # and one that is constant
    whole, in_parts = Standardise(DIM + 1), Standardise(DIM + 1)
    whole.fit(torch.cat(parts))
    in_parts.fit_parts(lambda: parts)
    torch.testing.assert_close(in_parts.mean, whole.mean, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(in_parts.std, whole.std, rtol=1e-6, atol=0)
    expected = torch.cat(parts).double()
    torch.testing.assert_close(whole.mean, expected.mean(0).float(), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(whole.std[:-1], expected.std(0, correction=0)[:-1].float(), rtol=1e-6, atol=0)
    assert whole.std[-1] == 1


def test_examples_are_made_when_they_are_asked_for():
    asked = []

    def maker(number):
        def make():
            asked.append(number)
            return Example(str(number), np.zeros((2, 3), np.float32), np.zeros((2, 1), np.float32))

        return make

    examples = MadeWhenAsked([maker(i) for i in range(4)])
    assert (len(examples), asked) == (4, [])
    assert [example.video for example in examples[1:3]] == ["1", "2"]
    assert examples[-1].video == "3"
    assert asked == [1, 2, 3]
