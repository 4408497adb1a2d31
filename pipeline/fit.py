"""Fit one temporal model. The loop is Lightning's; ours is that a resumed run ends as an undisturbed one.

Shapes: B videos, T steps (padded), D feature size, K classes.
"""

import logging
import shutil
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from models.losses import classification_loss
from pipeline.config import TrainConfig
from pipeline.dataset import Batch, EpochShuffle, Example, collate
from pipeline.metrics import frame_map
from pipeline.progress import Progress

Row = dict[str, float]


class Detector(L.LightningModule):
    """A temporal model in training; `history` has one row per epoch: losses, validation mAP, rate."""

    def __init__(
        self, model: nn.Module, config: TrainConfig, seed: int, report: Callable[[Row], None]
    ) -> None:
        super().__init__()
        self.model, self.config, self.seed, self.report = model, config, seed, report
        self.history: list[Row] = []
        self._validation: Row = {}
        self._losses: dict[str, list[tuple[float, float]]] = {"train": [], "val": []}
        self._validated: list[tuple[np.ndarray, np.ndarray]] = []

    def on_train_batch_start(self, _: Batch, batch_idx: int) -> None:
        # dropout depends on seed, epoch and batch alone, not on where a run was resumed
        torch.manual_seed(zlib.crc32(f"{self.seed} {self.current_epoch} {batch_idx}".encode()))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        loss = classification_loss(self.model(batch.x_BTD, batch.mask_BT), batch.target_BTK, batch.mask_BT)
        self._losses["train"].append((float(loss.detach()), float(batch.mask_BT.sum())))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        logits_BTK = self.model(batch.x_BTD, batch.mask_BT)
        loss = classification_loss(logits_BTK, batch.target_BTK, batch.mask_BT)
        self._losses["val"].append((float(loss), float(batch.mask_BT.sum())))
        real_BT = batch.mask_BT > 0
        scores = logits_BTK[real_BT].sigmoid().float().cpu().numpy()
        self._validated.append((scores, batch.target_BTK[real_BT].cpu().numpy() > 0))

    def on_validation_epoch_end(self) -> None:
        self._validation = {"val_loss": self._mean("val")}
        scores, targets = zip(*self._validated, strict=True)
        self._validated.clear()
        if any(target.any() for target in targets):
            classes = [str(k) for k in range(targets[0].shape[1])]
            self._validation["val_map"] = float(frame_map(scores, targets, classes).mean_ap or 0.0)
        self.log_dict(self._validation)

    def on_train_epoch_end(self) -> None:
        lr = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        row = {"epoch": self.current_epoch, "lr": lr, "train_loss": self._mean("train"), **self._validation}
        self.log("train_loss", row["train_loss"])
        self.history.append(row)
        self.report(row)

    def _mean(self, part: str) -> float:
        """Mean over steps, not over batches, which hold different numbers of them."""
        losses, steps = np.array(self._losses[part]).T
        self._losses[part].clear()
        return float((losses * steps).sum() / steps.sum())

    def configure_optimizers(self) -> Any:
        config = self.config
        optimizer = torch.optim.Adam(self.model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        if not self.trainer.val_dataloaders:
            return optimizer
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=config.lr_factor, patience=config.lr_patience
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]


class _Stop(EarlyStopping):
    """Early stop that stays stopped when a run is resumed after its last epoch."""

    def on_train_start(self, trainer: L.Trainer, _: L.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def fit(
    model: nn.Module,
    training: Sequence[Example],
    validation: Sequence[Example],
    *,
    name: str,
    config: TrainConfig,
    seed: int,
    folder: Path,
    device: torch.device,
    progress: Progress,
) -> tuple[dict[str, Tensor], list[Row], Row]:
    """Train, or go on from the last whole epoch found in `folder`; (weights, history, row of these weights).

    Weights are those of the epoch with the best validation mAP (the first of equals; the lowest
    validation loss where the validation share has no positive; the last epoch without a validation share).
    `folder` keeps TensorBoard logs; what is needed to resume is removed at the end.
    """
    _quiet_lightning()
    resume = folder / "resume"
    monitor, mode = ("val_map", "max") if any(e.target_TK.any() for e in validation) else ("val_loss", "min")
    last = ModelCheckpoint(
        resume, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
    )
    callbacks: list[Callback] = []
    best = None
    if validation:
        best = ModelCheckpoint(
            resume,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_weights_only=True,
            enable_version_counter=False,
        )
        callbacks += [best, _Stop(monitor, mode=mode, patience=config.patience)]
    trainer = L.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision=_precision(config.precision, device),
        max_epochs=config.epochs,
        callbacks=[*callbacks, last],  # last comes last: it is written when everything of the epoch is
        logger=TensorBoardLogger(folder, name="", version="tensorboard"),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
    found = resume / "last.ckpt"
    order = EpochShuffle(training, seed)
    if found.is_file():
        # the loop draws the first epoch's order before it tells the sampler which epoch it is
        done = len(torch.load(found, map_location="cpu", weights_only=True)["history"])
        order.set_epoch(done)
        progress.say(f"  {name}: goes on after epoch {done} of {config.epochs}")
    with progress.bar(f"train {name}", config.epochs) as bar:
        module = Detector(model, config, seed, lambda row: bar.advance(_note(row)))
        trainer.fit(
            module,
            _loader(training, config.batch_videos, order),
            _loader(validation, config.batch_videos) if validation else None,
            ckpt_path=found if found.is_file() else None,
            weights_only=True,
        )
    if trainer.interrupted:
        raise KeyboardInterrupt
    if best is not None:
        saved = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
        module.load_state_dict(saved["state_dict"])
    rows = module.history
    chosen = max(rows, key=lambda row: row[monitor] if mode == "max" else -row[monitor]) if best else rows[-1]
    shutil.rmtree(resume, ignore_errors=True)
    return {key: value.cpu() for key, value in module.model.state_dict().items()}, rows, chosen


def _loader(examples: Sequence[Example], batch: int, sampler: EpochShuffle | None = None) -> DataLoader[Any]:
    return DataLoader(examples, batch_size=batch, sampler=sampler, collate_fn=collate)  # type: ignore[arg-type]


def _note(row: Row) -> str:
    return ", ".join(f"{key} {value:.3f}" for key, value in row.items() if key not in ("epoch", "lr"))


def _precision(name: str, device: torch.device) -> Any:
    if name != "auto":
        return name
    return "bf16-mixed" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "32-true"


def _quiet_lightning() -> None:
    """Its notes on hardware and workers say nothing to our users; its errors are exceptions."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
