"""The classes of a window are those that the whole network, classifier and all, gives it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from extractors import build_extractor
from extractors.i3d import I3D
from extractors.weights import FILES, file_digest
from pipeline.classes import load_classifiers
from pipeline.cli import app
from pipeline.config import load_config
from pipeline.inputs import UsageError
from pipeline.presets import tiny

CPU = torch.device("cpu")


@pytest.fixture
def network(tmp_path):
    """An I3D with 7 classes and random weights, in a file."""
    network = I3D(3, 7, 1 / 16).eval()
    torch.nn.init.normal_(network.logits.conv3d.weight, std=5)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, tmp_path / "mine.safetensors")
    return network, tmp_path / "mine.safetensors"


def config_of(path):
    return load_config("tiny", None, [f"rgb.weights={path}", "rgb.width=0.0625"])


def test_scores_are_those_of_the_whole_network(network):
    module, path = network
    extractor = build_extractor("rgb", config_of(path).rgb, CPU)
    clips = torch.randint(0, 256, (3, 16, 64, 64, 3), dtype=torch.uint8)
    features = extractor.clips(clips).numpy()
    with torch.inference_mode():
        x = clips.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        logits = module(x).mean(2)
    (classifier,) = load_classifiers(config_of(path), ["rgb"]).values()
    np.testing.assert_allclose(classifier.scores(features), torch.sigmoid(logits).numpy(), atol=1e-4)


def test_kinetics_classes_exclude_one_another_and_others_do_not(tmp_path):
    for count, exclusive in ((400, True), (157, False)):
        state = {"conv3d_0c_1x1.conv3d.weight": torch.randn(count, 64, 1, 1, 1)}
        torch.save({**state, "conv3d_0c_1x1.conv3d.bias": torch.randn(count)}, tmp_path / "x.pth")
        (classifier,) = load_classifiers(config_of(tmp_path / "x.pth"), ["rgb", "skeleton"]).values()
        scores = classifier.scores(np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32))
        assert np.allclose(scores.sum(axis=1), 1) == exclusive
        assert classifier.names[12] == "class 12"  # what they are called is not known


@pytest.mark.parametrize(
    ("name", "file", "count", "known"),
    [
        # places in the published order, as others use them with the same weights
        ("i3d-rgb-kinetics", "rgb_imagenet.pt", 400, {0: "abseiling", 227: "playing cricket", 399: "zumba"}),
        ("i3d-rgb-charades", "rgb_charades.pt", 157, {0: "c000", 156: "c156"}),
    ],
)
def test_published_weights_know_their_classes(tmp_path, monkeypatch, name, file, count, known):
    state = {
        "logits.conv3d.weight": torch.zeros(count, 64, 1, 1, 1),
        "logits.conv3d.bias": torch.zeros(count),
    }
    torch.save(state, tmp_path / file)
    blob = "git-blob:" + file_digest(tmp_path / file, "git-blob")
    monkeypatch.setitem(FILES, name, replace(FILES[name], digest=blob))
    monkeypatch.setenv("AUGRGB_WEIGHTS", str(tmp_path))
    (classifier,) = load_classifiers(config_of(name), ["rgb"]).values()
    assert len(classifier.names) == count
    assert {k: classifier.names[k] for k in known} == known


def test_our_own_weights_know_their_classes():
    (classifier,) = load_classifiers(tiny(), ["rgb"]).values()
    assert len(classifier.names) == len(classifier.bias_K) == 18
    assert "clap_fast" in classifier.names


def test_names_come_from_a_file(network, tmp_path):
    _, path = network
    (tmp_path / "names.txt").write_text("\n".join("abcdefg") + "\n\n")
    (classifier,) = load_classifiers(config_of(path), ["rgb"], tmp_path / "names.txt").values()
    assert classifier.names == tuple("abcdefg")
    (tmp_path / "names.txt").write_text("a\nb\n")
    with pytest.raises(UsageError, match=r"names\.txt: names 2 classes, the weights have 7"):
        load_classifiers(config_of(path), ["rgb"], tmp_path / "names.txt")
    with pytest.raises(UsageError, match=r"none\.txt: cannot be read"):
        load_classifiers(config_of(path), ["rgb"], tmp_path / "none.txt")
    with pytest.raises(UsageError, match=r"/dev/zero: cannot be read .*expected a regular file"):
        load_classifiers(config_of(path), ["rgb"], Path("/dev/zero"))


def test_weights_without_a_classifier_are_named(network, tmp_path):
    module, _ = network
    state = {k: v.contiguous() for k, v in module.state_dict().items() if not k.startswith("logits")}
    save_file(state, tmp_path / "bare.safetensors")
    with pytest.raises(UsageError, match=r"without a classifier: rgb \(.*bare\.safetensors\), skeleton"):
        load_classifiers(config_of(tmp_path / "bare.safetensors"), ["rgb", "skeleton"])


def test_the_command_prints_the_best_five_of_every_window(network, write_video, tmp_path):
    _, path = network
    video = write_video(tmp_path / "a.mp4", 60)
    (tmp_path / "names.txt").write_text("\n".join(f"action {c}" for c in "abcdefg"))
    settings = ["--preset", "tiny", "--set", f"rgb.weights={path}", "--set", "rgb.width=0.0625"]
    arguments = ["extract", str(video), "--out", str(tmp_path / "out"), *settings, "--device", "cpu"]
    done = CliRunner().invoke(app, [*arguments, "--class-names", str(tmp_path / "names.txt")])
    assert done.exit_code == 0, done.output
    lines = done.output.split("a.mp4 (rgb)\n")[1].splitlines()[:4]
    assert [line.count("action") for line in lines] == [5, 5, 5, 5]
    shown = [float(word.split()[-1]) for word in lines[0].split(" s  ")[1].split(", ")]
    assert shown == sorted(shown, reverse=True)
    quiet = CliRunner().invoke(app, arguments)
    assert "action" not in quiet.output
