"""What a benchmark of speed is asked for, checked before any work."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import RunConfig, load_config
from pipeline.inputs import UsageError
from pipeline.precision import MEANINGS, as_overrides
from pipeline.recipe import MODALITIES, RGB, check_modalities

PLOT_SUFFIXES = (".html", ".pdf", ".png", ".svg")
_QUICK_MINUTES = (0.025, 0.05, 0.1)
_QUICK_COUNTS = (1, 2, 4)
_SHORT_SEC, _QUICK_SHORT_SEC = 10.0, 1.5


@dataclass(frozen=True, kw_only=True)
class Options:
    """See `augrgb bench --help`; UsageError for what makes no sense."""

    videos: Sequence[Path]
    preset: str | None = None
    config: Path | None = None
    overrides: Sequence[str] = ()
    features: Sequence[str] = MODALITIES
    precisions: Sequence[str] = ()  # none: the settings'
    device: str = "auto"
    repeats: int = 3
    minutes: Sequence[float] = (1.0, 5.0, 25.0)
    counts: Sequence[int] = (1, 8, 64)
    random_weights: bool = False
    quick: bool = False
    plot: Path | None = None
    command: str = ""

    def __post_init__(self) -> None:
        check_modalities(self.features)
        if RGB not in self.features or len(set(self.features)) < len(self.features):
            raise UsageError(f"--features {','.join(self.features)}: expected rgb, and each modality once")
        if self.repeats < 1:
            raise UsageError(f"--repeats {self.repeats}: expected 1 or more")
        if not all(0 < minutes < math.inf for minutes in self.minutes):
            raise UsageError(f"--lengths {_listed(self.minutes)}: expected minutes above 0, such as 1,5,25")
        if not all(count > 0 for count in self.counts):
            raise UsageError(f"--counts {_listed(self.counts)}: expected numbers of videos, such as 1,8,64")
        if unknown := [name for name in self.precisions if name not in MEANINGS]:
            raise UsageError(f"--precision {unknown[0]}: there is {', '.join(MEANINGS)}; several by commas")
        if self.plot is not None and self.plot.suffix.lower() not in PLOT_SUFFIXES:
            raise UsageError(f"--plot {self.plot}: its suffix is one of {', '.join(PLOT_SUFFIXES)}")

    @property
    def wanted_minutes(self) -> Sequence[float]:
        """Lengths to measure: of a quick run seconds, where lengths are wanted at all."""
        return _QUICK_MINUTES if self.quick and self.minutes else self.minutes

    @property
    def wanted_counts(self) -> Sequence[int]:
        """Numbers of videos, likewise."""
        return _QUICK_COUNTS if self.quick and self.counts else self.counts

    @property
    def short_sec(self) -> float:
        """Length of the videos that are many: what each of them costs by itself shows."""
        return _QUICK_SHORT_SEC if self.quick else _SHORT_SEC

    @property
    def scaling_rounds(self) -> int:
        """Lengths and numbers are measured in so many rounds: a quick run does it once."""
        return 1 if self.quick else self.repeats

    def configs(self) -> dict[str, RunConfig]:
        """Settings by precision."""
        if not self.precisions:
            config = load_config(self.preset, self.config, self.overrides)
            return {config.precision: config}
        return {
            name: load_config(self.preset, self.config, [*as_overrides(name), *self.overrides])
            for name in self.precisions
        }


def _listed(values: Sequence[object]) -> str:
    return ",".join(map(str, values))
