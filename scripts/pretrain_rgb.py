"""Train the small RGB network shipped as `augrgb-tiny-rgb`, from nothing, on the practice world.

    python -m scripts.pretrain_rgb --work runs/pretrain

renders clips of the pre-training actions (none of which the demo asks for) in the appearance of
the training split, trains a narrow I3D to name them and, at an early layer, to say how every cell
moves, and writes tiny_rgb.safetensors and its model card. Every step goes on where it was stopped.
About half an hour on two cores.

Shapes: N clips, B clips of a batch, L frames, H W pixels, h w cells, K classes.
"""

import json
import logging
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from extractors.i3d import I3D
from pipeline.synthetic import PRETRAIN_ACTIONS, confusable_pairs
from pipeline.synthetic.textures import Domain
from scripts.export import SHIPPED, command, table, write_weights
from scripts.person_clips import PersonPool
from scripts.pretrain_clips import pool
from scripts.start import TEST_SEED, VALIDATION_SEED, begin

logger = logging.getLogger("pretrain")


@dataclass(frozen=True)
class Settings:
    """What the result depends on, besides the practice world itself."""

    clips: int = 6000
    validation_clips: int = 512
    epochs: int = 8
    batch: int = 16
    lr: float = 2e-3
    weight_decay: float = 0.02
    dropout: float = 0.3
    flow_weight: float = 3.0
    width: float = 0.25
    frames: int = 16
    fps: float = 12.5
    size: int = 80  # px, what the network is shown
    rendered: int = 88  # px, of which that is a random part
    seed: int = 0


class FlowTask(nn.Module):
    """An auxiliary task: the flow of every cell (8 px, every frame) from the features of Mixed_3c.

    Dense and exact truth costs nothing here and shows the network what motion is; the head is thrown away.
    """

    def __init__(self, model: I3D, width: float) -> None:
        super().__init__()
        channels = round(480 * width)
        self.head = nn.Conv3d(channels, 2 * 2, 1)  # one step of the layer is two frames
        model.Mixed_3c.register_forward_hook(self._keep)

    def _keep(self, _: nn.Module, __: tuple[Tensor, ...], features: Tensor) -> None:
        self._features = features

    def forward(self, flow_B2Lhw: Tensor) -> Tensor:
        """The loss of the clips that went through the network last."""
        flow_B22Thw = self.head(self._features).unflatten(1, (2, 2))
        return F.smooth_l1_loss(flow_B22Thw.transpose(2, 3).flatten(2, 3), flow_B2Lhw, beta=0.3)


