"""The cards a person is made of, and where poses put them.

Shapes: T times, J joints, P parts of a person.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.synthetic import body, textures
from pipeline.synthetic.cards import Card, affine, card
from pipeline.synthetic.textures import TILE, Domain

DETAIL = 1.5  # texels per pixel
COCO_JOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)


@dataclass(frozen=True)
class Limb:
    """A tapered capsule between two named points; radii and length in statures."""

    start: str
    end: str
    start_radius: float
    end_radius: float
    length: float
    in_front: float  # of the trunk, added to its own depth


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
PARTS = len(LIMBS) + 2  # and trunk, head
_SHORTEST = 0.45  # of its length: a limb pointing at the camera does not vanish


@dataclass(frozen=True)
class Outfit:
    """Colours (3,) in 0..255 and the pattern of the shirt."""

    shirt: np.ndarray
    sleeve: np.ndarray
    trousers: np.ndarray
    shoes: np.ndarray
    skin: np.ndarray
    hair: np.ndarray
    pattern: np.ndarray  # uint8 field


def outfit(rng: np.random.Generator, domain: Domain) -> Outfit:
    """What a person wears: sleeves may be short, which leaves the forearms bare."""
    families = textures.FAMILIES[domain]
    skin, shirt = textures.skin(rng, domain), textures.clothes(rng, domain)
    return Outfit(
        shirt=shirt,
        sleeve=skin if rng.random() < 0.5 else 0.85 * shirt,
        trousers=textures.clothes(rng, domain) * rng.uniform(0.4, 0.8),
        shoes=np.full(3, rng.uniform(20, 230)),
        skin=skin,
        hair=textures.hsv(rng.uniform(0.03, 0.12), rng.uniform(0.2, 0.8), rng.uniform(0.08, 0.6)),
        pattern=textures.field(families[rng.integers(len(families))], int(rng.integers(textures.VARIANTS))),
    )


def _cloth(
    rng: np.random.Generator, pattern: np.ndarray, shape: tuple[int, int], contrast: float
) -> np.ndarray:
    """A piece cut from a pattern: brightness factors around 1, (h, w, 1)."""
    y, x = rng.integers(0, TILE, 2)
    rows, columns = np.arange(y, y + 2 * shape[0], 2) % TILE, np.arange(x, x + 2 * shape[1], 2) % TILE
    piece = pattern[rows[:, None], columns].astype(np.float32) / 255
    return (1 + contrast * (piece - 0.5))[..., None]


def _to_u8(image: np.ndarray) -> np.ndarray:
    return np.clip(image, 0, 255).astype(np.uint8)


def _capsule(
    rng: np.random.Generator,
    limb: Limb,
    stature: float,
    color: np.ndarray,
    pattern: np.ndarray,
    owner: int,
    tip: np.ndarray | None,
) -> Card:
    """Card of a limb, start above, shaded like a cylinder lit from the upper left; `tip`: colour of a bare end."""
    scale = stature * DETAIL
    r0, r1, length = limb.start_radius * scale, limb.end_radius * scale, limb.length * scale
    half, top = max(r0, r1) + 1, r0 + 1
    width, height = int(np.ceil(2 * half)), int(np.ceil(top + length + r1 + 1))
    along = np.arange(height, dtype=np.float32)[:, None] - top
    across = np.arange(width, dtype=np.float32) - (width - 1) / 2
    radius = r0 + (r1 - r0) * np.clip(along / length, 0, 1)
    overshoot = along - np.clip(along, 0, length)
    distance = np.hypot(across, overshoot) - radius
    shade = 1.12 - 0.5 * (across / radius + 0.35) ** 2 * 0.6
    base = np.broadcast_to(color, (height, 1, 3)).astype(np.float32)
    if tip is not None:
        base = np.where(along[..., None] > 0.66 * length, tip, base)
    rgb = base * shade[..., None] * _cloth(rng, pattern, (height, width), 0.55)
    alpha = _to_u8(255 * np.clip(0.5 - distance, 0, 1))
    return card(_to_u8(rgb), alpha, owner)


def _trunk_card(rng: np.random.Generator, wear: Outfit, stature: float, owner: int) -> Card:
    """Shirt and waistband: texture x is the line of the shoulders, y runs from the neck to the pelvis."""
    scale = stature * DETAIL
    width, height = int(round(0.36 * scale)), int(round(0.42 * scale))
    outline = np.array(
        [(-0.045, -0.02), (0.045, -0.02), (0.125, 0.005), (0.145, 0.04), (0.115, 0.12), (0.10, 0.20)]
        + [(0.115, 0.30), (0.10, 0.345), (0.0, 0.36), (-0.10, 0.345), (-0.115, 0.30)]
        + [(-0.10, 0.20), (-0.115, 0.12), (-0.145, 0.04), (-0.125, 0.005)]
    )
    texel = (outline * scale + [(width - 1) / 2, 0.04 * scale]) * 16
    alpha = np.zeros((height, width), dtype=np.uint8)
    cv2.fillPoly(alpha, [np.round(texel).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    rows = (np.arange(height) - 0.04 * scale)[:, None, None] / scale
    across = ((np.arange(width) - (width - 1) / 2) / (0.14 * scale))[None, :, None]
    base = np.where(rows > 0.27, wear.trousers, wear.shirt)
    rgb = base * (1.08 - 0.30 * (across + 0.25) ** 2) * _cloth(rng, wear.pattern, (height, width), 0.75)
    return card(_to_u8(rgb), alpha, owner)


_FACE = {"nose": (0.0, 0.085), "left_eye": (0.028, 0.105), "right_eye": (-0.028, 0.105)}
_EARS = {"left_ear": (0.060, 0.095), "right_ear": (-0.060, 0.095)}
_SKULL = 0.095  # centre above the neck


def _head_points(yaw: float) -> dict[str, tuple[float, float]]:
    """Right of and above the neck, in statures, on a head turned by `yaw`."""
    front = {name: (x * np.cos(yaw) + 0.052 * np.sin(yaw), y) for name, (x, y) in _FACE.items()}
    return front | {name: (x * np.cos(yaw), y) for name, (x, y) in _EARS.items()}


def _head_card(wear: Outfit, stature: float, yaw: float, owner: int) -> Card:
    """Neck, head, hair, ears and face, drawn four times larger and reduced."""
    width, height = _head_size(stature)
    scale = stature * DETAIL * 4

    def at(x: float, up: float) -> tuple[int, int]:
        return int(round(2 * width + x * scale)), int(round(4 * height - (up + 0.03) * scale))

    rgb = np.zeros((4 * height, 4 * width, 3), dtype=np.uint8)
    alpha = np.zeros((4 * height, 4 * width), dtype=np.uint8)

    def ellipse(
        x: float, up: float, rx: float, ry: float, color: np.ndarray, start: int = 0, end: int = 360
    ) -> None:
        axes = (max(int(rx * scale), 1), max(int(ry * scale), 1))
        cv2.ellipse(rgb, at(x, up), axes, 0, start, end, tuple(color.tolist()), -1)
        cv2.ellipse(alpha, at(x, up), axes, 0, start, end, 255, -1)

    ellipse(0, 0.0, 0.030, 0.04, 0.8 * wear.skin)
    for x, up in (_head_points(yaw)[ear] for ear in _EARS):
        ellipse(x, up - 0.005, 0.014, 0.018, 0.85 * wear.skin)
    ellipse(0, _SKULL, 0.062, 0.078, wear.skin)
    ellipse(0, _SKULL + 0.005, 0.066, 0.080, wear.hair, 180, 360)
    ellipse(0.050 * np.sin(yaw), _SKULL - 0.004, 0.053, 0.045, wear.skin)
    points = _head_points(yaw)
    for eye in ("left_eye", "right_eye"):
        ellipse(points[eye][0], points[eye][1], 0.009, 0.009, np.full(3, 25.0))
    ellipse(*points["nose"], 0.007, 0.013, 0.75 * wear.skin)
    ellipse(points["nose"][0], 0.055, 0.020, 0.006, 0.55 * wear.skin)
    shrink = {"dsize": (width, height), "interpolation": cv2.INTER_AREA}
    # Colours outside the mask stay black: card() multiplies by alpha, so divide the reduced ones first.
    small, mask = cv2.resize(rgb, **shrink), cv2.resize(alpha, **shrink)
    return Card(cv2.merge([*cv2.split(small), mask]), owner)


def _head_size(stature: float) -> tuple[int, int]:
    return int(np.ceil(0.17 * stature * DETAIL)), int(np.ceil(0.22 * stature * DETAIL))


@dataclass(frozen=True)
class PlacedPerson:
    """Where a person's P parts lie at T times; pixels of the world, before the camera."""

    placement_PT23: list[np.ndarray]
    depth_PT: np.ndarray  # towards the viewer, in statures
    joints_TJ2: np.ndarray
    outline_TK2: np.ndarray  # points that span the person's box


