"""Training learns, and a resumed run ends as an undisturbed one."""

import csv
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from models import build_model
from models.tcn import TCNConfig
from pipeline.config import TrainConfig
from pipeline.dataset import EpochShuffle, Example, collate
from pipeline.fit import Lesson, fit
from pipeline.progress import Progress

CONFIG = TrainConfig(epochs=9, batch_videos=2, lr=0.1, lr_patience=1)  # the rate falls on the way


def examples(count, seed):
    """Videos of different lengths in which the sign of a feature is the class."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        x = rng.normal(size=(10 + 3 * i, 6)).astype(np.float32)
        found.append(Example(f"{i}.mp4", x, (x[:, :2] > 0.3).astype(np.float32)))
    return found


def train(folder, report=None, validation=None, save_sec=0.0, **changes):
    torch.manual_seed(0)
    config = TCNConfig(hidden=8, layers=2, standardise=False)
    model = build_model("tcn", in_dim=6, num_classes=2, config=config)
    progress = Progress(quiet=True)
    if report:
        progress.bar = report
    lesson = Lesson(
        name="vanilla",
        training=examples(5, seed=1),
        validation=examples(2, seed=2) if validation is None else validation,
        distillers={},
        config=replace(CONFIG, **changes),
        seed=3,
        save_sec=save_sec,
    )
    return fit(model, lesson, folder=folder, device=torch.device("cpu"), progress=progress)


class Killed(Exception):
    """Stands for the end of the process."""


def killed_after(epochs):
    """A progress bar that ends the world after so many epochs, when the next one is about to be saved."""

    @contextmanager
    def bar(name, total):
        count = 0

        def advance(note=""):
            nonlocal count
            count += 1
            if count > epochs:
                raise Killed

        yield SimpleNamespace(advance=advance)

    return bar


def test_it_learns_and_keeps_the_best_epoch(tmp_path):
    _, history, best = train(tmp_path, epochs=40, lr=3e-3, lr_patience=8)
    assert best["val_map"] == max(row["val_map"] for row in history) > 0.9
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert set(history[0]) == {"epoch", "lr", "train_loss", "val_loss", "val_map"}
    assert not (tmp_path / "resume").exists()
    assert list((tmp_path / "tensorboard").glob("events*"))
    with (tmp_path / "curves.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows == history


@pytest.mark.parametrize("epochs", [0, 4, 8])
def test_a_run_killed_between_epochs_ends_as_an_undisturbed_one(tmp_path, epochs):
    state, history, best = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "killed", report=killed_after(epochs))
    again, history_again, best_again = train(tmp_path / "killed")
    assert history_again == history
    assert history[-1]["lr"] < history[0]["lr"]
    assert best_again == best
    for name in state:
        torch.testing.assert_close(again[name], state[name], rtol=0, atol=0)


@pytest.mark.parametrize("position", [0.0, 0.4, 0.999])
def test_a_damaged_file_to_resume_from_is_not_used(tmp_path, position):
    state, history, _ = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "killed", report=killed_after(4))
    saved = tmp_path / "killed" / "resume" / "last.ckpt"
    data = bytearray(saved.read_bytes())
    data[int(position * len(data))] ^= 1
    saved.write_bytes(data)
    again, history_again, _ = train(tmp_path / "killed")
    assert history_again == history
    for name in state:
        torch.testing.assert_close(again[name], state[name], rtol=0, atol=0)


def test_a_training_shorter_than_the_interval_saves_nothing_on_its_way(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, report=killed_after(4), save_sec=60.0)
    assert not (tmp_path / "resume").exists()
    _, history, _ = train(tmp_path, save_sec=60.0)
    assert len(history) == 9


def test_the_learning_rate_falls_where_the_validation_loss_does_not(tmp_path):
    _, history, _ = train(tmp_path, epochs=30, lr=0.1, lr_patience=2, patience=30)
    rates = [row["lr"] for row in history]
    assert rates[0] == 0.1
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] <= 0.05


def test_it_stops_early_and_stays_stopped(tmp_path):
    _, history, best = train(tmp_path, epochs=200, patience=3, lr=0.1)
    assert len(history) < 200
    assert len(history) - 1 - best["epoch"] == 3


def test_without_validation_the_last_epoch_is_kept(tmp_path):
    _, history, best = train(tmp_path, validation=[])
    assert best == history[-1]
    assert set(best) == {"epoch", "lr", "train_loss"}


def test_a_validation_share_without_positives_is_judged_by_its_loss(tmp_path):
    silent = [Example(e.video, e.x_TD, e.target_TK * 0) for e in examples(2, seed=2)]
    _, history, best = train(tmp_path, validation=silent)
    assert best["val_loss"] == min(row["val_loss"] for row in history)
    assert "val_map" not in best


def test_the_order_of_videos_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        sampler = EpochShuffle(range(20), seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 4) == order(1, 4)
    assert sorted(order(1, 4)) == list(range(20))
    assert order(1, 4) != order(1, 5)
    assert order(1, 4) != order(2, 4)


def test_a_batch_is_padded_to_its_longest_and_says_so():
    batch = collate(examples(3, seed=0))
    assert batch.x_BTD.shape == (3, 16, 6)
    assert batch.mask_BT.sum(1).tolist() == [10, 13, 16]
    assert not batch.x_BTD[0, 10:].any()
    assert not batch.target_BTK[0, 10:].any()
