"""`augrgb clean` fetches nothing: what it cannot tell whose it is, it keeps. More of it in tests/faults."""

import json

import pytest

from extractors import download, weights
from pipeline.clean import find_unused
from pipeline.config import load_config, to_values


@pytest.fixture(autouse=True)
def nobody_asked(monkeypatch, tmp_path):
    """No weights but those that are shipped, and no way to get others."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("AUGRGB_WEIGHTS", raising=False)

    def refuse(*_args, **_options):
        raise AssertionError("something is fetched")

    monkeypatch.setattr(weights, "fetch", refuse)
    monkeypatch.setattr(download, "fetch", refuse)


RGB, FLOW, SKELETON, JOINTS = (
    "features/rgb-0123",
    "features/flow-4567",
    "features/skeleton-89ab",
    "joints/any-cdef",
)


def results(tmp_path, preset, *kinds):
    """OUT of a run of this preset, with products of other settings than any."""
    out = tmp_path / "out"
    for kind in kinds:
        (out / kind).mkdir(parents=True)
        (out / kind / "a.mp4.npy").touch()
    inputs = [{"path": str(tmp_path / "a.mp4"), "name": "a.mp4"}]
    (out / "run.json").write_text(json.dumps({"config": to_values(load_config(preset)), "inputs": inputs}))
    return out


@pytest.mark.parametrize("preset", ["kinetics", "charades-i3d", "tsu"])
def test_features_are_kept_where_the_weights_are_not_here(tmp_path, preset):
    assert find_unused(results(tmp_path, preset, RGB, FLOW, SKELETON, JOINTS)) == []


def test_features_of_other_settings_are_found_by_weights_that_are_here(tmp_path):
    out = results(tmp_path, "tiny", RGB, FLOW)
    (found,) = find_unused(out)
    assert (found.path, found.files) == (out / "features", 2)
    assert (out / RGB).is_dir()  # looked at, not removed
