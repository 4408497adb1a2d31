"""What other processes on the same folder of results found wrong since this one began.

A video that cannot be done is found out once: who waited for its claim reads in the log that all share what
became of it. A run that begins later tries it again, and so does one with other settings.
"""

import json
from pathlib import Path
from typing import Any

from pipeline.video_types import VideoError


class ToldElsewhere(VideoError):
    """What another process found wrong with a video, in its words."""

    def __init__(self, path: Path, reason: str, message: str) -> None:
        ValueError.__init__(self, message)
        self.path, self.reason = path, reason


class FailedElsewhere:
    """The failures that were added to a log behind `position`, by attempt.

    Nobody compares clocks: what is behind the place where the log ended when this process began is newer.
    """

    def __init__(self, log: Path | None, position: int) -> None:
        self._log, self._position = log, position
        self._found: dict[str, dict[str, Any]] = {}

    def find(self, path: Path, attempt: str) -> ToldElsewhere | None:
        """What became of an attempt at this video meanwhile; None where nobody failed."""
        self._read_on()
        row = self._found.get(attempt)
        return ToldElsewhere(path, str(row["reason"]), str(row["message"])) if row else None

    def _read_on(self) -> None:
        if self._log is None or not self._log.is_file():
            return
        with self._log.open("rb") as file:
            file.seek(self._position)
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if not line.endswith(b"\n"):  # half of it: another process is writing
                return
            self._position += len(line)
            if b'"attempt"' in line:
                self._remember(line)

    def _remember(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            self._found[row["attempt"]] = {"reason": row["reason"], "message": row["message"]}
        except (ValueError, KeyError, TypeError):  # damaged: the video is tried again
            return
