"""Train the pose network that is shipped as `augrgb-tiny-pose`, from nothing, on the practice world.

    python -m scripts.train_pose --work runs/people

renders frames in the appearance of the training split (actions that the demo does not ask for), trains a
small RTMPose on crops of their persons, and writes tiny_pose.safetensors and its model card. Every step
goes on where it was stopped. About a quarter of an hour on two cores.

Shapes: N frames, B crops of a batch, P persons, J = 17 joints, h w of a crop.
"""

import logging
import random
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import typer
from torch import Tensor
from torchvision.ops import box_iou

from extractors.pose import TINY_POSE, PoseConfig, PoseEstimator, PoseNetwork, build_pose_network
from scripts.export import SHIPPED, command, table, write_weights
from scripts.people_frames import People, people, recolour, tensor, warp
from scripts.people_tracks import track_scenes
from scripts.start import TEST_SEED, VALIDATION_SEED, begin
from scripts.stepwise import Recipe, run

logger = logging.getLogger("train_pose")
MIRRORED = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]  # left for right
LEFT_SHOULDER, RIGHT_HIP = 5, 12


Example = tuple[int, np.ndarray, np.ndarray]  # frame, joints (J, 3), box (4,)


def examples(data: People) -> list[Example]:
    """Every person who can be seen, in every frame."""
    return [(n, *one) for n in range(data.count) for one in zip(*data.persons(n), strict=True)]


def batch(
    data: People, persons: list[Example], network: PoseNetwork, step: int, recipe: Recipe
) -> tuple[Tensor, np.ndarray]:
    """Crops (B, 3, h, w) in [0, 1] and joints (B, J, 3) in their px: x, y, 1 where it lies in the picture."""
    rng = random.Random(recipe.seed * recipe.steps + step)  # noqa: S311
    pictures, joints = [], []
    for n, joints_J3, box_4 in rng.choices(persons, k=recipe.batch):
        picture, joints_J3 = person(data.array("frames")[n], joints_J3, box_4, network, rng)
        pictures.append(recolour(picture, rng))
        joints.append(joints_J3)
    return tensor(pictures), np.stack(joints)


def person(
    frame: np.ndarray, joints_J3: np.ndarray, box_4: np.ndarray, network: PoseNetwork, rng: random.Random
) -> tuple[np.ndarray, np.ndarray]:
    """One person cut out by a box that is a little off, turned and perhaps mirrored."""
    geometry = network.geometry
    side_2 = np.tile(box_4[2:] - box_4[:2], 2)
    off_4 = np.array([rng.gauss(0, 0.06) for _ in range(4)], np.float32)
    regions = geometry.regions((box_4 + off_4.clip(-0.15, 0.15) * side_2)[None])
    turned_23 = turn(geometry.width, geometry.height, rng)
    matrix_23 = turned_23[:, :2] @ geometry.matrices(regions)[0]
    matrix_23[:, 2] += turned_23[:, 2]
    seen_J = ((joints_J3[:, :2] >= 0) & (joints_J3[:, :2] < frame.shape[1::-1])).all(1)
    xy_J2 = joints_J3[:, :2] @ matrix_23[:, :2].T + matrix_23[:, 2]
    if matrix_23[0, 0] < 0:
        xy_J2, seen_J = xy_J2[MIRRORED], seen_J[MIRRORED]
    seen_J &= ((xy_J2 >= 0) & (xy_J2 < (geometry.width, geometry.height))).all(1)
    size = (geometry.width, geometry.height)
    picture = warp(frame, matrix_23, size, rng)
    if rng.random() < 0.25:  # a person who was small, or badly compressed
        scale = rng.uniform(0.35, 0.8)
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
    return picture, np.concatenate([xy_J2, seen_J[:, None]], axis=1).astype(np.float32)


def turn(width: int, height: int, rng: random.Random) -> np.ndarray:
    """A map of the crop onto itself, (2, 3): another size, turned by up to 20 degrees, perhaps mirrored."""
    matrix_23 = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-20, 20), rng.uniform(0.8, 1.2))
    if rng.random() < 0.5:
        matrix_23[0] = [0, 0, width - 1] - matrix_23[0]
    return matrix_23


def train(data: People, recipe: Recipe, checkpoint: Path) -> Any:
    """All steps, going on from the checkpoint where there is one."""
    torch.manual_seed(recipe.seed)
    network = build_pose_network(TINY_POSE)
    model: Any = network.module
    logging.disable(logging.INFO)  # a line for every tensor
    model.init_weights()
    logging.disable(logging.NOTSET)
    persons = examples(data)
    mean, std = (torch.tensor(x)[:, None, None] / 255 for x in (network.mean, network.std))

    def loss(step: int) -> dict[str, Tensor]:
        x_BChw, joints_BJ3 = batch(data, persons, network, step, recipe)
        with torch.autocast("cpu", torch.bfloat16):
            found = model.head.forward(model.extract_feat((x_BChw - mean) / std))
        encoded = [model.head.decoder.encode(j[None, :, :2], j[None, :, 2]) for j in joints_BJ3]
        wanted_x, wanted_y, weight = (
            torch.from_numpy(np.concatenate([one[f"keypoint_{name}"] for one in encoded]))
            for name in ("x_labels", "y_labels", "weights")
        )
        pair = (found[0].float(), found[1].float())
        return {"joints": model.head.loss_module(pair, (wanted_x, wanted_y), weight)}

    run(model, loss, recipe, checkpoint)
    return model


