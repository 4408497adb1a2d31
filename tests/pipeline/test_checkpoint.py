"""Checkpoints load whole and safely, or say why not."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from models import build_model
from pipeline.checkpoint import Checkpoint, CheckpointError
from pipeline.config import load_config, to_values


class Evil:
    """What a pickle may do when it is loaded carelessly."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.fixture
def checkpoint():
    config = load_config("tiny", overrides=["tcn.hidden=4", "tcn.layers=2"])
    model = build_model("tcn", in_dim=6, num_classes=2, config=config.tcn)
    return Checkpoint(
        name="vanilla",
        classes=("jump", "wave"),
        config=to_values(config),
        features={"rgb": {"extractor": {"name": "rgb"}, "decode": {"fps": 12.5}}},
        in_dim=6,
        state=model.state_dict(),
        key="k" * 64,
        best={"epoch": 3, "val_map": 0.5},
        history=[{"epoch": 0, "train_loss": 1.0}],
    )


def test_what_was_saved_is_loaded_and_gives_the_same_numbers(tmp_path, checkpoint):
    path = tmp_path / "checkpoints" / "vanilla.ckpt"
    checkpoint.save(path)
    again = Checkpoint.load(path)
    x, mask = torch.randn(1, 9, 6), torch.ones(1, 9)
    torch.testing.assert_close(again.build()(x, mask), checkpoint.build()(x, mask), rtol=0, atol=0)
    assert {**again.__dict__, "state": 0} == {**checkpoint.__dict__, "state": 0}


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "evil.ckpt"
    for write in (torch.save, lambda value, file: file.write_bytes(pickle.dumps(value, protocol=2))):
        write({"format": 1, "state": Evil(mark)}, path)
        with pytest.raises(CheckpointError, match=r"evil\.ckpt: not a checkpoint that can be read safely"):
            Checkpoint.load(path)
    assert not mark.exists()


def test_what_is_no_checkpoint_is_named(tmp_path, checkpoint):
    path = tmp_path / "c.ckpt"
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        Checkpoint.load(path)
    checkpoint.save(path)
    whole = path.read_bytes()
    for part in (b"", b"not a checkpoint", whole[: len(whole) // 2]):
        path.write_bytes(part)
        with pytest.raises(CheckpointError, match=r"c\.ckpt"):
            Checkpoint.load(path)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(CheckpointError, match="expected an augrgb checkpoint of format 1 or 2, found None"):
        Checkpoint.load(path)


def test_what_has_no_end_or_would_fill_the_memory_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.ckpt")
    for path in (Path("/dev/zero"), tmp_path, tmp_path / "pipe.ckpt"):
        with pytest.raises(
            CheckpointError, match=rf"{path.name}: .*not a regular file; expected one such as"
        ):
            Checkpoint.load(path)
    huge = tmp_path / "huge.ckpt"
    huge.touch()
    os.truncate(huge, 5 << 30)  # a hole: no disk is filled
    with pytest.raises(CheckpointError, match=r"huge\.ckpt: .*5 GiB; no model of ours has more than 4"):
        Checkpoint.load(huge)


def test_any_flipped_byte_is_noticed(tmp_path, checkpoint):
    path = tmp_path / "c.ckpt"
    checkpoint.save(path)
    data = path.read_bytes()
    for position in {*range(0, len(data), 97), *range(len(data) - 90, len(data))}:
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(CheckpointError, match=r"c\.ckpt"):
            Checkpoint.load(path)


def test_a_checkpoint_of_an_earlier_version_is_read(tmp_path, checkpoint):
    values = {**checkpoint.__dict__, "classes": list(checkpoint.classes), "format": 1}
    torch.save(values, tmp_path / "old.ckpt")
    assert Checkpoint.load(tmp_path / "old.ckpt").classes == checkpoint.classes


def test_weights_that_do_not_fit_the_settings_are_refused(tmp_path, checkpoint):
    path = tmp_path / "c.ckpt"
    Checkpoint(**{**checkpoint.__dict__, "in_dim": 7}).save(path)
    with pytest.raises(CheckpointError, match="do not fit"):
        Checkpoint.load(path)
