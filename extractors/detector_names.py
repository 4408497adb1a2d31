"""Which person detectors there are, apart from their networks: see `detector`."""

from collections.abc import Mapping

from extractors.base import NetworkError

TINY_DETECTOR = "augrgb-tiny-detector"
TINY_SIDE = 144  # px

# Short side (px) that frames are brought to with antialiasing first; none leaves the size to the network's
# own transform, with which its weights were trained.
SHORT_SIDES: Mapping[str, int | None] = {
    TINY_DETECTOR: TINY_SIDE,
    "ssdlite320_mobilenet_v3_large": None,
    "fasterrcnn_mobilenet_v3_large_fpn": None,
    "fasterrcnn_resnet50_fpn_v2": None,
}


def check_detector(name: str) -> None:
    """NetworkError for a name that there is not."""
    if name not in SHORT_SIDES:
        raise NetworkError(f"no detector {name!r}; there is: {', '.join(SHORT_SIDES)}")
