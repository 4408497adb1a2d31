"""What a training keeps: its best epoch, what is needed to resume it, its curves."""

import csv
import io
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from pipeline.files import write_atomic
from pipeline.sealed import SealError, check_seal, write_sealed

Row = dict[str, float]  # of one epoch: each loss, validation mAP, rate


@dataclass
class Best:
    """The epoch to be kept: its row of the history and its weights; the first of equals."""

    monitor: str  # column of the history
    mode: Literal["min", "max"]
    row: Row | None = None
    state: dict[str, Tensor] | None = None

    def offer(self, row: Row, model: nn.Module) -> None:
        """Take the epoch that has just ended if it is better."""
        sign = 1 if self.mode == "max" else -1
        if self.row is None or sign * row[self.monitor] > sign * self.row[self.monitor]:
            self.row, self.state = row, {k: v.detach().clone() for k, v in model.state_dict().items()}


class WholeFiles(TorchCheckpointIO):
    """Writes what is needed to resume: whole or not there. Lightning's own may leave half a copy."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """See the base class."""
        assert storage_options is None, "a local file"
        write_sealed(Path(path), lambda file: torch.save(checkpoint, file))


class Save(Checkpoint):
    """What is needed to resume, and curves: after the first epoch that ends `every_sec` after the last time.

    A checkpointing callback by its class: then the loop calls it when everything of the epoch is done.
    """

    def __init__(self, folder: Path, every_sec: float) -> None:
        self.every_sec, self._folder, self._saved_sec = every_sec, folder, 0.0

    @property
    def path(self) -> Path:
        """What a training that was ended goes on from."""
        return self._folder / "resume" / "last.ckpt"

    def on_train_start(self, _: L.Trainer, __: L.LightningModule) -> None:
        """The first interval begins."""
        self._saved_sec = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Save if it is time."""
        if time.monotonic() - self._saved_sec >= self.every_sec:
            trainer.save_checkpoint(self.path)
            self.write_curves(module.history)
            self._saved_sec = time.monotonic()

    def epochs_done(self, say: Callable[[str], object]) -> int | None:
        """How many epochs are saved; None where there is nothing, or nothing that is whole: that is said."""
        try:
            data = self.path.read_bytes()
            check_seal(data)
        except FileNotFoundError:
            return None
        except (OSError, SealError) as error:
            say(f"  begins again: {self.path}: {error}")
            self.path.unlink(missing_ok=True)
            return None
        return len(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)["history"])

    def write_curves(self, rows: Sequence[Row]) -> None:
        """curves.csv, a row per epoch; a column that some epochs have not is empty there."""
        text = io.StringIO()
        columns = list(dict.fromkeys(key for row in rows for key in row))
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomic(self._folder / "curves.csv", lambda file: file.write(text.getvalue().encode()))

    def done(self, rows: Sequence[Row]) -> None:
        """Curves stay, what was needed to resume goes."""
        self.write_curves(rows)
        shutil.rmtree(self.path.parent, ignore_errors=True)
