"""Persons keep their numbers, and a video's persons become arrays whatever its frames hold."""

import logging
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from extractors.pose import Persons, PoseConfig
from extractors.tracking import JointStream, Tracker, mean_distance, to_arrays
from pipeline.synthetic import DEMO_ACTIONS, Scene, SceneSpec

WIDTH, HEIGHT = 192, 144


def person(
    x: float, y: float = 70.0, size: float = 40.0, score: float = 0.9
) -> tuple[np.ndarray, np.ndarray]:
    """A box around a point, and joints spread within it."""
    spread = np.random.default_rng(0).uniform(-0.5, 0.5, (17, 2)) * [0.5 * size, size]
    joints = np.column_stack([spread + np.array([x, y]), np.full(17, 0.8)])
    return np.array([x - size / 4, y - size / 2, x + size / 4, y + size / 2, score]), joints


def frame(*people: tuple[np.ndarray, np.ndarray]) -> Persons:
    boxes = np.array([box for box, _ in people], np.float32).reshape(-1, 5)
    return Persons(boxes, np.array([joints for _, joints in people], np.float32).reshape(-1, 17, 3))


def track(frames: list[Persons], max_gap: int = 10) -> list[list[int]]:
    tracker = Tracker(WIDTH, HEIGHT, max_gap)
    return [tracker.update(one).tolist() for one in frames]


def test_persons_keep_their_numbers_in_whatever_order_they_are_found() -> None:
    frames = [frame(person(40 + i), person(120 - i)) for i in range(10)]
    swapped = [Persons(f.boxes_P5[::-1], f.joints_PJ3[::-1]) if i % 2 else f for i, f in enumerate(frames)]
    assert track(swapped) == [[1, 0] if i % 2 else [0, 1] for i in range(10)]


def test_two_who_walk_past_each_other_are_told_apart_by_where_they_were_going() -> None:
    # 4 px a frame; in the middle they are 2 px apart
    frames = [frame(person(40 + 4 * i, 68), person(122 - 4 * i, 72)) for i in range(21)]
    assert track(frames) == [[0, 1]] * 21


def test_numbers_do_not_depend_on_the_size_of_the_pictures() -> None:
    frames = [frame(person(40 + 4 * i, 68), person(122 - 4 * i, 72)) for i in range(21)]
    larger = [Persons(f.boxes_P5 * [7, 7, 7, 7, 1], f.joints_PJ3 * [7, 7, 1]) for f in frames]
    tracker = Tracker(7 * WIDTH, 7 * HEIGHT, 10)
    assert [tracker.update(one).tolist() for one in larger] == track(frames)


@pytest.mark.parametrize(("gap", "number"), [(5, 0), (11, 1)])
def test_a_lost_person_is_remembered_for_a_while(gap: int, number: int) -> None:
    seen = [frame(person(60))] * 12
    assert track(seen + [frame()] * gap + seen, max_gap=10)[-1] == [number]


def test_a_new_person_gets_a_new_number_and_numbers_start_anew_in_every_video() -> None:
    frames = [frame(person(40)), frame(person(40), person(150)), frame(), frame(person(150))]
    assert track(frames) == [[0], [0, 1], [], [1]]
    assert track(frames) == [[0], [0, 1], [], [1]]


def test_nothing_is_logged_that_a_user_would_wonder_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        track([frame(person(40))])
    assert not caplog.records


def test_distance_is_in_diagonals_of_the_box() -> None:
    box, joints = person(0, 0, size=40)
    points = np.concatenate([joints[:, :2], box[:4].reshape(2, 2)]).reshape(1, -1)
    moved = np.concatenate([points, (points.reshape(-1, 2) + np.array([30, 40])).reshape(1, -1)])
    expected = [[0, 50 / np.hypot(20, 40)]]
    np.testing.assert_allclose(mean_distance(points, moved), expected)


@pytest.mark.parametrize("domain", ["train", "test"])
def test_true_joints_of_the_practice_world_are_tracked_without_mistake(domain: str) -> None:
    """Jittered as a good pose network's would be; persons of whom little is seen are not found."""
    switches = persons = 0
    for seed in range(6):
        spec = SceneSpec(
            seed=(seed,), actions=DEMO_ACTIONS, domain=domain, num_frames=75, fps=12.5, persons=(2, 3)
        )
        scene = Scene(spec)
        rng = np.random.default_rng(seed)
        tracker, last = Tracker(*spec.size, max_gap=25), {}
        for i in range(spec.num_frames):
            joints_MJ3, boxes_M4 = scene.joints(i), scene.boxes(i)
            seen = joints_MJ3[..., 2].sum(1) >= 6
            joints_MJ3 = joints_MJ3 + rng.normal(0, 1, joints_MJ3.shape) * [1, 1, 0]
            boxes_M5 = np.column_stack([boxes_M4, np.full(len(boxes_M4), 0.9)])
            ids = tracker.update(Persons(boxes_M5[seen], joints_MJ3[seen].astype(np.float32)))
            for true, found in zip(np.flatnonzero(seen), ids, strict=True):
                switches += last.setdefault(true, found) != found
                last[true] = found
        persons += len(last)
    assert persons >= 12
    assert switches <= 1


