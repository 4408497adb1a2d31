"""Train the small optical-flow network shipped as `augrgb-tiny-raft`, from nothing, on the practice world.

    python -m scripts.train_raft --work runs/train_raft

renders pairs of frames with exact flow at the tiny preset's geometry (12.5 frames a second, 128 px),
trains torchvision's raft_small on them, and writes tiny_raft.safetensors and its model card. Every
step goes on where it was stopped. About a quarter of an hour on two cores.

Shapes: B pairs of a batch, H W pixels; flow (B, 2, H, W) is x, y in px.
"""

import json
import logging
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor
from torchvision.models.optical_flow import RAFT

from extractors.raft import build_raft
from scripts.export import SHIPPED, command, table, write_weights
from scripts.flow_pairs import FlowPool, Pairs, augment_pairs
from scripts.pretrain_clips import pool
from scripts.start import TEST_SEED, VALIDATION_SEED, begin
from scripts.stepwise import Recipe, run

logger = logging.getLogger("train_raft")
SHAPE = (5, 12.5, 128)  # frames of a clip, their rate, px
FAR, NEAR = (1.0, 3.0, 7.0), (0.5, 1.5)  # px by which frames are moved against each other, in two stages
MAX_FLOW_PX = 60.0  # faster pixels are left out of the loss


@dataclass(frozen=True)
class Settings:
    """What the result depends on, besides the practice world itself."""

    clips: int = 400  # of five frames: four pairs
    validation_clips: int = 60
    far_steps: int = 1500
    near_steps: int = 1500
    batch: int = 4
    updates: int = 4
    far_lr: float = 4e-4
    near_lr: float = 3e-4
    weight_decay: float = 1e-5
    gamma: float = 0.8  # weight of an update's error against the next one's
    size: int = 128  # px
    seed: int = 0


def train(work: Path, settings: Settings, clips: FlowPool) -> RAFT:
    """Both stages, going on from the last saved step found in `work`."""
    torch.manual_seed(settings.seed)
    model = build_raft("raft_small")

    def stage(name: str, reach_px: tuple[float, ...], first_step: int, steps: int, lr: float) -> None:
        def loss(step: int) -> dict[str, Tensor]:
            first, second, flow = batch_of(first_step + step, clips, reach_px, settings)
            with torch.autocast("cpu", torch.bfloat16):
                flows = model(first, second, settings.updates)
            return {"loss": sequence_loss(flows, flow, settings.gamma)}

        recipe = Recipe(steps, settings.batch, lr, settings.weight_decay, settings.seed)
        run(model, loss, recipe, work / f"{name}.pt", save_every=100)

    stage("far", FAR, 0, settings.far_steps, settings.far_lr)
    stage("near", NEAR, settings.far_steps, settings.near_steps, settings.near_lr)
    return model


def batch_of(step: int, clips: FlowPool, reach_px: tuple[float, ...], settings: Settings) -> Pairs:
    """Augmented pairs; the same for the same step."""
    steps = settings.far_steps + settings.near_steps
    rng = random.Random(settings.seed * steps + step)  # noqa: S311
    picked_B = [rng.randrange(clips.count * (clips.frames - 1)) for _ in range(settings.batch)]
    return augment_pairs(clips.pairs(picked_B), settings.size, reach_px, rng)


def sequence_loss(flows: list[Tensor], wanted_B2HW: Tensor, gamma: float) -> Tensor:
    """L1 of every update's flow, the later the heavier (RAFT, section 3.4), where the flow is known."""
    known_BHW = wanted_B2HW.isfinite().all(1) & (wanted_B2HW.nan_to_num().norm(dim=1) < MAX_FLOW_PX)
    wanted_B2HW = wanted_B2HW.nan_to_num()
    losses = [(flow - wanted_B2HW).abs().sum(1)[known_BHW].mean() for flow in flows]
    return sum((gamma ** (len(flows) - 1 - i) * loss for i, loss in enumerate(losses)), torch.zeros(()))


