"""Fit one temporal model. The loop is Lightning's; ours is that a resumed run ends as an undisturbed one.

Shapes: B videos, T steps (padded), D feature size, K classes.
"""

import logging
import warnings
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader

from models.base import Encoded, TemporalModel
from models.losses import classification_loss
from models.windows import encode_any_length
from pipeline.config import TrainConfig
from pipeline.crops import random_crops
from pipeline.dataset import Batch, EpochShuffle, Example, collate
from pipeline.fit_records import Best, Row, Save, WholeFiles
from pipeline.metrics import frame_map
from pipeline.progress import Progress

if TYPE_CHECKING:
    from models.distiller import Distiller


class Detector(L.LightningModule):
    """A temporal model in training; `history` has one row per epoch: each loss, validation mAP, rate.

    How it learns from a teacher is the matter of `distillers`. What teachers make of the videos comes with
    the batch: teachers are frozen, and no part of this module.
    """

    def __init__(self, model: TemporalModel, lesson: "Lesson", report: Callable[[Row], None]) -> None:
        super().__init__()
        self.model, self.config, self.seed, self.report = model, lesson.config, lesson.seed, report
        self.distillers = nn.ModuleDict(lesson.distillers)  # what they learn is for the optimiser, too
        self.weights = {name: distiller.weights for name, distiller in lesson.distillers.items()}
        self.history: list[Row] = []
        self.best = Best(*lesson.monitor) if lesson.validation else None
        self._validation: Row = {}
        self._plateau_state: dict[str, Any] | None = None
        self._losses: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._validated: list[tuple[np.ndarray, np.ndarray]] = []

    def on_train_batch_start(self, _: Batch, batch_idx: int) -> None:
        # dropout depends on seed, epoch and batch alone, not on where a run was resumed
        seed = zlib.crc32(f"{self.seed} {self.current_epoch} {batch_idx}".encode())
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":  # torch.manual_seed would ask every kind of device, every time
            torch.cuda.manual_seed(seed)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        if self.model.window_steps is not None:
            batch = random_crops(batch, self.model.window_steps)
        h_BTC, own_terms = self.model.encode_with_losses(
            batch.x_BTD, batch.mask_BT, batch.target_BTK, batch.labelled_BT
        )
        logits_BTK = self.model.classify(h_BTC)
        loss = classification_loss(logits_BTK, batch.target_BTK, batch.labelled_BT)
        self._note("train_loss", loss, batch.labelled_BT)
        for name, term in own_terms.items():
            self._note(name, term, batch.labelled_BT)
            loss = loss + term
        for teacher, distiller in self.distillers.items():
            taught = batch.teachers.get(teacher)
            if taught is None:  # it knows no video of this batch
                continue
            terms = distiller(Encoded(h_BTC, logits_BTK), taught.seen, batch.target_BTK, taught.mask_BT)
            for name, term in terms.items():
                self._note(f"{name}_{teacher}", term, taught.mask_BT)
                loss = loss + self.weights[teacher][name] * term
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        logits_BTK = self.model.classify(encode_any_length(self.model, batch.x_BTD, batch.mask_BT))
        loss = classification_loss(logits_BTK, batch.target_BTK, batch.mask_BT)
        self._note("val_loss", loss, batch.mask_BT)
        real_BT = batch.mask_BT > 0
        scores = logits_BTK[real_BT].sigmoid().float().cpu().numpy()
        self._validated.append((scores, batch.target_BTK[real_BT].cpu().numpy() > 0))

    def on_validation_epoch_end(self) -> None:
        self._validation = {"val_loss": self._mean("val_loss")}
        scores, targets = zip(*self._validated, strict=True)
        self._validated.clear()
        if any(target.any() for target in targets):
            classes = [str(k) for k in range(targets[0].shape[1])]
            self._validation["val_map"] = float(frame_map(scores, targets, classes).mean_ap or 0.0)
        self.log_dict(self._validation)

    def on_train_epoch_end(self) -> None:
        lr = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        losses = {name: self._mean(name) for name in sorted(self._losses) if name != "val_loss"}
        row = {"epoch": self.current_epoch, "lr": lr, **losses, **self._validation}
        self.log_dict(losses)
        self.history.append(row)
        # ours to step: the loop would do it after the epoch's checkpoint, and a resumed run would miss it
        if self._validation:
            self._plateau.step(self._validation["val_loss"])
        if self.best is not None:
            self.best.offer(row, self.model)
        self.report(row)

    def _note(self, name: str, value: Tensor, mask_BT: Tensor) -> None:
        self._losses[name].append((float(value.detach()), float(mask_BT.sum())))

    def _mean(self, name: str) -> float:
        """Mean over steps, not over batches, which hold different numbers of them."""
        losses, steps = np.array(self._losses[name]).T
        self._losses[name].clear()
        return float((losses * steps).sum() / max(steps.sum(), 1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        config = self.config
        optimizer = torch.optim.Adam(self.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        self._plateau = ReduceLROnPlateau(optimizer, factor=config.lr_factor, patience=config.lr_patience)
        if self._plateau_state is not None:
            self._plateau.load_state_dict(self._plateau_state)
        return optimizer

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history
        checkpoint["plateau"] = self._plateau.state_dict()
        if self.best is not None:
            checkpoint["best"] = {"row": self.best.row, "state": self.best.state}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]
        self._plateau_state = checkpoint["plateau"]
        if self.best is not None:
            self.best.row, self.best.state = checkpoint["best"]["row"], checkpoint["best"]["state"]


class _Stop(EarlyStopping):
    """Early stop that stays stopped when a run is resumed after its last epoch."""

    def on_train_start(self, trainer: L.Trainer, _: L.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


@dataclass(frozen=True)
class Lesson:
    """What a model learns from, and by which schedule."""

    name: str  # of the model
    training: Sequence[Example]
    validation: Sequence[Example]
    distillers: Mapping[str, "Distiller"]  # by teacher; none: labels alone
    config: TrainConfig
    seed: int
    save_sec: float = 0.0  # what is needed to resume is saved that often at most; 0: after every epoch

    @property
    def monitor(self) -> tuple[str, Literal["min", "max"]]:
        """What chooses the epoch: validation mAP, or the loss where the share has no positive."""
        positive = any(example.target_TK.any() for example in self.validation)
        return ("val_map", "max") if positive else ("val_loss", "min")


def fit(
    model: TemporalModel, lesson: Lesson, *, folder: Path, device: torch.device, progress: Progress
) -> tuple[dict[str, Tensor], list[Row], Row]:
    """Train, or go on from the last epoch saved in `folder`; (weights, history, row of these weights).

    Weights are those of the best epoch (see `Lesson.monitor`; the first of equals; the last epoch
    where there is no validation share). `folder` keeps curves.csv and TensorBoard logs; what is needed
    to resume is removed at the end.
    """
    _quiet_lightning()
    config, save = lesson.config, Save(folder, lesson.save_sec)
    trainer = _trainer(folder, lesson, save, device)
    order = EpochShuffle(lesson.training, lesson.seed)
    if (done := save.epochs_done(progress.say)) is not None:
        # the loop draws the first epoch's order before it tells the sampler which epoch it is
        order.set_epoch(done)
        progress.say(f"  {lesson.name}: goes on after epoch {done} of {config.epochs}")
    with progress.bar(f"train {lesson.name}", config.epochs) as bar:
        module = Detector(model, lesson, lambda row: bar.advance(_note(row)))
        try:
            trainer.fit(
                module,
                _loader(lesson.training, config.batch_videos, order),
                _loader(lesson.validation, config.batch_videos) if lesson.validation else None,
                ckpt_path=save.path if done is not None else None,
                weights_only=True,
            )
        except SystemExit as end:
            if end.code == 1 and trainer.interrupted:  # how the loop ends after Ctrl-C
                raise KeyboardInterrupt from None
            raise
    save.done(module.history)
    state, row = module.model.state_dict(), module.history[-1]
    if module.best is not None and module.best.state is not None and module.best.row is not None:
        state, row = module.best.state, module.best.row
    return {key: value.cpu() for key, value in state.items()}, module.history, row


def _trainer(folder: Path, lesson: Lesson, save: Save, device: torch.device) -> L.Trainer:
    monitor, mode = lesson.monitor
    stop = [_Stop(monitor, mode=mode, patience=lesson.config.patience)] if lesson.validation else []
    return L.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision=_precision(lesson.config.precision, device),
        max_epochs=lesson.config.epochs,
        callbacks=[*stop, save],
        plugins=[WholeFiles()],
        logger=TensorBoardLogger(folder, name="", version="tensorboard"),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )


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