class Person:
    """One person's looks: P cards, and where a pose puts them.

    Parts are the limbs in the order of LIMBS, then the trunk, then the head.
    """

    def __init__(self, rng: np.random.Generator, domain: Domain, stance: body.Stance, owner: int) -> None:
        self.stance = stance
        wear = outfit(rng, domain)
        stature = stance.stature_px
        dress = {"knee": wear.trousers, "ankle": wear.trousers, "toe": wear.shoes}
        dress |= {"elbow": wear.shirt, "fingers": wear.sleeve}
        self.cards = [
            _capsule(
                rng, limb, stature, dress[end], wear.pattern, owner, wear.skin if end == "fingers" else None
            )
            for limb in LIMBS
            for end in [limb.end.split("_")[1]]
        ]
        self.cards += [_trunk_card(rng, wear, stature, owner), _head_card(wear, stature, stance.yaw, owner)]

    def place(self, pose_TC: np.ndarray) -> "PlacedPerson":
        """Lay the cards of all parts as poses say."""
        points = body.project(pose_TC, self.stance)
        placed = [self._place_limb(limb, self.cards[i], points) for i, limb in enumerate(LIMBS)]
        placed += [self._place_trunk(points), self._place_head(points)]
        depth = [(points[limb.start][:, 2] + points[limb.end][:, 2]) / 2 + limb.in_front for limb in LIMBS]
        trunk = points["pelvis"][:, 2] / 2 + points["neck"][:, 2] / 2
        depth += [trunk, trunk + 0.045]
        head_points = _head_points(self.stance.yaw)
        joints = [
            self._on_head(placed[-1], *head_points[name]) if name in head_points else points[name][:, :2]
            for name in COCO_JOINTS
        ]
        return PlacedPerson(placed, np.stack(depth), np.stack(joints, axis=1), self._outline(points))

    def _outline(self, points: body.Points) -> np.ndarray:
        """Outermost points of all parts to the left, right, above and below: (T, K, 2)."""
        discs = [(points[limb.start][:, :2], limb.start_radius) for limb in LIMBS]
        discs += [(points[limb.end][:, :2], limb.end_radius) for limb in LIMBS]
        neck, crown = points["neck"][:, :2], points["crown"][:, :2]
        discs.append((neck + _SKULL / body.HEAD * (crown - neck), 0.085))
        reach = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]]) * self.stance.stature_px
        return np.concatenate([centre[:, None] + radius * reach for centre, radius in discs], axis=1)

    def _place_limb(self, limb: Limb, piece: Card, points: body.Points) -> np.ndarray:
        start, end = points[limb.start][:, :2], points[limb.end][:, :2]
        texels = limb.length * self.stance.stature_px * DETAIL
        along = _at_least(end - start, _SHORTEST * limb.length * self.stance.stature_px)
        length = np.linalg.norm(along, axis=1, keepdims=True)
        across = np.stack([along[:, 1], -along[:, 0]], axis=1) / (length * DETAIL)
        middle = limb.start_radius * self.stance.stature_px * DETAIL + 1 + texels / 2
        return affine(along / texels, across, (start + end) / 2, ((piece.size[0] - 1) / 2, middle))

    def _place_trunk(self, points: body.Points) -> np.ndarray:
        scale = self.stance.stature_px
        neck, pelvis = points["neck"][:, :2], points["pelvis"][:, :2]
        along = _at_least(pelvis - neck, 0.55 * body.TRUNK * scale) / (body.TRUNK * scale * DETAIL)
        shoulders = points["left_shoulder"][:, :2] - points["right_shoulder"][:, :2]
        across = shoulders / (2 * body.SHOULDER * scale * DETAIL)
        width = self.cards[len(LIMBS)].size[0]
        return affine(along, across, neck, ((width - 1) / 2, 0.04 * scale * DETAIL))

    def _place_head(self, points: body.Points) -> np.ndarray:
        up = points["crown"][:, :2] - points["neck"][:, :2]
        along = -up / np.linalg.norm(up, axis=1, keepdims=True) / DETAIL
        across = np.stack([along[:, 1], -along[:, 0]], axis=1)
        return affine(along, across, points["neck"][:, :2], self._head_texel(0.0, 0.0))

    def _head_texel(self, x: float, up: float) -> tuple[float, float]:
        width, height = self.cards[-1].size
        scale = self.stance.stature_px * DETAIL
        return width / 2 + x * scale - 0.5, height - (up + 0.03) * scale - 0.5

    def _on_head(self, placed_T23: np.ndarray, x: float, up: float) -> np.ndarray:
        return placed_T23 @ np.array([*self._head_texel(x, up), 1.0])


def _at_least(vector_T2: np.ndarray, length: float) -> np.ndarray:
    """Vectors shorter than `length` lengthened to it; none vanishes."""
    norm = np.linalg.norm(vector_T2, axis=1, keepdims=True)
    safe = np.where(norm > 1e-6, vector_T2 / np.maximum(norm, 1e-6), [0.0, 1.0])
    return safe * np.maximum(norm, length)
