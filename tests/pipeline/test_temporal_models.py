"""Temporal models in the pipeline: chosen by name, trained on crops, scored in windows, their keys."""

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from models import MODELS, build_model
from models.distillation import Distillation, DistillationConfig
from models.mstct import MSTCTConfig
from models.windows import encode_any_length
from pipeline.checkpoint import Checkpoint
from pipeline.config import ConfigError, TrainConfig, load_config, to_values
from pipeline.dataset import Example, Teaching
from pipeline.fit import Lesson, fit
from pipeline.progress import Progress
from pipeline.scoring import Scorer
from pipeline.training import _chosen

D, CLASSES = 6, ("jump", "wave")
TINY = {
    "linear": ["linear.window_steps=8"],
    "tcn": ["tcn.hidden=8", "tcn.layers=2", "tcn.window_steps=8"],
    "pdan": ["pdan.hidden=8", "pdan.layers=2", "pdan.window_steps=8"],
    "mstct": [
        "mstct.widths=[8, 16]",
        "mstct.heads=2",
        "mstct.expansion=2",
        "mstct.hidden=8",
        "mstct.window_steps=8",
    ],
}


def config_of(name):
    return load_config("tiny", overrides=[f"model={name}", *TINY[name]])


def model_of(name):
    torch.manual_seed(0)
    return build_model(name, in_dim=D, num_classes=2, config=getattr(config_of(name), name))


def examples(count, seed):
    """Videos of 5 to 29 steps in which the sign of a feature is the class."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        x = rng.normal(size=(5 + 6 * i, D)).astype(np.float32)
        teachers = {"flow": Teaching(x[:, :4], x[:, :2])}
        found.append(Example(f"{i}.mp4", x, (x[:, :2] > 0.3).astype(np.float32), teachers=teachers))
    return found


def train(name, folder, bar=None, validation=2, taught=None, **changes):
    """`taught` are settings of a distillation from a teacher that sees what matters."""
    progress = Progress(quiet=True)
    model = model_of(name)
    if bar:
        progress.bar = bar
    lesson = Lesson(
        name="vanilla",
        training=examples(5, seed=1),
        validation=examples(5, seed=2)[-validation:],
        distillers={"flow": Distillation(8, 4, taught)} if taught else {},
        config=replace(TrainConfig(epochs=4, batch_videos=2, lr=0.01), **changes),
        seed=3,
    )
    return model, *fit(model, lesson, folder=folder, device=torch.device("cpu"), progress=progress)


class Killed(Exception):
    """Stands for the end of the process."""


@contextmanager
def killed_in_the_third_epoch(name, total):
    epochs = iter(range(2))

    def advance(note=""):
        if next(epochs, None) is None:
            raise Killed

    yield SimpleNamespace(advance=advance)


@pytest.mark.parametrize("name", MODELS)
def test_each_model_learns_from_crops(name, tmp_path):
    model, _, history, best = train(name, tmp_path, epochs=25, lr=0.02)
    losses = {"heatmap"} if name == "mstct" else set()
    assert set(best) == {"epoch", "lr", "train_loss", "val_loss", "val_map"} | losses
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert best["val_map"] > 0.6
    long = torch.from_numpy(examples(5, seed=2)[-1].x_TD)[None]
    assert long.shape[1] > model.window_steps
    logits = model.eval().classify(encode_any_length(model, long, torch.ones(long.shape[:2])))
    assert logits.shape == (1, long.shape[1], 2)


def test_validation_is_that_of_whole_videos_in_windows(tmp_path):
    """The loss of the last epoch is that of every step of a video longer than a window."""
    model, _, history, _ = train("mstct", tmp_path, epochs=1, validation=1)
    example = examples(5, seed=2)[-1]
    x = torch.from_numpy(example.x_TD)[None]
    with torch.inference_mode():
        logits = model.eval().classify(encode_any_length(model, x, torch.ones(x.shape[:2])))[0]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.from_numpy(example.target_TK), reduction="none"
    )
    assert history[-1]["val_loss"] == pytest.approx(float(loss.sum(1).mean()), rel=1e-5)


def test_a_run_on_crops_that_is_resumed_ends_as_an_undisturbed_one(tmp_path):
    """With a memory bank, of which the rest of the run depends on the epochs before."""
    taught = DistillationConfig(dim=4, bank=12)
    _, state, history, _ = train("mstct", tmp_path / "whole", taught=taught)
    with pytest.raises(Killed):
        train("mstct", tmp_path / "killed", taught=taught, bar=killed_in_the_third_epoch)
    _, again, history_again, _ = train("mstct", tmp_path / "killed", taught=taught)
    assert history_again == history
    assert {"heatmap", "atomic_flow", "global_flow", "boundary_flow"} <= set(history[0])
    for name in state:
        torch.testing.assert_close(again[name], state[name], rtol=0, atol=0)


def checkpoint_of(name, *overrides):
    config = load_config("tiny", overrides=[f"model={name}", *TINY[name], *overrides])
    return Checkpoint(
        name="vanilla",
        classes=CLASSES,
        config=to_values(config),
        features={"rgb": {}},
        in_dim=D,
        state=model_of(name).state_dict(),
        key="k" * 64,
        best={},
    )


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_knows_its_model_and_its_windows(name, tmp_path):
    path = tmp_path / "c.ckpt"
    checkpoint_of(name).save(path)
    model = Checkpoint.load(path).build()
    assert type(model) is type(model_of(name))
    assert model.window_steps == 8


def test_scores_of_other_windows_or_heads_are_other_scores():
    digests = {
        Scorer("vanilla", (checkpoint_of("mstct", *changes),)).digest
        for changes in ([], ["mstct.window_steps=9"], ["mstct.heads=4"], ["mstct.window_steps=null"])
    }
    assert len(digests) == 4


def test_an_unknown_model_is_refused_with_the_list():
    with pytest.raises(ConfigError, match=r"unknown temporal model 'lstm'; there is: tcn, pdan, mstct"):
        load_config("tiny", overrides=["model=lstm"])


def test_the_settings_of_every_model_have_its_name():
    config = load_config("tiny")
    for name in MODELS:
        model = build_model(name, in_dim=D, num_classes=2, config=getattr(config, name))
        assert model.window_steps == getattr(config, name).window_steps
    assert config.tcn.window_steps is None
    assert MSTCTConfig().window_steps == 256


def test_what_is_off_leaves_no_trace_in_a_key():
    """Or a checkpoint made before a setting existed would be trained anew."""
    settings = to_values(load_config("tiny"))
    assert set(_chosen(settings["tcn"])) == {"hidden", "layers", "dropout", "standardise"}
    assert "bank" not in _chosen(settings["distillation"])
    assert _chosen({"window_steps": 8, "dropout": 0.0}) == {"window_steps": 8, "dropout": 0.0}
    assert _chosen("tcn") == "tcn"
