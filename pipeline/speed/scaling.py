"""Cost against the length of a video and the number of videos: the same work on more of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.inputs import Source
from pipeline.speed.looped import write_looped
from pipeline.speed.memory_use import watch_peak
from pipeline.speed.report import Figure, ScalingRow
from pipeline.speed.workbench import Workbench
from pipeline.video import probe

_LOOK_EVERY_SEC = 1.0


@dataclass(frozen=True)
class Size:
    """So much video."""

    minutes: float  # in all
    frames: int
    sources: tuple[Source, ...]
    many: bool  # short videos, or a long one


def of_lengths(source: Source, minutes: Sequence[float], fps: float | None, scratch: Path) -> list[Size]:
    """One video each, the packets of `source` over and over."""
    sizes = []
    for length in minutes:
        longer = clip(source, scratch, 60 * length)
        sizes.append(Size(length, _frames(longer, fps), (longer,), many=False))
    return sizes


def more_videos(
    sources: Sequence[Source], counts: Sequence[int], seconds: float, fps: float | None, scratch: Path
) -> list[Size]:
    """So many videos of `seconds` each, cut from `sources` in turn."""
    if not counts:
        return []
    short = [clip(source, scratch / str(i), seconds) for i, source in enumerate(sources)]
    frames, sizes = [_frames(source, fps) for source in short], []
    for count in counts:
        taken = [i % len(short) for i in range(count)]
        videos = tuple(Source(short[k].path, f"{i:04}/{short[k].name}") for i, k in enumerate(taken))
        minutes = count * seconds / 60
        sizes.append(Size(minutes, sum(frames[k] for k in taken), videos, many=True))
    return sizes


def clip(source: Source, folder: Path, seconds: float) -> Source:
    """A video of this length, cut from another or made of it by repetition."""
    folder.mkdir(parents=True, exist_ok=True)
    suffix = source.path.suffix if source.path.suffix in (".mp4", ".mov", ".mkv") else ".mkv"
    path = write_looped(source.path, folder / f"{seconds:g}s{suffix}", seconds)
    return Source(path, path.name)


@dataclass
class Scaling:
    """The features of all sizes, round after round."""

    bench: Workbench
    sizes: Sequence[Size]
    _seconds: dict[int, list[float]] = field(default_factory=dict)  # by place in `sizes`
    _cpu_sec: dict[int, list[float]] = field(default_factory=dict)
    _peaks: dict[int, int] = field(default_factory=dict)

    def round(self) -> None:
        """Every size once."""
        for i, size in enumerate(self.sizes):
            cpu_before = time.process_time()
            with watch_peak(self.bench.device, _LOOK_EVERY_SEC) as peak:
                self._seconds.setdefault(i, []).append(self.bench.extraction(size.sources))
            self._cpu_sec.setdefault(i, []).append(time.process_time() - cpu_before)
            self._peaks[i] = max(self._peaks.get(i, 0), peak.host_bytes)

    def rows(self, *, many: bool) -> tuple[ScalingRow, ...]:
        """Of many short videos, or of single long ones."""
        return tuple(
            ScalingRow(
                minutes=size.minutes,
                videos=len(size.sources),
                frames=size.frames,
                seconds=Figure.of(self._seconds[i]),
                ms_per_frame=Figure.of(1000 * seconds / size.frames for seconds in self._seconds[i]),
                cpu_ms_per_frame=Figure.of(1000 * seconds / size.frames for seconds in self._cpu_sec[i]),
                host_peak_bytes=self._peaks[i],
            )
            for i, size in enumerate(self.sizes)
            if size.many == many
        )


def _frames(source: Source, fps: float | None) -> int:
    return probe(source.path).clock.num_sampled(fps)