def evaluate(estimator: PoseEstimator, data: People) -> dict[str, float]:
    """PCK@0.2 of the torso on visible joints, in true boxes and in those the shipped detector finds.

    A joint is right within 0.2 of the distance from left shoulder to right hip of the true one. Persons who
    are not found, or not within IoU 0.5, count as wrong in all their joints.
    """
    right: dict[str, list[np.ndarray]] = {"pck": [], "pck of found boxes": []}
    frames = data.array("frames")
    for n in range(data.count):
        joints_PJ3, boxes_P4 = data.persons(n)
        rgb_1HWC = torch.from_numpy(frames[n : n + 1])
        true_P5 = np.concatenate([boxes_P4, np.ones((len(boxes_P4), 1), np.float32)], axis=1)
        given = estimator.poses(rgb_1HWC, [true_P5])[0]
        right["pck"].append(correct(given.joints_PJ3, joints_PJ3))
        found = estimator.frames(rgb_1HWC)[0]
        met_PJ3 = matched(found.boxes_P5, found.joints_PJ3, boxes_P4)
        right["pck of found boxes"].append(correct(met_PJ3, joints_PJ3))
    return {name: float(np.mean(np.concatenate(rows))) for name, rows in right.items()}


def matched(found_Q5: np.ndarray, joints_QJ3: np.ndarray, boxes_P4: np.ndarray) -> np.ndarray:
    """For every true box the joints in the found one that overlaps most, by 0.5 or more; else NaN."""
    joints_PJ3 = np.full((len(boxes_P4), 17, 3), np.nan, np.float32)
    if len(found_Q5):
        iou_PQ = box_iou(torch.from_numpy(boxes_P4), torch.from_numpy(found_Q5[:, :4])).numpy()
        hit_P = iou_PQ.max(1) >= 0.5
        joints_PJ3[hit_P] = joints_QJ3[iou_PQ.argmax(1)[hit_P]]
    return joints_PJ3


def correct(found_PJ3: np.ndarray, true_PJ3: np.ndarray) -> np.ndarray:
    """Which visible joints are right: flat, bool."""
    torso_P = np.linalg.norm(true_PJ3[:, LEFT_SHOULDER, :2] - true_PJ3[:, RIGHT_HIP, :2], axis=-1)
    error_PJ = np.linalg.norm(found_PJ3[..., :2] - true_PJ3[..., :2], axis=-1)
    return (error_PJ < 0.2 * torso_P[:, None])[true_PJ3[..., 2] > 0]


def model_card(recipe: Recipe, scenes: int, measures: dict[str, dict[str, float]], numbers: int) -> str:
    return f"""# augrgb-tiny-pose

RTMPose built from mmpose's configuration (three stages of CSPNeXt with a quarter of its channels, SimCC
head) for crops of 96x128 px ({numbers:,} numbers, half precision). In: a person's box with a quarter
more around it. Out: the 17 joints of COCO with a score each. Licence: Apache-2.0.

**Data.** Persons of {scenes:,} scenes of the practice world (`pipeline/synthetic`), six frames of each,
rendered for this: no real person, no other data, no other weights; the appearance and the sizes of its
training split only, and no action of the demo: people do other things,
or hold poses drawn at random.

**Made by** `{command()}`: {recipe.steps:,} steps of AdamW (one cycle, {recipe.lr:g}), batches of
{recipe.batch}; boxes off by up to 15 %, size, turn, mirroring, colours, contrast, sharpness and grain drawn
anew each time; joints inside the picture count, hidden ones too; seed {recipe.seed}.

**Measures** on scenes never trained on: PCK@0.2 of visible joints, right within 0.2 of the distance from left
shoulder to right hip. *pck*: in true boxes. *pck of found boxes*: in those of `augrgb-tiny-detector`; the
joints of a person it does not find are wrong. *Switches*: how often a person is found under another number
than before by detector, network and tracker together, in videos of two or three. The test split's
appearance was looked at once, at the end, and chose nothing.

{table(measures, "scenes")}

**Not for** people as they really look: it has seen drawn figures only. It is there so that the whole
pipeline runs, and can be tested, without a download.
"""


def main(
    work: Annotated[Path, typer.Option(help="Folder for frames and checkpoints; run again to go on.")],
    out: Annotated[Path, typer.Option(help="Folder for the weights and their card.")] = SHIPPED,
    scenes: int = 1000,
    steps: int = 2600,
    batch: int = 48,
    lr: float = 2e-3,
    seed: int = 0,
    workers: int = 2,
    threads: int = 2,
) -> None:
    """Train the small pose network from nothing on the practice world."""
    begin(threads)
    cv2.setNumThreads(1)
    recipe = Recipe(steps, batch, lr, seed=seed)
    data = people(work, scenes, seed * scenes, "train")
    validation = people(work, 120, VALIDATION_SEED, "train")
    test = people(work, 120, TEST_SEED, "test")
    for part in (data, validation, test):
        part.render(workers)
    model = train(data, recipe, work / "pose.pt")
    path = out / "tiny_pose.safetensors"
    facts = {"network": TINY_POSE, "command": command(), "recipe": asdict(recipe), "licence": "Apache-2.0"}
    numbers = write_weights(model, path, facts)
    detector = "augrgb-tiny-detector"
    config = PoseConfig(detector, detector, pose=TINY_POSE, pose_weights=str(path))
    estimator = PoseEstimator(config, torch.device("cpu"))
    measures = {
        "appearance of the training split": evaluate(estimator, validation),
        "of the test split": evaluate(estimator, test),
    }
    for row, part in zip(measures.values(), (validation, test), strict=True):
        row |= track_scenes(estimator, part.domain, part.first_seed, scenes=20)
    (out / "tiny_pose.md").write_text(model_card(recipe, scenes, measures, numbers))
    logger.info("wrote %s: %s", path, measures)


if __name__ == "__main__":
    typer.run(main)
