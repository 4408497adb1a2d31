"""Seamless textures and palettes: the looks of the two domains.

A family is a kind of pattern. Fields are float32 (TILE, TILE) in [0, 1] and repeat without a seam.
"""

from functools import cache
from typing import Literal

import cv2
import numpy as np

TILE = 256  # texels
VARIANTS = 8  # of each family, made once in a process

Domain = Literal["train", "test", "any"]
_TRAIN_FAMILIES = ("clouds", "stripes", "tiles", "weave")
_TEST_FAMILIES = ("blobs", "mosaic", "waves", "marble")
FAMILIES: dict[str, tuple[str, ...]] = {
    "train": _TRAIN_FAMILIES,
    "test": _TEST_FAMILIES,
    "any": _TRAIN_FAMILIES + _TEST_FAMILIES,
}


def _stretch(field: np.ndarray) -> np.ndarray:
    low, high = np.percentile(field, [1, 99])
    return np.clip((field - low) / (high - low), 0, 1).astype(np.float32)


def _soft(field: np.ndarray) -> np.ndarray:
    """Edges a little blurred, across the seam too: drawn smaller or turned, they do not flicker."""
    for axis in (0, 1):
        field = 0.25 * np.roll(field, 1, axis) + 0.5 * field + 0.25 * np.roll(field, -1, axis)
    return field


def noise(rng: np.random.Generator, slope: float, finest: float = 0.5) -> np.ndarray:
    """Gaussian noise whose amplitude falls as frequency ** -slope, up to `finest` cycles per texel."""
    fy, fx = np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None]
    radius = np.hypot(fx, fy)
    gain = np.where((radius > 0) & (radius <= finest), np.maximum(radius, 1 / TILE) ** -slope, 0.0)
    return _stretch(np.fft.irfft2(np.fft.rfft2(rng.standard_normal((TILE, TILE))) * gain, s=(TILE, TILE)))


def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:TILE, :TILE] / TILE
    return x, y


def _stripes(rng: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    kx, ky = int(rng.integers(4, 9)), int(rng.integers(-3, 4))
    return _stretch(np.tanh(3 * np.sin(2 * np.pi * (kx * x + ky * y))) + 0.8 * noise(rng, 1.0))


def _tiles(rng: np.random.Generator) -> np.ndarray:
    cells = int(rng.choice([8, 16]))
    values = np.kron(rng.random((cells, cells)), np.ones((TILE // cells, TILE // cells)))
    x, y = _grid()
    joint = np.minimum((x * cells) % 1, (y * cells) % 1) < 0.08
    return _stretch(np.where(joint, 0.0, 0.35 + 0.5 * values) + 0.3 * noise(rng, 0.8))


def _weave(rng: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    kx, ky = (int(k) for k in rng.integers(7, 15, 2))
    return _stretch(np.sin(2 * np.pi * kx * x) * np.sin(2 * np.pi * ky * y) + noise(rng, 1.0))


def _blobs(rng: np.random.Generator) -> np.ndarray:
    smooth = noise(rng, 0.3, finest=0.03)
    return _stretch(np.tanh(6 * (smooth - 0.5)) + 0.5 * noise(rng, 0.9))


def _mosaic(rng: np.random.Generator) -> np.ndarray:
    field = np.zeros((TILE, TILE), dtype=np.float32)
    for _ in range(90):
        shift = rng.integers(0, TILE, 2)
        height, width = rng.integers(16, 80, 2)
        field = np.roll(field, tuple(shift), axis=(0, 1))
        field[:height, :width] = rng.random()
    return _stretch(field + 0.25 * noise(rng, 0.8))


def _waves(rng: np.random.Generator) -> np.ndarray:
    _, y = _grid()
    k, bend = int(rng.integers(6, 12)), rng.uniform(1.2, 3.0) * noise(rng, 2.0, finest=0.05)
    return _stretch(np.sin(2 * np.pi * (k * y + bend)) + 0.6 * noise(rng, 1.0))


def _marble(rng: np.random.Generator) -> np.ndarray:
    return _stretch(np.abs(noise(rng, 1.5, finest=0.12) - 0.5) ** 0.6 + 0.25 * noise(rng, 0.8))


_MAKERS = {
    "clouds": lambda rng: noise(rng, 1.4),
    "stripes": _stripes,
    "tiles": _tiles,
    "weave": _weave,
    "blobs": _blobs,
    "mosaic": _mosaic,
    "waves": _waves,
    "marble": _marble,
}


@cache
def field(family: str, variant: int) -> np.ndarray:
    """One of the VARIANTS textures of a family: uint8 (TILE, TILE), the same in every process."""
    seed = [list(_MAKERS).index(family), variant]
    made = (255 * _soft(_MAKERS[family](np.random.default_rng(seed)))).astype(np.uint8)
    made.flags.writeable = False
    return made


def coloured(gray: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """A uint8 field through a gradient of colours (n, 3): uint8 RGB of the field's shape."""
    stops = np.linspace(0, 255, len(colors))
    table = np.stack([np.interp(np.arange(256), stops, channel) for channel in colors.T], axis=1)
    return cv2.LUT(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), table.astype(np.uint8)[None])


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """RGB of hue, saturation and value in [0, 1]: (3,) in 0..255; hue wraps."""
    sector = np.array([5, 3, 1]) + hue * 6
    ramp = np.clip(np.minimum(sector % 6, 4 - sector % 6), 0, 1)
    return 255 * value * (1 - saturation * ramp)


# Hues of clothes and of backgrounds: disjoint bands, so that colour says which domain it is.
_CLOTHES_HUES = {"train": (0.50, 0.75), "test": (0.95, 1.20), "any": (0.0, 1.0)}
_SCENERY_HUES = {"train": (0.05, 0.30), "test": (0.42, 0.72), "any": (0.0, 1.0)}
_SKINS = {
    "train": ((242, 200, 170), (200, 140, 100), (112, 72, 50)),
    "test": ((255, 222, 196), (224, 172, 125), (150, 98, 66), (84, 54, 40)),
}


def clothes(rng: np.random.Generator, domain: Domain) -> np.ndarray:
    """Colour of a garment: (3,)."""
    return hsv(rng.uniform(*_CLOTHES_HUES[domain]), rng.uniform(0.45, 0.95), rng.uniform(0.35, 0.95))


def scenery(rng: np.random.Generator, domain: Domain) -> np.ndarray:
    """A gradient of three related colours for walls, floors and things: (3, 3)."""
    hue, value = rng.uniform(*_SCENERY_HUES[domain]), rng.uniform(0.45, 0.85)
    spread = rng.uniform(0.15, 0.35)
    return np.stack(
        [
            hsv(hue + 0.05 * (i - 1), rng.uniform(0.1, 0.45), np.clip(value + spread * (i - 1), 0.08, 1))
            for i in range(3)
        ]
    )


def skin(rng: np.random.Generator, domain: Domain) -> np.ndarray:
    """Skin colour: (3,)."""
    tones = _SKINS["train"] + _SKINS["test"] if domain == "any" else _SKINS[domain]
    return np.array(tones[rng.integers(len(tones))], dtype=float)
