"""Presets as a user meets them: listed, shown, complete, and made of weights that there are."""

import re

import pytest
import yaml
from typer.testing import CliRunner

from extractors.detector import DETECTORS
from extractors.weights import FILES
from pipeline.cli import app
from pipeline.config import from_values, load_config
from pipeline.presets import PRESETS
from pipeline.recipe import MODALITIES, needed_weights


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["presets", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_all_are_listed_with_a_line_each():
    lines = shown().splitlines()
    assert [line.split()[0] for line in lines] == list(PRESETS)
    for line in lines:
        name, words = line.split(maxsplit=1)
        assert (PRESETS[name].__doc__ or "").startswith(words)
        assert words.endswith(".")
        assert len(line) <= 120


@pytest.mark.parametrize("name", PRESETS)
def test_one_is_shown_with_every_setting(name):
    text = shown(name)
    assert from_values(yaml.safe_load(text)) == load_config(name)
    assert yaml.safe_load(text)["preset"] == name
    assert "person" not in yaml.safe_load(text)["flow"]["i3d"]  # nobody is cut out of flow


@pytest.mark.parametrize("name", PRESETS)
def test_all_weights_are_in_the_table(name):
    config = load_config(name)
    assert {*needed_weights(config, MODALITIES)} <= {*FILES}
    assert {config.pose.detector, config.rgb.person.detector} <= {*DETECTORS}


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "charades-i3d"])
def test_flow_and_skeletons_can_teach(name):
    config = load_config(name, overrides=["teachers=[flow, skeleton]"])
    for length in (1, 15, 16, 17, 200, 5000):
        centers = config.rgb.grid.centers_K(length).tolist()
        assert config.flow.i3d.grid.centers_K(length).tolist() == centers
        assert config.skeleton.grid.centers_K(length).tolist() == centers


@pytest.mark.parametrize("name", ["kinetics", "kinetics-64", "charades", "thumos", "tsu", "tiny"])
def test_docstrings_say_how_frames_become_features_and_seconds(name):
    text = PRESETS[name].__doc__ or ""
    assert re.search(r"T = (ceil\()?\(?S", text)
    assert re.search(r"ector k is\s+at", text)
    if name != "tiny":
        assert re.search(r"Source: \w[\w-]*/\w+", text)


def test_the_detectors_weights_are_fetched_with_those_of_tsu():
    assert needed_weights(load_config("tsu"), ["rgb"]) == [
        "i3d-rgb-kinetics",
        "fasterrcnn_mobilenet_v3_large_fpn",
    ]
    assert needed_weights(load_config("thumos"), ["rgb"]) == ["i3d-rgb-kinetics"]
