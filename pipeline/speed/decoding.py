"""The decoder alone: as the pipeline has it, and the libraries without our process around them."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.config import RunConfig
from pipeline.inputs import Source, UsageError
from pipeline.speed.report import DecoderRow, Figure, Material
from pipeline.video import DecodeResult, VideoStream, decode


@dataclass
class DecoderBench:
    """Decodes the same videos round after round."""

    config: RunConfig
    sources: Sequence[Source]
    material: Material
    _plans: list[dict[str, Any]]  # of the direct decoder, video by video
    _through_process: list[float] = field(default_factory=list)  # seconds of each round
    _direct: list[float] = field(default_factory=list)
    _cpu_sec: list[float] = field(default_factory=list)

    @classmethod
    def start(cls, config: RunConfig, sources: Sequence[Source]) -> "DecoderBench":
        """Look at all videos once; VideoError for one that cannot be decoded."""
        plans, results = [], []
        for source in sources:
            index_S, result = _read(config, source)
            plans.append(
                {"path": str(source.path), "decoder": result.decoder, "frame_index": index_S.tolist()}
            )
            results.append(result)
        return cls(config, sources, _material(results), plans)

    def round(self) -> None:
        """Both ways once."""
        started = time.perf_counter()
        for source in self.sources:
            _read(self.config, source)
        self._through_process.append(time.perf_counter() - started)
        took = [_directly(plan) for plan in self._plans]
        self._direct.append(sum(one["seconds"] for one in took))
        self._cpu_sec.append(sum(one["cpu_sec"] for one in took))

    @property
    def cpu_sec_per_frame(self) -> float:
        """That decoding costs, whoever does it."""
        return Figure.of(self._cpu_sec).median / self.material.frames

    @property
    def sec_per_frame(self) -> float:
        """As the pipeline has it."""
        return Figure.of(self._through_process).median / self.material.frames

    def row(self) -> DecoderRow:
        """All rounds."""
        frames = self.material.frames
        return DecoderRow(
            Figure.of(frames / seconds for seconds in self._through_process),
            Figure.of(frames / seconds for seconds in self._direct),
            self.cpu_sec_per_frame,
        )


def _read(config: RunConfig, source: Source) -> tuple[np.ndarray, DecodeResult]:
    """Take all frames as the pipeline does, and do nothing with them; which of the file's they were."""

    def consume(frames: VideoStream) -> np.ndarray:
        for _ in frames:
            pass
        return np.unique(frames.frame_index_S)

    return decode(source.path, consume, fps=config.fps, policy=config.decode, limits=config.work.limits)


def _material(results: Sequence[DecodeResult]) -> Material:
    first = results[0].meta
    return Material(
        videos=len(results),
        decoded_frames=sum(result.num_frames for result in results),
        frames=sum(result.num_sampled for result in results),
        seconds=sum(_seconds(result.meta.clock.sec_F) for result in results),
        width=first.width,
        height=first.height,
        codec=first.codec,
    )


def _seconds(sec_F: np.ndarray) -> float:
    """How long a video is: its last frame is shown for as long as the others are on average."""
    return float(sec_F[-1] - sec_F[0]) * len(sec_F) / max(1, len(sec_F) - 1)


def _directly(plan: dict[str, Any]) -> dict[str, float]:
    command = [sys.executable, "-P", "-m", "pipeline.speed.direct_decode"]
    done = subprocess.run(command, input=json.dumps(plan).encode(), stdout=subprocess.PIPE)
    if done.returncode:
        raise UsageError(f"{plan['path']}: {plan['decoder']} alone cannot decode it; leave it out")
    took: dict[str, float] = json.loads(done.stdout)
    return took
