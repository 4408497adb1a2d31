"""Train the person detector that is shipped as `augrgb-tiny-detector`, from nothing, on the practice world.

    python -m scripts.train_detector --work runs/people

renders frames in the appearance of the training split (actions that the demo does not ask for), trains
a small FCOS on them in ever other colours, places and sizes, and writes tiny_detector.safetensors and
its model card. Every step goes on where it was stopped. About a quarter of an hour on two cores.

Shapes: N frames, B frames of a batch, P persons, H W pixels.
"""

import logging
import random
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from torch import Tensor
from torchvision.models.detection.fcos import FCOS
from torchvision.ops import box_iou

from extractors.detector import PersonDetector, tiny_detector
from scripts.export import SHIPPED, command, table, write_weights
from scripts.people_frames import SIZE, People, people, recolour, tensor, warp
from scripts.start import TEST_SEED, VALIDATION_SEED, begin
from scripts.stepwise import Recipe, run

logger = logging.getLogger("train_detector")
THRESHOLD = 0.5
_KEPT = 0.3  # a person of whom less than this share of its box is left in a view is no target


def batch(data: People, step: int, recipe: Recipe) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """Pictures (B, 3, H, W) in [0, 1] and their targets; the same for the same step."""
    rng = random.Random(recipe.seed * recipe.steps + step)  # noqa: S311
    pictures, targets = [], []
    for _ in range(recipe.batch):
        picture, boxes_P4 = mosaic(data, rng) if rng.random() < 0.25 else single(data, rng)
        pictures.append(recolour(picture, rng))
        labels = torch.ones(len(boxes_P4), dtype=torch.int64)
        targets.append({"boxes": torch.from_numpy(boxes_P4), "labels": labels})
    return tensor(pictures), targets


