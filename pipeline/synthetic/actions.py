"""What people of the practice world can do: parametric actions that only motion tells apart.

Every action shares its curve, a closed or open path through poses, with exactly one other action:
the same poses in the opposite order or direction, or at another speed. One frame therefore cannot
say which of the two it belongs to. Left and right arms and legs are the subject's own; directions in
names (left, right, clockwise) are the viewer's.

A pose is a vector of CHANNELS numbers: six of the whole body, four of each limb. Curves give the
difference to the pose at rest. Lengths are in statures, angles in radians.
Shapes: T times, C channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

X, HOP, LEAN, BOW, NOD, TURN = range(6)  # sideways, off the ground, roll, pitch, head roll, yaw
CHANNELS = 22
LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG = 6, 10, 14, 18  # first channel of a limb
ARMS, LEGS = (LEFT_ARM, RIGHT_ARM), (LEFT_LEG, RIGHT_LEG)
# of a limb: upper segment outwards (0 hangs, pi/2 sideways, pi up) and forwards, lower segment likewise
UPPER_OUT, UPPER_FWD, LOWER_OUT, LOWER_FWD = range(4)

Curve = Callable[[np.ndarray], np.ndarray]  # phase (T,) -> difference to rest (T, C)
Track = Literal["arms", "body"]  # one action at a time on each of a person's tracks
TRACKS: tuple[Track, ...] = ("arms", "body")


@dataclass(frozen=True)
class Action:
    """One class. A posture goes along its curve once and stays; a cycle repeats it."""

    name: str
    track: Track
    curve: Curve
    sides: tuple[str, ...] = ("both",)  # which limbs may do it: "left", "right", "both"
    rate_hz: tuple[float, float] | None = None  # cycles per second, lowest and highest; None: a posture
    backward: bool = False  # goes along the curve from its end to its start

    @property
    def is_posture(self) -> bool:
        return self.rate_hz is None


def rest_pose() -> np.ndarray:
    """Standing, arms hanging: (C,)."""
    pose = np.zeros(CHANNELS)
    for arm in ARMS:
        pose[arm : arm + 4] = 0.16, 0.0, 0.10, 0.12
    for leg in LEGS:
        pose[leg : leg + 4] = 0.09, 0.02, 0.05, -0.03
    return pose


def _wave(phase: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * phase)


def _bell(phase: np.ndarray) -> np.ndarray:
    """0 at whole phases, 1 half way between."""
    return (1 - np.cos(2 * np.pi * phase)) / 2


def _slow_then_snap(phase: np.ndarray, turn: float = 0.72) -> np.ndarray:
    """0 to 1 during the first `turn` of a cycle, quickly back in the rest of it."""
    u = phase % 1.0
    up, down = u / turn, (1 - u) / (1 - turn)
    return _bell(np.minimum(up, down) / 2)


def _pose(phase: np.ndarray) -> np.ndarray:
    return np.zeros((len(phase), CHANNELS))


def _lift(phase: np.ndarray) -> np.ndarray:
    """Straight arms from the hips over the sides to overhead."""
    pose = _pose(phase)
    for arm in ARMS:
        pose[:, arm + UPPER_OUT], pose[:, arm + LOWER_OUT] = 2.55 * phase, 2.75 * phase
    return pose


def _windmill(phase: np.ndarray) -> np.ndarray:
    """Straight arms turn full circles, clockwise for the viewer: both arms the same way on screen."""
    pose = _pose(phase)
    for arm, screen in ((LEFT_ARM, -1), (RIGHT_ARM, 1)):
        turned = (screen * phase + 0.5) % 1.0 - 0.5  # the short way from rest
        pose[:, arm + UPPER_OUT] = pose[:, arm + LOWER_OUT] = 2 * np.pi * turned
    return pose


def _hand_wave(phase: np.ndarray) -> np.ndarray:
    """Upper arm sideways, forearm up, swinging like a wiper."""
    pose = _pose(phase)
    for arm in ARMS:
        pose[:, arm + UPPER_OUT] = 1.35 + 0.10 * _wave(phase)
        pose[:, arm + LOWER_OUT] = 2.75 + 0.75 * _wave(phase)
    return pose


def _squat(phase: np.ndarray) -> np.ndarray:
    """Knees bend forwards and outwards, trunk a little forward."""
    pose = _pose(phase)
    pose[:, BOW] = 0.30 * phase
    for leg in LEGS:
        pose[:, leg + UPPER_OUT], pose[:, leg + UPPER_FWD] = 0.45 * phase, 1.10 * phase
        pose[:, leg + LOWER_OUT], pose[:, leg + LOWER_FWD] = -0.10 * phase, -0.85 * phase
    return pose


def _side_step(phase: np.ndarray) -> np.ndarray:
    """One long step to the viewer's right; symmetric in time but for its direction."""
    pose = _pose(phase)
    pose[:, X] = 0.42 * phase
    pose[:, HOP] = 0.02 * _bell(phase)
    for leg in LEGS:
        pose[:, leg + UPPER_OUT] = pose[:, leg + LOWER_OUT] = 0.38 * _bell(phase)
    return pose


