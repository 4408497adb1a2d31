"""Settings of crops of persons, apart from the detector: reading settings loads nothing of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PersonCropConfig:
    """Who is looked for in every frame, and how much around them is shown. All of it is our choice."""

    detector: str = "fasterrcnn_mobilenet_v3_large_fpn"  # see `detector.DETECTORS`
    detector_weights: str = "fasterrcnn_mobilenet_v3_large_fpn"  # a name of the weight table, or a file
    threshold: float = 0.5  # of the detector's score: who scores less is not there
    margin: float = 1.25  # side of the square shown, in units of the box's longer side

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1 or not 1 <= self.margin <= 10:
            raise ValueError(f"need 0 <= threshold < 1 and 1 <= margin <= 10, got {self}")
