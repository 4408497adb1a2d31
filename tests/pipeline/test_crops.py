"""Random pieces of long videos for training."""

import numpy as np
import pytest
import torch

from pipeline.crops import random_crops
from pipeline.dataset import Batch, Example, Teaching, collate

LENGTHS = (20, 6, 9)


@pytest.fixture
def batch() -> Batch:
    """Every tensor says which step it is of: features t, targets t, two videos' teacher 10 t and 20 t."""
    examples = []
    for i, steps in enumerate(LENGTHS):
        t = np.arange(steps, dtype=np.float32)[:, None]
        teachers = {"flow": Teaching(10 * t, 20 * t)} if i != 1 else {}
        examples.append(Example(f"{i}.mp4", t + 1, t + 1, labelled=i != 2, teachers=teachers))
    return collate(examples)


def test_pieces_are_consecutive_and_the_same_for_all(batch: Batch) -> None:
    found = random_crops(batch, 7)
    assert found.x_BTD.shape == found.target_BTK.shape == (3, 7, 1)
    assert found.mask_BT.sum(1).tolist() == [7, 6, 7]
    assert found.labelled_BT.sum(1).tolist() == [7, 6, 0]
    teacher = found.teachers["flow"]
    assert teacher.mask_BT.sum(1).tolist() == [7, 0, 7]
    for i, steps in enumerate([7, 6, 7]):
        x = found.x_BTD[i, :steps, 0]
        assert x.diff().tolist() == [1] * (steps - 1)
        assert x.min() >= 1
        assert torch.equal(found.target_BTK[i, :steps, 0], x)
        if i != 1:
            assert torch.equal(teacher.seen.h_BTC[i, :steps, 0], 10 * (x - 1))
            assert torch.equal(teacher.seen.logits_BTK[i, :steps, 0], 20 * (x - 1))
    assert found.x_BTD[1, :6, 0].tolist() == [1, 2, 3, 4, 5, 6]  # shorter than a piece: whole


def test_every_start_is_drawn_and_the_seed_decides(batch: Batch) -> None:
    starts = {int(random_crops(batch, 7).x_BTD[2, 0, 0]) for _ in range(60)}
    assert starts == {1, 2, 3}
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        drawn.append(random_crops(batch, 7).x_BTD)
    assert torch.equal(*drawn)


def test_short_videos_are_left_alone(batch: Batch) -> None:
    assert random_crops(batch, 20) is batch
