"""How well people keep their numbers: what the tracker says against the truth of the practice world.

Shapes: F frames, M persons, P found persons of a frame, H W pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import box_iou

from extractors.pose import PoseEstimator
from extractors.tracking import JointStream
from pipeline.synthetic import PRETRAIN_ACTIONS, Scene, SceneSpec
from pipeline.synthetic.textures import Domain
from scripts.people_frames import SIZE

FPS, SECONDS = 12.5, 8


@dataclass
class Switches:
    """Counts over several videos."""

    switches: int = 0  # a person is found under another number than when last found
    person_frames: int = 0  # a person is found
    persons: int = 0
    tracks: int = 0

    def measures(self) -> dict[str, float]:
        return {
            "switches per 1000 person frames": 1000 * self.switches / max(self.person_frames, 1),
            "tracks per person": self.tracks / max(self.persons, 1),
        }


def track_scenes(estimator: PoseEstimator, domain: Domain, first_seed: int, scenes: int) -> dict[str, float]:
    """Whole videos of two or three persons through detector, pose network and tracker."""
    counts = Switches()
    for seed in range(first_seed, first_seed + scenes):
        spec = SceneSpec(
            seed=(seed, 1),
            actions=PRETRAIN_ACTIONS,
            domain=domain,
            num_frames=round(SECONDS * FPS),
            fps=FPS,
            size=SIZE,
            persons=(2, 3),
        )
        scene = Scene(spec)
        stream = JointStream(estimator)
        for start in range(0, spec.num_frames, 20):
            frames = [scene.frame(i) for i in range(start, min(start + 20, spec.num_frames))]
            stream.push(torch.from_numpy(np.stack(frames)))
        joints = stream.finish()
        boxes_FM4 = np.stack([scene.boxes(i) for i in range(spec.num_frames)])
        count(counts, joints.person_id_SM, joints.boxes_SM5, boxes_FM4)
    return counts.measures()


def count(counts: Switches, ids_FP: np.ndarray, boxes_FP5: np.ndarray, true_FM4: np.ndarray) -> None:
    """Add one video: found and true boxes belong together, best first, where they overlap by half (IoU)."""
    last: dict[int, int] = {}
    for ids_P, found_P5, true_M4 in zip(ids_FP, boxes_FP5, true_FM4, strict=True):
        iou_MP = box_iou(torch.from_numpy(true_M4), torch.from_numpy(found_P5[:, :4])).numpy()
        while iou_MP.size and iou_MP.max() >= 0.5:
            m, p = np.unravel_index(iou_MP.argmax(), iou_MP.shape)
            iou_MP[m], iou_MP[:, p] = 0, 0
            number = int(ids_P[p])
            counts.switches += last.setdefault(int(m), number) != number
            counts.person_frames += 1
            last[int(m)] = number
    counts.persons += true_FM4.shape[1]
    counts.tracks += len(np.unique(ids_FP[ids_FP >= 0]))