def _jab(phase: np.ndarray) -> np.ndarray:
    """Elbow raised, forearm folded before the chest; stretched sideways slowly, drawn in quickly."""
    pose, out = _pose(phase), _slow_then_snap(phase)
    for arm in ARMS:
        pose[:, arm + UPPER_OUT] = 0.85 + 0.50 * out
        pose[:, arm + UPPER_FWD] = 0.25 - 0.20 * out
        pose[:, arm + LOWER_OUT] = -1.90 + 3.25 * out
    return pose


def _clap(phase: np.ndarray) -> np.ndarray:
    """Arms open sideways and meet before the chest."""
    pose, closed = _pose(phase), _bell(phase)
    for arm in ARMS:
        pose[:, arm + UPPER_OUT] = 1.15 - 0.75 * closed
        pose[:, arm + UPPER_FWD] = 0.15 + 0.45 * closed
        pose[:, arm + LOWER_OUT] = 1.55 - 2.75 * closed
        pose[:, arm + LOWER_FWD] = 0.30
    return pose


def _paddle(phase: np.ndarray) -> np.ndarray:
    """Both hands draw small mirrored circles beside the shoulders."""
    pose = _pose(phase)
    for arm in ARMS:
        pose[:, arm + UPPER_OUT] = 0.75 + 0.35 * np.cos(2 * np.pi * phase)
        pose[:, arm + LOWER_OUT] = 1.95 + 0.60 * _wave(phase)
    return pose


def _march(phase: np.ndarray) -> np.ndarray:
    """Knees up in turn, on the spot."""
    pose = _pose(phase)
    for leg, shift in ((LEFT_LEG, 0.0), (RIGHT_LEG, 0.5)):
        knee = np.maximum(_wave(phase + shift), 0.0)
        pose[:, leg + UPPER_FWD], pose[:, leg + LOWER_FWD] = 1.25 * knee, -0.80 * knee
        pose[:, leg + UPPER_OUT] = 0.12 * knee
    return pose


def _leg_swing(phase: np.ndarray) -> np.ndarray:
    """A straight leg lifted sideways slowly, dropped quickly."""
    pose, out = _pose(phase), _slow_then_snap(phase)
    for leg in LEGS:
        pose[:, leg + UPPER_OUT] = pose[:, leg + LOWER_OUT] = 0.95 * out
    return pose


def _bow(phase: np.ndarray) -> np.ndarray:
    """The trunk tips forward from the hips."""
    pose = _pose(phase)
    pose[:, BOW], pose[:, NOD] = 1.15 * phase, 0.12 * phase
    return pose


def _leap(phase: np.ndarray) -> np.ndarray:
    """Sink slowly into the knees, then leap and land within the last third of the cycle."""
    u = phase % 1.0
    sink = np.where(u < 0.65, _bell(u / 1.30), np.maximum(1 - (u - 0.65) / 0.08, 0.0))
    pose = 0.75 * _squat(sink)
    pose[:, HOP] = 0.22 * np.where(u > 0.70, np.sin(np.pi * np.clip((u - 0.70) / 0.30, 0, 1)), 0.0)
    return pose


def _sway(phase: np.ndarray) -> np.ndarray:
    """The trunk leans to one side, then to the other."""
    pose = _pose(phase)
    pose[:, LEAN], pose[:, X], pose[:, NOD] = 0.42 * _wave(phase), 0.05 * _wave(phase), 0.15 * _wave(phase)
    return pose


_ONE_OR_BOTH = ("left", "right", "both")

