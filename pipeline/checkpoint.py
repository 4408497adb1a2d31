"""Trained models on disk: weights, class names, settings and which features they expect."""

import io
import json
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models import build_model
from models.base import TemporalModel
from pipeline.config import RunConfig, complete
from pipeline.inputs import name_problem, unprintable_character
from pipeline.sealed import check_seal, is_sealed, write_sealed

FORMAT = 2
_UNSEALED = 1  # what earlier versions wrote; otherwise the same
_MOST_BYTES = 4 << 30  # of a file: ten times the largest of our models at its default size


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file, what was found, what to do."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One trained temporal model.

    `features` holds, for each input in order, the identity of the features it was trained on: the
    extractor's and what of decoding changes the numbers. `key` names everything that the training
    depended on. `history` has one row per epoch, `best` is the row whose weights these are.
    """

    name: str  # "vanilla", "student", ...
    classes: tuple[str, ...]
    config: dict[str, Any]  # the RunConfig, as plain values
    features: dict[str, dict[str, Any]]  # input -> identity
    in_dim: int
    state: dict[str, Tensor]
    key: str
    best: dict[str, float]
    history: list[dict[str, float]] = field(default_factory=list)
    format: int = FORMAT

    @property
    def run_config(self) -> RunConfig:
        """The settings it was trained with."""
        return complete(self.config, f"checkpoint {self.name!r}")

    def build(self) -> TemporalModel:
        """The model with its weights, in eval mode."""
        config = self.run_config

        def fresh() -> TemporalModel:
            settings = getattr(config, config.model)
            return build_model(
                config.model, in_dim=self.in_dim, num_classes=len(self.classes), config=settings
            )

        with torch.device("meta"):  # sizes alone: those of a file that means harm could fill the memory
            expected = fresh().state_dict()
        for name, tensor in expected.items():
            if name not in self.state or self.state[name].shape != tensor.shape:
                found = list(self.state[name].shape) if name in self.state else "missing"
                raise CheckpointError(f"{name} is {found}, its settings say {list(tensor.shape)}")
        model = fresh()
        model.load_state_dict(self.state)
        return model.eval()

    def save(self, path: Path) -> None:
        """Tensors and plain values only, so that it loads without running code."""
        # asdict would copy every tensor
        plain = {**asdict(self._replace_state({})), "classes": list(self.classes)}
        # by way of JSON, so that the same values are the same bytes: pickle notes which strings are one
        # object, and in what a resumed training has read from its file others are
        values = {**json.loads(json.dumps(plain)), "state": self.state}
        write_sealed(path, lambda file: torch.save(values, file))

    def _replace_state(self, state: dict[str, Tensor]) -> "Checkpoint":
        return Checkpoint(**{**self.__dict__, "state": state})

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """CheckpointError for anything that is not a whole checkpoint of ours; no code of the file is run."""
        try:
            values = _read(_bytes(path))
        except FileNotFoundError as error:
            raise CheckpointError(f"{path}: no such checkpoint") from error
        except Exception as error:  # a dozen kinds were seen of damaged files
            raise CheckpointError(
                f"{path}: not a checkpoint that can be read safely: {_first_line(error)}"
            ) from error
        if not isinstance(values, dict) or values.get("format") not in (FORMAT, _UNSEALED):
            found = values.get("format") if isinstance(values, dict) else type(values).__name__
            raise CheckpointError(
                f"{path}: expected an augrgb checkpoint of format {_UNSEALED} or {FORMAT}, found {found!r}"
            )
        try:
            checkpoint = cls(**{**values, "format": FORMAT, "classes": tuple(values["classes"])})
            _check_names(checkpoint)
            checkpoint.build()
        except (TypeError, KeyError, ValueError, RuntimeError, AttributeError) as error:
            raise CheckpointError(
                f"{path}: its weights and settings do not fit: {_first_line(error)}"
            ) from error
        return checkpoint


def _bytes(path: Path) -> bytes:
    """All of a file; ValueError for what has no end, or would fill the memory."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file; expected one such as OUT/checkpoints/vanilla.ckpt")
    if status.st_size > _MOST_BYTES:
        raise ValueError(f"{status.st_size >> 30} GiB; no model of ours has more than {_MOST_BYTES >> 30}")
    return path.read_bytes()


def _read(data: bytes) -> Any:
    """What is in a file; SealError where it is not what was written."""
    if is_sealed(data):
        check_seal(data)
    values = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if isinstance(values, dict) and values.get("format") == FORMAT:
        check_seal(data)  # the seal itself may be what was damaged
    return values


def _check_names(checkpoint: Checkpoint) -> None:
    """They go into paths, tables and pages; labels that are trained on are checked when they are read."""
    name, classes = checkpoint.name, checkpoint.classes
    if not isinstance(name, str) or name_problem(name) or "/" in name:
        raise CheckpointError(f"its name is {name!r}")
    if not classes or len(set(classes)) < len(classes):
        raise CheckpointError(f"{len(classes)} classes, {len(set(classes))} of them different")
    for label in classes:
        if not isinstance(label, str) or not label or unprintable_character(label):
            raise CheckpointError(f"a class is called {label!r}")
    if not isinstance(checkpoint.features, dict):
        raise CheckpointError("it does not say which features it expects")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
