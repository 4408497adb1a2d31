"""A video of hours: does memory stay flat, and does a minute of it always cost the same?

    PYTHONPATH=. python -P -m scripts.long_video CLIP --work FOLDER [--times 120] [--set fps=6.25]

repeats CLIP without touching its pictures, extracts RGB features of the whole at size `tiny`, and prints
memory and processor time of all processes against the place in the video. Exit code 1 where memory (the
median of five minutes) grows by more than 10 % between minute 5 and the end, or the second half takes over
10 % more or less processor time than the first.
"""

import argparse
import json
from pathlib import Path

import av
import numpy as np

from scripts.watched import Sample, at_times, augrgb, logged, run_watched

ALLOWED = 0.10  # growth of memory, and difference between the halves
SETTLED_MIN = 5.0  # of video; by then everything is loaded


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path, help="a video whose codec MP4 can hold")
    parser.add_argument("--work", type=Path, required=True, help="folder for the long video and its features")
    parser.add_argument("--times", type=int, default=120, help="how often it is repeated")
    parser.add_argument("--set", action="append", default=[], help="a setting, as `augrgb extract` takes it")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    video, out = args.work / "long.mp4", args.work / "out"
    minutes = repeat(args.clip, video, args.times) / 60
    settings = [word for setting in args.set for word in ("--set", setting)]
    command = augrgb("extract", video, "--preset", "tiny", "--device", "cpu", "--out", out, *settings)
    code, samples = run_watched(command, args.work / "printed.txt")
    if code:
        raise SystemExit(f"extract ended with {code}; see {args.work / 'printed.txt'}")
    found = measure(out, samples, minutes)
    (args.work / "figures.json").write_text(json.dumps(found, indent=1))
    print_figures(found)
    return int(abs(found["second_half"]) > ALLOWED or found["growth"] > ALLOWED)


def repeat(clip: Path, target: Path, times: int) -> float:
    """Write the packets of a clip's video stream again and again; seconds of the result."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as container:
        stream = source.streams.video[0]
        pts = sorted(packet.pts for packet in source.demux(stream) if packet.pts is not None)
        length = (pts[-1] - pts[0]) * len(pts) // (len(pts) - 1)  # its last frame is shown as long as others
        copy = container.add_stream_from_template(stream)
        for number in range(times):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.pts += number * length
                    packet.dts += number * length
                    packet.stream = copy
                    container.mux(packet)
        return float(times * length * stream.time_base)


def measure(out: Path, samples: list[Sample], minutes: float) -> dict:
    """Curves, and what the goals are about."""
    rows = logged(out, "position")
    begin, end = logged(out, "start")[0]["at"], logged(out, "extracted")[0]["at"]
    place_T = np.array([0.0, *(minutes * row["frames"] / row["of"] for row in rows), minutes])
    time_T = np.array([begin, *(row["at"] for row in rows), end])
    memory_T, cpu_T = at_times(samples, time_T)
    memory_S, at_S = np.array([(sample.memory_mb, sample.at) for sample in samples]).T
    place_S = np.interp(at_S, time_T, place_T)
    settled_mb, last_mb = (
        float(np.median(memory_S[(place_S >= since) & (place_S < since + SETTLED_MIN)]))
        for since in (SETTLED_MIN, minutes - SETTLED_MIN)
    )
    cpu_sec, wall_sec = (np.interp([0, minutes / 2, minutes], place_T, x_T) for x_T in (cpu_T, time_T))
    grid_P = np.unique([0.0, SETTLED_MIN, *np.arange(0, minutes, minutes / 12), minutes])
    return {
        "minutes": minutes,
        "settled_mb": settled_mb,
        "last_mb": last_mb,
        "growth": last_mb / settled_mb - 1,
        "peak_mb": float(memory_S.max()),
        "second_half": float(np.diff(cpu_sec)[1] / np.diff(cpu_sec)[0] - 1),
        "second_half_on_the_clock": float(np.diff(wall_sec)[1] / np.diff(wall_sec)[0] - 1),
        "curve": [
            {
                "minute": float(place),
                "memory_mb": float(np.interp(place, place_T, memory_T)),
                "cpu_sec": float(np.interp(place, place_T, cpu_T)),
                "sec": float(np.interp(place, place_T, time_T) - begin),
            }
            for place in grid_P
        ],
    }


def print_figures(found: dict) -> None:
    """A table, and the two sentences."""
    print("| minute of the video | memory, MB | processor, s | clock, s |\n|---:|---:|---:|---:|")
    for row in found["curve"]:
        print(f"| {row['minute']:.0f} | {row['memory_mb']:.0f} | {row['cpu_sec']:.0f} | {row['sec']:.0f} |")
    memory = f"{found['settled_mb']:.0f} to {found['last_mb']:.0f} MB ({found['growth']:+.1%})"
    print(f"memory, minutes 5 to 10 against the last 5: {memory}; peak {found['peak_mb']:.0f} MB")
    clock = found["second_half_on_the_clock"]
    halves = f"{found['second_half']:+.1%} processor time ({clock:+.1%} on the clock)"
    print(f"second half against the first: {halves}")


if __name__ == "__main__":
    raise SystemExit(main())
