"""The feature cache: nothing but what was written under the same key comes out."""

import json
from fractions import Fraction

import numpy as np
import pytest

from pipeline.cache import CacheError, FeatureFile
from pipeline.timeline import Clock
from pipeline.tracks import FeatureTrack

RGB = {"name": "rgb", "weights": "abc", "window": {"length": 16, "stride": 8}}
DECODE = {"decoder": "auto", "fps": 12.5}


def track(rows=3):
    data = np.random.default_rng(rows).normal(size=(rows, 5)).astype(np.float32)
    clock = Clock(np.arange(20, dtype=np.int64) * 512, Fraction(1, 12800), 0.5)
    return FeatureTrack(data, np.arange(rows) * 0.64 + 0.6, clock)


@pytest.fixture
def file(tmp_path):
    return FeatureFile.locate(tmp_path, "a/b.mp4", "f" * 64, RGB, DECODE)


def test_what_was_saved_is_loaded(file):
    assert file.intact() == "absent"
    file.save(track(), {"partial": False})
    loaded, record = file.load()
    np.testing.assert_array_equal(loaded.data_TD, track().data_TD)
    np.testing.assert_array_equal(loaded.center_sec_T, track().center_sec_T)
    assert loaded.clock.to_json() == track().clock.to_json()
    assert record["partial"] is False
    assert file.intact() is None
    assert file.path.name == "b.mp4.npy"
    assert file.record_path.name == "b.mp4.json"


def test_the_key_names_everything_that_changes_the_numbers(tmp_path, file):
    others = [
        FeatureFile.locate(tmp_path, "a/b.mp4", "e" * 64, RGB, DECODE),
        FeatureFile.locate(tmp_path, "a/b.mp4", "f" * 64, {**RGB, "weights": "abd"}, DECODE),
        FeatureFile.locate(tmp_path, "a/b.mp4", "f" * 64, RGB, {**DECODE, "fps": 25.0}),
    ]
    assert len({file.key, *(other.key for other in others)}) == 4
    file.save(track(), {})
    # another video content under the same name is another product in the same place
    assert others[0].path == file.path
    assert others[0].intact() == "absent"
    # another extractor or decoding has its own folder: the old product stays
    assert len({file.path, others[1].path, others[2].path}) == 3


def test_any_flipped_byte_is_noticed(file):
    file.save(track(), {})
    data = file.path.read_bytes()
    for position in (0, 20, len(data) // 2, len(data) - 1):
        file.path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert "content is" in file.intact()
        with pytest.raises(CacheError, match=r"b\.mp4\.npy"):
            file.load()
    file.path.write_bytes(data[:-4])
    assert "content is" in file.intact()
    file.path.write_bytes(data)
    assert file.intact() is None


def test_an_array_without_its_record_is_no_product(file):
    file.save(track(), {})
    file.record_path.unlink()
    assert file.intact() == "absent"


def test_a_record_that_does_not_fit_is_noticed(file):
    file.save(track(), {})
    record = json.loads(file.record_path.read_text())
    del record["record_sha256"]  # as earlier versions wrote it
    for change in ({"shape": [3, 4]}, {"centers_sec": [1.0]}, {"clock": {}}, {"centers_sec": "x"}):
        file.record_path.write_text(json.dumps({**record, **change}))
        assert file.intact() not in (None, "absent")


def test_any_flipped_byte_of_a_record_is_noticed(file):
    file.save(track(), {"partial": False})
    data = file.record_path.read_bytes()
    name = data.index(b"record_sha256")  # without it the record is one of an earlier version, and right
    for position in {*range(len(data))} - {*range(name, name + len("record_sha256"))}:
        file.record_path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert "changed since it was written" in file.intact()
        with pytest.raises(CacheError, match=r"b\.mp4\.json"):
            file.load()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_track_is_finite(bad):
    data = track().data_TD.copy()
    data[1, 2] = bad
    with pytest.raises(ValueError, match="1 of 3 feature rows"):
        FeatureTrack(data, track().center_sec_T, track().clock)
