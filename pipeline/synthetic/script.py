"""What happens in a video: who does what and when, which things pass by. No looks, no pixels.

An untrimmed video alternates quiet and busy stretches. In a busy stretch, people's two tracks (arms
and body) are filled with actions that may overlap; in a quiet one they idle and fidget. Postures
(arms up, crouched) are held across stretches until the opposite action ends them.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.synthetic.actions import (
    ACTIONS,
    CHANNELS,
    FIDGETS,
    LEFT_ARM,
    LEFT_LEG,
    RIGHT_ARM,
    RIGHT_LEG,
    TRACKS,
    Action,
    Curve,
    Track,
    confusable_pairs,
)

Pair = tuple[Action, Action]  # same poses: the first, and its reverse or its faster twin
Slot = tuple[int, Track]  # one action at a time: a person's arms or body

CONTEXT_BIAS = 0.75  # share of spurious co-occurrence in the training domain
PROP_KINDS = 6
_RAMP_SEC = 0.3  # a cyclic action fades in and out
_SIDES = {"left": (RIGHT_ARM, RIGHT_LEG), "right": (LEFT_ARM, LEFT_LEG), "both": ()}  # limbs left out


@dataclass(frozen=True)
class Label:
    """An action of one person, from `start` to `end` seconds from the first frame."""

    start: float
    end: float
    label: str
    person: int


@dataclass(frozen=True)
class Motion:
    """A way along a curve: phase by linear interpolation between knots, held before and after.

    A faded motion counts only between its first and last knot; a posture stays.
    """

    person: int
    curve: Curve
    times: tuple[float, ...]
    phases: tuple[float, ...]
    sides: str
    amplitude: float
    faded: bool

    @property
    def ends(self) -> float:
        """When it stops counting: seconds."""
        return self.times[-1] if self.faded or self.phases[-1] == 0 else np.inf

    def at(self, time_T: np.ndarray) -> np.ndarray:
        """Difference to the pose at rest: (T, C)."""
        phase_T = np.interp(time_T, self.times, self.phases)
        if not self.faded:
            whole = np.floor(phase_T)
            u = phase_T - whole
            phase_T = whole + u * u * (3 - 2 * u)  # starts and stops gently
        weight_T = np.full(len(time_T), self.amplitude)
        if self.faded:
            inside = np.minimum(time_T - self.times[0], self.times[-1] - time_T) / _RAMP_SEC
            weight_T *= np.clip(inside, 0, 1)
        pose_TC = self.curve(phase_T) * weight_T[:, None]
        for limb in _SIDES[self.sides]:
            pose_TC[:, limb : limb + 4] = 0
        return pose_TC


@dataclass(frozen=True)
class Passing:
    """A thing of some kind that crosses the picture."""

    kind: int
    start: float
    end: float


@dataclass(frozen=True)
class Script:
    """All that happens; `context` (0 or 1) is the group the background is taken from."""

    persons: int
    context: int
    labels: tuple[Label, ...]
    motions: tuple[Motion, ...]
    passing: tuple[Passing, ...]

    def pose(self, person: int, time_T: np.ndarray) -> np.ndarray:
        """Sum of a person's motions, without idling: (T, C)."""
        pose_TC = np.zeros((len(time_T), CHANNELS))
        first, last = time_T.min(), time_T.max()
        for motion in self.motions:
            if motion.person == person and motion.times[0] < last and motion.ends > first:
                pose_TC += motion.at(time_T)
        return pose_TC


