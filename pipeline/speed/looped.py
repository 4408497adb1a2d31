"""Videos of any length from the ones at hand: their packets over and over, nothing decoded or encoded."""

from fractions import Fraction
from itertools import accumulate, count
from pathlib import Path
from typing import Any

from pipeline.inputs import UsageError


def write_looped(source: Path, target: Path, seconds: float) -> Path:
    """The video stream of a file, repeated or cut to about `seconds`, in the order it is stored.

    Its container is that of `target`'s suffix. UsageError where packets cannot be copied into it.
    """
    import av

    try:
        with av.open(str(source)) as container, av.open(str(target), "w") as out:
            stream = container.streams.video[0]
            copied = out.add_stream_from_template(stream, opaque=True)
            _copy(container, stream, out, copied, seconds)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise UsageError(
            f"{source}: cannot be repeated as {target.suffix} ({error}); give a H.264 video in MP4 or "
            "Matroska, or measure without --lengths"
        ) from error
    return target


def _copy(container: Any, stream: Any, out: Any, copied: Any, seconds: float) -> None:
    """Pass after pass over the packets, each shifted by what the ones before it last."""
    packets = [packet for packet in container.demux(stream) if packet.size]
    pts = [packet.dts if packet.pts is None else packet.pts for packet in packets]
    if len(packets) < 2 or None in pts:
        raise ValueError("it has a single packet, or some without times")
    dts, cuts, time_base = _decode_times(pts), _clean_cuts(pts), stream.time_base
    end = min(pts) + round(Fraction(seconds).limit_denominator(1000) / time_base)
    period = Fraction(max(pts) - min(pts), len(pts) - 1) * len(pts)  # the last frame lasts as others
    for number in count():
        shift = round(number * period)
        for i, packet in enumerate(packets):
            cut = cuts[i]
            if cut is not None and cut + shift >= end:
                return
            packet.stream, packet.time_base = copied, time_base
            packet.pts, packet.dts = pts[i] + shift, dts[i] + shift
            out.mux(packet)


def _decode_times(pts: list[int]) -> list[int]:
    """When each packet is decoded: in the order they are stored, none later than it is shown."""
    shown = sorted(pts)
    delay = max(late - time for late, time in zip(shown, pts, strict=True))
    return [time - delay for time in shown]


def _clean_cuts(pts: list[int]) -> list[int | None]:
    """Where a video may end: before packets that, and whose followers, are shown after all earlier ones.

    Of these the time of the first frame that is left out; None elsewhere.
    """
    first_left_out = list(accumulate(reversed(pts), min))[::-1]
    last_taken = accumulate(pts, max, initial=min(pts) - 1)
    return [first if last < first else None for first, last in zip(first_left_out, last_taken, strict=False)]
