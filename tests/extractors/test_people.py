"""From frames to tracked joints, all of it, on the practice world's exact truth: recall, PCK, identities.

Shapes: F frames, M persons there are, P persons found, J = 17 joints.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou

from extractors.pose import PoseEstimator
from extractors.skeleton_input import Joints
from extractors.tracking import JointStream
from pipeline.presets import tiny
from pipeline.synthetic import DEMO_ACTIONS, Scene, SceneSpec

CPU = torch.device("cpu")
SEEN = 10  # joints: of whom fewer are visible need not be found
LEFT_SHOULDER, RIGHT_HIP = 5, 12


@dataclass
class Count:
    """What was found in some scenes, against what there is."""

    people: int = 0  # in all frames together
    boxes: int = 0  # found
    hits: int = 0  # people whose box was found, at an overlap of 0.5
    joints: int = 0  # visible ones, of these people
    right: int = 0  # of those, within 0.2 of the torso's length
    switches: int = 0  # people who got another number than they had last
    last: dict[tuple[int, int], int] = field(default_factory=dict)  # scene and person: number

    def add(self, number: int, scene: Scene, found: Joints) -> None:
        for i in range(found.num_frames):
            rows_P = np.flatnonzero(found.person_id_SM[i] >= 0)
            true_MJ3 = scene.joints(i)
            there_M = np.flatnonzero(true_MJ3[..., 2].sum(axis=1) >= SEEN)
            self.people += len(there_M)
            self.boxes += len(rows_P)
            boxes = (scene.boxes(i)[there_M], found.boxes_SM5[i, rows_P, :4])
            overlap_MP = box_iou(*(torch.from_numpy(np.asarray(x, np.float64)) for x in boxes)).numpy()
            for m, p in zip(*linear_sum_assignment(overlap_MP, maximize=True), strict=True):
                if overlap_MP[m, p] >= 0.5:
                    self._hit((number, there_M[m]), found.person_id_SM[i, rows_P[p]])
                    self._joints(true_MJ3[there_M[m]], found.joints_SMJ3[i, rows_P[p]])

    def _hit(self, who: tuple[int, int], number: int) -> None:
        self.hits += 1
        self.switches += self.last.setdefault(who, number) != number
        self.last[who] = number

    def _joints(self, true_J3: np.ndarray, found_J3: np.ndarray) -> None:
        torso = np.linalg.norm(true_J3[LEFT_SHOULDER, :2] - true_J3[RIGHT_HIP, :2])
        error_J = np.linalg.norm(found_J3[:, :2] - true_J3[:, :2], axis=1)
        visible_J = true_J3[:, 2] > 0
        self.joints += int(visible_J.sum())
        self.right += int((error_J[visible_J] < 0.2 * torso).sum())


def scenes(domain: str, count: int, frames: int) -> list[Scene]:
    """Of the demo's actions, which the networks were not trained on, with two or three persons."""
    return [
        Scene(
            SceneSpec(
                seed=(seed, 7),
                actions=DEMO_ACTIONS,
                domain=domain,
                num_frames=frames,
                fps=12.5,
                persons=(2, 3),
            )
        )
        for seed in range(count)
    ]


def tracked(estimator: PoseEstimator, scene: Scene) -> Joints:
    stream = JointStream(estimator)
    for start in range(0, scene.spec.num_frames, 16):
        stop = min(start + 16, scene.spec.num_frames)
        stream.push(torch.from_numpy(np.stack([scene.frame(i) for i in range(start, stop)])))
    return stream.finish()


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    """Detector, pose network and tracker as the preset runs them, searching every other frame."""
    config = tiny().pose
    assert config.detect_every > 1
    return PoseEstimator(config, CPU)


@pytest.mark.parametrize("domain", ["train", "test"])
def test_people_are_found_their_joints_right_and_their_numbers_kept(estimator, domain):
    count = Count()
    for number, scene in enumerate(scenes(domain, count=2, frames=40)):
        count.add(number, scene, tracked(estimator, scene))
    assert count.people > 100
    assert count.joints > 10 * count.people
    assert count.hits / count.people >= 0.97  # recall
    assert count.boxes <= 1.03 * count.people
    assert count.right / count.joints >= 0.97  # PCK@0.2 of the torso
    assert count.switches == 0


@pytest.mark.slow
@pytest.mark.parametrize("domain", ["train", "test"])
def test_many_scenes(estimator, domain):
    count = Count()
    for number, scene in enumerate(scenes(domain, count=12, frames=100)):
        count.add(number, scene, tracked(estimator, scene))
    assert count.hits / count.people >= 0.97
    assert count.boxes <= 1.03 * count.people
    assert count.right / count.joints >= 0.97
    assert count.switches <= 0.004 * count.hits  # seen: 8 and 4 of 3,200


def test_the_count_itself():
    """Of a perfect finder all is right; of one that is wrong, as much is wrong as was made wrong."""
    (scene,) = scenes("train", count=1, frames=12)
    truth = np.stack([scene.joints(i) for i in range(12)]), np.stack([scene.boxes(i) for i in range(12)])
    joints_SMJ3 = truth[0].astype(np.float32)
    boxes_SM5 = np.concatenate([truth[1], np.ones((*truth[1].shape[:2], 1))], axis=2)
    ids_SM = np.tile(np.arange(joints_SMJ3.shape[1]), (12, 1))
    perfect = Count()
    perfect.add(0, scene, Joints(ids_SM, joints_SMJ3, boxes_SM5, *scene.spec.size))
    assert perfect.hits == perfect.people > 20
    assert perfect.right == perfect.joints
    assert perfect.switches == 0
    swapped_SM, missing_SM, moved_SMJ3 = ids_SM.copy(), ids_SM.copy(), joints_SMJ3.copy()
    swapped_SM[6:, :2] = ids_SM[6:, 1::-1]
    missing_SM[3, 0] = -1
    moved_SMJ3[:, :, 9, 0] += 1000
    for ids, joints in ((swapped_SM, joints_SMJ3), (missing_SM, joints_SMJ3), (ids_SM, moved_SMJ3)):
        count = Count()
        count.add(0, scene, Joints(ids, joints, boxes_SM5, *scene.spec.size))
        assert count.switches == (2 if ids is swapped_SM else 0)
        assert count.hits == count.people - (ids is missing_SM)
        wrong = count.joints - count.right
        assert wrong == ((joints_SMJ3[:, :, 9, 2] > 0).sum() if joints is moved_SMJ3 else 0)