def batches(pool: PersonPool, epoch: int, settings: Settings) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Shuffled, augmented batches (B, 3, L, H, W), (B, K), (B, 2, L, h, w); the same for the same epoch."""
    seed = settings.seed * 1000 + epoch
    rng = random.Random(seed)  # noqa: S311
    torch.manual_seed(seed)
    for picked_B in torch.randperm(pool.count).split(settings.batch)[: pool.count // settings.batch]:
        yield pool.batch(np.sort(picked_B.numpy()), settings.size, rng)  # in the order they lie on disk


def train(
    work: Path, settings: Settings, clips: PersonPool, validation: PersonPool
) -> tuple[I3D, list[dict[str, float]]]:
    """All epochs, going on from the last whole one found in `work`; the network and one row per epoch."""
    torch.manual_seed(settings.seed)
    model = I3D(3, len(PRETRAIN_ACTIONS), settings.width, settings.dropout)
    assert model.logits is not None
    assert model.logits.conv3d.bias is not None
    nn.init.constant_(model.logits.conv3d.bias, -2.8)  # begin with what is common: one class in eighteen
    model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    task = FlowTask(model, settings.width)
    parameters = [*model.parameters(), *task.parameters()]
    optimizer = torch.optim.AdamW(parameters, settings.lr, weight_decay=settings.weight_decay)
    steps = settings.epochs * (clips.count // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=steps, pct_start=0.2)
    parts = {"model": model, "task": task, "optimizer": optimizer, "schedule": schedule}
    history = restore(work / "last.pt", settings, parts)
    for epoch in range(len(history), settings.epochs):
        started = time.monotonic()
        step = Step(model, optimizer, schedule, task, settings.flow_weight)
        losses = train_epoch(step, batches(clips, epoch, settings))
        row = {**losses, **evaluate(model, validation, settings), "seconds": time.monotonic() - started}
        history.append(row)
        logger.info("epoch %d of %d: %s", epoch + 1, settings.epochs, json.dumps(row))
        save(work / "last.pt", settings, parts, history)
    return model, history


@dataclass(frozen=True)
class Step:
    """One step of training: classes, and flow where the clips come with it."""

    model: I3D
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    task: FlowTask | None = None
    flow_weight: float = 0.0

    def __call__(self, x_BCLHW: Tensor, y_BK: Tensor, flow_B2Lhw: Tensor | None = None) -> dict[str, float]:
        """The losses of a batch, before the step."""
        # float32 throughout: oneDNN's bfloat16 weight gradients of the last modules are wrong (torch 2.13)
        loss = F.binary_cross_entropy_with_logits(self.model(x_BCLHW).mean(2), y_BK)
        losses = {"loss": loss.item()}
        if self.task is not None and flow_B2Lhw is not None:
            flow_loss = self.task(flow_B2Lhw)
            losses["flow_loss"] = flow_loss.item()
            loss = loss + self.flow_weight * flow_loss
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return losses


def train_epoch(step: Step, batches: Iterable[tuple[Tensor, ...]]) -> dict[str, float]:
    """One pass; the mean of each loss."""
    step.model.train()
    rows = []
    for batch in batches:
        rows.append(step(*batch))
        if len(rows) % 50 == 0:
            logger.info("  step %d, loss %.4f", len(rows), np.mean([row["loss"] for row in rows[-50:]]))
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


@torch.inference_mode()
def evaluate(model: I3D, pool: PersonPool, settings: Settings) -> dict[str, float]:
    """Measures of the network on unseen clips, cut in their middle."""
    model.eval()
    clips, labels_NK = pool.array("clips"), np.asarray(pool.array("labels"))
    edge = (settings.rendered - settings.size) // 2
    inner = slice(edge, edge + settings.size)
    scores = []
    for start in range(0, pool.count, 32):
        x = torch.from_numpy(clips[start : start + 32, :, inner, inner]).float().div_(255 / 2).sub_(1)
        scores.append(model(x.permute(0, 4, 1, 2, 3)).mean(2))
    return clip_measures(torch.cat(scores).numpy(), labels_NK)


def clip_measures(scores_NK: np.ndarray, labels_NK: np.ndarray) -> dict[str, float]:
    """mAP, chance (prevalence), and how often the right one of a confusable pair wins."""
    known = labels_NK.any(0)
    right = []
    for pair in confusable_pairs(PRETRAIN_ACTIONS):
        a, b = (PRETRAIN_ACTIONS.index(name) for name in pair)
        one_N = labels_NK[:, a] != labels_NK[:, b]
        right += list((scores_NK[one_N, a] > scores_NK[one_N, b]) == labels_NK[one_N, a])
    return {
        "mAP": float(average_precision_score(labels_NK[:, known], scores_NK[:, known], average="macro")),
        "chance": float(labels_NK[:, known].mean()),
        "pairs": float(np.mean(right)),
    }


def restore(path: Path, settings: Settings, parts: dict[str, Any]) -> list[dict[str, float]]:
    """Put the saved state into `parts`; the rows of the epochs done, none without a file."""
    if not path.exists():
        return []
    saved = torch.load(path, weights_only=True)
    if saved["settings"] != asdict(settings):
        raise ValueError(
            f"{path} was trained with {saved['settings']}; use another --work, or these settings"
        )
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    logger.info("going on after epoch %d", len(saved["history"]))
    return saved["history"]


def save(path: Path, settings: Settings, parts: dict[str, Any], history: list[dict[str, float]]) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    temporary = path.with_suffix(".tmp")
    torch.save({"settings": asdict(settings), "history": history, **state}, temporary)
    temporary.replace(path)


def export(model: I3D, out: Path, settings: Settings, measures: dict[str, dict[str, float]]) -> None:
    """tiny_rgb.safetensors (half precision, in the key layout of `extractors.i3d`) and its model card."""
    facts = {"network": "I3D", "classes": list(PRETRAIN_ACTIONS), "command": command(), "measures": measures}
    facts |= {"settings": asdict(settings), "licence": "Apache-2.0"}
    numbers = write_weights(model, out / "tiny_rgb.safetensors", facts)
    (out / "tiny_rgb.md").write_text(model_card(settings, measures, numbers))


def model_card(settings: Settings, measures: dict[str, dict[str, float]], numbers: int) -> str:
    shape = f"{settings.frames} frames at {settings.fps:g} a second"
    return f"""# augrgb-tiny-rgb