def single(data: People, rng: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """One frame from nearer or farther, shifted, perhaps mirrored: (H, W, 3) and boxes (P, 4)."""
    return view(data, rng, np.exp(rng.uniform(np.log(0.5), np.log(1.6))))


def mosaic(data: People, rng: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """Four frames at half their size: many small persons."""
    width, height = SIZE
    picture, boxes = np.empty((height, width, 3), np.uint8), []
    for left in (0, width // 2):
        for top in (0, height // 2):
            part, boxes_P4 = view(data, rng, rng.uniform(0.8, 1.5))
            half = cv2.resize(part, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            picture[top : top + height // 2, left : left + width // 2] = half
            boxes.append(boxes_P4 / 2 + np.array([left, top] * 2, np.float32))
    return picture, np.concatenate(boxes)


def view(data: People, rng: random.Random, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """A random frame at `scale`, at a random place, mirrored in one of two cases, and its boxes."""
    width, height = SIZE
    n = rng.randrange(data.count)
    mirror = rng.random() < 0.5
    aspect = rng.uniform(0.85, 1.15)
    x, y = scale * aspect, scale / aspect
    left, top = rng.uniform(0, 1) * width * (1 - x), rng.uniform(0, 1) * height * (1 - y)
    matrix_23 = np.array([[-x if mirror else x, 0, left + (x * (width - 1) if mirror else 0)], [0, y, top]])
    boxes_P4 = data.persons(n)[1]
    corners_P22 = boxes_P4.reshape(-1, 2, 2) * matrix_23[[0, 1], [0, 1]] + matrix_23[:, 2]
    whole_P4 = np.concatenate([corners_P22.min(1), corners_P22.max(1)], axis=1)
    cut_P4 = whole_P4.clip(0, [width, height] * 2)
    kept = area(cut_P4) >= _KEPT * area(whole_P4)
    return warp(data.array("frames")[n], matrix_23, SIZE, rng), cut_P4[kept].astype(np.float32)


def area(boxes_P4: np.ndarray) -> np.ndarray:
    return (boxes_P4[:, 2] - boxes_P4[:, 0]) * (boxes_P4[:, 3] - boxes_P4[:, 1])


def train(data: People, recipe: Recipe, checkpoint: Path) -> FCOS:
    """All steps, going on from the checkpoint where there is one."""
    torch.manual_seed(recipe.seed)
    model = tiny_detector()
    model.to(memory_format=torch.channels_last)
    model.head.register_forward_hook(lambda _module, _in, out: {k: v.float() for k, v in out.items()})

    def loss(step: int) -> dict[str, Tensor]:
        x_BCHW, targets = batch(data, step, recipe)
        with torch.autocast("cpu", torch.bfloat16):
            return model(list(x_BCHW), targets)

    run(model, loss, recipe, checkpoint)
    return model


def evaluate(detector: PersonDetector, data: People) -> dict[str, float]:
    """Recall and precision of boxes at IoU 0.5, each found box matched once, best first."""
    hits = truths = found = 0
    overlaps: list[float] = []
    frames = data.array("frames")
    for start in range(0, data.count, 32):
        chunk = torch.from_numpy(frames[start : start + 32])
        for n, boxes_P5 in enumerate(detector(chunk), start):
            truth_P4 = torch.from_numpy(data.persons(n)[1])
            matched = match(boxes_P5[:, :4], truth_P4)
            hits, truths, found = hits + len(matched), truths + len(truth_P4), found + len(boxes_P5)
            overlaps += matched
    return {"recall": hits / truths, "precision": hits / max(found, 1), "iou": float(np.mean(overlaps))}


def match(found_P4: Tensor, truth_Q4: Tensor) -> list[float]:
    """IoU of each found box that meets a person not yet taken by a better one with 0.5 or more."""
    overlaps = []
    iou_PQ = box_iou(found_P4, truth_Q4)
    for p in range(len(found_P4)):
        if len(truth_Q4) and (best := iou_PQ[p].max()) >= 0.5:
            overlaps.append(float(best))
            iou_PQ[:, iou_PQ[p].argmax()] = 0
    return overlaps


def model_card(recipe: Recipe, scenes: int, measures: dict[str, dict[str, float]], numbers: int) -> str:
    return f"""# augrgb-tiny-detector

FCOS (torchvision's head and losses) for persons on a narrow feature pyramid with strides 8, 16 and 32
({numbers:,} numbers, half precision). In: RGB in 0..1, short side 144 px. Out: boxes and scores.
Licence: Apache-2.0.

**Data.** Frames of {scenes:,} scenes of the practice world (`pipeline/synthetic`), six of each, rendered for
this: no real person, no other data, no other weights; the appearance and the sizes of its training split
only, and no action of the demo: people do other things,
or hold poses drawn at random.

**Made by** `{command()}`: {recipe.steps:,} steps of AdamW (one cycle, {recipe.lr:g}), batches of
{recipe.batch}; colours, contrast, sharpness, grain, place and size (0.5 to 1.6 times, and four frames in
one) drawn anew each time; seed {recipe.seed}.

**Measures** at IoU 0.5 and threshold {THRESHOLD}, on scenes never trained on. A person counts when at least
four of its 17 joints can be seen; people half hidden behind others are among the misses. *iou*: mean of the
hits. The test split's appearance was looked at once, at the end, and chose nothing.

{table(measures, "scenes")}

**Not for** people as they really look: it has seen drawn figures only. It is there so that the whole
pipeline runs, and can be tested, without a download.
"""


def main(
    work: Annotated[Path, typer.Option(help="Folder for frames and checkpoints; run again to go on.")],
    out: Annotated[Path, typer.Option(help="Folder for the weights and their card.")] = SHIPPED,
    scenes: int = 1000,
    steps: int = 800,
    batch: int = 32,
    lr: float = 2e-3,
    seed: int = 0,
    workers: int = 2,
    threads: int = 2,
) -> None:
    """Train the small person detector from nothing on the practice world."""
    begin(threads)
    cv2.setNumThreads(1)
    recipe = Recipe(steps, batch, lr, seed=seed)
    data = people(work, scenes, seed * scenes, "train")
    validation = people(work, 120, VALIDATION_SEED, "train")
    test = people(work, 120, TEST_SEED, "test")
    for part in (data, validation, test):
        part.render(workers)
    model = train(data, recipe, work / "detector.pt")
    path = out / "tiny_detector.safetensors"
    facts = {
        "network": "tiny_detector",
        "command": command(),
        "recipe": asdict(recipe),
        "licence": "Apache-2.0",
    }
    numbers = write_weights(model, path, facts)
    detector = PersonDetector(
        "augrgb-tiny-detector", str(path), threshold=THRESHOLD, max_persons=20, device=torch.device("cpu")
    )
    measures = {
        "appearance of the training split": evaluate(detector, validation),
        "of the test split": evaluate(detector, test),
    }
    (out / "tiny_detector.md").write_text(model_card(recipe, scenes, measures, numbers))
    logger.info("wrote %s: %s", path, measures)


if __name__ == "__main__":
    typer.run(main)
