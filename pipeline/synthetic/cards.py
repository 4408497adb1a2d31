"""The renderer: a picture is a stack of textured cards, each laid down by an affine map.

Because every visible point belongs to one card, its motion to the next frame follows from two
placements of that card: optical flow needs no estimation.
Shapes: C cards in drawing order, H W pixels of the picture; a placement is the (2, 3) affine map
from a card's texture coordinates to picture coordinates, pixel centres at whole numbers.
"""

from dataclasses import dataclass

import cv2
import numpy as np

WORLD = -1  # owner of what is no person


@dataclass(frozen=True, eq=False)
class Card:
    """A texture with its transparency. `owner` is the person it belongs to, or WORLD.

    `rgba` is uint8 (h, w, 4), colours already multiplied by alpha. A tiled card repeats without end
    and covers the whole picture.
    """

    rgba: np.ndarray
    owner: int = WORLD
    tiled: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the texture."""
        return self.rgba.shape[1], self.rgba.shape[0]


def card(rgb: np.ndarray, alpha: np.ndarray, owner: int = WORLD) -> Card:
    """A card of a uint8 texture (h, w, 3) cut out by a uint8 mask (h, w)."""
    premultiplied = cv2.multiply(rgb, cv2.merge([alpha] * 3), scale=1 / 255)
    return Card(cv2.merge([*cv2.split(premultiplied), alpha]), owner)


def extents(placement_NC23: np.ndarray, cards: list[Card], size: tuple[int, int]) -> np.ndarray:
    """Picture rectangle x0, y0, x1, y1 (end excluded) each card may touch: (N, C, 4) int.

    Empty rectangles have x1 <= x0 or y1 <= y0.
    """
    width, height = size
    texture_C2 = np.array([c.size for c in cards], dtype=float)
    corners_C34 = np.ones((len(cards), 3, 4))
    corners_C34[:, 0] = texture_C2[:, :1] * [0, 1, 1, 0] - 0.5
    corners_C34[:, 1] = texture_C2[:, 1:] * [0, 0, 1, 1] - 0.5
    at_NC24 = placement_NC23 @ corners_C34
    low = np.floor(at_NC24.min(axis=3)).astype(int)
    high = np.ceil(at_NC24.max(axis=3)).astype(int) + 1
    tiled_C1 = np.array([c.tiled for c in cards])[:, None]
    low = np.where(tiled_C1, 0, np.clip(low, 0, [width, height]))
    high = np.where(tiled_C1, [width, height], np.clip(high, 0, [width, height]))
    return np.concatenate([low, high], axis=2)


def paint(
    cards: list[Card],
    placement_C23: np.ndarray,
    extent_C4: list[list[int]],
    order_C: list[int],
    size: tuple[int, int],
    top_HW: np.ndarray | None = None,
) -> np.ndarray:
    """The picture, (H, W, 3) uint8, cards laid over each other in `order_C`; the first must be tiled.

    `top_HW` (int), when given, receives for every pixel the place in `cards` of the topmost card that
    covers it by more than half.
    """
    width, height = size
    picture = np.empty((height, width, 4), dtype=np.uint8)
    for c in order_C:
        x0, y0, x1, y1 = extent_C4[c]
        if x1 <= x0 or y1 <= y0:
            continue
        patch = _lay(cards[c], placement_C23[c], x0, y0, x1, y1)
        under = picture[y0:y1, x0:x1]
        alpha = cv2.extractChannel(patch, 3)
        if cards[c].tiled:
            under[:] = patch
        else:
            clear = cv2.cvtColor(cv2.bitwise_not(alpha), cv2.COLOR_GRAY2RGBA)
            cv2.add(cv2.multiply(under, clear, scale=1 / 255), patch, dst=under)
        if top_HW is not None:
            top_HW[y0:y1, x0:x1][alpha > 127] = c
    return cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB)


def _lay(piece: Card, placement_23: np.ndarray, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    """The part of a card within a rectangle of the picture: (y1 - y0, x1 - x0, 4)."""
    shifted = placement_23.copy()
    shifted[:, 2] -= x0, y0
    border = cv2.BORDER_WRAP if piece.tiled else cv2.BORDER_CONSTANT
    return cv2.warpAffine(piece.rgba, shifted, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR, borderMode=border)


def motion(now_C23: np.ndarray, next_C23: np.ndarray) -> np.ndarray:
    """Affine map from a picture point to its displacement, for each card: (C, 2, 3)."""
    (a, b), (c, d) = now_C23[:, 0, :2].T, now_C23[:, 1, :2].T
    inverse_C22 = np.stack([d, -b, -c, a], axis=1).reshape(-1, 2, 2) / (a * d - b * c)[:, None, None]
    linear_C22 = next_C23[:, :, :2] @ inverse_C22
    shift_C2 = next_C23[:, :, 2] - np.einsum("cij,cj->ci", linear_C22, now_C23[:, :, 2])
    return np.concatenate([linear_C22 - np.eye(2), shift_C2[:, :, None]], axis=2)


def flow(motion_C23: np.ndarray, top_HW: np.ndarray) -> np.ndarray:
    """Displacement in pixels (x, y) of the surface seen at every pixel: (H, W, 2) float32."""
    height, width = top_HW.shape
    x_W, y_H1 = np.arange(width), np.arange(height)[:, None]
    m_HW23 = motion_C23[top_HW]
    return np.stack(
        [m_HW23[..., i, 0] * x_W + m_HW23[..., i, 1] * y_H1 + m_HW23[..., i, 2] for i in range(2)], axis=-1
    ).astype(np.float32)


def affine(
    along_T2: np.ndarray, across_T2: np.ndarray, anchor_T2: np.ndarray, texel: tuple[float, float]
) -> np.ndarray:
    """Placements (T, 2, 3) that bring `texel` to `anchor`; a texel is `across` by `along` pixels."""
    linear_T22 = np.stack([across_T2, along_T2], axis=2)
    shift_T2 = anchor_T2 - linear_T22 @ np.asarray(texel, dtype=float)
    return np.concatenate([linear_T22, shift_T2[:, :, None]], axis=2)
