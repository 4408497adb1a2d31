"""Train the small optical-flow network shipped as `augrgb-tiny-raft`, from nothing, on the practice world.

    python scripts/train_raft.py --work runs/train_raft

renders pairs of frames with exact flow at the tiny preset's geometry (12.5 frames a second, 128 px),
trains torchvision's raft_small on them, and writes tiny_raft.safetensors and its model card. Every
step goes on where it was stopped. About a quarter of an hour on two cores.

Shapes: B pairs of a batch, H W pixels; flow (B, 2, H, W) is x, y in px.
"""

import json
import logging
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from flow_pairs import FlowPool, Pairs, augment_pairs
from pretrain_clips import pool
from pretrain_rgb import SHIPPED, TEST_SEED, VALIDATION_SEED, restore, save
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models.optical_flow import RAFT, raft_small

from extractors.raft import Correlation

logger = logging.getLogger("train_raft")
SHAPE = (5, 12.5, 128)  # frames of a clip, their rate, px
MAX_FLOW_PX = 60.0  # faster pixels are left out of the loss


@dataclass(frozen=True)
class Settings:
    """What the result depends on, besides the practice world itself."""

    clips: int = 1200  # of five frames: four pairs
    validation_clips: int = 60
    steps: int = 2000
    batch: int = 4
    updates: int = 5
    lr: float = 4e-4
    weight_decay: float = 1e-5
    gamma: float = 0.8  # weight of an update's error against the next one's
    size: int = 128  # px
    seed: int = 0


