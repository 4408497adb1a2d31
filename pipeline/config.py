"""Settings: frozen dataclasses beside their owners, gathered in one RunConfig (a preset: see `presets`).

`--set a.b=c` and `--config FILE` go through `load_config`, which checks names and types.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError, with_config

from extractors.dense_grid import same_steps
from extractors.flow_config import FlowConfig
from extractors.i3d import I3DConfig
from extractors.pose_config import PoseConfig
from extractors.skeleton_config import SkeletonConfig
from models import MODELS, Method
from models.distillation import DistillationConfig
from models.linear import LinearConfig
from models.mstct import MSTCTConfig
from models.pdan import PDANConfig
from models.rivals import RivalsConfig
from models.tcn import TCNConfig
from pipeline.precision import RunPrecision, check_run_precision
from pipeline.settings_file import brief, not_finite, parse, read_text, shown
from pipeline.video import DecodeLimits, DecodePolicy

MIN_DECODER_MB = 256  # the libraries alone take 100
Teacher = Literal["flow", "skeleton"]
ClassSet = Literal["charades", "kinetics", "weights"]


class ConfigError(ValueError):
    """A setting that does not exist or cannot have this value; the message names it and what is near."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The training schedule, and what it may cost."""

    epochs: int = 100
    batch_videos: int = 8
    lr: float = 1e-3  # of Adam
    weight_decay: float = 0.0
    lr_factor: float = (
        0.5  # learning rate times this after `lr_patience` epochs without a better validation loss
    )
    lr_patience: int = 8
    patience: int = 30  # stop after so many epochs without a better validation mAP
    precision: str = "auto"  # of Lightning; auto: bf16-mixed on a GPU that has it, else 32-true

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_videos, self.patience, self.lr_patience) < 1 or not self.lr > 0:
            raise ValueError(f"need epochs, batch_videos, patience, lr_patience >= 1 and lr > 0, got {self}")


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """What is trained on and what is held out."""

    validation_share: float = 0.15  # of the training videos
    test_share: float = 0.2  # of all labelled videos, where the annotations name no subsets
    ignore: tuple[str, ...] = ()  # labels left out by name


@dataclass(frozen=True, kw_only=True)
class EventConfig:
    """How frame scores become events (pipeline/events.py)."""

    rule: Literal["threshold", "background-grouping"] = "threshold"
    threshold: float = 0.5  # threshold: of a frame's score in one class
    activity: float = 0.4  # background-grouping: of a frame's best score, 1 - P(background)
    min_sec: float = 0.2  # shorter events are dropped
    merge_gap_sec: float = 0.2  # events of one class (or groups) nearer than this are one


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """By what the test videos are judged (pipeline/protocols)."""

    protocols: tuple[str, ...] = ()  # names, or beginnings of names; none: those of the data set
    samples: int = 1000  # resamples of the videos for the 95 % interval; 0: no interval

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise ValueError(f"need samples >= 0, got {self}")


