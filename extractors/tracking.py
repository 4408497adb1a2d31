"""Who is who from frame to frame: persons with joints to tracks, and everything found in one video.

The tracker is norfair (Tryolabs): a Kalman filter for each joint, persons and tracks matched
greedily, nearest first.
Shapes: S sampled frames, M rows of a frame, P persons of a frame, T tracks, J = 17 joints, H W pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from extractors.pose import JOINTS, Persons, PoseEstimator
from extractors.skeleton_input import Joints

_SHORT_SIDE = 360.0  # the filter's noise is in px of frames of this size
_MAX_DISTANCE = 0.35  # of the box's diagonal: a person does not move farther in one frame
_LOST_POINT = 0.05  # points scored lower do not move a track


class Tracker:
    """Gives the persons of consecutive frames their numbers: 0, 1, ... in order of appearance.

    Deterministic; one for each video. A track that finds no person for `max_gap` frames ends, a young
    one sooner.
    """

    def __init__(self, width: int, height: int, max_gap: int) -> None:
        """For frames of `width` x `height` px."""
        # here, not above: it takes seconds to import, and only skeletons need it
        from norfair import Tracker as Norfair
        from norfair.distances import VectorizedDistance

        self._scale = _SHORT_SIDE / min(width, height)
        self._frame = -1
        self._norfair = Norfair(
            distance_function="euclidean",  # replaced below: it takes names and slow functions only
            distance_threshold=_MAX_DISTANCE,
            hit_counter_max=max_gap,
            initialization_delay=0,
            detection_threshold=_LOST_POINT,
            past_detections_length=0,
        )
        distance: Any = VectorizedDistance(
            mean_distance
        )  # the attribute is typed like the constructor's argument
        self._norfair.distance_function = distance

    def update(self, persons: Persons) -> np.ndarray:
        """Numbers of the persons of the next frame: (P,) int64."""
        from norfair import Detection

        self._frame += 1
        xy_PN2, score_PN = _points(persons)
        found = [
            Detection(xy_N2 * self._scale, score_N, data=(self._frame, p))
            for p, (xy_N2, score_N) in enumerate(zip(xy_PN2, score_PN, strict=True))
        ]
        ids_P = np.full(len(found), -1, dtype=np.int64)
        for track in self._norfair.update(found):
            frame, p = track.last_detection.data
            if frame == self._frame and track.id is not None:  # met now, not before
                ids_P[p] = track.id - 1
        assert (ids_P >= 0).all()
        return ids_P


def _points(persons: Persons) -> tuple[np.ndarray, np.ndarray]:
    """What is followed: joints, and two corners of the box: (P, 19, 2) float64 in px, scores (P, 19)."""
    boxes_P5, joints_PJ3 = persons.boxes_P5, persons.joints_PJ3
    xy_PN2 = np.concatenate([joints_PJ3[..., :2], boxes_P5[:, :4].reshape(-1, 2, 2)], axis=1)
    return xy_PN2.astype(np.float64), np.concatenate([joints_PJ3[..., 2], boxes_P5[:, [4, 4]]], axis=1)


def mean_distance(found_PX: np.ndarray, tracks_TX: np.ndarray) -> np.ndarray:
    """How far persons are from tracks, mean of all points, in diagonals of the person's box: (P, T).

    Points lie flat in the last axis, x and y in turn; the last two are the box's corners.
    """
    found_PN2, tracks_TN2 = (flat.reshape(len(flat), -1, 2) for flat in (found_PX, tracks_TX))
    distance_PT = np.linalg.norm(found_PN2[:, None] - tracks_TN2, axis=-1).mean(-1)
    diagonal_P = np.linalg.norm(found_PN2[:, -1] - found_PN2[:, -2], axis=-1)
    return distance_PT / np.maximum(diagonal_P, 1e-6)[:, None]


class JointStream:
    """One video: chunks of frames in, everyone found in it out. How it is cut into chunks does not matter."""

    def __init__(self, estimator: PoseEstimator) -> None:
        self._estimator = estimator
        self._tracker: Tracker | None = None
        self._size = (0, 0)
        self._boxes_P5 = np.zeros((0, 5), np.float32)  # the last ones searched for
        self._persons: list[Persons] = []
        self._ids: list[np.ndarray] = []

    def push(self, rgb_NHWC: Tensor) -> None:
        """The next frames of the video, uint8."""
        if self._tracker is None:
            height, width = rgb_NHWC.shape[1:3]
            self._size = (width, height)
            self._tracker = Tracker(width, height, self._estimator.config.max_gap)
        self._follow()  # those found before: a GPU has other streams' work to do meanwhile
        self._persons += self._estimator.poses(rgb_NHWC, self._find(rgb_NHWC))

    def finish(self) -> Joints:
        """After the last frame: all of them."""
        if self._tracker is None:
            raise ValueError("no frame was seen: a video has at least one")
        self._follow()
        return to_arrays(self._persons, self._ids, *self._size)

    def _follow(self) -> None:
        """Number everyone who has no number yet."""
        assert self._tracker is not None
        self._ids += [self._tracker.update(persons) for persons in self._persons[len(self._ids) :]]

    def _find(self, rgb_NHWC: Tensor) -> list[np.ndarray]:
        """Boxes (P, 5) of each frame: found in every `detect_every`-th of the video, held in between."""
        index_N = len(self._persons) + np.arange(len(rgb_NHWC))
        searched_N = index_N % self._estimator.config.detect_every == 0
        found = iter(self._estimator.find(rgb_NHWC[searched_N]) if searched_N.any() else [])
        boxes = []
        for searched in searched_N:
            self._boxes_P5 = next(found) if searched else self._boxes_P5
            boxes.append(self._boxes_P5)
        return boxes


def to_arrays(persons: Sequence[Persons], ids: Sequence[np.ndarray], width: int, height: int) -> Joints:
    """Frames of different numbers of persons as arrays with M rows, M being the largest of them; may be 0.

    Absent persons have the number -1 and zeros.
    """
    rows = max((len(ids_P) for ids_P in ids), default=0)
    person_id_SM = np.full((len(ids), rows), -1, dtype=np.int64)
    joints_SMJ3 = np.zeros((len(ids), rows, JOINTS, 3), np.float32)
    boxes_SM5 = np.zeros((len(ids), rows, 5), np.float32)
    for s, (one, ids_P) in enumerate(zip(persons, ids, strict=True)):
        order = np.argsort(ids_P)
        person_id_SM[s, : len(order)] = ids_P[order]
        joints_SMJ3[s, : len(order)] = one.joints_PJ3[order]
        boxes_SM5[s, : len(order)] = one.boxes_P5[order]
    return Joints(person_id_SM, joints_SMJ3, boxes_SM5, width, height)
