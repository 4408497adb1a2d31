"""A script set into pictures: every card of a scene, and where it lies in every frame.

Shapes: F frames (and one more, for the last frame's flow), M persons, J joints, C cards.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.synthetic import scenery
from pipeline.synthetic.actions import CHANNELS, HOP, X, rest_pose
from pipeline.synthetic.body import Stance
from pipeline.synthetic.cards import Card, extents
from pipeline.synthetic.person import Person
from pipeline.synthetic.script import Script
from pipeline.synthetic.spec import SceneSpec

# Stature as a share of the picture's height.
_STATURES = {"train": (0.56, 0.70), "test": (0.46, 0.78), "any": (0.44, 0.80)}


@dataclass(frozen=True)
class Stage:
    """Cards and their placements, drawing order, and the persons' joints and boxes in pixels."""

    cards: list[Card]
    placement_FC23: np.ndarray
    extent_FC4: np.ndarray  # int, empty where a card is out of the picture
    order_FC: np.ndarray  # int, farthest first
    joints_FMJ2: np.ndarray
    boxes_FM4: np.ndarray


def set_stage(
    spec: SceneSpec, script: Script, looks: np.random.Generator, moves: np.random.Generator
) -> Stage:
    """Build all cards and place them in frames 0 .. num_frames."""
    time_F = np.arange(spec.num_frames + 1) / spec.fps
    camera = scenery.Camera(moves, spec.size)
    stances = _stances(looks, spec, script.persons)
    things = scenery.backdrop(looks, spec.domain, script.context, spec.size)
    things += scenery.furniture(looks, spec.domain, spec.size)
    things += [scenery.prop(looks, p.kind, spec.domain, p.start, p.end, spec.size) for p in script.passing]
    pieces = [thing.piece for thing in things]
    placed = [_through(camera.at(time_F, thing.nearness), thing.place(time_F)) for thing in things]
    depth = [np.full(len(time_F), thing.depth) for thing in things]
    view = camera.at(time_F, 1.0)
    joints, boxes = [], []
    for m, stance in enumerate(stances):
        pose = rest_pose() + _idle(moves, time_F) + script.pose(m, time_F)
        person = Person(looks, spec.domain, stance, m)
        body = person.place(pose)
        shade = scenery.shadow(0.0, 0.0, stance.stature_px, m + 0.5)
        pieces += [shade.piece, *person.cards]
        placed.append(_through(view, _below(shade.place(time_F), stance, pose)))
        placed += [_through(view, part) for part in body.placement_PT23]
        depth += [np.full(len(time_F), m + 0.5), *(m + 1 + 0.3 * body.depth_PT)]
        joints.append(_seen(view, body.joints_TJ2))
        boxes.append(_box(_seen(view, body.outline_TK2)))
    placement_FC23 = np.stack(placed, axis=1)
    return Stage(
        cards=pieces,
        placement_FC23=placement_FC23,
        extent_FC4=extents(placement_FC23, pieces, spec.size),
        order_FC=np.argsort(np.stack(depth, axis=1), axis=1, kind="stable"),
        joints_FMJ2=np.stack(joints, axis=1),
        boxes_FM4=np.stack(boxes, axis=1),
    )


def _stances(rng: np.random.Generator, spec: SceneSpec, persons: int) -> list[Stance]:
    """Persons side by side, the farther (smaller, higher up) ones first."""
    width, height = spec.size
    places = (np.arange(persons) + 0.5 + rng.uniform(-0.22, 0.22, persons)) / persons
    crowd = 0.5 if persons == 1 else 0.78 * width / height  # one alone stays off the border
    x = width / 2 + (places[rng.permutation(persons)] - 0.5) * crowd * height * (0.9 if persons > 1 else 1.0)
    low, high = _STATURES[spec.domain]
    stature = np.sort(rng.uniform(low, high, persons)) * height * (1.0, 0.92, 0.82)[persons - 1]
    ground = height * (0.97 - 0.30 * (high - stature / height))
    yaw = rng.uniform(-0.6, 0.6, persons)
    return [
        Stance(*(float(value) for value in stance)) for stance in zip(x, ground, stature, yaw, strict=True)
    ]


def _idle(rng: np.random.Generator, time_T: np.ndarray) -> np.ndarray:
    """A person's own posture at rest, and how it sways and breathes: (T, C)."""
    amplitude = np.full(CHANNELS, 0.045)
    amplitude[X], amplitude[HOP] = 0.008, 0.0
    own = rng.normal(0.0, 0.05, CHANNELS)
    own[[X, HOP]] = 0.0
    return own + scenery.Wobble(rng, amplitude, 0.1, 0.45).at(time_T)


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