@torch.inference_mode()
def measure(model: RAFT, clips: FlowPool, settings: Settings) -> dict[str, float]:
    """Mean end-point error in px of unseen pairs, also of no motion at all; and flow where nothing moves."""
    model.eval()
    errors: dict[str, list[float]] = {"all": [], "moving parts": [], "zero": [], "still": []}
    total = clips.count * (clips.frames - 1)
    for start in range(0, total, 20):
        first, second, flow = clips.pairs(list(range(start, min(start + 20, total))))
        middle = (flow.shape[-1] - settings.size) // 2
        first, second, flow = (x[..., middle : middle + settings.size] for x in (first, second, flow))
        found = model(first, second, settings.updates)[-1]
        error_BHW = (found - flow).norm(dim=1)
        own_BHW = (flow - flow.flatten(2).median(-1).values[..., None, None]).norm(dim=1) > 1
        errors["all"] += error_BHW.mean((1, 2)).tolist()
        errors["moving parts"] += error_BHW[own_BHW].tolist()
        errors["zero"] += flow.norm(dim=1).mean((1, 2)).tolist()
        errors["still"] += model(first, first, settings.updates)[-1].norm(dim=1).mean((1, 2)).tolist()
    return {name: float(np.mean(values)) for name, values in errors.items()}


def model_card(settings: Settings, measures: dict[str, dict[str, float]], numbers: int) -> str:
    return f"""# augrgb-tiny-raft

Optical flow: torchvision's `raft_small` ({numbers:,} numbers, half precision).
In: two frames, RGB / 255 * 2 - 1, at least 128 px. Out: flow in px, x before y. Licence: Apache-2.0.

**Data.** {settings.clips:,} clips of {SHAPE[0]} frames of the practice world (`pipeline/synthetic`) with
exact flow, {SHAPE[1]:g} frames a second, {SHAPE[2] * 5 // 4}x{SHAPE[2]} px: no real person, no other data,
no other weights; the appearance of its training split and the pre-training actions only.

**Made by** `{command()}`: AdamW on batches of {settings.batch} pairs of
{settings.size}x{settings.size} px, {settings.updates} updates, in two stages of one cycle each:
{settings.far_steps:,} steps ({settings.far_lr:g}) on pairs moved against each other by up to some
{FAR[-1]:g} px, then {settings.near_steps:,} ({settings.near_lr:g}) on pairs nearly as they are.
All are turned, zoomed, mirrored and recoloured each time; seed {settings.seed}.

**Measures**: mean end-point error in px over pairs never trained on ({settings.updates} updates). *Moving
parts*: pixels that move by more than 1 px against the picture. *Zero*: the error of the answer that
nothing moves. *Still*: length of the flow between a frame and itself. The test split's appearance
chose nothing.

{table(measures, "pairs")}

**Not for** flow as such: it has seen drawn figures at one size. It is there so that the whole pipeline
runs, and can be tested, without a download.
"""


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
    model = train(work, settings, clips)
    measures = {
        "appearance of the training split": measure(model, validation, settings),
        "of the test split": measure(model, test, settings),
    }
    path = out / "tiny_raft.safetensors"
    facts = {"network": "raft_small", "command": command(), "settings": asdict(settings)}
    numbers = write_weights(model, path, facts | {"measures": measures, "licence": "Apache-2.0"})
    path.with_suffix(".md").write_text(model_card(settings, measures, numbers))
    logger.info("wrote %s: %s", path, json.dumps(measures))


def main(
    work: Annotated[Path, typer.Option(help="Folder for pairs and checkpoints; run again to go on.")],
    out: Annotated[Path, typer.Option(help="Folder for the weights and their card.")] = SHIPPED,
    clips: int = Settings.clips,
    far_steps: int = Settings.far_steps,
    near_steps: int = Settings.near_steps,
    seed: int = Settings.seed,
    workers: int = 2,
) -> None:
    """Train the small optical-flow network from nothing on the practice world."""
    begin(workers)
    settings = Settings(clips=clips, far_steps=far_steps, near_steps=near_steps, seed=seed)
    train_raft(work, out, settings, workers)


if __name__ == "__main__":
    typer.run(main)
