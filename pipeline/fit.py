"""Fit one temporal model. The loop is Lightning's; ours is that a resumed run ends as an undisturbed one.

Shapes: B videos, T steps (padded), D feature size, K classes.
"""

import csv
import io
import logging
import shutil
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
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader

from models.base import TemporalModel
from models.losses import classification_loss
from models.windows import encode_any_length
from pipeline.config import TrainConfig
from pipeline.crops import random_crops
from pipeline.dataset import Batch, EpochShuffle, Example, collate
from pipeline.files import write_atomic
from pipeline.metrics import frame_map
from pipeline.progress import Progress

if TYPE_CHECKING:
    from models.distillation import Distillation

Row = dict[str, float]


class Detector(L.LightningModule):
    """A temporal model in training; `history` has one row per epoch: each loss, validation mAP, rate.

    How its features are held against a teacher's is the matter of `distillations`. The teachers'
    features come with the batch: teachers are frozen, and no part of this module.
    """

    def __init__(self, model: TemporalModel, lesson: "Lesson", report: Callable[[list[Row]], None]) -> None:
        super().__init__()
        self.model, self.config, self.seed, self.report = model, lesson.config, lesson.seed, report
        self.distillations = lesson.distillations
        self.learned_by_it = nn.ModuleDict(lesson.distillations)  # projections, for the optimiser
        self.history: list[Row] = []
        self._validation: Row = {}
        self._plateau_state: dict[str, Any] | None = None
        self._losses: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._validated: list[tuple[np.ndarray, np.ndarray]] = []

    def on_train_batch_start(self, _: Batch, batch_idx: int) -> None:
        # dropout depends on seed, epoch and batch alone, not on where a run was resumed
        torch.manual_seed(zlib.crc32(f"{self.seed} {self.current_epoch} {batch_idx}".encode()))

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
        for teacher, distillation in self.distillations.items():
            taught = batch.teachers.get(teacher)
            if taught is None:  # no video of this batch has it
                continue
            terms = distillation(h_BTC, taught.features_BTC, batch.target_BTK, taught.mask_BT)
            for name, term in terms.items():
                self._note(f"{name}_{teacher}", term, taught.mask_BT)
                loss = loss + distillation.weights[name] * term
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
        self.report(self.history)

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

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]
        self._plateau_state = checkpoint["plateau"]


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
    distillations: Mapping[str, "Distillation"]  # by teacher; none: labels alone
    config: TrainConfig
    seed: int

    @property
    def monitor(self) -> tuple[str, Literal["min", "max"]]:
        """What chooses the epoch: validation mAP, or the loss where the share has no positive."""
        positive = any(example.target_TK.any() for example in self.validation)
        return ("val_map", "max") if positive else ("val_loss", "min")


def fit(
    model: TemporalModel, lesson: Lesson, *, folder: Path, device: torch.device, progress: Progress
) -> tuple[dict[str, Tensor], list[Row], Row]:
    """Train, or go on from the last whole epoch found in `folder`; (weights, history, row of these weights).

    Weights are those of the best epoch (see `Lesson.monitor`; the first of equals; the last epoch
    where there is no validation share). `folder` keeps curves.csv and TensorBoard logs; what is needed
    to resume is removed at the end.
    """
    _quiet_lightning()
    resume, config = folder / "resume", lesson.config
    best = _best(resume, lesson) if lesson.validation else None
    trainer = _trainer(folder, lesson, best, device)
    found = resume / "last.ckpt"
    order = EpochShuffle(lesson.training, lesson.seed)
    if found.is_file():
        # the loop draws the first epoch's order before it tells the sampler which epoch it is
        done = len(torch.load(found, map_location="cpu", weights_only=True)["history"])
        order.set_epoch(done)
        progress.say(f"  {lesson.name}: goes on after epoch {done} of {config.epochs}")
    with progress.bar(f"train {lesson.name}", config.epochs) as bar:

        def report(rows: list[Row]) -> None:
            _write_curves(folder / "curves.csv", rows)
            bar.advance(_note(rows[-1]))

        module = Detector(model, lesson, report)
        try:
            trainer.fit(
                module,
                _loader(lesson.training, config.batch_videos, order),
                _loader(lesson.validation, config.batch_videos) if lesson.validation else None,
                ckpt_path=found if found.is_file() else None,
                weights_only=True,
            )
        except SystemExit as end:
            if end.code == 1 and trainer.interrupted:  # how the loop ends after Ctrl-C
                raise KeyboardInterrupt from None
            raise
    rows = module.history
    chosen = rows[-1]
    if best is not None:
        saved = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
        module.load_state_dict(saved["state_dict"])
        monitor, mode = lesson.monitor
        chosen = max(rows, key=lambda row: row[monitor] if mode == "max" else -row[monitor])
    shutil.rmtree(resume, ignore_errors=True)
    return {key: value.cpu() for key, value in module.model.state_dict().items()}, rows, chosen


def _best(folder: Path, lesson: Lesson) -> ModelCheckpoint:
    monitor, mode = lesson.monitor
    return ModelCheckpoint(
        folder,
        filename="best",
        monitor=monitor,
        mode=mode,
        save_weights_only=True,
        enable_version_counter=False,
    )


def _trainer(folder: Path, lesson: Lesson, best: ModelCheckpoint | None, device: torch.device) -> L.Trainer:
    monitor, mode = lesson.monitor
    stop = [] if best is None else [best, _Stop(monitor, mode=mode, patience=lesson.config.patience)]
    last = ModelCheckpoint(
        folder / "resume", filename="last", enable_version_counter=False, save_on_train_epoch_end=True
    )
    return L.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision=_precision(lesson.config.precision, device),
        max_epochs=lesson.config.epochs,
        callbacks=[*stop, last],  # last comes last: it is written when everything of the epoch is
        logger=TensorBoardLogger(folder, name="", version="tensorboard"),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )


def _loader(examples: Sequence[Example], batch: int, sampler: EpochShuffle | None = None) -> DataLoader[Any]:
    return DataLoader(examples, batch_size=batch, sampler=sampler, collate_fn=collate)  # type: ignore[arg-type]


def _write_curves(path: Path, rows: list[Row]) -> None:
    """A row per epoch; a column that some epochs have not is empty there."""
    text = io.StringIO()
    writer = csv.DictWriter(
        text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, lambda file: file.write(text.getvalue().encode()))


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