Inception-I3D with {settings.width:g} of its channels ({numbers:,} numbers, half precision).
In: {shape}, RGB / 255 * 2 - 1. Out: {round(1024 * settings.width)} values. Licence: Apache-2.0.

**Data.** {settings.clips:,} clips of the practice world (`pipeline/synthetic`), rendered for this: no real
person, no other data, no other weights; the appearance of its training split only, without the hints
that its backgrounds give; one person each, cut out at {settings.size} px. Classes, none of them in the
demo: {", ".join(PRETRAIN_ACTIONS)}.

**Made by** `{command()}`: {settings.epochs} epochs of AdamW (one cycle,
{settings.lr:g}), batches of {settings.batch}; binary cross-entropy per class, plus
{settings.flow_weight:g} times the error of the flow that a linear head reads from Mixed_3c; colours and
window drawn anew each time; seed {settings.seed}.

**Measures**, on clips never trained on. *Pairs*: how often the right one of two actions with the same
poses in another order or at another speed scores higher (chance 0.5). The test split's appearance was
looked at once, at the end, and chose nothing.

{table(measures, "clips")}

**Not for** people as they really look: it has seen drawn figures only. It is there so that the whole
pipeline runs, and can be tested, without a download.
"""


def pretrain(work: Path, out: Path, settings: Settings, workers: int = 2) -> None:
    """Render, train, measure, export."""
    clips, validation, test = (
        person_pool(work, count, first_seed, domain, settings)
        for count, first_seed, domain in (
            (settings.clips, settings.seed * settings.clips, "train"),
            (settings.validation_clips, VALIDATION_SEED, "train"),
            (settings.validation_clips, TEST_SEED, "test"),
        )
    )
    for part in (validation, test, clips):
        part.render(workers)
    model, history = train(work, settings, clips, validation)
    unseen = {name: history[-1][name] for name in ("mAP", "chance", "pairs")}
    measures = {
        "appearance of the training split": unseen,
        "of the test split": evaluate(model, test, settings),
    }
    export(model, out, settings, measures)
    logger.info("wrote %s: %s", out / "tiny_rgb.safetensors", json.dumps(measures))


def person_pool(work: Path, count: int, first_seed: int, domain: Domain, settings: Settings) -> PersonPool:
    """The pool of these clips in this version of the world."""
    shape = (settings.frames, settings.fps, settings.rendered)
    plain = pool(work, count, first_seed, domain, shape)
    return PersonPool(**{**vars(plain), "folder": plain.folder.with_name(f"person-{plain.folder.name}")})


def main(
    work: Annotated[Path, typer.Option(help="Folder for clips and checkpoints; run again to go on.")],
    out: Annotated[Path, typer.Option(help="Folder for the weights and their card.")] = SHIPPED,
    clips: int = Settings.clips,
    epochs: int = Settings.epochs,
    seed: int = Settings.seed,
    workers: int = 2,
) -> None:
    """Train the small RGB network from nothing on the practice world."""
    begin(workers)
    pretrain(work, out, Settings(clips=clips, epochs=epochs, seed=seed), workers)


if __name__ == "__main__":
    typer.run(main)
