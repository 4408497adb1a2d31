"""Pre-training, whole and small: rendered, trained, stopped, gone on with, exported, loaded."""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from extractors.base import Window
from extractors.i3d import I3D, I3DConfig
from extractors.rgb import I3DRGB
from extractors.weights import load_weights
from pipeline.synthetic import PRETRAIN_ACTIONS

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)


@pytest.fixture
def settings():
    from scripts.pretrain_rgb import Settings

    return Settings(clips=8, validation_clips=8, epochs=2, batch=4, width=1 / 16, size=32, rendered=40)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(settings, tmp_path: Path, monkeypatch) -> None:
    from scripts import pretrain_rgb

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    pretrain_rgb.pretrain(whole, whole / "out", settings, workers=1)
    shutil.copytree(whole, stopped, ignore=shutil.ignore_patterns("last.pt", "out"))  # the rendered clips
    epochs, train_epoch = [], pretrain_rgb.train_epoch

    def one_epoch_only(*args: object) -> dict[str, float]:
        if epochs:
            raise KeyboardInterrupt
        epochs.append(train_epoch(*args))
        return epochs[0]

    with monkeypatch.context() as patch:
        patch.setattr(pretrain_rgb, "train_epoch", one_epoch_only)
        with pytest.raises(KeyboardInterrupt):
            pretrain_rgb.pretrain(stopped, stopped / "out", settings, workers=1)
    assert not (stopped / "out").exists()
    pretrain_rgb.pretrain(stopped, stopped / "out", settings, workers=1)
    want, got = (load_weights(str(run / "out" / "tiny_rgb.safetensors")).state for run in (whole, stopped))
    assert all(torch.equal(want[key], got[key]) for key in want)


def test_what_is_exported_loads_and_tells_where_it_comes_from(settings, tmp_path: Path) -> None:
    from scripts import pretrain_rgb

    pretrain_rgb.export(
        I3D(3, len(PRETRAIN_ACTIONS), settings.width),
        tmp_path,
        settings,
        {"some clips": {"mAP": 0.5, "chance": 0.1, "pairs": 0.75}},
    )
    path = tmp_path / "tiny_rgb.safetensors"
    config = I3DConfig(str(path), settings.width, resize=48, crop=48, window=Window(16, 8))
    assert I3DRGB(config, torch.device("cpu")).dim == 64
    with safe_open(path, "np") as file:
        assert PRETRAIN_ACTIONS[0] in file.metadata()["classes"]
    card = (tmp_path / "tiny_rgb.md").read_text()
    assert "| some clips | 0.500 | 0.100 | 0.750 |" in card
    assert "Apache-2.0" in card


def test_clips_are_rendered_once_and_only_where_missing(settings, tmp_path: Path) -> None:
    from scripts.pretrain_clips import pool

    clips = pool(tmp_path, 3, 5, "train", (16, 12.5, 48))
    clips.render(workers=1)
    first = np.array(clips.array("clips"))
    assert first.any(axis=(1, 2, 3, 4)).all()
    clips.array("clips")[:2] = 0
    clips.array("done")[1] = False
    clips.render(workers=1)
    again = clips.array("clips")
    assert not again[0].any()  # marked as done: not touched
    assert np.array_equal(again[1:], first[1:])  # the same seed, the same clip


def test_augmentation_changes_looks_and_nothing_else() -> None:
    from scripts.pretrain_clips import augment

    clips = torch.zeros(2, 4, 40, 40, 3, dtype=torch.uint8)
    clips[:, :, :, 20:] = 200  # dark left, light right
    looks = augment(clips, 32, random.Random(0))
    assert looks.shape == (2, 4, 32, 32, 3)
    assert looks.abs().max() <= 1
    assert torch.equal(looks[:, 0], looks[:, 3])  # the same for every frame of a clip
    assert not torch.equal(looks[0], looks[1])
    assert torch.equal(looks, augment(clips, 32, random.Random(0)))


def test_training_learns_classes_and_flow() -> None:
    """Thirty steps on one batch bring both losses down: gradients reach the network, labels the loss."""
    from scripts.pretrain_rgb import FlowTask, Step, train_epoch

    model = I3D(3, 2, 1 / 16, dropout=0.0)
    task = FlowTask(model, 1 / 16)
    optimizer = torch.optim.AdamW([*model.parameters(), *task.parameters()], 5e-3)
    step = Step(model, optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0), task, 1.0)
    batch = torch.randn(4, 3, 16, 32, 32), torch.eye(2).repeat(2, 1), torch.randn(4, 2, 16, 4, 4)
    losses = [train_epoch(step, [batch]) for _ in range(30)]
    assert losses[-1]["loss"] < 0.5 * losses[0]["loss"]
    assert losses[-1]["flow_loss"] < 0.9 * losses[0]["flow_loss"]


def test_the_flow_of_a_person_clip_says_how_its_pictures_move(settings, tmp_path: Path) -> None:
    """Where the flow is one and the same around a cell, the next picture moved back by it is this one."""
    import cv2

    from scripts.person_clips import CELL
    from scripts.pretrain_rgb import person_pool

    pool = person_pool(tmp_path, 4, 3, "train", replace(settings, rendered=88))
    moved, still = [], []
    for seed in range(6):
        frames, labels, flow = pool.person(seed)
        assert frames.shape == (16, 88, 88, 3)
        assert labels.shape == (len(PRETRAIN_ACTIONS),)
        dense = cv2.resize(flow[0].astype(np.float32), (88, 88), interpolation=cv2.INTER_NEAREST)
        grid = np.stack(np.meshgrid(np.arange(88), np.arange(88)), -1).astype(np.float32)
        back = cv2.remap(frames[1], grid + dense, None, cv2.INTER_LINEAR)
        inner = slice(CELL, -CELL)
        moved.append(np.abs(back[inner, inner].astype(float) - frames[0][inner, inner]).mean())
        still.append(np.abs(frames[1][inner, inner].astype(float) - frames[0][inner, inner]).mean())
    assert np.mean(moved) < np.mean(still)


def test_a_batch_is_a_window_in_other_colours_with_its_own_flow(settings, tmp_path: Path) -> None:
    from scripts.pretrain_rgb import person_pool

    pool = person_pool(tmp_path, 2, 3, "train", settings)
    pool.render(workers=1)
    x, y, flow = pool.batch(np.array([0, 1]), 32, random.Random(0))
    assert x.shape == (2, 3, 16, 32, 32)
    assert flow.shape == (2, 2, 16, 4, 4)
    assert y.shape == (2, len(PRETRAIN_ACTIONS))
    assert x.abs().max() <= 1
    again = pool.batch(np.array([0, 1]), 32, random.Random(0))
    assert all(torch.equal(a, b) for a, b in zip(again, (x, y, flow), strict=True))


def test_other_settings_do_not_go_on_from_a_checkpoint(settings, tmp_path: Path) -> None:
    from scripts.pretrain_rgb import restore, save

    model = I3D(3, None, 1 / 16)
    save(tmp_path / "last.pt", settings, {"model": model}, [{"loss": 1.0}])
    assert restore(tmp_path / "last.pt", settings, {"model": model}) == [{"loss": 1.0}]
    with pytest.raises(ValueError, match="another --work"):
        restore(tmp_path / "last.pt", replace(settings, seed=1), {"model": model})
