"""What people wear, and the cards their bodies are made of.

Lengths and radii in statures; a card has DETAIL texels per pixel of a person drawn at its full size.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.synthetic import body, textures
from pipeline.synthetic.cards import Card, card
from pipeline.synthetic.textures import Domain

DETAIL = 1.5
TRUNK_TOP = 0.04  # of the trunk's card, above the neck
HEAD_BELOW = 0.03  # of the head's card, below the neck
SKULL = 0.095  # centre of the head above the neck
SKULL_RADIUS = 0.085  # hair included
_PATTERN = textures.TILE // 2  # texels: patterns of cloth are finer than those of walls


@dataclass(frozen=True)
class Limb:
    """A tapered capsule between two named points of the body."""

    start: str
    end: str
    start_radius: float
    end_radius: float
    length: float
    in_front: float  # of the trunk, added to its own depth

    @property
    def tip(self) -> str:
        """The kind of joint it ends at: "knee" of "left_knee"."""
        return self.end.split("_")[1]


def _limbs() -> tuple[Limb, ...]:
    limbs: list[Limb] = []
    for side in ("left", "right"):
        limbs += [
            Limb(f"{side}_hip", f"{side}_knee", 0.064, 0.047, body.THIGH, -0.030),
            Limb(f"{side}_knee", f"{side}_ankle", 0.045, 0.030, body.SHIN, -0.028),
            Limb(f"{side}_ankle", f"{side}_toe", 0.032, 0.028, body.FOOT, -0.026),
            Limb(f"{side}_shoulder", f"{side}_elbow", 0.046, 0.036, body.UPPER_ARM, 0.050),
            Limb(f"{side}_elbow", f"{side}_fingers", 0.034, 0.030, body.FOREARM + body.HAND, 0.060),
        ]
    return tuple(limbs)


LIMBS = _limbs()


@dataclass(frozen=True)
class Outfit:
    """Colours (3,) in 0..255 and the pattern of the cloth."""

    shirt: np.ndarray
    sleeve: np.ndarray
    trousers: np.ndarray
    shoes: np.ndarray
    skin: np.ndarray
    hair: np.ndarray
    pattern: np.ndarray  # uint8 (_PATTERN, _PATTERN), without a seam

    def of(self, limb: Limb) -> np.ndarray:
        """Colour of a limb."""
        dress = {"knee": self.trousers, "ankle": self.trousers, "toe": self.shoes}
        return (dress | {"elbow": self.shirt, "fingers": self.sleeve})[limb.tip]


def outfit(rng: np.random.Generator, domain: Domain) -> Outfit:
    """What a person wears: sleeves may be short, which leaves the forearms bare."""
    families = textures.FAMILIES[domain]
    skin, shirt = textures.skin(rng, domain), textures.clothes(rng, domain)
    pattern = textures.field(families[rng.integers(len(families))], int(rng.integers(textures.VARIANTS)))
    return Outfit(
        shirt=shirt,
        sleeve=skin if rng.random() < 0.5 else 0.85 * shirt,
        trousers=textures.clothes(rng, domain) * rng.uniform(0.4, 0.8),
        shoes=np.full(3, rng.uniform(20, 230)),
        skin=skin,
        hair=textures.hsv(rng.uniform(0.03, 0.12), rng.uniform(0.2, 0.8), rng.uniform(0.08, 0.6)),
        pattern=cv2.resize(pattern, (_PATTERN, _PATTERN), interpolation=cv2.INTER_AREA),
    )


def limb_card(rng: np.random.Generator, wear: Outfit, limb: Limb, stature_px: float, owner: int) -> Card:
    """A limb, its start above, shaded like a cylinder lit from the upper left."""
    scale = stature_px * DETAIL
    r0, r1, length = limb.start_radius * scale, limb.end_radius * scale, limb.length * scale
    width, height = int(np.ceil(2 * max(r0, r1) + 2)), int(np.ceil(r0 + length + r1 + 2))
    along = np.arange(height, dtype=np.float32)[:, None] - limb_top(limb, stature_px)
    across = np.arange(width, dtype=np.float32) - (width - 1) / 2
    radius = r0 + (r1 - r0) * np.clip(along / length, 0, 1)
    distance = np.hypot(across, along - np.clip(along, 0, length)) - radius
    shade = 1.12 - 0.3 * (across / radius + 0.35) ** 2
    color = np.broadcast_to(wear.of(limb), (height, 1, 3))
    if limb.tip == "fingers":
        color = np.where(along[..., None] > 0.66 * length, wear.skin, color)
    rgb = color * shade[..., None] * _cloth(rng, wear.pattern, (height, width), 0.55)
    return card(_to_u8(rgb), _to_u8(255 * np.clip(0.5 - distance, 0, 1)), owner)


def limb_top(limb: Limb, stature_px: float) -> float:
    """Texel row of the start of a limb."""
    return limb.start_radius * stature_px * DETAIL + 1


_TRUNK_RIGHT = (  # outline of the right half, from the neck down
    *((0.045, -0.02), (0.125, 0.005), (0.145, 0.04), (0.115, 0.12), (0.10, 0.20)),
    *((0.115, 0.30), (0.10, 0.345), (0.0, 0.36)),
)


def trunk_card(rng: np.random.Generator, wear: Outfit, stature_px: float, owner: int) -> Card:
    """Shirt and waistband: texture x is the line of the shoulders, y runs from the neck to the pelvis."""
    scale = stature_px * DETAIL
    width, height = round(0.36 * scale), round(0.42 * scale)
    right = np.array(_TRUNK_RIGHT)
    outline = np.concatenate([right, right[::-1] * [-1, 1]])
    texel_16ths = (outline * scale + [(width - 1) / 2, TRUNK_TOP * scale]) * 16
    alpha = np.zeros((height, width), dtype=np.uint8)
    cv2.fillPoly(alpha, [np.round(texel_16ths).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    down = (np.arange(height)[:, None, None] / scale) - TRUNK_TOP
    across = ((np.arange(width) - (width - 1) / 2) / (0.14 * scale))[None, :, None]
    color = np.where(down > 0.27, wear.trousers, wear.shirt)
    rgb = color * (1.08 - 0.30 * (across + 0.25) ** 2) * _cloth(rng, wear.pattern, (height, width), 0.75)
    return card(_to_u8(rgb), alpha, owner)


_FACE = {"nose": (0.0, 0.085), "left_eye": (0.028, 0.105), "right_eye": (-0.028, 0.105)}
_EARS = {"left_ear": (0.060, 0.095), "right_ear": (-0.060, 0.095)}


def head_points(yaw: float) -> dict[str, tuple[float, float]]:
    """Right of and above the neck, on a head turned by `yaw`."""
    front = {name: (x * np.cos(yaw) + 0.052 * np.sin(yaw), up) for name, (x, up) in _FACE.items()}
    return front | {name: (x * np.cos(yaw), up) for name, (x, up) in _EARS.items()}


def head_card(wear: Outfit, stature_px: float, yaw: float, owner: int) -> Card:
    """Neck, head, hair, ears and face, drawn four times larger and reduced."""
    scale = stature_px * DETAIL
    width, height = int(np.ceil(0.17 * scale)), int(np.ceil(0.22 * scale))
    large = np.zeros((4 * height, 4 * width, 4), dtype=np.uint8)  # clear and black: multiplied by alpha

    def ellipse(x: float, up: float, rx: float, ry: float, color: np.ndarray, arc: int = 360) -> None:
        """`arc` 180: the upper half."""
        centre = (round(2 * width + 4 * x * scale), round(4 * height - 4 * (up + HEAD_BELOW) * scale))
        axes = (max(round(4 * rx * scale), 1), max(round(4 * ry * scale), 1))
        cv2.ellipse(large, centre, axes, 180, 0, arc, (*color.tolist(), 255), -1)

    points = head_points(yaw)
    ellipse(0, 0.0, 0.030, 0.04, 0.8 * wear.skin)
    for ear in _EARS:
        ellipse(points[ear][0], points[ear][1] - 0.005, 0.014, 0.018, 0.85 * wear.skin)
    ellipse(0, SKULL, 0.062, 0.078, wear.skin)
    ellipse(0, SKULL + 0.005, 0.066, 0.080, wear.hair, arc=180)
    ellipse(0.050 * np.sin(yaw), SKULL - 0.004, 0.053, 0.045, wear.skin)
    for eye in ("left_eye", "right_eye"):
        ellipse(*points[eye], 0.009, 0.009, np.full(3, 25.0))
    ellipse(*points["nose"], 0.007, 0.013, 0.75 * wear.skin)
    ellipse(points["nose"][0], 0.055, 0.020, 0.006, 0.55 * wear.skin)
    return Card(cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA), owner)


def _cloth(
    rng: np.random.Generator, pattern: np.ndarray, shape: tuple[int, int], contrast: float
) -> np.ndarray:
    """A piece cut from a pattern: brightness factors around 1, (h, w, 1)."""
    y, x = rng.integers(0, _PATTERN, 2)
    rows, columns = np.arange(y, y + shape[0]) % _PATTERN, np.arange(x, x + shape[1]) % _PATTERN
    piece = pattern[rows[:, None], columns].astype(np.float32) / 255
    return (1 + contrast * (piece - 0.5))[..., None]


def _to_u8(image: np.ndarray) -> np.ndarray:
    return np.clip(image, 0, 255).astype(np.uint8)
