"""Train the small graph network shipped as `augrgb-tiny-gcn`, from nothing, on the practice world's joints.

    python -m scripts.train_gcn --work runs/train_gcn

makes windows of joints of the pre-training actions (none of which the demo asks for), spoilt the way a
detector, a pose network and a tracker would, trains a small graph network to say what every person does
at every moment, and writes tiny_gcn.safetensors and its model card. Every step goes on where it was
stopped. About eight minutes on two cores.

Shapes: N windows of a batch, P persons, L frames, J = 17 joints, T' steps of the network's output, K classes.
"""

import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from extractors.base import Window
from extractors.skeleton import build_graph
from extractors.skeleton_config import GraphNetwork, SkeletonConfig
from pipeline.synthetic import DEMO_ACTIONS, PRETRAIN_ACTIONS, confusable_pairs
from pipeline.synthetic.textures import Domain
from scripts.export import SHIPPED, command, write_weights
from scripts.joint_clips import FPS, STEP, Windowed, pool
from scripts.start import TEST_SEED, VALIDATION_SEED, begin
from scripts.stepwise import Recipe, run

logger = logging.getLogger("train_gcn")
Measures = dict[str, dict[str, float]]
_SPLITS = {"train": "training", "test": "test"}


@dataclass(frozen=True)
class Settings:
    """What the result depends on, besides the practice world itself."""

    network: GraphNetwork = "stgcn++"
    base: int = 32
    blocks: tuple[int, ...] = (2, 2, 2)
    window: int = 32  # frames
    scenes: int = 1400  # of 30 seconds
    held_out_scenes: int = 100
    steps: int = 1800
    batch: int = 16
    lr: float = 2e-3
    weight_decay: float = 0.05
    dropout: float = 0.2
    seed: int = 0

    def config(self, stride: int) -> SkeletonConfig:
        """What the network sees; its windows are centred on those of the tiny preset's other features."""
        window = Window(self.window, stride, (16 - self.window) // 2)
        return SkeletonConfig(
            self.network, "augrgb-tiny-gcn", self.base, self.blocks, window, origin="person"
        )


class Classifier(nn.Module):
    """Graph network, and what it says each person does at each step: (N, P, L, J, 3) to (N, P, T', K)."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.backbone = build_graph(settings.config(8))
        self.dropout = nn.Dropout(settings.dropout)
        self.cls_head = nn.Linear(self.backbone.dim, len(PRETRAIN_ACTIONS))

    def forward(self, x_NPLJ3: Tensor) -> Tensor:
        features_NPTD = self.backbone.features_map(x_NPLJ3).mean(4).transpose(2, 3)
        return self.cls_head(self.dropout(features_NPTD))


def augment(x_NPLJ3: Tensor) -> Tensor:
    """Turned, stretched, shaken; legs cut off or scores gone now and then; missing joints stay missing.

    Never mirrored or played backwards: that would make other actions of them.
    """
    n, p = x_NPLJ3.shape[:2]
    here = x_NPLJ3[..., 2:] > 0
    angle, stretch = torch.empty(n).uniform_(-0.15, 0.15), torch.empty(n, 2).uniform_(0.85, 1.15)
    cos, sin = angle.cos(), angle.sin()
    turn_N22 = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1) * stretch[:, :, None]
    xy = torch.einsum("npljc,ndc->npljd", x_NPLJ3[..., :2], turn_N22)
    xy = xy + 0.02 * torch.rand(n, 1, 1, 1, 1) * torch.randn_like(xy)
    score = torch.where(torch.rand(n, 1, 1, 1, 1) < 0.15, torch.rand(n, 1, 1, 1, 1), x_NPLJ3[..., 2:])
    cut_NP = torch.rand(n, p) < 0.1
    here[:, :, :, 13:] &= ~cut_NP[:, :, None, None, None]
    return torch.cat([xy, score.clamp(min=0.02)], -1) * here


def loss_of(model: Classifier, windows: Windowed, settings: Settings, step: int) -> dict[str, Tensor]:
    """Binary cross-entropy, summed over classes, mean over the steps at which it is known who is seen."""
    picked_N = np.random.default_rng([settings.seed, step]).integers(len(windows), size=settings.batch)
    x_NPLJ3 = augment(torch.from_numpy(windows.x_NPLJ3[picked_N]).float())
    active_NPTK = torch.from_numpy(windows.active_NPTK[picked_N]).float()
    known_NPT = torch.from_numpy(windows.known_NPT[picked_N])
    with torch.autocast("cpu", torch.bfloat16):
        logits_NPTK = model(x_NPLJ3)
    loss_NPTK = F.binary_cross_entropy_with_logits(logits_NPTK.float(), active_NPTK, reduction="none")
    return {"loss": loss_NPTK[known_NPT].sum() / known_NPT.sum().clamp(min=1)}


@torch.inference_mode()
def evaluate(model: Classifier, windows: Windowed) -> dict[str, float]:
    """On windows whose label is clear: mAP, chance (prevalence), how often the right one of a pair wins."""
    model.eval()
    windows = windows.where(windows.clear_N)
    scores = []
    for start in range(0, len(windows), 64):
        x_NPLJ3 = torch.from_numpy(windows.x_NPLJ3[start : start + 64]).float()
        someone_NP = (x_NPLJ3[..., 2] > 0).flatten(2).any(2)
        middle = x_NPLJ3.shape[2] // STEP // 4
        logits_NPK = model(x_NPLJ3)[:, :, middle:-middle].mean(2)
        scores.append(logits_NPK.masked_fill(~someone_NP[..., None], -20.0).amax(1))
    scores_NK, labels_NK = torch.cat(scores).numpy(), windows.label_NK
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


@torch.inference_mode()
def features(model: Classifier, windows: Windowed) -> np.ndarray:
    """What the extractor gives: (N, D)."""
    model.eval()
    parts = np.array_split(windows.x_NPLJ3, max(len(windows) // 64, 1))
    return torch.cat([model.backbone(torch.from_numpy(part).float()) for part in parts]).numpy()


def probe(model: Classifier, train: Windowed, test: Windowed) -> dict[str, float]:
    """Classes the network has never seen, by a linear classifier on its features."""
    train, test = train.where(train.clear_N), test.where(test.clear_N)
    scaler = StandardScaler().fit(features(model, train))
    x_train, x_test = (scaler.transform(features(model, part)) for part in (train, test))
    scores_NK = np.zeros(test.label_NK.shape)
    for k in range(scores_NK.shape[1]):
        linear = LogisticRegression(C=0.05, max_iter=300, class_weight="balanced")
        scores_NK[:, k] = linear.fit(x_train, train.label_NK[:, k]).decision_function(x_test)
    return {
        "mAP": float(average_precision_score(test.label_NK, scores_NK, average="macro")),
        "chance": float(test.label_NK.mean()),
    }


def export(model: Classifier, out: Path, settings: Settings, measures: Measures) -> None:
    """tiny_gcn.safetensors (half precision, pyskl's keys) and its model card."""
    facts: dict[str, object] = {
        "network": settings.network,
        "classes": list(PRETRAIN_ACTIONS),
        "command": command(),
    }
    facts |= {"measures": measures, "settings": asdict(settings), "licence": "Apache-2.0"}
    numbers = write_weights(model, out / "tiny_gcn.safetensors", facts)
    (out / "tiny_gcn.md").write_text(model_card(settings, measures, numbers))


def model_card(settings: Settings, measures: Measures, numbers: int) -> str:
    rows = "\n".join(
        f"| {name} | "
        + " | ".join(f"{m[key]:.3f}" if key in m else "" for key in ("mAP", "chance", "pairs"))
        + " |"
        for name, m in measures.items()
    )
    config = settings.config(8)
    blocks = "+".join(map(str, settings.blocks))
    return f"""# augrgb-tiny-gcn

Graph network {settings.network}: {settings.base} channels at first, {blocks} blocks
({numbers:,} numbers, half precision). In: windows of {settings.window} frames at {FPS:g} a second,
{config.persons} persons, 17 COCO joints (x, y, score). A person's coordinates count from the middle of its
joints in the window, in units of twice their root mean square distance to it.
Out: {config.size.dim} values. Licence: Apache-2.0.

**Data.** {settings.scenes:,} scenes of 30 seconds of the practice world (`pipeline/synthetic`):
joints alone, no picture, no real person, no other data, no other weights; figures as in its training
split. What detector, pose network and tracker get wrong is simulated (`scripts/joint_clips.py`).
Classes, none of them in the demo: {", ".join(PRETRAIN_ACTIONS)}.

**Made by** `{command()}`: {settings.steps:,} steps of AdamW (one cycle, {settings.lr:g}), batches
of {settings.batch} windows, binary cross-entropy per person, step and class; joints turned, stretched and
shaken each time; seed {settings.seed}.

**Measures**, on scenes never trained on: is a class done in the middle 16 frames of a window (those
where it is done about half of the time left out). *Pairs*: how often the right one of two actions with
the same poses in another order or at another speed scores higher (chance 0.5). *New classes*: a linear
classifier on the features learns the demo's classes from scenes of the training split. The test split
chose nothing.

| windows | mAP | chance | pairs |
|---|---|---|---|
{rows}

**Not for** people as they really move: it has seen drawn figures only. It is there so that the whole
pipeline runs, and can be tested, without a download.
"""


def train_gcn(work: Path, out: Path, settings: Settings, workers: int = 2) -> Measures:
    """Make the windows, train, measure, export."""
    config, count = settings.config(8), settings.held_out_scenes
    sparse = replace(config, window=replace(config.window, stride=16))
    first = settings.seed * settings.scenes
    seeds = {"train": range(first, first + settings.scenes)}
    seeds |= {"held": range(VALIDATION_SEED, VALIDATION_SEED + count)}
    seeds |= {"test": range(TEST_SEED, TEST_SEED + count)}
    windows = pool(work, seeds["train"], sparse, workers=workers)
    torch.manual_seed(settings.seed)
    model = Classifier(settings)
    recipe = Recipe(settings.steps, settings.batch, settings.lr, settings.weight_decay, settings.seed)
    run(model, lambda step: loss_of(model, windows, settings, step), recipe, work / "last.pt")
    measures: Measures = {}
    splits: tuple[tuple[str, Domain], ...] = (("held", "train"), ("test", "test"))
    for where, domain in splits:
        for exact, what in ((False, "simulated"), (True, "exact")):
            held_out = pool(work, seeds[where], config, domain=domain, exact=exact, workers=workers)
            measures[f"figures of the {_SPLITS[domain]} split, {what} joints"] = evaluate(model, held_out)
    known, new = (
        pool(work, seeds[where], config, domain=domain, actions=DEMO_ACTIONS, workers=workers)
        for where, domain in splits
    )
    measures["new classes, test split, simulated joints"] = probe(model, known, new)
    export(model, out, settings, measures)
    logger.info("wrote %s: %s", out / "tiny_gcn.safetensors", json.dumps(measures, indent=1))
    return measures


def main(
    work: Annotated[Path, typer.Option(help="Folder for windows and checkpoints; run again to go on.")],
    out: Annotated[Path, typer.Option(help="Folder for the weights and their card.")] = SHIPPED,
    network: str = Settings.network,
    base: int = Settings.base,
    window: int = Settings.window,
    scenes: int = Settings.scenes,
    held_out_scenes: int = Settings.held_out_scenes,
    steps: int = Settings.steps,
    seed: int = Settings.seed,
    workers: int = 2,
) -> None:
    """Train the small graph network from nothing on the practice world's joints."""
    begin(workers)
    settings = Settings(
        network=network,  # type: ignore[arg-type]
        base=base,
        window=window,
        scenes=scenes,
        held_out_scenes=held_out_scenes,
        steps=steps,
        seed=seed,
    )
    train_gcn(work, out, settings, workers)


if __name__ == "__main__":
    typer.run(main)