def test_frames_of_different_numbers_of_persons_become_arrays() -> None:
    frames = [frame(), frame(person(40), person(100)), frame(person(101))]
    joints = to_arrays(frames, [np.array(i, np.int64) for i in ([], [5, 2], [2])], WIDTH, HEIGHT)
    assert joints.person_id_SM.tolist() == [[-1, -1], [2, 5], [2, -1]]
    assert joints.joints_SMJ3.dtype == joints.boxes_SM5.dtype == np.float32
    np.testing.assert_array_equal(joints.joints_SMJ3[1], frames[1].joints_PJ3[::-1])
    np.testing.assert_array_equal(joints.boxes_SM5[2, 0], frames[2].boxes_P5[0])
    assert not joints.joints_SMJ3[0].any()
    assert not joints.boxes_SM5[2, 1].any()


def test_nobody_in_a_whole_video_is_no_error() -> None:
    joints = to_arrays([frame()] * 4, [np.zeros(0, np.int64)] * 4, WIDTH, HEIGHT)
    assert joints.person_id_SM.shape == (4, 0)
    assert joints.joints_SMJ3.shape == (4, 0, 17, 3)
    assert joints.boxes_SM5.shape == (4, 0, 5)


@dataclass
class Walker:
    """Stands in for an estimator: one person where the first pixel says; notes which frames were searched."""

    config: PoseConfig
    searched: list[int] = field(default_factory=list)

    def find(self, rgb_NHWC: Tensor) -> list[np.ndarray]:
        x_N = rgb_NHWC[:, 0, 0, 0].tolist()
        self.searched += x_N
        return [frame(person(x)).boxes_P5 if x else frame().boxes_P5 for x in x_N]

    def poses(self, rgb_NHWC: Tensor, boxes_NP5: list[np.ndarray]) -> list[Persons]:
        return [
            Persons(
                boxes_P5, np.stack([person(float(box[0] + 10))[1] for box in boxes_P5]).astype(np.float32)
            )
            if len(boxes_P5)
            else frame()
            for boxes_P5 in boxes_NP5
        ]


def stream(walker: Walker, positions: list[int], chunk: int):
    rgb_NHWC = torch.zeros((len(positions), HEIGHT, WIDTH, 3), dtype=torch.uint8)
    rgb_NHWC[:, 0, 0, 0] = torch.tensor(positions)
    joints = JointStream(walker)  # type: ignore[arg-type]
    for part in rgb_NHWC.split(chunk):
        joints.push(part)
    return joints.finish()


@pytest.mark.parametrize("detect_every", [1, 3])
def test_chunks_of_a_video_do_not_matter(detect_every: int) -> None:
    positions = [0, 0, 50, 51, 52, 53, 54, 0, 0, 0, 55]
    whole, *others = (
        stream(Walker(PoseConfig(detect_every=detect_every)), positions, chunk) for chunk in (11, 1, 4)
    )
    assert (whole.width, whole.height, whole.num_frames) == (WIDTH, HEIGHT, 11)
    for other in others:
        np.testing.assert_array_equal(other.person_id_SM, whole.person_id_SM)
        np.testing.assert_array_equal(other.joints_SMJ3, whole.joints_SMJ3)
        np.testing.assert_array_equal(other.boxes_SM5, whole.boxes_SM5)


def test_between_searched_frames_persons_stay_where_they_were() -> None:
    walker = Walker(PoseConfig(detect_every=3))
    joints = stream(walker, [50, 51, 52, 53, 54, 55, 56], chunk=2)
    assert walker.searched == [50, 53, 56]
    assert (joints.boxes_SM5[:, 0, 0] + 10).tolist() == [50, 50, 50, 53, 53, 53, 56]
    assert joints.person_id_SM.tolist() == [[0]] * 7


def test_no_frame_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="no frame"):
        JointStream(Walker(PoseConfig())).finish()  # type: ignore[arg-type]
