"""Train the small flow network shipped as `augrgb-tiny-flow`, from nothing, on the practice world.

    python -m scripts.pretrain_flow --work runs/pretrain_flow

renders clips of one person who does one of the pre-training actions (none of which the demo asks
for), computes their optical flow with `augrgb-tiny-raft` as the tiny preset does, trains a narrow
two-channel I3D to name the actions from it, and writes tiny_flow.safetensors and its model card.
Every step goes on where it was stopped. About 25 minutes on two cores.

Shapes: N clips, B clips of a batch, L frames, H W pixels, K classes; flow (..., 2) is x, y in px.
"""

import json
import logging
import math
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor, nn

from extractors.base import Window
from extractors.flow import FlowInput
from extractors.flow_config import FlowConfig, RAFTConfig
from extractors.i3d import I3D, I3DConfig
from pipeline.synthetic import PRETRAIN_ACTIONS
from pipeline.synthetic.textures import Domain
from scripts.export import SHIPPED, command, table, write_weights
from scripts.person_clips import PersonPool
from scripts.pretrain_clips import pool
from scripts.pretrain_rgb import (
    Step,
    clip_measures,
    restore,
    save,
    train_epoch,
)
from scripts.start import TEST_SEED, VALIDATION_SEED, begin

logger = logging.getLogger("pretrain")
FRAMES, FPS = 16, 12.5
# What goes into the network: the tiny preset's.
CONFIG = FlowConfig(
    raft=RAFTConfig(variant="raft_small", weights="augrgb-tiny-raft", updates=4),
    i3d=I3DConfig(weights="augrgb-tiny-flow", width=0.25, resize=128, crop=None, window=Window(16, 8)),
    max_px=10.0,
    quantisation="float",
    pool=2,
)
SIDE = CONFIG.i3d.resize // CONFIG.pool  # of a clip's flow
SHOWN = SIDE - 8  # what the network is shown of it


@dataclass(frozen=True)
class Settings:
    """What the result depends on, besides the practice world itself."""

    clips: int = 3000
    validation_clips: int = 256
    epochs: int = 14
    batch: int = 16
    lr: float = 2e-3
    weight_decay: float = 0.02
    dropout: float = 0.3
    seed: int = 0
    flow_weights: str = ""  # SHA-256


@dataclass(frozen=True)
class FlowClips:
    """A pool's clips as the flow network sees them, kept beside their frames."""

    pool: PersonPool
    weights: str  # SHA-256 of the flow network

    @property
    def labels_NK(self) -> np.ndarray:
        return np.asarray(self.pool.array("labels"))

    def array(self) -> np.memmap:
        """Memory map (N, L, SIDE, SIDE, 2) float16 in px; NaN where it is not computed yet."""
        path = self.pool.folder / f"flow-{self.weights[:8]}.npy"
        if path.exists():
            return np.lib.format.open_memmap(path, mode="r+")
        shape = (self.pool.count, FRAMES, SIDE, SIDE, 2)
        flow = np.lib.format.open_memmap(path, "w+", np.float16, shape)
        flow[:, 0, 0, 0, 0] = np.nan
        return flow

    def compute(self, network: FlowInput) -> None:
        """What is not there yet."""
        clips, flow = self.pool.array("clips"), self.array()
        todo = np.flatnonzero(np.isnan(flow[:, 0, 0, 0, 0]))
        started = time.monotonic()
        for n, i in enumerate(todo, 1):
            flow[i] = network(torch.from_numpy(clips[i])).half().numpy()
            if n % 100 == 0 or n == len(todo):
                flow.flush()
                rate = n / (time.monotonic() - started)
                logger.info("flow of %s: %d of %d, %.2f clips/s", self.pool.folder.name, n, len(todo), rate)


def batches(clips: FlowClips, epoch: int, settings: Settings) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled, augmented batches (B, 2, L, H, W), (B, K) of one epoch; the same for the same epoch."""
    flow, labels, count = clips.array(), clips.labels_NK, clips.pool.count
    rng = random.Random(settings.seed * 1000 + epoch)  # noqa: S311
    torch.manual_seed(settings.seed * 1000 + epoch)
    for indices_B in torch.randperm(count).split(settings.batch)[: count // settings.batch]:
        picked_B = np.sort(indices_B.numpy())  # in the order they lie on disk
        top, left = (rng.randint(0, SIDE - SHOWN) for _ in range(2))
        window = flow[picked_B, :, top : top + SHOWN, left : left + SHOWN]
        clips_BLHW2 = torch.from_numpy(window).float()
        yield (
            network_input(torch.stack([augment(clip, rng) for clip in clips_BLHW2])),
            torch.from_numpy(labels[picked_B]).float(),
        )


def augment(flow_LHW2: Tensor, rng: random.Random) -> Tensor:
    """The same motions, stronger or weaker, filmed by a hand that drifts otherwise.

    Never mirrored or played backwards: that would make other actions of them.
    """
    strength = math.exp(rng.uniform(-0.25, 0.25))
    drift_2 = torch.tensor([rng.gauss(0, 0.4), rng.gauss(0, 0.4)])
    return flow_LHW2 * strength + drift_2 + torch.randn_like(flow_LHW2) * rng.uniform(0, 0.1)


def network_input(flow_BLHW2: Tensor) -> Tensor:
    """As `extractors.flow` feeds it: (B, 2, L, H, W)."""
    limit = CONFIG.max_px
    return flow_BLHW2.clamp(-limit, limit).div(limit).permute(0, 4, 1, 2, 3)


def train(work: Path, settings: Settings, clips: FlowClips, validation: FlowClips) -> I3D:
    """All epochs, going on from the last whole one found in `work`."""
    torch.manual_seed(settings.seed)
    model = I3D(2, len(PRETRAIN_ACTIONS), CONFIG.i3d.width, settings.dropout)
    assert model.logits is not None
    assert model.logits.conv3d.bias is not None
    nn.init.constant_(model.logits.conv3d.bias, -2.8)  # begin with what is common: one class in eighteen
    model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), settings.lr, weight_decay=settings.weight_decay)
    steps = settings.epochs * (clips.pool.count // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=steps, pct_start=0.2)
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    history = restore(work / "last.pt", settings, parts)
    for epoch in range(len(history), settings.epochs):
        started = time.monotonic()
        losses = train_epoch(Step(model, optimizer, schedule), batches(clips, epoch, settings))
        row = {**losses, **evaluate(model, validation), "seconds": time.monotonic() - started}
        history.append(row)
        logger.info("epoch %d of %d: %s", epoch + 1, settings.epochs, json.dumps(row))
        save(work / "last.pt", settings, parts, history)
    return model


@torch.inference_mode()
def evaluate(model: I3D, clips: FlowClips) -> dict[str, float]:
    """Measures of the network on unseen clips, whole."""
    model.eval()
    flow = clips.array()
    scores = [
        model(network_input(torch.from_numpy(flow[start : start + 32]).float())).mean(2)
        for start in range(0, clips.pool.count, 32)
    ]
    return clip_measures(torch.cat(scores).numpy(), clips.labels_NK)


def model_card(settings: Settings, measures: dict[str, dict[str, float]], numbers: int) -> str:
    return f"""# augrgb-tiny-flow

