"""A script set into pictures: every card of a scene, and where it lies in every frame.

Shapes: F frames, M persons, J joints, C cards.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from pipeline.synthetic import scenery
from pipeline.synthetic.actions import CHANNELS, HOP, X, rest_pose
from pipeline.synthetic.body import Stance
from pipeline.synthetic.cards import extents
from pipeline.synthetic.person import Person
from pipeline.synthetic.script import Script
from pipeline.synthetic.spec import SceneSpec

# Stature as a share of the picture's height.
_STATURES = {"train": (0.56, 0.70), "test": (0.46, 0.78), "any": (0.44, 0.80)}
_CROWDED = (1.0, 0.92, 0.82)  # of it, where there are one, two, three persons


@dataclass(frozen=True)
class Layout:
    """Where everything lies in F consecutive frames; C of the stage's cards may be in the picture."""

    first: int  # frame of the first row
    number_C: np.ndarray  # of the cards on the stage, ascending
    placement_FC23: np.ndarray
    extent_FC4: np.ndarray  # int, empty where a card is out of the picture
    order_FC: np.ndarray  # int, positions in number_C, farthest first
    joints_FMJ2: np.ndarray
    boxes_FM4: np.ndarray


class Stage:
    """All cards of a scene. Their places are computed block by block: a long scene takes no more memory."""

    def __init__(self, spec: SceneSpec, script: Script, looks: Generator, moves: Generator) -> None:
        self.spec, self.script = spec, script
        self.camera = scenery.Camera(moves, spec.size)
        stances = _stances(looks, spec, script.persons)
        self.things = scenery.backdrop(looks, spec.domain, script.context, spec.size)
        self.things += scenery.furniture(looks, spec.domain, spec.size)
        self.things += [
            scenery.prop(looks, p.kind, spec.domain, p.start, p.end, spec.size) for p in script.passing
        ]
        self.idling = [Idling(moves) for _ in stances]
        self.persons = [Person(looks, spec.domain, stance, m) for m, stance in enumerate(stances)]
        self.shadows = [scenery.shadow(stance.stature_px) for stance in stances]
        self.cards = [thing.piece for thing in self.things]
        for person, shadow in zip(self.persons, self.shadows, strict=True):
            self.cards += [shadow.piece, *person.cards]
        self.owners = np.array([c.owner for c in self.cards])

    def layout(self, first: int, count: int) -> Layout:
        """Frames first .. first + count - 1."""
        time_F = np.arange(first, first + count) / self.spec.fps
        number, placed, depth = self._lay_things(time_F)
        view_F23 = self.camera.at(time_F, 1.0)
        joints, boxes = [], []
        for m, (person, shadow) in enumerate(zip(self.persons, self.shadows, strict=True)):
            pose_FC = rest_pose() + self.idling[m].at(time_F) + self.script.pose(m, time_F)
            body = person.place(pose_FC)
            below_F23 = _below(shadow.place(time_F), person.stance, pose_FC)
            placed += [_through(view_F23, part) for part in (below_F23, *body.placement_PT23)]
            depth += [np.full(count, m + 0.5), *(m + 1 + 0.3 * body.depth_PT)]
            joints.append(_seen(view_F23, body.joints_TJ2))
            boxes.append(_box(_seen(view_F23, body.outline_TK2)))
        number += range(len(self.things), len(self.cards))
        placement_FC23 = np.stack(placed, axis=1)
        return Layout(
            first=first,
            number_C=np.array(number),
            placement_FC23=placement_FC23,
            extent_FC4=extents(placement_FC23, [self.cards[c] for c in number], self.spec.size),
            order_FC=np.argsort(np.stack(depth, axis=1), axis=1, kind="stable"),
            joints_FMJ2=np.stack(joints, axis=1),
            boxes_FM4=np.stack(boxes, axis=1),
        )

    def _lay_things(self, time_F: np.ndarray) -> tuple[list[int], list[np.ndarray], list[np.ndarray]]:
        """Numbers, placements and depths of the things that may be seen at these times."""
        number, placed, depth = [], [], []
        for c, thing in enumerate(self.things):
            if thing.shown[0] <= time_F[-1] and thing.shown[1] > time_F[0]:
                number.append(c)
                placed.append(_through(self.camera.at(time_F, thing.nearness), thing.place(time_F)))
                depth.append(np.full(len(time_F), thing.depth))
        return number, placed, depth


class Idling:
    """How one person stands when doing nothing: its own posture at rest, swaying and breathing."""

    def __init__(self, rng: Generator) -> None:
        amplitude = np.full(CHANNELS, 0.045)
        amplitude[X], amplitude[HOP] = 0.008, 0.0
        self.own = rng.normal(0.0, 0.05, CHANNELS)
        self.own[[X, HOP]] = 0.0
        self.sway = scenery.Wobble(rng, amplitude, 0.1, 0.45)

    def at(self, time_T: np.ndarray) -> np.ndarray:
        """Difference to the pose at rest: (T, C)."""
        return self.own + self.sway.at(time_T)


def _stances(rng: Generator, spec: SceneSpec, persons: int) -> list[Stance]:
    """Persons side by side, the farther (smaller, higher up) ones first."""
    width, height = spec.size
    places = (np.arange(persons) + 0.5 + rng.uniform(-0.22, 0.22, persons)) / persons
    spread = 0.5 * height if persons == 1 else 0.7 * width  # arms of the outer ones stay in the picture
    x = width / 2 + (places[rng.permutation(persons)] - 0.5) * spread
    low, high = _STATURES[spec.domain]
    stature = np.sort(rng.uniform(low, high, persons)) * height * _CROWDED[persons - 1]
    ground = height * (0.97 - 0.30 * (high - stature / height))
    yaw = rng.uniform(-0.6, 0.6, persons)
    return [Stance(*map(float, stance)) for stance in zip(x, ground, stature, yaw, strict=True)]


def _through(view_F23: np.ndarray, placed_F23: np.ndarray) -> np.ndarray:
    """The camera's map after a placement."""
    joined = view_F23[:, :, :2] @ placed_F23
    joined[:, :, 2] += view_F23[:, :, 2]
    return joined


def _seen(view_F23: np.ndarray, points_FJ2: np.ndarray) -> np.ndarray:
    return points_FJ2 @ view_F23[:, :, :2].transpose(0, 2, 1) + view_F23[:, None, :, 2]


def _below(shade_T23: np.ndarray, stance: Stance, pose_TC: np.ndarray) -> np.ndarray:
    """The shadow follows its person sideways."""
    moved = shade_T23.copy()
    moved[:, 0, 2] += stance.x_px + stance.stature_px * pose_TC[:, X]
    moved[:, 1, 2] += stance.ground_px
    return moved


def _box(points_TK2: np.ndarray) -> np.ndarray:
    return np.concatenate([points_TK2.min(axis=1), points_TK2.max(axis=1)], axis=1)