DEMO: tuple[Action, ...] = (
    Action("raise_arms", "arms", _lift, _ONE_OR_BOTH),
    Action("lower_arms", "arms", _lift, _ONE_OR_BOTH, backward=True),
    Action("circle_clockwise", "arms", _windmill, _ONE_OR_BOTH, (0.75, 1.1)),
    Action("circle_anticlockwise", "arms", _windmill, _ONE_OR_BOTH, (0.75, 1.1), backward=True),
    Action("wave_slow", "arms", _hand_wave, _ONE_OR_BOTH, (0.6, 0.85)),
    Action("wave_fast", "arms", _hand_wave, _ONE_OR_BOTH, (1.7, 2.3)),
    Action("crouch_down", "body", _squat),
    Action("stand_up", "body", _squat, backward=True),
)
PRETRAIN: tuple[Action, ...] = (
    Action("step_right", "body", _side_step),
    Action("step_left", "body", _side_step, backward=True),
    Action("reach_out", "arms", _jab, _ONE_OR_BOTH, (0.8, 1.1)),
    Action("punch_out", "arms", _jab, _ONE_OR_BOTH, (0.8, 1.1), backward=True),
    Action("clap_slow", "arms", _clap, rate_hz=(0.6, 0.85)),
    Action("clap_fast", "arms", _clap, rate_hz=(1.7, 2.3)),
    Action("paddle_inward", "arms", _paddle, rate_hz=(0.9, 1.3)),
    Action("paddle_outward", "arms", _paddle, rate_hz=(0.9, 1.3), backward=True),
    Action("march", "body", _march, rate_hz=(0.6, 0.85)),
    Action("run_on_the_spot", "body", _march, rate_hz=(1.6, 2.1)),
    Action("leg_lift", "body", _leg_swing, ("left", "right"), (0.7, 1.0)),
    Action("leg_kick", "body", _leg_swing, ("left", "right"), (0.7, 1.0), backward=True),
    Action("bow", "body", _bow),
    Action("straighten", "body", _bow, backward=True),
    Action("leap", "body", _leap, rate_hz=(0.6, 0.8)),
    Action("hop_and_sink", "body", _leap, rate_hz=(0.6, 0.8), backward=True),
    Action("sway_slow", "body", _sway, rate_hz=(0.45, 0.65)),
    Action("sway_fast", "body", _sway, rate_hz=(1.3, 1.8)),
)
ACTIONS: dict[str, Action] = {action.name: action for action in DEMO + PRETRAIN}
DEMO_ACTIONS: tuple[str, ...] = tuple(action.name for action in DEMO)
PRETRAIN_ACTIONS: tuple[str, ...] = tuple(action.name for action in PRETRAIN)


def _touch_head(phase: np.ndarray) -> np.ndarray:
    pose, near = _pose(phase), _bell(phase)
    for arm in ARMS:
        pose[:, arm + UPPER_OUT], pose[:, arm + LOWER_OUT] = 1.2 * near, 3.6 * near
        pose[:, arm + UPPER_FWD] = 0.3 * near
    return pose


def _hands_on_hips(phase: np.ndarray) -> np.ndarray:
    pose, near = _pose(phase), np.minimum(2 * _bell(phase), 1.0)
    for arm in ARMS:
        pose[:, arm + UPPER_OUT], pose[:, arm + LOWER_OUT] = 0.65 * near, -0.85 * near
    return pose


def _look_around(phase: np.ndarray) -> np.ndarray:
    pose = _pose(phase)
    pose[:, TURN], pose[:, NOD] = 0.35 * _wave(phase), 0.12 * _wave(phase)
    return pose


def _shift_weight(phase: np.ndarray) -> np.ndarray:
    pose = _pose(phase)
    pose[:, X], pose[:, LEAN] = 0.05 * _bell(phase), 0.08 * _bell(phase)
    return pose


# What people do when they do nothing: never labelled.
FIDGETS: tuple[Action, ...] = (
    Action("touch_head", "arms", _touch_head, ("left", "right"), (0.4, 0.6)),
    Action("hands_on_hips", "arms", _hands_on_hips, _ONE_OR_BOTH, (0.25, 0.4)),
    Action("look_around", "body", _look_around, rate_hz=(0.3, 0.5)),
    Action("shift_weight", "body", _shift_weight, rate_hz=(0.3, 0.5)),
)


def confusable_pairs(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The pairs among `names` whose poses are the same; ValueError for a name that does not exist."""
    unknown = [name for name in names if name not in ACTIONS]
    if unknown:
        raise ValueError(f"unknown actions {unknown}; the practice world knows {', '.join(ACTIONS)}")
    by_curve: dict[Curve, list[str]] = {}
    for name in names:
        by_curve.setdefault(ACTIONS[name].curve, []).append(name)
    return tuple((pair[0], pair[1]) for pair in by_curve.values() if len(pair) == 2)
