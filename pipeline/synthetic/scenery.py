"""Everything that is no person: camera, wall, floor, furniture and things that pass by.

Shapes: T times. Positions in pixels of the picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.synthetic import textures
from pipeline.synthetic.cards import WORLD, Card, card
from pipeline.synthetic.textures import TILE, VARIANTS, Domain


class Wobble:
    """A smooth random signal of several channels: a sum of three sine waves in each."""

    def __init__(
        self, rng: np.random.Generator, amplitude: np.ndarray, low_hz: float, high_hz: float
    ) -> None:
        shape = (3, len(amplitude))
        self.amplitude = amplitude
        self.hz, self.phase = rng.uniform(low_hz, high_hz, shape), rng.uniform(0, 2 * np.pi, shape)

    def at(self, time_T: np.ndarray) -> np.ndarray:
        """(T, channels), within about +- amplitude."""
        waves = np.sin(2 * np.pi * time_T[:, None, None] * self.hz + self.phase)
        return waves.sum(axis=1) * self.amplitude / 1.8


class Camera:
    """A hand-held camera: it shakes, rolls, pans and zooms a little."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.size = size
        shake = size[1] * rng.uniform(0.002, 0.008)
        self.shake = Wobble(rng, np.array([shake, shake, 0.006, 0.004]), 0.8, 3.5)
        self.drift = Wobble(rng, np.array([0.03 * size[0], 0.012 * size[1], 0.012, 0.03]), 0.04, 0.15)

    def at(self, time_T: np.ndarray, nearness: float) -> np.ndarray:
        """Map from the world to the picture, (T, 2, 3); `nearness`: of things, 1 for people."""
        x, y, roll, zoom = (self.shake.at(time_T) + self.drift.at(time_T)).T
        scale, centre = 1 + zoom, np.array(self.size) / 2
        cos, sin = scale * np.cos(roll), scale * np.sin(roll)
        linear = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)
        shift = centre + nearness * np.stack([x, y], axis=1) - linear @ centre
        return np.concatenate([linear, shift[:, :, None]], axis=2)


@dataclass(frozen=True)
class Thing:
    """A card in the world: where its centre is, how it is turned, how large and how near."""

    piece: Card
    start: tuple[float, float]  # centre at time 0
    velocity: tuple[float, float]  # pixels per second
    scale: float = 1.0  # pixels per texel
    angle: float = 0.0
    spin: float = 0.0  # radians per second
    nearness: float = 1.0
    depth: float = 0.0  # drawing order: larger is nearer; person k has k + 1
    hop: float = 0.0  # height of bounces, in pixels
    shown: tuple[float, float] = (-np.inf, np.inf)  # seconds

    def place(self, time_T: np.ndarray) -> np.ndarray:
        """Placement in the world, (T, 2, 3); outside `shown` it lies far away."""
        angle = self.angle + self.spin * time_T
        cos, sin = self.scale * np.cos(angle), self.scale * np.sin(angle)
        linear = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)
        centre = np.array(self.start) + time_T[:, None] * self.velocity
        centre[:, 1] -= self.hop * np.abs(np.sin(3.0 * time_T))
        hidden = (time_T < self.shown[0]) | (time_T >= self.shown[1])
        centre[hidden] = -1e4
        middle = (np.array(self.piece.size) - 1) / 2
        return np.concatenate([linear, (centre - linear @ middle)[:, :, None]], axis=2)


def _texture(rng: np.random.Generator, family: str, colors: np.ndarray) -> np.ndarray:
    return textures.coloured(textures.field(family, int(rng.integers(VARIANTS))), colors)


def _opaque(rgb: np.ndarray, tiled: bool) -> Card:
    return Card(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), WORLD, tiled)


