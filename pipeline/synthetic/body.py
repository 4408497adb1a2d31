"""A person as a stick figure in space: poses to points, seen by the camera.

Lengths in statures; x to the viewer's right, y up, z towards the viewer. A person faces the viewer,
so the subject's left is at larger x. Shapes: T times, C pose channels.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.synthetic.actions import (
    BOW,
    HOP,
    LEAN,
    LEFT_ARM,
    LEFT_LEG,
    LOWER_FWD,
    LOWER_OUT,
    NOD,
    RIGHT_ARM,
    RIGHT_LEG,
    TURN,
    UPPER_FWD,
    UPPER_OUT,
    X,
)

# Segment lengths, in statures.
TRUNK, HEAD = 0.30, 0.20
SHOULDER, HIP = 0.115, 0.062  # half widths
UPPER_ARM, FOREARM, HAND = 0.165, 0.145, 0.06
THIGH, SHIN, FOOT, ANKLE = 0.235, 0.225, 0.10, 0.045
CAMERA_PITCH = 0.16  # the camera looks down a little: radians

Points = dict[str, np.ndarray]  # name -> (T, 3)


@dataclass(frozen=True)
class Stance:
    """Where a person stands in the picture, and how large, turned by `yaw` radians."""

    x_px: float
    ground_px: float
    stature_px: float
    yaw: float


def _rotate(points: np.ndarray, axis: int, angle: np.ndarray) -> np.ndarray:
    """Turn (T, 3) points about the x, y or z axis by (T,) angles."""
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    c, s = np.cos(angle), np.sin(angle)
    out = points.copy()
    out[:, i], out[:, j] = c * points[:, i] - s * points[:, j], s * points[:, i] + c * points[:, j]
    return out


def _direction(out: np.ndarray, forward: np.ndarray, side: int) -> np.ndarray:
    """Unit vector of a segment that hangs at (0, 0): (T, 3)."""
    x, y, z = side * np.sin(out) * np.cos(forward), -np.cos(out) * np.cos(forward), np.sin(forward)
    return np.stack([x, y, z], axis=1)


def _limb(pose: np.ndarray, first: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    upper = _direction(pose[:, first + UPPER_OUT], pose[:, first + UPPER_FWD], side)
    lower = _direction(pose[:, first + LOWER_OUT], pose[:, first + LOWER_FWD], side)
    return upper, lower


def _legs(pose: np.ndarray) -> Points:
    """Hips to toes with the pelvis at the origin."""
    points: Points = {}
    for name, first, side in (("left", LEFT_LEG, 1), ("right", RIGHT_LEG, -1)):
        thigh, shin = _limb(pose, first, side)
        hip = np.tile([side * HIP, 0.0, 0.0], (len(pose), 1))
        knee = hip + THIGH * thigh
        ankle = knee + SHIN * shin
        toe = ankle + np.array([side * 0.045, -0.55 * ANKLE, FOOT])
        points |= {f"{name}_hip": hip, f"{name}_knee": knee, f"{name}_ankle": ankle, f"{name}_toe": toe}
    return points


def _trunk(pose: np.ndarray) -> Points:
    """Neck, head and arms with the pelvis at the origin."""
    lean, bow = -pose[:, LEAN], pose[:, BOW]

    def tilted(offset: tuple[float, float, float], roll: np.ndarray) -> np.ndarray:
        return _rotate(_rotate(np.tile(offset, (len(pose), 1)), 0, bow), 2, roll)

    neck = tilted((0.0, TRUNK, 0.0), lean)
    points = {"neck": neck, "crown": neck + tilted((0.0, HEAD, 0.0), lean - pose[:, NOD])}
    for name, first, side in (("left", LEFT_ARM, 1), ("right", RIGHT_ARM, -1)):
        upper, lower = (_rotate(segment, 2, lean) for segment in _limb(pose, first, side))
        shoulder = neck + tilted((side * SHOULDER, -0.02, 0.0), lean)
        elbow = shoulder + UPPER_ARM * upper
        wrist = elbow + FOREARM * lower
        points |= {f"{name}_shoulder": shoulder, f"{name}_elbow": elbow}
        points |= {f"{name}_wrist": wrist, f"{name}_fingers": wrist + HAND * lower}
    return points


def project(pose: np.ndarray, stance: Stance) -> Points:
    """Named points of poses (T, C): pixels x, y, and depth towards the viewer in statures: (T, 3)."""
    points = {"pelvis": np.zeros((len(pose), 3))} | _legs(pose) | _trunk(pose)
    lowest = np.minimum(points["left_ankle"][:, 1], points["right_ankle"][:, 1])
    lift = ANKLE - lowest + pose[:, HOP]  # the lower foot stands on the ground, or hops
    cos, sin = np.cos(CAMERA_PITCH), np.sin(CAMERA_PITCH)
    seen: Points = {}
    for name, point in points.items():
        turned = _rotate(point, 1, stance.yaw + pose[:, TURN])
        x, y, z = turned[:, 0] + pose[:, X], turned[:, 1] + lift, turned[:, 2]
        screen_x = stance.x_px + stance.stature_px * x
        screen_y = stance.ground_px - stance.stature_px * (y * cos - z * sin)
        seen[name] = np.stack([screen_x, screen_y, z * cos + y * sin], axis=1)
    return seen
