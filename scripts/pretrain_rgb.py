"""Train the small RGB network shipped as `augrgb-tiny-rgb`, from nothing, on the practice world.

    python scripts/pretrain_rgb.py --work runs/pretrain

renders clips of the pre-training actions (none of which the demo asks for) in the appearance of
the training split, trains a narrow I3D to name them, and writes tiny_rgb.safetensors and its model
card. Every step goes on where it was stopped. About three quarters of an hour on two cores.

Shapes: N clips, B clips of a batch, L frames, H W pixels, K classes.
"""

import ctypes
import json
import logging
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from pretrain_clips import Pool, augment, pool
from safetensors.torch import save_file
from sklearn.metrics import average_precision_score
from torch import Tensor

from extractors.i3d import I3D
from pipeline.synthetic import PRETRAIN_ACTIONS, confusable_pairs

logger = logging.getLogger("pretrain")
SHIPPED = Path(__file__).parents[1] / "extractors" / "weights"
VALIDATION_SEED, TEST_SEED = 10_000_000, 20_000_000  # training clips count from 0


@dataclass(frozen=True)
class Settings:
    """What the result depends on, besides the practice world itself."""

    clips: int = 6000
    validation_clips: int = 512
    epochs: int = 8
    small_epochs: int = 5  # the first ones see smaller pictures, at half the cost
    small_size: int = 80  # px
    batch: int = 32
    lr: float = 2e-3
    weight_decay: float = 0.05
    dropout: float = 0.3
    width: float = 0.25
    frames: int = 16
    fps: float = 12.5
    size: int = 112  # px
    seed: int = 0


def batches(pool: Pool, epoch: int, settings: Settings) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled, augmented batches (B, 3, L, H, W), (B, K) of one epoch; the same for the same epoch."""
    clips, labels = pool.array("clips"), pool.array("labels")
    seed = settings.seed * 1000 + epoch
    size = settings.small_size if epoch < settings.small_epochs else settings.size
    rng = random.Random(seed)  # noqa: S311
    torch.manual_seed(seed)
    order = torch.randperm(pool.count).split(settings.batch)
    for indices_B in order[: pool.count // settings.batch]:
        picked = np.sort(indices_B.numpy())  # in the order they lie on disk
        x_BLHWC = augment(torch.from_numpy(clips[picked]), size, rng)
        yield x_BLHWC.permute(0, 4, 1, 2, 3), torch.from_numpy(labels[picked]).float()


def train(
    work: Path, settings: Settings, clips: Pool, validation: Pool
) -> tuple[I3D, list[dict[str, float]]]:
    """All epochs, going on from the last whole one found in `work`; the network and one row per epoch."""
    torch.manual_seed(settings.seed)
    model = I3D(3, len(PRETRAIN_ACTIONS), settings.width, settings.dropout)
    model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), settings.lr, weight_decay=settings.weight_decay)
    steps = settings.epochs * (clips.count // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=steps, pct_start=0.2)
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    history = restore(work / "last.pt", settings, parts)
    for epoch in range(len(history), settings.epochs):
        started = time.monotonic()
        loss = train_epoch(model, optimizer, schedule, batches(clips, epoch, settings))
        row = {"loss": loss, **evaluate(model, validation), "seconds": time.monotonic() - started}
        history.append(row)
        logger.info("epoch %d of %d: %s", epoch + 1, settings.epochs, json.dumps(row))
        save(work / "last.pt", settings, parts, history)
    return model, history


def train_epoch(
    model: I3D,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    batches: Iterator[tuple[Tensor, Tensor]],
) -> float:
    """One pass; the mean loss."""
    model.train()
    losses = []
    for x_BCLHW, y_BK in batches:
        # float32 throughout: oneDNN's bfloat16 weight gradients of the last modules are wrong (torch 2.13)
        loss = F.binary_cross_entropy_with_logits(model(x_BCLHW).mean(2), y_BK)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if len(losses) % 50 == 0:
            logger.info("  step %d, loss %.4f", len(losses), np.mean(losses[-50:]))
    return float(np.mean(losses))


@torch.inference_mode()
def evaluate(model: I3D, pool: Pool) -> dict[str, float]:
    """Measures of the network on unseen clips."""
    model.eval()
    clips, labels_NK = pool.array("clips"), np.asarray(pool.array("labels"))
    scores = []
    for start in range(0, pool.count, 32):
        x = torch.from_numpy(clips[start : start + 32]).float().div_(255 / 2).sub_(1)
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
    out.mkdir(parents=True, exist_ok=True)
    facts = {"network": "I3D", "classes": list(PRETRAIN_ACTIONS), "command": command(), "measures": measures}
    facts |= {"settings": asdict(settings), "licence": "Apache-2.0"}
    state = {
        key: value.half().contiguous()
        for key, value in model.state_dict().items()
        if value.is_floating_point()
    }
    temporary = out / "tiny_rgb.tmp"
    save_file(state, temporary, {key: json.dumps(value) for key, value in facts.items()})
    temporary.chmod(0o644)  # safetensors writes for the owner's eyes only; it is part of the package
    temporary.replace(out / "tiny_rgb.safetensors")
    (out / "tiny_rgb.md").write_text(model_card(settings, measures, sum(v.numel() for v in state.values())))


def model_card(settings: Settings, measures: dict[str, dict[str, float]], numbers: int) -> str:
    rows = "\n".join(
        f"| {name} | {m['mAP']:.3f} | {m['chance']:.3f} | {m['pairs']:.3f} |" for name, m in measures.items()
    )
    shape = f"{settings.frames} frames of {settings.size}x{settings.size} px at {settings.fps:g} a second"
    return f"""# augrgb-tiny-rgb

