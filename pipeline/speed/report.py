"""What a benchmark of speed found, as plain values: the schema of its JSON.

Frames are sampled frames, those that networks see, unless they are said to be decoded ones. Where several
rounds were run, a `Figure` holds each one's; a ratio is of two times of the same round.
"""

import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1
HOURS_FPS = 24.0  # "hours of video" are hours of so many frames a second


@dataclass(frozen=True)
class Figure:
    """One quantity over all rounds."""

    median: float
    low: float
    high: float
    rounds: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Figure":
        """At least one value."""
        rounds = tuple(values)
        return cls(statistics.median(rounds), min(rounds), max(rounds), rounds)


@dataclass(frozen=True)
class Material:
    """The videos that stages were measured on, all together."""

    videos: int
    decoded_frames: int
    frames: int
    seconds: float
    width: int  # px, of the first
    height: int
    codec: str


@dataclass(frozen=True)
class DecoderRow:
    """The decoder alone, opening and packet scan included."""

    frames_per_sec: Figure  # as the pipeline has it: in its own process, through shared memory
    direct_frames_per_sec: Figure  # the libraries alone, frames thrown away
    cpu_sec_per_frame: float  # of the latter, all its threads


@dataclass(frozen=True)
class StageRow:
    """A stage of the pipeline beside its bare networks."""

    stage: str
    frames_per_sec: Figure
    bare_frames_per_sec: Figure
    ratio: Figure  # pipeline / bare network
    best_ratio: float  # if networks and decoding filled all cores; 1 where the decoder is not needed
    idle: Figure  # share of the time in which no network computed on the device
    waiting: Figure  # share of the time spent waiting for frames
    # Processor time of this process outside of networks (resizing, windows, hashing, writing; not the
    # decoder's), and the share of its processor time inside of them: what of all figures depends least on
    # what else a machine does.
    driver_cpu_sec_per_frame: Figure
    network_cpu_share: Figure
    host_peak_bytes: int  # of all processes, proportional set size; the networks of all stages are loaded
    device_peak_bytes: int | None  # of a GPU
    bound: str  # network | decoder | shared cores (of both, on a CPU) | driver


@dataclass(frozen=True)
class NetworkRow:
    """A bare network."""

    stage: str
    network: str
    calls: int
    batch: float  # mean first dimension of what it is given: clips, frames, crops, windows
    share_of_stage: float  # of the time of the stage's bare networks
    flops_per_frame: float
    bytes_per_frame: float  # that its operations read and write, if no cache kept anything
    share_of_arithmetic: float  # of the device's measured peak
    share_of_bandwidth: float
    bound: str  # arithmetic | memory | neither


@dataclass(frozen=True)
class Peaks:
    """What the device gives to a large matrix product and a large copy, in this process."""

    flops_per_sec: float
    bytes_per_sec: float
    threads: int


@dataclass(frozen=True)
class PathRow:
    """From a video file to what is asked for."""

    path: str
    times_real_time: Figure  # seconds of video per second
    hours_per_hour: Figure  # hours of 24 decoded frames a second, per hour


@dataclass(frozen=True)
class ScalingRow:
    """The same work on more."""

    minutes: float  # of video in all
    videos: int
    frames: int
    seconds: Figure
    ms_per_frame: Figure
    cpu_ms_per_frame: Figure  # processor time of this process, the decoder's not
    host_peak_bytes: int


@dataclass(frozen=True)
class PrecisionReport:
    """Everything measured in one precision."""

    precision: str
    peaks: Peaks
    stages: tuple[StageRow, ...]
    networks: tuple[NetworkRow, ...]
    paths: tuple[PathRow, ...]
    separate_by_together: Figure | None  # time of a run for each modality, by that of one for all
    lengths: tuple[ScalingRow, ...]
    counts: tuple[ScalingRow, ...]


@dataclass(frozen=True)
class Report:
    """All of a benchmark: one run, rounds interleaved."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    material: Material
    decoder: DecoderRow
    precisions: tuple[PrecisionReport, ...]
    schema: int = field(default=SCHEMA)

    def to_json(self) -> dict[str, Any]:
        """Plain values; the inverse is pydantic's."""
        return asdict(self)