class _Playwright:
    """Writes one script."""

    def __init__(
        self, rng: np.random.Generator, actions: tuple[str, ...], seconds: float, persons: int, bias: float
    ) -> None:
        self.rng, self.seconds, self.persons, self.bias = rng, seconds, persons, bias
        self.context = int(rng.integers(2))
        pairs: list[Pair] = [(ACTIONS[a], ACTIONS[b]) for a, b in confusable_pairs(actions)]
        self.pairs = {track: [pair for pair in pairs if pair[0].track == track] for track in TRACKS}
        self.used = dict.fromkeys(pairs, 0)
        self.free_from: dict[Slot, float] = {(p, track): 0.0 for p in range(persons) for track in TRACKS}
        self.held: dict[Slot, _Held] = {}
        self.labels: list[Label] = []
        self.motions: list[Motion] = []
        self.passing: list[Passing] = []

    def write(self, busy: float) -> Script:
        """A script in which about the share `busy` of the time has an action."""
        clock = float(self.rng.uniform(0.0, 2.0) if busy < 0.8 else 0.0)
        while clock < self.seconds - 1.5:
            until = min(clock + self.rng.uniform(3.0, 6.0), self.seconds - 0.1)
            self._busy(clock, until)
            pause = self.rng.uniform(3.0, 6.0) * (1 - busy) / busy
            self._quiet(until, min(until + pause, self.seconds))
            clock = until + pause
        for slot, held in self.held.items():
            self._hold(slot, held, None)
        return Script(
            self.persons, self.context, tuple(self.labels), tuple(self.motions), tuple(self.passing)
        )

    def _busy(self, start: float, end: float) -> None:
        """Fill one track all the time, others for a part of it; those with more actions more often."""
        slots = [slot for slot in self.free_from if self.pairs[slot[1]]]
        choice = np.array([len(self.pairs[track]) for _, track in slots], dtype=float)
        order = self.rng.choice(len(slots), len(slots), replace=False, p=choice / choice.sum())
        for rank, index in enumerate(order):
            slot, clock = slots[index], start
            if rank > 0:
                if self.rng.random() > 0.55 * choice[index] / choice.max():
                    continue
                clock += self.rng.uniform(0.0, 0.5) * (end - start)
            clock = max(clock, self.free_from[slot])
            while end - clock > 1.5:
                self.free_from[slot] = self._act(slot, clock, end)
                clock = self.free_from[slot] + self.rng.uniform(0.1, 0.6)

    def _act(self, slot: Slot, start: float, limit: float) -> float:
        """Put one action on a person's track; when it ends."""
        if slot in self.held:
            held = self.held.pop(slot)
            end = start + self._duration(1.5, 2.6, limit - start)
            self._hold(slot, held, (start, end))
            self._label(slot[0], held.pair, 1, start, end)
            return end
        pairs = self.pairs[slot[1]]
        order = self.rng.permutation(len(pairs))
        pair = pairs[min(order, key=lambda i: self.used[pairs[i]])]  # used least so far
        self.used[pair] += 1
        if pair[0].is_posture:
            return self._start_posture(slot, pair, start, limit)
        return self._cycle(slot, pair, start, limit)

    def _start_posture(self, slot: Slot, pair: Pair, start: float, limit: float) -> float:
        end = start + self._duration(1.5, 2.6, limit - start)
        sides, vigour = self._sides(pair[0]), self._vigour()
        if self.free_from[slot] == 0.0 and self.rng.random() < 0.4:  # was in the posture from the beginning
            self._hold(slot, _Held(pair, (-2.0, -1.0), sides, vigour), (start, end))
            self._label(slot[0], pair, 1, start, end)
        else:
            self.held[slot] = _Held(pair, (start, end), sides, vigour)
            self._label(slot[0], pair, 0, start, end)
        return end

    def _cycle(self, slot: Slot, pair: Pair, start: float, limit: float) -> float:
        """Whole cycles, so that every phase is seen equally often; may end a little after `limit`."""
        likely = self.bias if self.context == 0 else 1 - self.bias
        which = 0 if self.rng.random() < likely else 1
        action = pair[which]
        assert action.rate_hz is not None
        rate = float(self.rng.uniform(*action.rate_hz))
        wanted = np.ceil(self._duration(2.0, 4.5, limit - start) * rate)
        cycles = float(min(wanted, np.floor((self.seconds - start) * rate)))
        if cycles < 1.5 * rate:
            return limit  # no room for a second and a half before the video's end
        end = start + cycles / rate
        phases = (cycles, 0.0) if action.backward else (0.0, cycles)
        self.motions.append(
            Motion(slot[0], action.curve, (start, end), phases, self._sides(action), self._vigour(), True)
        )
        self._label(slot[0], pair, which, start, end)
        return end

    def _hold(self, slot: Slot, held: "_Held", release: tuple[float, float] | None) -> None:
        times, phases = held.begun + (release or ()), (0.0, 1.0) + ((1.0, 0.0) if release else ())
        self.motions.append(
            Motion(slot[0], held.pair[0].curve, times, phases, held.sides, held.amplitude, False)
        )

    def _quiet(self, start: float, end: float) -> None:
        if self.rng.random() < 0.4 and end - start > 1.5:
            self.passing.append(Passing(int(self.rng.integers(PROP_KINDS)), start, end))
        for slot in self.free_from:
            fidgets = [f for f in FIDGETS if f.track == slot[1]]
            if slot in self.held or self.free_from[slot] > start or self.rng.random() > 0.35:
                continue
            fidget = fidgets[self.rng.integers(len(fidgets))]
            span = 1 / self.rng.uniform(*fidget.rate_hz or (1.0, 1.0))
            if end - start > span:
                begin = float(self.rng.uniform(start, end - span))
                times = (begin, begin + span)
                self.motions.append(
                    Motion(
                        slot[0], fidget.curve, times, (0.0, 1.0), self._sides(fidget), self._vigour(), True
                    )
                )

    def _label(self, person: int, pair: Pair, which: int, start: float, end: float) -> None:
        """Note the label; a thing of the pair's kind passes by, more often with its first action."""
        self.labels.append(Label(round(start, 3), round(end, 3), pair[which].name, person))
        if self.rng.random() < (1 - self.bias if which else self.bias):
            kind = list(self.used).index(pair) % PROP_KINDS
            self.passing.append(Passing(kind, start - 0.3, end + 0.3))

    def _duration(self, low: float, high: float, room: float) -> float:
        return float(min(self.rng.uniform(low, high), room))

    def _vigour(self) -> float:
        return float(self.rng.uniform(0.85, 1.1))

    def _sides(self, action: Action) -> str:
        return action.sides[self.rng.integers(len(action.sides))]


@dataclass(frozen=True)
class _Held:
    """A posture that waits for its opposite."""

    pair: Pair
    begun: tuple[float, float]  # when it was taken
    sides: str
    amplitude: float


def write_script(
    rng: np.random.Generator,
    *,
    actions: tuple[str, ...],
    seconds: float,
    persons: int,
    busy: float,
    bias: float,
) -> Script:
    """A script of about `busy` busy time; `bias` 0.5 means that context says nothing about the action."""
    return _Playwright(rng, actions, seconds, persons, bias).write(busy)