Inception-I3D with {CONFIG.i3d.width:g} of its channels and two at its input ({numbers:,} numbers, half
precision). In: {FRAMES} fields of optical flow at {FPS:g} a second, those of `augrgb-tiny-raft`
({CONFIG.raft.updates} updates) on frames of {CONFIG.i3d.resize} px (short side); means over
{CONFIG.pool}x{CONFIG.pool} px, cut to +-{CONFIG.max_px:g} px, / {CONFIG.max_px:g}.
Out: {round(1024 * CONFIG.i3d.width)} values. Licence: Apache-2.0.

**Data.** {settings.clips:,} clips of the practice world (`pipeline/synthetic`), rendered for this: no real
person, no other data, no other weights than `augrgb-tiny-raft`; the appearance of its training split
only, without the hints that its backgrounds give; one person each, cut out at {CONFIG.i3d.resize} px.
Classes, none of them in the demo: {", ".join(PRETRAIN_ACTIONS)}.

**Made by** `{command()}`: {settings.epochs} epochs of AdamW (one cycle, {settings.lr:g}),
batches of {settings.batch}, binary cross-entropy per class; window, strength, drift and noise drawn
anew each time; seed {settings.seed}.

**Measures**, on clips never trained on. *Pairs*: how often the right one of two actions with the same
poses in another order or at another speed scores higher (chance 0.5). The test split's appearance was
looked at once, at the end, and chose nothing.

{table(measures, "clips")}

**Not for** people as they really look: it has seen drawn figures only. It is there so that the whole
pipeline runs, and can be tested, without a download.
"""


def pretrain(work: Path, out: Path, settings: Settings, network: FlowInput, workers: int) -> None:
    """Render, compute flow, train, measure, export."""
    clips, validation, test = (
        FlowClips(person_pool(work, count, first_seed, domain), settings.flow_weights)
        for count, first_seed, domain in (
            (settings.clips, settings.seed * settings.clips, "train"),
            (settings.validation_clips, VALIDATION_SEED, "train"),
            (settings.validation_clips, TEST_SEED, "test"),
        )
    )
    for part in (validation, test, clips):
        part.pool.array("flow")  # the exact one: made here, so that no two workers make it
        part.pool.render(workers)
        part.compute(network)
    model = train(work, settings, clips, validation)
    measures = {
        "appearance of the training split": evaluate(model, validation),
        "of the test split": evaluate(model, test),
    }
    path = out / "tiny_flow.safetensors"
    facts = {"network": "I3D", "classes": list(PRETRAIN_ACTIONS), "command": command(), "measures": measures}
    facts |= {"settings": asdict(settings), "config": asdict(CONFIG), "licence": "Apache-2.0"}
    numbers = write_weights(model, path, facts)
    path.with_suffix(".md").write_text(model_card(settings, measures, numbers))
    logger.info("wrote %s: %s", path, json.dumps(measures))


def person_pool(work: Path, count: int, first_seed: int, domain: Domain) -> PersonPool:
    """The pool of these clips in this version of the world, with one frame more: flow needs the next."""
    plain = pool(work, count, first_seed, domain, (FRAMES + 1, FPS, CONFIG.i3d.resize))
    return PersonPool(**{**vars(plain), "folder": plain.folder.with_name(f"person-{plain.folder.name}")})


def main(
    work: Annotated[Path, typer.Option(help="Folder for clips and checkpoints; run again to go on.")],
    out: Annotated[Path, typer.Option(help="Folder for the weights and their card.")] = SHIPPED,
    clips: int = Settings.clips,
    epochs: int = Settings.epochs,
    seed: int = Settings.seed,
    workers: int = 2,
) -> None:
    """Train the small flow network from nothing on the practice world."""
    begin(workers)
    # bfloat16: half the time for 0.01 px
    raft = replace(CONFIG.raft, precision="bfloat16")
    network = FlowInput(replace(CONFIG, raft=raft), torch.device("cpu"))
    settings = Settings(clips, epochs=epochs, seed=seed, flow_weights=network.network.weights_sha256)
    pretrain(work, out, settings, network, workers)


if __name__ == "__main__":
    typer.run(main)
