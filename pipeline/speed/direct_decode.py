"""The decoding libraries alone, in a process of their own: `python -P -m pipeline.speed.direct_decode`.

Reads one JSON object from standard input, {"path", "decoder", "frame_index"}, decodes these frames, throws
them away, and prints {"seconds", "cpu_sec"}: packet scan included, imports not.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from pipeline.decoder import frames
from pipeline.scan import scan


def main() -> None:
    """One video."""
    request = json.load(sys.stdin)
    path, index_S = Path(request["path"]), np.array(request["frame_index"])
    started, before = time.perf_counter(), _cpu_sec()
    known = scan(path, _tick)
    wanted_F = np.zeros(known.num_frames, dtype=bool)
    wanted_F[index_S] = True
    for _ in frames(path, known, request["decoder"], wanted_F, _tick):
        pass
    took = {"seconds": time.perf_counter() - started, "cpu_sec": _cpu_sec() - before}
    print(json.dumps(took))


def _tick() -> None:
    """Nobody watches."""


def _cpu_sec() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
