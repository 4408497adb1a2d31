"""From the joints found in a video to what a graph network sees.

Shapes: S sampled frames, M rows of a frame, J = 17 COCO joints, K windows, L frames of a window, P persons
of a window; the last axis of joints is x, y, score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from extractors.gcn import JOINTS
from extractors.skeleton_config import Origin, Stream

# Where each joint's bone starts: pyskl's pairs, in which the hips hang on the nose, and the nose on itself.
_BONE_FROM = np.array([0, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 0, 0, 11, 12, 13, 14])


@dataclass(frozen=True)
class Joints:
    """Everyone found in the sampled frames of one video, tracked; rows of a frame are in any order."""

    person_id_SM: np.ndarray  # int; -1: nobody in this row
    joints_SMJ3: np.ndarray  # x, y in pixels of the source, score
    boxes_SM5: np.ndarray  # x0, y0, x1, y1 in pixels of the source, score
    width: int  # px, of the source
    height: int

    def __post_init__(self) -> None:
        ids, joints, boxes = self.person_id_SM, self.joints_SMJ3, self.boxes_SM5
        if ids.ndim != 2 or joints.shape != (*ids.shape, JOINTS, 3) or boxes.shape != (*ids.shape, 5):
            raise ValueError(
                f"need ids (S, M), joints (S, M, {JOINTS}, 3) and boxes (S, M, 5), "
                f"got {ids.shape}, {joints.shape}, {boxes.shape}"
            )
        if not np.issubdtype(ids.dtype, np.integer) or min(self.width, self.height) < 1:
            raise ValueError(f"need whole ids and a picture, got {ids.dtype}, {self.width}x{self.height}")
        ordered = np.sort(ids, axis=1)
        twice_S = ((np.diff(ordered, axis=1) == 0) & (ordered[:, 1:] >= 0)).any(axis=1)
        if twice_S.any():
            raise ValueError(f"a person is found twice in frame {int(np.argmax(twice_S))}")

    @property
    def num_frames(self) -> int:
        """S."""
        return len(self.person_id_SM)


@dataclass(frozen=True)
class Person:
    """One tracked person, from the first frame to the last one in which it is found."""

    person_id: int
    start: int  # first sampled frame
    joints_SJ3: np.ndarray  # float32, from `start` on; all zero: missing
    weight_S: np.ndarray  # box area times score, px^2; 0 where it is not found

    def at(self, frames_L: np.ndarray) -> np.ndarray:
        """Joints in these frames: (L, J, 3), zero where there are none."""
        index_L = frames_L - self.start
        here_L = (index_L >= 0) & (index_L < len(self.joints_SJ3))
        return np.where(here_L[:, None, None], self.joints_SJ3[np.where(here_L, index_L, 0)], 0)


def people(joints: Joints, *, min_score: float, max_gap: int) -> list[Person]:
    """Every tracked person, gaps filled, those who matter most in the whole video first.

    What counts is box area times score, summed over the video; of equals the lower id comes first. A
    joint is missing where its score is at most `min_score` or anything about it is not finite.
    """
    frame_N, row_N = np.nonzero(joints.person_id_SM >= 0)
    if not len(frame_N):
        return []
    id_N = joints.person_id_SM[frame_N, row_N]
    by_id = np.argsort(id_N, kind="stable")  # frames stay in order
    ids, first = np.unique(id_N[by_id], return_index=True)
    found = []
    for person_id, found_N in zip(ids, np.split(by_id, first[1:]), strict=True):
        at, row = frame_N[found_N], row_N[found_N]
        seen_SJ3 = np.zeros((at[-1] - at[0] + 1, JOINTS, 3), np.float32)
        seen_SJ3[at - at[0]] = _known(joints.joints_SMJ3[at, row], min_score)
        weight_S = np.zeros(len(seen_SJ3))
        weight_S[at - at[0]] = _weight(joints.boxes_SM5[at, row])
        found.append(Person(int(person_id), int(at[0]), fill_gaps(seen_SJ3, max_gap), weight_S))
    return sorted(found, key=lambda person: (-person.weight_S.sum(), person.person_id))


def fill_gaps(joints_SJ3: np.ndarray, max_gap: int) -> np.ndarray:
    """Joints missing (all zero) for at most `max_gap` frames, linearly between the frames around them.

    Position and score both. Longer gaps, and those at either end, stay missing.
    """
    here_SJ = joints_SJ3[..., 2] > 0
    frame_S1 = np.arange(len(joints_SJ3))[:, None]
    last_SJ = np.maximum.accumulate(np.where(here_SJ, frame_S1, -1), axis=0)
    next_SJ = np.minimum.accumulate(np.where(here_SJ, frame_S1, len(joints_SJ3))[::-1], axis=0)[::-1]
    fill_SJ = ~here_SJ & (last_SJ >= 0) & (next_SJ < len(joints_SJ3)) & (next_SJ - last_SJ <= max_gap + 1)
    frame_N, joint_N = np.nonzero(fill_SJ)
    last_N, next_N = last_SJ[fill_SJ], next_SJ[fill_SJ]
    share_N1 = ((frame_N - last_N) / (next_N - last_N))[:, None]
    filled = joints_SJ3.copy()
    filled[fill_SJ] = (1 - share_N1) * joints_SJ3[last_N, joint_N] + share_N1 * joints_SJ3[next_N, joint_N]
    return filled


def choose(found: Sequence[Person], frames_KL: np.ndarray, persons: int) -> np.ndarray:
    """Who is seen in each window: (K, P) indices into `found`, -1 for nobody.

    The P with the largest box area times score, summed over the window; frames in which someone is not
    found count nothing, nor do frames that an edge window repeats. They stand in the order of `found`,
    the same in every window, so that a person keeps its place while nobody else comes or goes.
    """
    chosen_KP = np.full((len(frames_KL), persons), -1)
    best_KP = np.zeros((len(frames_KL), persons))
    for index, person in enumerate(found):
        total = np.concatenate([[0.0], person.weight_S.cumsum()])
        ends_2K = np.stack([frames_KL[:, 0], frames_KL[:, -1] + 1]) - person.start
        before_K, until_K = total[ends_2K.clip(0, len(person.weight_S))]
        weight_K = until_K - before_K
        better_K = np.flatnonzero(weight_K > best_KP.min(axis=1))
        place_K = best_KP[better_K].argmin(axis=1)
        best_KP[better_K, place_K], chosen_KP[better_K, place_K] = weight_K[better_K], index
    nobody = len(found)  # sorts last
    in_order_KP = np.sort(np.where(chosen_KP < 0, nobody, chosen_KP), axis=1)
    return np.where(in_order_KP == nobody, -1, in_order_KP)


def cut(found: Sequence[Person], chosen_KP: np.ndarray, frames_KL: np.ndarray) -> np.ndarray:
    """Joints of the chosen persons: (K, P, L, J, 3) float32 in pixels of the source, zero where missing."""
    clips_KPLJ3 = np.zeros((*chosen_KP.shape, frames_KL.shape[1], JOINTS, 3), np.float32)
    for k, p in np.argwhere(chosen_KP >= 0):
        clips_KPLJ3[k, p] = found[chosen_KP[k, p]].at(frames_KL[k])
    return clips_KPLJ3


def normalise(clips_KPLJ3: np.ndarray, origin: Origin, width: int, height: int) -> np.ndarray:
    """Coordinates in units of the picture, or of the person; missing joints stay zero.

    "picture": -1 to 1 from edge to edge, as pyskl does. "person": from the middle of all of a person's
    joints in the window, in units of twice their root mean square distance to it; where someone stands
    and how large they are then changes nothing.
    """
    here_KPLJ1 = clips_KPLJ3[..., 2:] > 0
    xy, score = clips_KPLJ3[..., :2], clips_KPLJ3[..., 2:]
    if origin == "picture":
        half = np.array([width / 2, height / 2], np.float32)
        moved = (xy - half) / half
    else:
        axes = (2, 3)  # all frames and joints of a person
        count = np.maximum(here_KPLJ1.sum(axes, keepdims=True), 1)
        offset = xy - (xy * here_KPLJ1).sum(axes, keepdims=True) / count
        mean_square = (offset**2 * here_KPLJ1).sum((*axes, 4), keepdims=True) / count
        moved = offset / np.maximum(2 * np.sqrt(mean_square), 1.0)  # px: one joint has no size
    return np.concatenate([moved * here_KPLJ1, score], axis=-1).astype(np.float32)


def to_stream(clips_KPLJ3: np.ndarray, stream: Stream) -> np.ndarray:
    """Joints as they are, bones (joint minus where its bone starts), or motion (next frame minus this one).

    Scores are the mean of the two joints'. Where either is missing, so is the difference: all zero
    (pyskl takes the other end's position instead). The last frame has no motion.
    """
    if stream == "joint":
        return clips_KPLJ3
    if stream == "bone":
        return _difference(clips_KPLJ3, clips_KPLJ3[..., _BONE_FROM, :])
    motion = np.zeros_like(clips_KPLJ3)
    motion[:, :, :-1] = _difference(clips_KPLJ3[:, :, 1:], clips_KPLJ3[:, :, :-1])
    return motion


def _difference(to: np.ndarray, since: np.ndarray) -> np.ndarray:
    both = (to[..., 2:] > 0) & (since[..., 2:] > 0)
    score = (to[..., 2:] + since[..., 2:]) / 2
    return np.where(both, np.concatenate([to[..., :2] - since[..., :2], score], axis=-1), 0)


def _known(joints_NJ3: np.ndarray, min_score: float) -> np.ndarray:
    """Missing joints all zero, scores at most 1."""
    joints_NJ3 = np.asarray(joints_NJ3, np.float32)
    score_NJ1 = np.nan_to_num(joints_NJ3[..., 2:], nan=0.0)
    here_NJ1 = np.isfinite(joints_NJ3).all(-1, keepdims=True) & (score_NJ1 > max(min_score, 0.0))
    known = np.where(here_NJ1, joints_NJ3, 0)
    known[..., 2] = np.minimum(known[..., 2], 1)
    return known


def _weight(boxes_N5: np.ndarray) -> np.ndarray:
    """Box area times score; 0 for a box without a size or with a number that is not finite."""
    boxes_N5 = np.asarray(boxes_N5, np.float64)
    sides_N2 = np.maximum(boxes_N5[:, 2:4] - boxes_N5[:, :2], 0)
    return np.nan_to_num(sides_N2.prod(axis=1) * np.maximum(boxes_N5[:, 4], 0), nan=0.0, posinf=0.0)