Inception-I3D with {settings.width:g} of its channels ({numbers:,} numbers, half precision).
In: {shape}, RGB / 255 * 2 - 1.
Out: {round(1024 * settings.width)} values. Licence: Apache-2.0.

**Data.** {settings.clips:,} clips of the practice world (`pipeline/synthetic`), rendered for this: no real
person, no other data, no other weights; the appearance of its training split only, without the hints
that its backgrounds give. Classes, none of them in the demo: {", ".join(PRETRAIN_ACTIONS)}.

**Made by** `{command()}`: {settings.epochs} epochs of AdamW (one cycle, {settings.lr:g}),
batches of {settings.batch}, binary cross-entropy per class; colours and boxes drawn anew
each time, {settings.small_size} px in the first {settings.small_epochs} epochs; seed {settings.seed}.

**Measures**, on clips never trained on. *Pairs*: how often the right one of two actions with the same
poses in another order or at another speed scores higher (chance 0.5). The test split's appearance was
looked at once, at the end, and chose nothing.

| clips | mAP | chance | pairs |
|---|---|---|---|
{rows}

**Not for** people as they really look: it has seen drawn figures only. It is there so that the whole
pipeline runs, and can be tested, without a download.
"""


def keep_freed_memory() -> None:
    """Let glibc reuse the large buffers of every step instead of asking for them anew: 1.3x as fast."""
    libc = ctypes.CDLL(None)
    m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)


def command() -> str:
    return " ".join(["python", "scripts/pretrain_rgb.py", *sys.argv[1:]])


def pretrain(work: Path, out: Path, settings: Settings, workers: int = 2) -> None:
    """Render, train, measure, export."""
    shape = (settings.frames, settings.fps, settings.size)
    clips = pool(work, settings.clips, settings.seed * settings.clips, "train", shape)
    validation = pool(work, settings.validation_clips, VALIDATION_SEED, "train", shape)
    test = pool(work, settings.validation_clips, TEST_SEED, "test", shape)
    for part in (validation, test, clips):
        part.render(workers)
    model, history = train(work, settings, clips, validation)
    measures = {"appearance of the training split": history[-1], "of the test split": evaluate(model, test)}
    export(model, out, settings, measures)
    logger.info("wrote %s: %s", out / "tiny_rgb.safetensors", json.dumps(measures))


def main(
    work: Annotated[Path, typer.Option(help="Folder for clips and checkpoints; run again to go on.")],
    out: Annotated[Path, typer.Option(help="Folder for the weights and their card.")] = SHIPPED,
    clips: int = Settings.clips,
    epochs: int = Settings.epochs,
    small_epochs: int = Settings.small_epochs,
    seed: int = Settings.seed,
    workers: int = 2,
) -> None:
    """Train the small RGB network from nothing on the practice world."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(workers)
    keep_freed_memory()
    pretrain(work, out, Settings(clips=clips, epochs=epochs, small_epochs=small_epochs, seed=seed), workers)


if __name__ == "__main__":
    typer.run(main)