def backdrop(rng: np.random.Generator, domain: Domain, context: int, size: tuple[int, int]) -> list[Thing]:
    """A scrolling wall and a floor. `context` chooses between the two halves of the domain's families."""
    width, height = size
    families = textures.FAMILIES[domain]
    half = len(families) // 2
    wall = _texture(rng, families[context * half + int(rng.integers(half))], textures.scenery(rng, domain))
    scroll = rng.uniform(-0.12, 0.12, 2) * [width, 0.3 * height]
    scale = height / 144
    horizon = rng.uniform(0.66, 0.80) * height
    floor = _texture(rng, families[int(rng.integers(len(families)))], textures.scenery(rng, domain) * 0.75)
    wide = np.hstack([floor] * 2)[: TILE // 2]
    floor_scale = max(scale, 1.5 * width / wide.shape[1])
    floor_y = horizon + wide.shape[0] * floor_scale / 2
    return [
        Thing(
            _opaque(wall, tiled=True),
            (0.0, 0.0),
            (scroll[0], scroll[1]),
            scale,
            rng.uniform(-0.2, 0.2),
            nearness=0.6,
            depth=-9,
        ),
        Thing(_opaque(wide, tiled=False), (width / 2, floor_y), (0.0, 0.0), floor_scale, depth=-8),
    ]


def furniture(rng: np.random.Generator, domain: Domain, size: tuple[int, int]) -> list[Thing]:
    """Pictures, boxes and poles behind the people, standing or drifting; sometimes a pole before them."""
    width, height = size
    things = []
    for _ in range(int(rng.integers(2, 5))):
        shape = (rng.uniform(0.10, 0.35) * height, rng.uniform(0.08, 0.25) * height)
        piece = _box(rng, domain, int(max(shape[0], 6)), int(max(shape[1], 6)))
        at = (rng.uniform(0, width), rng.uniform(0.15, 0.75) * height)
        drift = (rng.uniform(-0.10, 0.10) * width if rng.random() < 0.5 else 0.0, 0.0)
        things.append(
            Thing(
                piece,
                at,
                drift,
                angle=rng.uniform(-0.15, 0.15),
                nearness=rng.uniform(0.65, 0.95),
                depth=-rng.uniform(1, 6),
            )
        )
    if rng.random() < 0.25:
        pole = _box(rng, domain, int(1.6 * height), max(int(0.045 * height), 3))
        things.append(
            Thing(
                pole,
                (rng.uniform(-0.2, 1.2) * width, height / 2),
                (rng.uniform(-0.15, 0.15) * width, 0.0),
                nearness=1.4,
                depth=8,
            )
        )
    return things


def _box(rng: np.random.Generator, domain: Domain, height: int, width: int) -> Card:
    families = textures.FAMILIES[domain]
    rgb = _texture(rng, families[int(rng.integers(len(families)))], textures.scenery(rng, domain))
    y, x = rng.integers(0, TILE // 4, 2)
    rgb = np.vstack([rgb, rgb])[y : y + height, x : x + width]
    alpha = np.full(rgb.shape[:2], 255, dtype=np.uint8)
    if rng.random() < 0.4:
        alpha[:] = 0
        cv2.ellipse(
            alpha,
            ((width - 1) // 2, (height - 1) // 2),
            (width // 2 - 1, height // 2 - 1),
            0,
            0,
            360,
            255,
            -1,
            cv2.LINE_AA,
        )
    alpha[[0, -1]] = 0
    alpha[:, [0, -1]] = 0
    return card(rgb, alpha)


def _prop_outline(kind: int) -> np.ndarray:
    """Polygon within the unit circle: (n, 2)."""
    corners = (40, 10, 4, 3, 12, 6)[kind]
    radius = np.ones(corners)
    if kind == 1:
        radius[1::2] = 0.45  # star
    if kind == 4:
        radius[np.arange(12) % 3 == 0] = 0.4  # cross
    angle = 2 * np.pi * np.arange(corners) / corners - np.pi / 2
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]


def prop(
    rng: np.random.Generator, kind: int, domain: Domain, start: float, end: float, size: tuple[int, int]
) -> Thing:
    """A thing of one of PROP_KINDS shapes that flies, spins or bounces through the picture."""
    width, height = size
    radius = int(max(rng.uniform(0.05, 0.085) * height, 4))
    side = 2 * radius + 3
    alpha = np.zeros((side, side), dtype=np.uint8)
    outline = (_prop_outline(kind) * radius + radius + 1) * 16
    cv2.fillPoly(alpha, [np.round(outline).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    families = textures.FAMILIES[domain]
    hue = kind / 6 + (0.08 if domain == "test" else 0.0)
    colors = np.stack([textures.hsv(hue, 0.85, value) for value in (0.35, 0.75, 1.0)])
    rgb = _texture(rng, families[int(rng.integers(len(families)))], colors)[:side, :side]
    goes = 1 if rng.random() < 0.5 else -1
    speed = goes * 1.1 * width / (end - start)
    x = (-0.05 if goes > 0 else 1.05) * width - speed * start
    y = rng.uniform(0.10, 0.85) * height
    return Thing(
        card(rgb, alpha),
        (x, y),
        (speed, 0.0),
        spin=rng.uniform(-4, 4),
        depth=float(rng.choice([-0.5, 7.5])),
        hop=rng.uniform(0, 0.15) * height,
        shown=(start, end),
    )


def shadow(stature_px: float) -> Thing:
    """The soft dark patch below a person's feet, around the origin."""
    width, height = int(0.42 * stature_px), max(int(0.09 * stature_px), 3)
    y, x = np.mgrid[:height, :width]
    reach = np.hypot((x - (width - 1) / 2) / (width / 2), (y - (height - 1) / 2) / (height / 2))
    alpha = (110 * np.clip(1 - reach, 0, 1)).astype(np.uint8)  # never half covered: the floor's motion counts
    return Thing(card(np.zeros((height, width, 3), dtype=np.uint8), alpha), (0.0, 0.0), (0.0, 0.0))
