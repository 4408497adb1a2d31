"""What was asked for: a benchmark's name and all that may be said about it, checked on its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from pipeline.benchmark.catalogue import BENCHMARKS, FOLDER, PRACTICE, DataSet
from pipeline.benchmark.folds import Grouping
from pipeline.config import RunConfig, load_config
from pipeline.inputs import UsageError
from pipeline.interchange.feature_layouts import Layout
from pipeline.interchange.grids import GridRule
from pipeline.presets import PRESETS
from pipeline.protocols import resolve
from pipeline.recipe import RGB, check_modalities

DEFAULT_FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Options:
    """As the command line has them; None: as the benchmark's own table says."""

    name: str
    out: Path
    videos: Sequence[Path] = ()
    annotations: Path | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)  # of others' features, by modality
    layout: Layout | None = None
    steps: str = "even"
    steps_per_sec: float | None = None
    preset: str | None = None
    config: Path | None = None
    overrides: Sequence[str] = ()
    teachers: Sequence[str] | None = None
    rows: Sequence[str] | None = None
    protocols: Sequence[str] | None = None
    seeds: int | None = None
    folds: int | None = None
    group_by: str | None = None
    label_curve: Sequence[int] = ()
    draws: int = 3
    samples: int = 1000
    allow_missing: bool = False
    dry_run: bool = False
    device: str = "auto"
    workers: int | None = None
    command: str = ""
    quiet: bool = False

    @property
    def data(self) -> DataSet:
        """UsageError for a name that there is not."""
        if self.name not in BENCHMARKS:
            raise UsageError(f"no benchmark {self.name!r}; there is: {', '.join(BENCHMARKS)}")
        return BENCHMARKS[self.name]

    @property
    def grouping(self) -> Grouping:
        """Videos that stay together."""
        return Grouping(self.group_by)

    @property
    def own_folds(self) -> int | None:
        """Of a folder, five unless said otherwise; 0 means the subsets of its annotations."""
        if self.name != FOLDER:
            return None
        return DEFAULT_FOLDS if self.folds is None else (self.folds or None)

    @property
    def grid(self) -> GridRule:
        """When the steps of others' features are."""
        return GridRule.parse(self.steps)

    def judged_by(self) -> tuple[str, ...]:
        """Protocols, the headline first."""
        return self.data.protocols if self.protocols is None else resolve(self.protocols)

    def taught_by(self) -> tuple[str, ...]:
        """Teacher modalities."""
        if self.teachers is not None:
            return tuple(self.teachers)
        return tuple(name for name in self.folders if name != RGB) if self.folders else self.data.teachers

    def settings(self) -> RunConfig:
        """The benchmark's recipe and training, and what was asked for over it."""
        preset = self.preset or (None if self.config else self.data.preset)
        if preset is not None and preset not in PRESETS:
            raise UsageError(f"this version has no preset {preset!r}; there is: {', '.join(PRESETS)}")
        own = () if self.config else self.data.settings
        teachers = f"teachers=[{','.join(self.taught_by())}]"
        return load_config(preset, self.config, [*own, teachers, *self.overrides])

    def check(self) -> None:
        """UsageError for what does not go together."""
        _ = self.data, self.grouping, self.grid
        check_modalities([*self.folders, *self.taught_by()])
        if RGB in self.taught_by():
            raise UsageError("--teachers: rgb is what the student sees; a teacher is flow or skeleton")
        self._check_numbers()
        self._check_features()
        if self.name != FOLDER and (self.folds is not None or self.group_by is not None):
            raise UsageError(f"--folds and --group-by are for `{FOLDER}`: {self.name} has splits of its own")
        if self.name != PRACTICE and self.annotations is None:
            given = f" ({self.data.annotations})" if self.data.annotations else ""
            raise UsageError(f"{self.name} needs its annotations: --annotations FILE{given}")
        if self.name == PRACTICE and (self.videos or self.annotations):
            raise UsageError(
                f"{PRACTICE} makes its own videos and labels; leave VIDEOS and --annotations out"
            )

    def _check_numbers(self) -> None:
        wanted = {"--seeds": self.seeds, "--draws": self.draws, "--workers": self.workers}
        for option, number in wanted.items():
            if number is not None and number < 1:
                raise UsageError(f"{option} {number}: expected 1 or more")
        if self.samples < 0:
            raise UsageError(f"--samples {self.samples}: expected 0 (no intervals) or more")

    def _check_features(self) -> None:
        if not self.folders:
            if self.name != PRACTICE and not self.videos:
                raise UsageError(f"{self.name} needs VIDEOS, or features made elsewhere: --features rgb=DIR")
            if self.layout is not None:
                raise UsageError("--layout is of features made elsewhere: --features rgb=DIR")
            return
        if self.videos or self.name == PRACTICE:
            raise UsageError("give VIDEOS or --features, not both: features made elsewhere need no videos")
        if self.layout is None:
            raise UsageError(f"--features needs --layout: {', '.join(get_args(Layout))}")
        if lacking := [name for name in (RGB, *self.taught_by()) if name not in self.folders]:
            raise UsageError(f"--features: a folder of {lacking[0]} is needed: --features {lacking[0]}=DIR")