@dataclass(frozen=True, kw_only=True)
class WorkConfig:
    """What changes speed and memory, not numbers: recorded with every product, not part of its key."""

    frames: int = 32  # sampled frames that cross to the device together
    clips: int = 4  # windows that an extractor sees at once
    dense_frames: int = 64  # frames that it sees at once of a video it takes whole
    queue_mb: int = 64  # decoded frames waiting for the extractors
    hang_sec: float = 60.0  # a decoder that gives nothing for so long is killed
    deadline_sec: float = 14400.0  # so is one that a video's frames are waited for so long in all
    decoder_mb: int = 2048  # memory that a decoder process may have
    save_sec: float = 10.0  # training is saved after the first epoch that ends so long after the last time

    def __post_init__(self) -> None:
        if min(self.frames, self.clips, self.dense_frames, self.queue_mb) < 1 or not self.hang_sec > 0:
            raise ValueError(f"need frames, clips, dense_frames, queue_mb >= 1 and hang_sec > 0, got {self}")
        if not self.deadline_sec > 0 or self.decoder_mb < MIN_DECODER_MB:
            raise ValueError(f"need deadline_sec > 0 and decoder_mb >= {MIN_DECODER_MB}, got {self}")
        if not self.save_sec >= 0:
            raise ValueError(f"need save_sec >= 0, got {self}")

    @property
    def limits(self) -> DecodeLimits:
        """What the decoder of one video may cost."""
        return DecodeLimits(
            hang_sec=self.hang_sec,
            deadline_sec=self.deadline_sec,
            memory_bytes=self.decoder_mb << 20,
            queue_bytes=self.queue_mb << 20,
        )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything a run depends on, apart from its files and its device."""

    preset: str
    fps: float | None  # sampled frames per second; none: every frame
    # what all networks that make features compute in: see `pipeline.precision`. YAML reads 32 as a number
    precision: Annotated[RunPrecision, BeforeValidator(str)] = "auto"
    rgb: I3DConfig
    flow: FlowConfig
    pose: PoseConfig = field(default_factory=PoseConfig)  # who is where: what skeletons are made of
    skeleton: SkeletonConfig = field(default_factory=SkeletonConfig)
    teachers: tuple[Teacher, ...] = ()  # modalities that teach the student; none: vanilla RGB alone
    distill_unlabelled: bool = False  # videos that the annotations do not name join the distillation
    model: str = "tcn"  # the temporal model: tcn, pdan, mstct or linear
    tcn: TCNConfig = field(default_factory=TCNConfig)
    pdan: PDANConfig = field(default_factory=PDANConfig)
    mstct: MSTCTConfig = field(default_factory=MSTCTConfig)
    linear: LinearConfig = field(default_factory=LinearConfig)
    # whose classes the classifier in rgb's weights has: score with it, train nothing; weights: as they say
    classifier: ClassSet | None = None
    method: Method = "augmented"  # how teachers teach: the method itself, or one of its rivals
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    rivals: RivalsConfig = field(default_factory=RivalsConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    labels: LabelConfig = field(default_factory=LabelConfig)
    events: EventConfig = field(default_factory=EventConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    decode: DecodePolicy = field(default_factory=DecodePolicy)
    work: WorkConfig = field(default_factory=WorkConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise ValueError(f"fps must be in (0, 1000] or none, got {self.fps}")
        check_run_precision(self.precision)
        if self.model not in MODELS:
            raise ValueError(f"unknown temporal model {self.model!r}; there is: {', '.join(MODELS)}")
        if self.classifier and self.teachers:
            raise ValueError(
                f"the classifier in {self.rgb.weights} scores by itself, but the teachers "
                f"{', '.join(self.teachers)} are asked for; leave them out, or set classifier=null"
            )
        grids = {"flow": self.flow.i3d.grid, "skeleton": self.skeleton.grid}
        for teacher in self.teachers:
            if not same_steps(self.rgb.grid, grids[teacher]):
                raise ValueError(
                    "a teacher takes the same steps as its student, but the features of rgb are at "
                    f"{self.rgb.grid}, those of {teacher} at {grids[teacher]}; give both the same mode "
                    "(rgb.mode, flow.i3d.mode, skeleton.mode), and their windows the same stride"
                )


_MOST_PROBLEMS = 5  # that are named at once
_LONG_NAME = 100  # beyond it, what is near costs more than it helps
DEFAULT_PRESET = "kinetics"


def load_config(
    preset: str | None = None, config_file: Path | None = None, overrides: Sequence[str] = ()
) -> RunConfig:
    """A preset, or the saved settings of `config_file` (run.json or YAML), with `a.b=c` overrides on top.

    A file may hold a part of the settings: the rest is its preset's. A preset given by name counts
    for more than the file's.
    """
    saved = _read_settings(config_file) if config_file else {}
    name = preset or saved.get("preset") or DEFAULT_PRESET
    return override(complete({**saved, "preset": name}, str(config_file)), overrides)


def override(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """The same with settings changed as `a.b=c` says; the value is read as YAML."""
    values = asdict(config)
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {brief(text)}: expected a.b=value")
        if key.strip() == "preset":
            raise ConfigError(f"--set {brief(text)}: a preset is all settings at once; use --preset")
        try:
            change = parse(value)
        except ValueError as error:
            found = shown(value)
            raise ConfigError(f"--set {brief(text)}: {found} cannot be read as a value ({error})") from error
        for part in reversed(key.strip().split(".")):
            change = {part: change}
        _merge(values, change, RunConfig, source=f"--set {brief(text)}")
    return from_values(values)


def from_values(values: dict[str, Any]) -> RunConfig:
    """A RunConfig from plain values, as `asdict` gives them and JSON keeps them; types checked."""
    if name := not_finite(values):
        raise ConfigError(f"settings: {name} is not a finite number")
    try:
        return _adapter().validate_python(values)
    except ValidationError as error:
        problems = "; ".join(
            _problem(e["loc"], e["msg"], e["input"]) for e in error.errors()[:_MOST_PROBLEMS]
        )
        raise ConfigError(f"settings: {problems}") from error


def complete(values: Mapping[str, Any], source: str) -> RunConfig:
    """Settings of which some may be missing (a file, an earlier version): the rest is their preset's."""
    from pipeline.presets import PRESETS  # here, not above: they are made of what this file defines

    name = str(values.get("preset"))
    if name not in PRESETS:
        raise ConfigError(
            f"unknown preset {shown(name)}; there is: {', '.join(PRESETS)}{_nearest(name, PRESETS)}"
        )
    whole = asdict(PRESETS[name]())
    _merge(whole, values, RunConfig, source)
    return from_values(whole)


