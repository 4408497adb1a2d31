"""Settings: presets, files, overrides, and the messages of what cannot be."""

import json

import pytest
import yaml

from pipeline.config import ConfigError, from_values, load_config, to_values
from pipeline.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name):
    config = load_config(name)
    assert config.preset == name
    assert from_values(json.loads(json.dumps(to_values(config)))) == config


def test_the_default_is_kinetics():
    config = load_config()
    assert (config.preset, config.fps, config.rgb.window.length, config.rgb.crop) == (
        "kinetics",
        25.0,
        16,
        224,
    )


def test_any_field_can_be_overridden_with_its_type():
    config = load_config(
        "tiny",
        overrides=[
            "train.epochs=3",
            "rgb.window.stride=4",
            "fps=null",
            "labels.ignore=[a, b]",
            "decode.partial=keep",
        ],
    )
    assert config.train.epochs == 3
    assert config.rgb.window.stride == 4
    assert config.fps is None
    assert config.labels.ignore == ("a", "b")
    assert config.decode.partial == "keep"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train.epoch=3", "did you mean 'train.epochs'"),
        ("epochs=3", "did you mean 'train.epochs'"),
        ("rgb.windw.stride=3", "did you mean 'rgb.window'"),
        ("train=3", "train is a group of settings: train.epochs"),
        ("train.epochs", "expected a.b=value"),
        ("train.epochs=many", "train.epochs: Input should be a valid integer.*'many'"),
        ("train.epochs=0", "epochs"),
        ("decode.partial=maybe", "'fail' or 'keep'"),
        ("fps=-1", "fps must be"),
        ("fps=[", "cannot be read as a value"),
        ("rgb.window.length=0", "length >= 1"),
        ("preset=other", "preset"),
    ],
)
def test_what_cannot_be_is_named(text, message):
    with pytest.raises(ConfigError, match=message):
        load_config("tiny", overrides=[text])


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'tiny'"):
        load_config("tyni")


def test_a_saved_run_and_a_part_of_one_are_settings(tmp_path):
    saved = tmp_path / "run.json"
    config = load_config("tiny", overrides=["seed=7", "train.epochs=2"])
    saved.write_text(json.dumps({"config": to_values(config), "inputs": []}))
    assert load_config(config_file=saved) == config
    part = tmp_path / "part.yaml"
    part.write_text(yaml.safe_dump({"preset": "tiny", "train": {"epochs": 2}, "seed": 7}))
    assert load_config(config_file=part) == config
    assert load_config(config_file=part, overrides=["train.epochs=9"]).train.epochs == 9


@pytest.mark.parametrize(
    "text", ["- 1", "a: [", "preset: tiny\nnope: 1", "train: 3", "!!python/object/apply:os.getcwd []"]
)
def test_a_file_that_holds_no_settings_is_refused(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        load_config(config_file=path)
