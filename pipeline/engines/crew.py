"""Workers wherever they run, as the driver sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.engines.messages import Outcome, Ready, Trouble
from pipeline.inputs import Source

STOP_SEC = 1.0  # for workers to let go of what they have claimed; then they are killed


@dataclass(frozen=True)
class Said:
    """What a worker answers: `Ready` to being hired, then an `Outcome` to what it is given; or `Trouble`."""

    worker: int
    message: Ready | Outcome | Trouble


@dataclass(frozen=True)
class Lost:
    """A worker is gone, without a word."""

    worker: int
    why: str


class Crew(Protocol):
    """Starts workers, talks to them, ends them. Numbers of workers are never used again."""

    most: int  # workers at a time

    def hire(self) -> int:
        """Start a worker, without waiting for it; its number."""
        ...

    def give(self, worker: int, batch: Sequence[Source]) -> None:
        """Videos for a worker that has answered everything so far."""
        ...

    def hear(self, timeout_sec: float) -> list[Said | Lost]:
        """What came, as soon as something has come; nothing after so long."""
        ...

    def close(self) -> None:
        """End all workers, whatever they do: after STOP_SEC none works on."""
        ...
