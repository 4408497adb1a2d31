"""`augrgb bench`: how fast each stage is beside its bare networks, what bounds it, and how cost grows.

    round 1: decoder; of each precision: every stage, followed by its bare networks; all lengths and numbers
    round 2: the same again, ...

One process, one run, rounds interleaved: what else the machine does is shared fairly by both sides of a
ratio, which are of the same round.
"""

import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from extractors.precision import dtype_of
from pipeline.config import RunConfig
from pipeline.inputs import Source, find_videos
from pipeline.job import describe_device, resolve_device, versions
from pipeline.precision import MEANINGS, check_device
from pipeline.progress import Progress
from pipeline.speed.decoding import DecoderBench
from pipeline.speed.options import Options
from pipeline.speed.peaks import PeakMeter
from pipeline.speed.report import PrecisionReport, Report
from pipeline.speed.scaling import Scaling, Size, clip, more_videos, of_lengths
from pipeline.speed.stand_in_weights import stand_in_weights
from pipeline.speed.summary import precision_report
from pipeline.speed.workbench import Workbench

_QUICK_SEC = 3.0  # of video


def bench(options: Options, progress: Progress) -> Report:
    """Measure; ValueError for what a user can mend. The videos are only read."""
    device, configs = resolve_device(options.device), options.configs()
    for config in configs.values():
        check_device(config, options.features, device)
    sources = find_videos(options.videos).sources
    with tempfile.TemporaryDirectory(prefix="augrgb-bench-") as folder:
        scratch = Path(folder)
        if options.quick:
            sources = (clip(sources[0], scratch, _QUICK_SEC),)
        if options.random_weights:
            configs = {
                name: stand_in_weights(config, options.features, scratch / "weights")
                for name, config in configs.items()
            }
        return _Benchmark(options, configs, sources, device, scratch, progress).run()


@dataclass(frozen=True)
class _Benchmark:
    options: Options
    configs: Mapping[str, RunConfig]  # by precision
    sources: Sequence[Source]
    device: torch.device
    scratch: Path
    progress: Progress

    def run(self) -> Report:
        """Everything, round after round."""
        load_before, config = os.getloadavg()[0], next(iter(self.configs.values()))
        decoder = DecoderBench.start(config, self.sources)
        lengths = of_lengths(self.sources[0], self.options.wanted_minutes, config.fps, self.scratch)
        short_sec = self.options.short_sec
        counts = more_videos(self.sources, self.options.wanted_counts, short_sec, config.fps, self.scratch)
        measured = {name: self._precision(name, [*lengths, *counts]) for name in self.configs}
        for name, one in measured.items():
            self.progress.say(f"warming up (precision {name})")
            one.bench.warm_up()
        started = time.monotonic()
        for number in range(self.options.repeats):
            elapsed = time.monotonic() - started
            self.progress.say(f"round {number + 1} of {self.options.repeats}, after {elapsed:.0f} s")
            decoder.round()
            for one in measured.values():
                one.round(scaling=number < self.options.scaling_rounds)
        return Report(
            machine={**self._machine(), "load_before": load_before, "load_after": os.getloadavg()[0]},
            settings=self._settings(config),
            material=decoder.material,
            decoder=decoder.row(),
            precisions=tuple(one.report(decoder) for one in measured.values()),
        )

    def _precision(self, name: str, sizes: Sequence[Size]) -> "_Measured":
        config = self.configs[name]
        folder = self.scratch / f"results-{name}"
        bench = Workbench(config, self.options.features, self.sources, self.device, folder, self.progress)
        dtype = dtype_of(MEANINGS[config.precision])
        return _Measured(name, bench, Scaling(bench, sizes), PeakMeter(self.device, dtype))

    def _machine(self) -> dict[str, Any]:
        return {
            "device": describe_device(self.device),
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "threads": torch.get_num_threads(),
            "versions": versions(),
        }

    def _settings(self, config: RunConfig) -> dict[str, Any]:
        return {
            "command": self.options.command,
            "preset": config.preset,
            "fps": config.fps,
            "features": list(self.options.features),
            "batch": asdict(config.work),
            "repeats": self.options.repeats,
            "short_sec": self.options.short_sec,
            "random_weights": self.options.random_weights,
            "quick": self.options.quick,
        }


@dataclass(frozen=True)
class _Measured:
    """One precision, and what is measured of it."""

    name: str
    bench: Workbench
    scaling: Scaling
    peaks: PeakMeter

    def round(self, *, scaling: bool) -> None:
        self.peaks.round()
        self.bench.round()
        if scaling:
            self.scaling.round()

    def report(self, decoder: DecoderBench) -> PrecisionReport:
        return precision_report(self.name, self.bench, decoder, self.scaling, self.peaks.best())


def _processor() -> str:
    """Its name, as Linux has it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
