"""People in any pose: what a detector and a pose network must know, whatever actions they will see.

The pre-training actions hold few poses: nobody raises an arm above the shoulder. A network that has seen
these alone puts raised hands where hands usually are. So limbs and trunk are turned at random, each moment
anew, without regard to any action.

Shapes: T times, C channels of a pose.
"""

import numpy as np

from pipeline.synthetic.actions import (
    ARMS,
    BOW,
    CHANNELS,
    LEAN,
    LEGS,
    LOWER_FWD,
    LOWER_OUT,
    NOD,
    TURN,
    UPPER_FWD,
    UPPER_OUT,
)
from pipeline.synthetic.script import Script

_SHARE = 0.7  # of moments at which a person is in a pose of its own; at the others it does what it does
_BODY = {LEAN: (-0.25, 0.25), BOW: (-0.1, 0.7), NOD: (-0.3, 0.3), TURN: (-0.5, 0.5)}
_ARM = {UPPER_OUT: (-0.4, 3.3), UPPER_FWD: (-0.6, 1.3)}
_LEG = {UPPER_OUT: (-0.2, 0.8), UPPER_FWD: (-0.5, 1.3)}
_FOREARM, _SHIN = (-0.6, 1.8), (-1.4, 0.3)  # turned against the upper segment


class AnyPose(Script):
    """A script whose people now and then take poses of no action; the same moment has the same pose."""

    seed: int

    @classmethod
    def of(cls, script: Script, seed: int) -> "AnyPose":
        """The same script, loosened."""
        loose = cls(script.persons, script.context, script.labels, script.motions, script.passing)
        object.__setattr__(loose, "seed", seed)  # scripts are frozen
        return loose

    def pose(self, person: int, time_T: np.ndarray) -> np.ndarray:
        """Difference to the pose at rest: (T, C)."""
        pose_TC = super().pose(person, time_T)
        for t, time in enumerate(time_T):
            rng = np.random.default_rng([self.seed, person, round(1000 * float(time))])
            if rng.random() < _SHARE:
                pose_TC[t] = _turned(rng)
        return pose_TC


def _turned(rng: np.random.Generator) -> np.ndarray:
    """One pose: (C,)."""
    pose = np.zeros(CHANNELS)
    for channel, (low, high) in _BODY.items():
        pose[channel] = rng.uniform(low, high) * (rng.random() < 0.4)
    for limbs, upper, lower, often in ((ARMS, _ARM, _FOREARM, 0.85), (LEGS, _LEG, _SHIN, 0.5)):
        for limb in limbs:
            if rng.random() < often:
                for channel, (low, high) in upper.items():
                    pose[limb + channel] = rng.uniform(low, high)
                pose[limb + LOWER_OUT] = pose[limb + UPPER_OUT] + rng.uniform(*lower) * rng.choice([0, 1])
                pose[limb + LOWER_FWD] = pose[limb + UPPER_FWD] + rng.uniform(*lower) * rng.choice([0, 1])
    return pose
