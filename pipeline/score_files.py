"""Scores on disk: for programs a sealed .npz, for spreadsheets a .csv; the first vouches for the second.

    scores/<relative path with suffix>.npz    scores (F, K), times (F,), classes
    scores/<relative path with suffix>.csv    frame, time, one column per class

Shapes: F frames, K classes.
"""

import csv
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.cache import CacheError
from pipeline.events import spreadsheet_safe
from pipeline.files import file_sha256, write_atomic
from pipeline.sealed import check_seal, write_sealed
from pipeline.tracks import ScoreTrack


@dataclass(frozen=True)
class ScoreFile:
    """Where one video's scores are kept, and the key they must have."""

    npz: Path
    key: str

    @property
    def csv(self) -> Path:
        """The same for spreadsheets."""
        return self.npz.with_suffix(".csv")

    def save(self, track: ScoreTrack) -> None:
        """The csv first: whoever finds the npz finds both."""
        write_atomic(self.csv, lambda file: _write_csv(file, track))
        arrays = {"scores": track.scores_FK, "times": track.times_sec_F, "classes": np.array(track.classes)}
        about = {"key": np.array(self.key), "csv_sha256": np.array(file_sha256(self.csv))}
        write_sealed(self.npz, lambda file: np.savez(file, **arrays, **about))

    def load(self) -> ScoreTrack | None:
        """The scores; None where there are none, or under another key; CacheError where they are damaged."""
        try:
            track, key = read_scores(self.npz)
        except FileNotFoundError:
            return None
        return track if key == self.key else None

    def load_made_meanwhile(self) -> ScoreTrack | None:
        """The same; also None where they are damaged, which was said before."""
        try:
            return self.load()
        except CacheError:
            return None


def read_scores(npz: Path) -> tuple[ScoreTrack, str]:
    """Scores and their key, every byte verified, also of the csv beside them.

    CacheError where something is damaged, FileNotFoundError where there are no scores.
    """
    try:
        data = npz.read_bytes()
        check_seal(data)
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            track = ScoreTrack(arrays["scores"], arrays["times"], tuple(map(str, arrays["classes"])))
            key, csv_sha256 = str(arrays["key"]), str(arrays["csv_sha256"])
        table = npz.with_suffix(".csv")
        if not table.is_file() or file_sha256(table) != csv_sha256:
            raise CacheError(f"{table} is missing or changed")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CacheError(f"{npz}: {error}; run score again") from error
    return track, key


def _write_csv(file: IO[bytes], track: ScoreTrack) -> None:
    header = io.StringIO()

    csv.writer(header, lineterminator="\n").writerow(["frame", "time", *map(spreadsheet_safe, track.classes)])
    file.write(header.getvalue().encode())
    table = np.column_stack([np.arange(len(track.times_sec_F)), track.times_sec_F, track.scores_FK])
    np.savetxt(file, table, fmt=["%d", "%.6f"] + ["%.6f"] * len(track.classes), delimiter=",")
