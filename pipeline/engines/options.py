"""Where the videos are worked on: this process, several of this machine, or a Ray cluster."""

import importlib.util
import os
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch

from pipeline.inputs import UsageError

EngineName = Literal["local", "processes", "ray"]
WORKER_BYTES = 3 << 30  # of memory, for a worker without a GPU, where nobody says how many


@dataclass(frozen=True)
class EngineOptions:
    """As the command line has them; UsageError where they make no sense together."""

    name: str = "local"
    workers: int | None = None  # None: as many as there is room for
    gpus_per_worker: float | None = None  # None: 1 where there are GPUs
    device: str = "auto"  # cpu: workers take no GPU

    def __post_init__(self) -> None:
        names, gpus = get_args(EngineName), self.gpus_per_worker
        if self.name not in names:
            raise UsageError(f"--engine {self.name}: there is: {', '.join(names)}")
        if self.name == "local" and (self.workers is not None or gpus is not None):
            raise UsageError("--workers and --gpus-per-worker need --engine processes or --engine ray")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers {self.workers}: expected 1 or more")
        if gpus is not None and not 0 <= gpus <= 1:
            raise UsageError(f"--gpus-per-worker {gpus:g}: a worker uses one GPU, or a part of it: 0 to 1")
        if self.device == "cpu" and gpus:
            raise UsageError(f"--gpus-per-worker {gpus:g} and --device cpu: leave one of them out")
        if self.name == "ray" and importlib.util.find_spec("ray") is None:
            raise UsageError(
                "--engine ray: Ray is not installed; install it on every node: pip install 'augrgb[ray]', or "
                "pip install ray"
            )

    def on(self, device: str) -> "EngineOptions":
        """The same for a --device: auto, cpu or cuda[:i]."""
        return replace(self, device=device)


LOCAL = EngineOptions()


@dataclass(frozen=True)
class Seat:
    """Room for one worker on this machine: `gpu` as CUDA_VISIBLE_DEVICES names it."""

    threads: int
    gpu: str | None = None


def seats(options: EngineOptions) -> list[Seat]:
    """Of all workers on this machine: a GPU or a part of one each, else a share of the cores."""
    gpus = _gpus(options.device)
    share = options.gpus_per_worker if options.gpus_per_worker is not None else float(bool(gpus))
    if share and not gpus:
        raise UsageError(f"--gpus-per-worker {share:g}: this machine has no CUDA device")
    cores = torch.get_num_threads()
    most = len(gpus) * workers_in(1, share) if share else None
    count = options.workers or most or min(cores, max(1, _memory_bytes() // WORKER_BYTES))
    if most is not None and count > most:
        raise UsageError(
            f"--workers {count}: {len(gpus)} CUDA devices have room for {most} workers of {share:g} each"
        )
    threads = max(1, cores // count)
    return [Seat(threads, gpus[i % len(gpus)] if share else None) for i in range(count)]


def workers_in(room: float, share: float) -> int:
    """How many shares go into a room: three thirds do, whatever floating point says."""
    return int(room / share + 1e-6)


def _gpus(device: str) -> list[str]:
    """Those that --device allows."""
    if device == "cpu" or not torch.cuda.is_available():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else list(map(str, range(torch.cuda.device_count())))
    _, given, index = device.partition(":")
    return [names[int(index)]] if given else names


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
