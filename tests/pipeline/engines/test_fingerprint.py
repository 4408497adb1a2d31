"""Differences between two machines are named."""

from pipeline.engines.fingerprint import code_sha256, differences


def test_equal_values_do_not_differ():
    assert list(differences({"a": {"b": 1, "c": [1, 2]}}, {"a": {"c": [1, 2], "b": 1}})) == []


def test_every_difference_is_named_by_its_place():
    here = {"rgb": {"decode": {"decord": "0.6.0", "fps": 25}, "window": [16, 16]}}
    there = {"rgb": {"decode": {"decord": "0.7.0", "fps": 25}, "window": [16, 16]}, "flow": None}
    assert list(differences(here, there)) == ["rgb.decode.decord: '0.6.0' here, '0.7.0' there"]
    assert list(differences({"rgb": {"a": 1}}, {})) == ["rgb: {'a': 1} here, None there"]


def test_the_code_has_one_digest():
    assert len(code_sha256()) == 64
    assert code_sha256() == code_sha256()
