"""`augrgb clean OUT --unused`: what no current run refers to, found, listed, removed.

In use is what the run in OUT/run.json would find there: of each of its videos the features and joints of its
settings, the scores of its models, and these models. Folders of a modality whose networks cannot be built
here (no weights, no mmpose) are kept: nobody can say whether they are its own. Nothing is fetched. Only the
folders that augrgb makes are looked at; other files in OUT are left alone.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from extractors.weights import find_weights
from pipeline.checkpoint import Checkpoint, CheckpointError
from pipeline.claims import someone_works, sweep
from pipeline.classifier import classifier_name
from pipeline.inputs import UsageError
from pipeline.job import Job
from pipeline.lineup import TWO_STREAM
from pipeline.plans import run_plans
from pipeline.recipe import MODALITIES, Recipe, needed_weights
from pipeline.request import request
from pipeline.training import checkpoint_path

_KINDS = ("features", "joints", "scores", "model_scores", "checkpoints", "training")


@dataclass(frozen=True)
class Unused:
    """A file, or a folder with everything in it."""

    path: Path
    files: int
    size: int  # bytes


def find_unused(out: Path) -> list[Unused]:
    """What no current run in `out` refers to, in the order of names.

    UsageError where `out` is not the folder of a run, or a process works on it.
    """
    if not (out / "run.json").is_file():
        raise UsageError(f"{out}: no run.json; expected the folder of results of an earlier run")
    if someone_works(out):
        raise UsageError(f"{out}: a process works on it; wait until it is done")
    # with features: without, the classifier of public weights would be made, and for that fetched
    job = request(None, out, features=MODALITIES, remember=True, quiet=True, device="cpu").job
    used = {path.absolute() for path in _used(job)}
    found: list[Unused] = []
    for kind in _KINDS:
        _collect((out / kind).absolute(), used, found)
    return found


def remove(out: Path, unused: list[Unused]) -> None:
    """Remove it, and the folders that are empty then."""
    for one in unused:
        if one.path.is_dir() and not one.path.is_symlink():
            shutil.rmtree(one.path)
        else:
            one.path.unlink(missing_ok=True)
    sweep(out)


def _used(job: Job) -> Iterator[Path]:
    """Files and whole folders that the run refers to, there or not."""
    names, out = [source.name for source in job.sources], job.out
    for modality in MODALITIES:
        yield from _features(job, modality, names)
    if job.config.classifier:
        models = [classifier_name(job.config)]
    else:
        models = [plan.name for plan in run_plans(job.config)]
    for model in models:
        yield checkpoint_path(out, model)
        yield from _training(out, model)
    folders = ["scores", *(f"model_scores/{model}" for model in (*models, TWO_STREAM))]
    for name in names:
        for folder in folders:
            yield out / folder / f"{name}.npz"
            yield out / folder / f"{name}.csv"


def _features(job: Job, modality: str, names: list[str]) -> Iterator[Path]:
    """Of one modality; all that there is of it where its networks cannot be built."""
    there = list((job.out / "features").glob(f"{modality}-*"))
    if not there:
        return
    recipe = _recipe(job, modality)
    if recipe is None:
        yield from there
        if modality == "skeleton":
            yield job.out / "joints"
        return
    for name in names:
        files = [*recipe.locate(job.out, name, "").values()]
        joints = recipe.locate_joints(job.out, name, "")
        for file in [*files, *([joints] if joints else [])]:
            yield file.path
            yield file.record_path


def _recipe(job: Job, modality: str) -> Recipe | None:
    """How the run makes features of a modality; None where that cannot be said without fetching anything."""
    try:
        if None in map(find_weights, needed_weights(job.config, (modality,))):
            return None
        return Recipe.build(job.config, (modality,), job.progress, job.device)
    except (ValueError, ImportError, OSError):
        return None


def _training(out: Path, model: str) -> Iterator[Path]:
    """Curves of the model that is there, and trainings that are not at their end yet."""
    try:
        key = Checkpoint.load(checkpoint_path(out, model)).key[:8]
    except CheckpointError:
        key = None
    for folder in (out / "training").glob(f"{model}-*"):
        rest = folder.name.removeprefix(f"{model}-")
        if len(rest) == 8 and (key in (None, rest) or (folder / "resume").is_dir()):
            yield folder


def _collect(path: Path, used: set[Path], found: list[Unused]) -> bool:
    """Add what is unused in `path`, a folder as one where all of it is; whether something in it is used."""
    if path in used or not path.exists():
        return path in used
    if path.is_symlink() or not path.is_dir():
        found.append(Unused(path, 1, path.lstat().st_size))
        return False
    inside: list[Unused] = []
    some = [_collect(entry, used, inside) for entry in sorted(path.iterdir())]
    if any(some):
        found += inside
        return True
    found.append(Unused(path, sum(one.files for one in inside), sum(one.size for one in inside)))
    return False
