"""What the driver and its workers tell each other: plain values, which any of the engines can carry."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline.config import to_values
from pipeline.job import Job

ENVIRONMENT = ("AUGRGB_WEIGHTS",)  # of the driver, where it has them, for its workers


@dataclass(frozen=True)
class Order:
    """The work, as a worker gets it before its first video."""

    out: Path  # absolute; the same folder for all
    settings: dict[str, Any]  # of a RunConfig, as JSON keeps them
    modalities: tuple[str, ...]
    token: str  # of a claim that the driver holds in OUT while it lives
    example: Path  # one of the videos, which the driver sees
    folder: Path  # the driver's current one: settings may name weights relative to it
    environment: dict[str, str]  # where weights are looked for
    log: Path | None  # that all share, and where in it this run began
    log_began: int

    @classmethod
    def of(cls, job: Job, modalities: tuple[str, ...], token: str, example: Path) -> "Order":
        """What a job amounts to."""
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        settings, folder = to_values(job.config), Path.cwd()
        log = job.progress.log.absolute() if job.progress.log else None
        return cls(
            job.out.absolute(),
            settings,
            modalities,
            token,
            example,
            folder,
            environment,
            log,
            job.progress.log_began,
        )


@dataclass(frozen=True)
class Place:
    """Where a worker runs, as its engine has set it up."""

    device: str
    threads: int


@dataclass(frozen=True)
class Ready:
    """A worker with its networks, and everything that could make its products differ from the driver's."""

    host: str
    pid: int
    device: str  # described
    threads: int
    identities: dict[str, Any]  # by modality: they are in every key
    versions: dict[str, str]
    code_sha256: str


@dataclass(frozen=True)
class Trouble:
    """Why a worker cannot go on, whatever the video.

    outside: the disk is full, a folder is gone; wrong: what the user asked for; bug: ours, with traceback.
    """

    kind: Literal["outside", "wrong", "bug"]
    message: str


@dataclass(frozen=True)
class Failed:
    """Why a video cannot be done; `attempt` as in `Job.fail`."""

    reason: str
    message: str
    attempt: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of the videos that a worker was given."""

    made: int = 0
    cached: int = 0
    failed: dict[str, Failed] = field(default_factory=dict)  # by video
    busy: tuple[str, ...] = ()  # another process, none of ours, works on them
    events: tuple[tuple[str, dict[str, Any]], ...] = field(default=(), repr=False)  # for the log
    said: tuple[str, ...] = ()  # for the user
