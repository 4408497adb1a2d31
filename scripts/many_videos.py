"""A folder of thousands of small videos: how soon does it begin, is memory flat, is progress right?

    PYTHONPATH=. python -P -m scripts.many_videos --work FOLDER [--videos 10000] [--stop-after 50]

writes so many videos of 8 frames, each of other content, extracts RGB features of all at size `tiny`, twice.
With --stop-after the first run is ended when so many are done, and there is no second: for the start alone.
"""

import argparse
import json
import re
import signal
import struct
import subprocess
import time
from pathlib import Path

import av
import numpy as np

from scripts.watched import Sample, at_times, augrgb, logged, run_watched

SETTLED = 500  # videos; by then everything is loaded
_WINDOW = 100  # videos whose median memory is taken
_PROGRESS = re.compile(r"extract  (\d+)/(\d+)  (\d+):(\d\d):(\d\d) gone, (\d+):(\d\d):(\d\d) left")


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for videos and features")
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--stop-after", type=int, metavar="VIDEOS")
    args = parser.parse_args()
    videos, out = args.work / "videos", args.work / "out"
    write_videos(videos, args.videos)
    words = ("extract", videos, "--preset", "tiny", "--device", "cpu", "--out", out)
    began = time.time()
    if args.stop_after:
        stop_after(augrgb(*words), out, args.stop_after)
        found = {"videos": args.videos, **start_of(out, began)}
    else:
        printed = args.work / "printed.txt"
        _, samples = run_watched(augrgb(*words), printed)
        found = {"videos": args.videos, **start_of(out, began), **measure(out, samples, printed.read_text())}
        again = time.time()
        _, second = run_watched(augrgb(*words), args.work / "again.txt", every_sec=0.2)
        found |= {"again_sec": time.time() - again, "again_cpu_sec": second[-1].cpu_sec}
    (args.work / "figures.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))


def write_videos(folder: Path, count: int) -> None:
    """The same picture in all of them; a box that no player reads makes each file another."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "00000.mp4"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for _ in range(8):
            picture = np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    data = path.read_bytes()
    for number in range(1, count):
        (folder / f"{number:05d}.mp4").write_bytes(data + struct.pack(">I4sI", 12, b"free", number))


def stop_after(command: list[str], out: Path, count: int) -> None:
    """Run a command until so many videos are done."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and len(logged(out, "extracted")) < count:
            time.sleep(0.5)
        process.send_signal(signal.SIGTERM)


def start_of(out: Path, began: float) -> dict[str, float]:
    """Seconds until everything was looked at, and until the first video was begun."""
    start, first = logged(out, "start")[0], logged(out, "extracted")[0]
    return {
        "until_start_sec": start["at"] - began,
        "until_first_video_sec": first["at"] - first["seconds"] - began,
    }


def measure(out: Path, samples: list[Sample], printed: str) -> dict[str, float]:
    """Curves against videos done, and what was said on the way against what came."""
    at_V = np.array([row["at"] for row in logged(out, "extracted")])
    memory_V, cpu_V = at_times(samples, at_V)
    settled = min(SETTLED, len(at_V) // 4)
    early, late = (
        float(np.median(part)) for part in (memory_V[settled : settled + _WINDOW], memory_V[-_WINDOW:])
    )
    return {
        "extracted": len(at_V),
        "settled_mb": early,
        "last_mb": late,
        "growth": late / early - 1,
        "peak_mb": max(sample.memory_mb for sample in samples),
        "sec_per_video": float((at_V[-1] - at_V[settled]) / (len(at_V) - 1 - settled)),
        "cpu_sec_per_video": float((cpu_V[-1] - cpu_V[settled]) / (len(at_V) - 1 - settled)),
        "worst_guess": worst_guess(printed, len(at_V)),
    }


def worst_guess(printed: str, count: int) -> float:
    """How far the time predicted in the second quarter and after was from what it took, in shares of it."""
    said = [tuple(map(int, found)) for found in _PROGRESS.findall(printed)]
    assert all(total == count for _, total, *_ in said), "the total is the number of videos"
    assert sorted(said) == said, "counts and times grow"
    times = [(done, 3600 * h + 60 * m + s, 3600 * H + 60 * M + S) for done, _, h, m, s, H, M, S in said]
    if not times:
        return 0.0
    took = times[-1][1] + times[-1][2]  # the last prediction is nearly the truth
    return max(
        (abs(gone + left - took) / took for done, gone, left in times if 4 * done >= count), default=0.0
    )


if __name__ == "__main__":
    main()