def to_values(config: RunConfig) -> dict[str, Any]:
    """Plain values for JSON: the inverse of `from_values`."""
    return _adapter().dump_python(config, mode="json")


def _problem(place: tuple[int | str, ...], message: str, found: Any) -> str:
    """One error of pydantic in words; a whole group of settings is not repeated."""
    where = "".join(f"{name}." for name in place)[:-1]
    text = f"{where}: {brief(message)}" if where else brief(message)
    return text if isinstance(found, Mapping) else f"{text}, got {shown(found)}"


@cache
def _adapter() -> TypeAdapter[RunConfig]:
    """Kept: to build it takes eighty times as long as to check settings with it."""
    return TypeAdapter(_strict(RunConfig))


def _strict(kind: type[RunConfig]) -> type[RunConfig]:
    return with_config(ConfigDict(extra="forbid"))(kind)


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        loaded = parse(read_text(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML or JSON ({error})") from error
    settings = loaded.get("config", loaded) if isinstance(loaded, dict) else None
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}: expected a mapping of settings or a saved run.json")
    return settings


def _merge(
    values: dict[str, Any], changes: Mapping[str, Any], kind: type, source: str, path: str = ""
) -> None:
    """Overwrite nested `values` by `changes`; a name that `kind` does not have is an error."""
    known: dict[str, Any] = {f.name: f.type for f in fields(kind)}
    for name, change in changes.items():
        where = f"{path}{name}"
        if name not in known:
            raise ConfigError(
                f"{source}: there is no setting {shown(where)}{_nearest(where, _all_settings(RunConfig))}"
            )
        if is_dataclass(known[name]):
            if not isinstance(change, Mapping):
                inner = ", ".join(f"{where}.{f.name}" for f in fields(known[name]))
                raise ConfigError(f"{source}: {where} is a group of settings: {inner}")
            _merge(values[name], change, known[name], source, f"{where}.")
        else:
            values[name] = change


def _all_settings(kind: Any, path: str = "") -> list[str]:
    names = []
    for f in fields(kind):
        names.append(path + f.name)
        if is_dataclass(f.type):
            names += _all_settings(f.type, f"{path}{f.name}.")
    return names


def _nearest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name[:_LONG_NAME], list(known), n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else ""