def train(work: Path, settings: Settings, clips: FlowPool, validation: FlowPool) -> RAFT:
    """All steps, going on from the last hundred found in `work`."""
    torch.manual_seed(settings.seed)
    model = raft_small(weights=None, corr_block=Correlation(num_levels=4, radius=3))
    optimizer = torch.optim.AdamW(model.parameters(), settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.lr, total_steps=settings.steps, pct_start=0.05, anneal_strategy="linear"
    )
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    history = restore(work / "last.pt", settings, parts)
    every = 100
    for hundred in range(len(history), settings.steps // every):
        started = time.monotonic()
        model.train()
        losses = []
        for step in range(hundred * every, (hundred + 1) * every):
            first, second, flow = batch_of(step, clips, settings)
            with torch.autocast("cpu", torch.bfloat16):
                flows = model(first, second, settings.updates)
            loss = sequence_loss(flows, flow, settings.gamma)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        row = {"loss": float(np.mean(losses)), "seconds": time.monotonic() - started}
        if hundred % 5 == 4:
            row |= {"epe": measure(model, validation, settings)["moving"]}
        history.append(row)
        done = f"step {(hundred + 1) * every}/{settings.steps}: "
        logger.info(done + ", ".join(f"{k} {v:.3f}" for k, v in row.items()))
        save(work / "last.pt", settings, parts, history)
    return model


def batch_of(step: int, clips: FlowPool, settings: Settings) -> Pairs:
    """Augmented pairs; the same for the same step."""
    seed = settings.seed * 10_000_000 + step
    rng = random.Random(seed)  # noqa: S311
    torch.manual_seed(seed)
    picked_B = [rng.randrange(clips.count * (clips.frames - 1)) for _ in range(settings.batch)]
    return augment_pairs(clips.pairs(picked_B), settings.size, rng)


def sequence_loss(flows: list[Tensor], wanted_B2HW: Tensor, gamma: float) -> Tensor:
    """L1 of every update's flow, the later the heavier (RAFT, section 3.4), where the flow is known."""
    known_BHW = wanted_B2HW.isfinite().all(1) & (wanted_B2HW.nan_to_num().norm(dim=1) < MAX_FLOW_PX)
    wanted_B2HW = wanted_B2HW.nan_to_num()
    losses = [(flow - wanted_B2HW).abs().sum(1)[known_BHW].mean() for flow in flows]
    return sum((gamma ** (len(flows) - 1 - i) * loss for i, loss in enumerate(losses)), torch.zeros(()))


@torch.inference_mode()
def measure(model: RAFT, clips: FlowPool, settings: Settings) -> dict[str, float]:
    """Mean end-point error in px of unseen pairs, of the answer "nothing moves", and of frames and themselves."""
    model.eval()
    errors: dict[str, list[float]] = {"moving": [], "on persons and things": [], "zero": [], "still": []}
    total = clips.count * (clips.frames - 1)
    for start in range(0, total, 20):
        first, second, flow = clips.pairs(list(range(start, min(start + 20, total))))
        middle = (flow.shape[-1] - settings.size) // 2
        first, second, flow = (x[..., middle : middle + settings.size] for x in (first, second, flow))
        found = model(first, second, settings.updates)[-1]
        error_BHW = (found - flow).norm(dim=1)
        own_BHW = (flow - flow.flatten(2).median(-1).values[..., None, None]).norm(dim=1) > 1
        errors["moving"] += error_BHW.mean((1, 2)).tolist()
        errors["on persons and things"] += error_BHW[own_BHW].tolist()
        errors["zero"] += flow.norm(dim=1).mean((1, 2)).tolist()
        errors["still"] += model(first, first, settings.updates)[-1].norm(dim=1).mean((1, 2)).tolist()
    return {name: float(np.mean(values)) for name, values in errors.items()}


def export(model: RAFT, out: Path, settings: Settings, measures: dict[str, dict[str, float]]) -> None:
    """tiny_raft.safetensors (half precision, torchvision's keys) and its model card."""
    out.mkdir(parents=True, exist_ok=True)
    facts = {"network": "raft_small", "command": command(), "measures": measures}
    facts |= {"settings": asdict(settings), "licence": "Apache-2.0"}
    state = {key: value.half().contiguous() for key, value in model.state_dict().items()}
    temporary = out / "tiny_raft.tmp"
    save_file(state, temporary, {key: json.dumps(value) for key, value in facts.items()})
    temporary.replace(out / "tiny_raft.safetensors")
    (out / "tiny_raft.md").write_text(model_card(settings, measures, sum(v.numel() for v in state.values())))


def model_card(settings: Settings, measures: dict[str, dict[str, float]], numbers: int) -> str:
    names = list(next(iter(measures.values())))
    rows = "\n".join(
        f"| {name} | " + " | ".join(f"{m[key]:.3f}" for key in names) + " |" for name, m in measures.items()
    )
    return f"""# augrgb-tiny-raft

Optical flow: torchvision's `raft_small` ({numbers:,} numbers, half precision).
In: two frames, RGB / 255 * 2 - 1, at least 128 px. Out: flow in px, x before y. Licence: Apache-2.0.

**Data.** {settings.clips:,} clips of {SHAPE[0]} frames of the practice world (`pipeline/synthetic`) with exact
flow, {SHAPE[1]:g} frames a second, {SHAPE[2] * 5 // 4}x{SHAPE[2]} px: no real person, no other data, no
other weights; the appearance of its training split and the pre-training actions only.

**Made by** `{command()}`: {settings.steps:,} steps of AdamW (one cycle, {settings.lr:g}), batches of
{settings.batch} pairs of {settings.size}x{settings.size} px, {settings.updates} updates; pairs turned, zoomed,
mirrored, moved against each other and recoloured each time; seed {settings.seed}.

**Measures**: mean end-point error in px over pairs never trained on ({settings.updates} updates). *On persons and
things*: pixels that move over 1 px against the picture. *Zero*: the error of the answer that nothing
moves. *Still*: length of the flow between a frame and itself. The test split's appearance was looked
at once, at the end.

| pairs | {" | ".join(names)} |
|---|{"---|" * len(names)}
{rows}

**Not for** flow as such: it has seen drawn figures at one size. It is there so that the whole pipeline
runs, and can be tested, without a download.
"""


def command() -> str:
    return " ".join(["python", "scripts/train_raft.py", *sys.argv[1:]])


def train_raft(work: Path, out: Path, settings: Settings, workers: int = 2) -> None:
    """Render, train, measure, export."""
    clips, validation, test = (
        FlowPool(**vars(pool(work, count, first_seed, domain, SHAPE)))
        for count, first_seed, domain in (
            (settings.clips, settings.seed * settings.clips, "train"),
            (settings.validation_clips, VALIDATION_SEED, "train"),
            (settings.validation_clips, TEST_SEED, "test"),
        )
    )
    for part in (validation, test, clips):
        part.render(workers)
    model = train(work, settings, clips, validation)
    measures = {
        "appearance of the training split": measure(model, validation, settings),
        "of the test split": measure(model, test, settings),
    }
    export(model, out, settings, measures)
    logger.info(f"wrote {out / 'tiny_raft.safetensors'}: {measures}")


def main(
    work: Annotated[Path, typer.Option(help="Folder for pairs and checkpoints; run again to go on.")],
    out: Annotated[Path, typer.Option(help="Folder for the weights and their card.")] = SHIPPED,
    clips: int = Settings.clips,
    steps: int = Settings.steps,
    seed: int = Settings.seed,
    workers: int = 2,
) -> None:
    """Train the small optical-flow network from nothing on the practice world."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(workers)
    train_raft(work, out, Settings(clips=clips, steps=steps, seed=seed), workers)


if __name__ == "__main__":
    typer.run(main)
