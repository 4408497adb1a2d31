"""Words on pictures, in a font that has more than ASCII."""

from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont


def text_px(width_px: int) -> int:
    """Height of letters on a picture of this width."""
    return int(np.clip(round(width_px / 48), 12, 28))


def tag(text: str, font_px: int, *, color: str, ink: str = "black") -> np.ndarray:
    """A line of text on its colour: (height, width, 3) uint8 BGR."""
    font, pad = _font(font_px), font_px // 3
    left, _, right, _ = font.getbbox(text)
    size = (round(right - left) + 2 * pad, round(1.3 * font_px) + pad)
    image = Image.new("RGB", size, ImageColor.getrgb(color))
    ImageDraw.Draw(image).text((pad - left, size[1] / 2), text, font=font, fill=ink, anchor="lm")
    return np.asarray(image)[..., ::-1]


@lru_cache(maxsize=512)
def kept_tag(text: str, font_px: int, *, color: str, ink: str = "black") -> np.ndarray:
    """As `tag`, read-only, for text that comes again: what is kept lies between the buffers of pictures.

    With a text of every frame among it, each would keep the memory of its picture from being used again.
    """
    bgr_HWC = tag(text, font_px, color=color, ink=ink)
    bgr_HWC.flags.writeable = False  # others get the same one
    return bgr_HWC


def paste(picture_HWC: np.ndarray, tag_HWC: np.ndarray, left: int, top: int) -> None:
    """Onto a picture, as far as there is room."""
    room = picture_HWC[top:, left:][: tag_HWC.shape[0], : tag_HWC.shape[1]]
    room[:] = tag_HWC[: room.shape[0], : room.shape[1]]


@lru_cache(maxsize=8)
def _font(font_px: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: Latin, Greek, Cyrillic and more."""
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), font_px)
