"""One person: a set of cards, and where poses put them.

Shapes: T times, C pose channels, J = 17 joints, P parts of a person.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.synthetic import body
from pipeline.synthetic.cards import affine
from pipeline.synthetic.textures import Domain
from pipeline.synthetic.wardrobe import (
    DETAIL,
    HEAD_BELOW,
    LIMBS,
    SKULL,
    SKULL_RADIUS,
    TRUNK_TOP,
    Limb,
    head_card,
    head_points,
    limb_card,
    limb_top,
    outfit,
    trunk_card,
)

COCO_JOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
_SHORTEST = 0.45  # of its length: a limb that points at the camera does not vanish
_SHORTEST_TRUNK = 0.55


@dataclass(frozen=True)
class PlacedPerson:
    """Where a person's P parts lie at T times; pixels of the world, before the camera."""

    placement_PT23: list[np.ndarray]
    depth_PT: np.ndarray  # towards the viewer, in statures
    joints_TJ2: np.ndarray
    outline_TK2: np.ndarray  # points that span the person's box


class Person:
    """Parts are the limbs in the order of LIMBS, then the trunk, then the head."""

    def __init__(self, rng: np.random.Generator, domain: Domain, stance: body.Stance, owner: int) -> None:
        self.stance = stance
        self._px = stance.stature_px
        wear = outfit(rng, domain)
        self.cards = [limb_card(rng, wear, limb, self._px, owner) for limb in LIMBS]
        self.cards += [trunk_card(rng, wear, self._px, owner), head_card(wear, self._px, stance.yaw, owner)]

    def place(self, pose_TC: np.ndarray) -> PlacedPerson:
        """Lay the cards of all parts as poses say."""
        points = body.project(pose_TC, self.stance)
        placed = [self._limb(i, limb, points) for i, limb in enumerate(LIMBS)]
        placed += [self._trunk(points), self._head(points)]
        depth = [(points[limb.start][:, 2] + points[limb.end][:, 2]) / 2 + limb.in_front for limb in LIMBS]
        trunk = (points["pelvis"][:, 2] + points["neck"][:, 2]) / 2
        depth += [trunk, trunk + 0.045]
        on_head = head_points(self.stance.yaw)
        joints = [
            placed[-1] @ [*self._head_texel(*on_head[name]), 1.0] if name in on_head else points[name][:, :2]
            for name in COCO_JOINTS
        ]
        return PlacedPerson(placed, np.stack(depth), np.stack(joints, axis=1), self._outline(points))

    def _limb(self, i: int, limb: Limb, points: body.Points) -> np.ndarray:
        start, end = points[limb.start][:, :2], points[limb.end][:, :2]
        full = limb.length * self._px
        along = _at_least(end - start, _SHORTEST * full) / (full * DETAIL)
        middle = limb_top(limb, self._px) + full * DETAIL / 2
        return affine(along, _square_to(along), (start + end) / 2, ((self._width(i) - 1) / 2, middle))

    def _trunk(self, points: body.Points) -> np.ndarray:
        """Sheared so that neck, pelvis and both shoulders lie where they are."""
        neck, pelvis = points["neck"][:, :2], points["pelvis"][:, :2]
        full = body.TRUNK * self._px
        along = _at_least(pelvis - neck, _SHORTEST_TRUNK * full) / (full * DETAIL)
        shoulders = points["left_shoulder"][:, :2] - points["right_shoulder"][:, :2]
        across = shoulders / (2 * body.SHOULDER * self._px * DETAIL)
        return affine(along, across, neck, ((self._width(-2) - 1) / 2, TRUNK_TOP * self._px * DETAIL))

    def _head(self, points: body.Points) -> np.ndarray:
        down = points["neck"][:, :2] - points["crown"][:, :2]
        along = down / np.linalg.norm(down, axis=1, keepdims=True) / DETAIL
        return affine(along, _square_to(along), points["neck"][:, :2], self._head_texel(0.0, 0.0))

    def _head_texel(self, x: float, up: float) -> tuple[float, float]:
        """Where a point right of and above the neck lies on the head's card."""
        width, height = self.cards[-1].size
        scale = self._px * DETAIL
        return width / 2 + x * scale - 0.5, height - (up + HEAD_BELOW) * scale - 0.5

    def _outline(self, points: body.Points) -> np.ndarray:
        """Outermost points of all parts to the left, right, above and below: (T, K, 2)."""
        discs = [(points[limb.start][:, :2], limb.start_radius) for limb in LIMBS]
        discs += [(points[limb.end][:, :2], limb.end_radius) for limb in LIMBS]
        neck, crown = points["neck"][:, :2], points["crown"][:, :2]
        up = (crown - neck) / np.linalg.norm(crown - neck, axis=1, keepdims=True)
        discs.append((neck + SKULL * self._px * up, SKULL_RADIUS))
        reach = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]]) * self._px
        return np.concatenate([centre[:, None] + radius * reach for centre, radius in discs], axis=1)

    def _width(self, part: int) -> int:
        return self.cards[part].size[0]


def _square_to(along_T2: np.ndarray) -> np.ndarray:
    """At a right angle, to the right of something that hangs down, 1 / DETAIL long: pixels per texel."""
    length_T1 = np.linalg.norm(along_T2, axis=1, keepdims=True)
    return np.stack([along_T2[:, 1], -along_T2[:, 0]], axis=1) / (length_T1 * DETAIL)


def _at_least(vector_T2: np.ndarray, length: float) -> np.ndarray:
    """Vectors shorter than `length` lengthened to it; none vanishes."""
    norm_T1 = np.linalg.norm(vector_T2, axis=1, keepdims=True)
    unit_T2 = np.where(norm_T1 > 1e-6, vector_T2 / np.maximum(norm_T1, 1e-6), [0.0, 1.0])
    return unit_T2 * np.maximum(norm_T1, length)
