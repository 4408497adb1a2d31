"""What a person sees while it works: a bar on a terminal, plain lines elsewhere, JSON lines in the log."""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

T = TypeVar("T")

PLAIN_EVERY_SEC = 5.0
WITHIN_EVERY_SEC = 10.0  # how far it is in a video that takes long


@dataclass
class Bar:
    """Counts finished items of one task; `advance` after each."""

    name: str
    total: int
    shown: RichProgress | None = None
    done: int = 0
    started: float = field(default_factory=lambda: time.monotonic())
    _printed: float = field(default_factory=lambda: time.monotonic())

    def advance(self, note: str = "") -> None:
        """One more is done; `note` is shown beside the count."""
        self.done += 1
        self.show(note)

    def show(self, note: str) -> None:
        """The count, and what is said beside it."""
        if self.shown is not None:
            self.shown.update(self.shown.task_ids[0], completed=self.done, note=note)
        elif time.monotonic() - self._printed >= PLAIN_EVERY_SEC and self.done < self.total:
            self._printed = time.monotonic()
            print(f"{self.name}  {self.done}/{self.total}  {self._left()}  {note}".rstrip(), flush=True)

    def _left(self) -> str:
        elapsed = time.monotonic() - self.started
        if not self.done:
            return f"{timedelta(seconds=round(elapsed))} gone"
        left = elapsed / self.done * (self.total - self.done)
        return f"{timedelta(seconds=round(elapsed))} gone, {timedelta(seconds=round(left))} left"


class Progress:
    """Where stages say what they do. `log` is OUT/log.jsonl; none: nothing is kept."""

    def __init__(self, log: Path | None = None, *, quiet: bool = False) -> None:
        self.console = Console(quiet=quiet, highlight=False, soft_wrap=not sys.stdout.isatty(), markup=False)
        self._quiet, self.log = quiet, log
        self.log_began = log.stat().st_size if log is not None and log.is_file() else 0  # bytes
        self._fetch_said = 0.0
        self._logged = False
        self._bar: Bar | None = None  # of the task that is on

    def say(self, text: str) -> None:
        """A line for the user; control characters from file names are shown, not obeyed."""
        self.console.print("".join(c if c.isprintable() else repr(c)[1:-1] for c in text))

    def event(self, what: str, **fields: Any) -> None:
        """A line in the log: time, what, fields."""
        if self.log is None:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(
            {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": what, **fields}
        )
        with self.log.open("a+b") as file:
            if file.tell() and not self._logged:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # half a line of a process that was killed
                    line = "\n" + line
            file.write(line.encode() + b"\n")
        self._logged = True

    def fetching(self, file: str, done_bytes: int, total_bytes: int | None) -> None:
        """How far a download is: a line every few seconds."""
        finished = done_bytes == total_bytes
        if not finished and time.monotonic() - self._fetch_said < PLAIN_EVERY_SEC:
            return
        self._fetch_said = time.monotonic()
        total = f" of {total_bytes / 1e6:.0f}" if total_bytes else ""
        self.say(f"fetching {file}: {done_bytes / 1e6:.0f}{total} MB")

    def within(self, video: str, frames: Iterable[T], total: int) -> Iterator[T]:
        """The same frames, `total` of them; how far it is, is shown and logged every few seconds."""
        said = time.monotonic()
        for number, frame in enumerate(frames):
            if time.monotonic() - said >= WITHIN_EVERY_SEC:
                said = time.monotonic()
                self.event("position", video=video, frames=number, of=total)
                if self._bar is not None:
                    self._bar.show(f"{video} ({number} of {total} frames)")
            yield frame

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Bar]:
        """A task of `total` items, with the time it will still take."""
        with self._new_bar(name, total) as self._bar:
            try:
                yield self._bar
            finally:
                self._bar = None

    @contextmanager
    def _new_bar(self, name: str, total: int) -> Iterator[Bar]:
        if self._quiet or not self.console.is_terminal:
            yield Bar(name, total) if not self._quiet else Bar(name, 0)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),  # notes hold file names
        )
        with RichProgress(*columns, console=self.console, transient=True) as shown:
            shown.add_task(name, total=total, note="")
            yield Bar(name, total, shown)
