"""Settings of person detection and pose, apart from their networks: reading settings loads neither."""

from dataclasses import dataclass

from extractors.precision import Precision, check_precision

TINY_POSE = "augrgb-tiny-pose"


@dataclass(frozen=True)
class PoseConfig:
    """Which persons are looked for, and by which network their joints are found.

    `pose` is "augrgb-tiny-pose" or the name of one of mmpose's configs of top-down networks for COCO,
    without suffix: "rtmpose-m_8xb256-420e_aic-coco-256x192". Weights are names of `extractors.weights`
    or paths. Between the frames that are searched for persons (every `detect_every`-th) they are looked for
    where they were last.
    """

    detector: str = "fasterrcnn_mobilenet_v3_large_fpn"
    detector_weights: str = "fasterrcnn_mobilenet_v3_large_fpn"
    detector_threshold: float = 0.5
    max_persons: int = 8  # of a frame, the surest
    detect_every: int = 1  # frames
    pose: str = "rtmpose-m_8xb256-420e_aic-coco-256x192"
    pose_weights: str = "rtmpose-m-aic-coco"
    max_gap: int = 25  # frames for which a lost person is remembered
    precision: Precision | None = None  # of both networks, see `precision`; none: the run's, or float32

    def __post_init__(self) -> None:
        check_precision(self.precision)
        if min(self.detect_every, self.max_persons, self.max_gap) < 1:
            raise ValueError(f"need detect_every, max_persons and max_gap of at least 1, got {self}")
        if not 0 <= self.detector_threshold < 1:
            raise ValueError(f"need 0 <= detector_threshold < 1, got {self.detector_threshold}")

    @property
    def needed_weights(self) -> tuple[str, ...]:
        """Names of all weights that are loaded."""
        return (self.detector_weights, self.pose_weights)
