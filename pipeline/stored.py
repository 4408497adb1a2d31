"""What is kept in OUT, and whether it is what its records say: for checks that trust nothing.

`products` looks for what a job expects; this takes whatever is there.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.cache import CacheError, FeatureFile, JointFile, Record, record_is_whole
from pipeline.checkpoint import Checkpoint, CheckpointError
from pipeline.files import damage_of_hashes, digest, read_json
from pipeline.score_files import read_scores
from pipeline.sums import problem_of, read_sums
from pipeline.tracks import FeatureTrack

_KINDS = {"features": ".npy", "joints": ".npz"}
_NEEDED = ("extractor", "decode", "S", "partial", "batch", "device")  # to make features again
_AGAIN = "delete it or run extract again"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be: in a file as a whole, or in one row of it."""

    file: str  # below OUT
    problem: str
    row: int | None = None
    difference: float | None = None  # in units of the row's largest number

    def __str__(self) -> str:
        return f"{self.file}{'' if self.row is None else f' row {self.row}'}: {self.problem}"


@dataclass(frozen=True)
class StoredFeatures:
    """Features that are what their record says."""

    file: str  # below OUT
    track: FeatureTrack
    record: Record

    @property
    def folder(self) -> str:
        """Of all that were made alike: "features/rgb-2c6f2174"."""
        return folder_of(self.file)

    @property
    def modality(self) -> str:
        """ "rgb", "flow" or "skeleton"."""
        return str(self.record["extractor"]["name"])

    @property
    def video(self) -> str:
        """Name of the video."""
        return str(self.record["video"]["name"])


@dataclass
class Inventory:
    """All products, sound or not."""

    files: Counter[str] = field(default_factory=Counter)  # by folder
    features: list[StoredFeatures] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)  # of the others


def take_inventory(out: Path) -> Inventory:
    """Read all features, joints, scores, checkpoints and results below `out` whole, in order."""
    inventory = Inventory()
    for path in _products(out):
        file = path.relative_to(out).as_posix()
        inventory.files[folder_of(file)] += 1
        try:
            content, record = _load(path)
        except CacheError as error:
            inventory.findings.append(Finding(file, str(error).removeprefix(f"{path}: ")))
            continue
        if isinstance(content, FeatureTrack):
            inventory.features.append(StoredFeatures(file, content, record))
    for path in sorted([*out.glob("checkpoints/*.ckpt"), *_score_files(out)]):
        folder, file = path.relative_to(out).parts[0], path.relative_to(out).as_posix()
        inventory.files[folder] += 1
        try:
            Checkpoint.load(path) if path.suffix == ".ckpt" else read_scores(path)
        except (CacheError, CheckpointError) as error:
            inventory.findings.append(Finding(file, str(error).removeprefix(f"{path}: ")))
    for folder, file, problem in _results(out):
        inventory.files[folder] += 1
        if problem:
            inventory.findings.append(Finding(file, f"{problem}; run the same command again"))
    if problem := damage_of_hashes(out / "hashes.sqlite"):
        inventory.findings.append(Finding("hashes.sqlite", f"{problem}; the next run makes it again"))
    return inventory


def _results(out: Path) -> Iterator[tuple[str, str, str | None]]:
    """Of what people and other programs read: kind, file below `out`, and what is wrong with it."""
    for sums in sorted(out.glob("*.sha256")):
        for name, sha256 in read_sums(sums).items():
            yield "results", name, problem_of(out / name, sha256)
    page = read_json(out / "report" / "report.json").get("files")
    for name, sha256 in page.items() if isinstance(page, dict) else ():
        yield "report", f"report/{name}", problem_of(out / "report" / name, str(sha256))


def _score_files(out: Path) -> Iterator[Path]:
    return (path for folder in ("scores", "model_scores") for path in (out / folder).rglob("*.npz"))


def folder_of(file: str) -> str:
    """Of a product below OUT, the folder of all products that were made alike."""
    return "/".join(file.split("/")[:2])


def _products(out: Path) -> Iterator[Path]:
    """Paths of products; also where only the record is left."""
    for kind, suffix in _KINDS.items():
        found = (path for path in (out / kind).rglob("*") if path.suffix in (suffix, ".json"))
        yield from sorted({path.with_suffix(suffix) for path in found})


def _load(path: Path) -> tuple[Any, Record]:
    """A product and its record; CacheError where one is missing or they do not fit one another."""
    record = read_json(path.with_suffix(".json"))
    if not record or not path.is_file():
        there = "there is a record of it, but no file" if record else "no record beside it that can be read"
        raise CacheError(f"{there}; {_AGAIN}")
    kind, made_by = (FeatureFile, "extractor") if path.suffix == ".npy" else (JointFile, "pose")
    try:
        if not record_is_whole(record):
            raise CacheError(f"its record changed since it was written; {_AGAIN}")
        made_of = {"video": record["video"]["sha256"], made_by: record[made_by], "decode": record["decode"]}
        if digest(made_of) != record["key"]:
            raise CacheError(f"its key is not that of what its record names; {_AGAIN}")
        if missing := [name for name in _NEEDED if kind is FeatureFile and name not in record]:
            raise CacheError(f"its record does not say {', '.join(missing)}; {_AGAIN}")
        return kind(path, record["key"]).load()
    except (KeyError, TypeError) as error:
        raise CacheError(f"its record is not whole ({type(error).__name__}: {error}); {_AGAIN}") from error
