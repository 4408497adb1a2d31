"""A video with what was found in it drawn onto it: skeletons, active labels, a score strip with a cursor.

Frames stream in from the decoder and out to an H.264 file at their own times, so memory does not grow with
the length of a video.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.annotate_mp4 import mp4_writer
from pipeline.annotate_picture import Painter
from pipeline.annotate_source import Shown, check_video, gather, named_in
from pipeline.cache import CacheError
from pipeline.config import RunConfig
from pipeline.files import read_json, write_atomic
from pipeline.inputs import UsageError, printable
from pipeline.job import Job
from pipeline.progress import Progress
from pipeline.request import Request
from pipeline.request import request as make_request
from pipeline.timeline import Clock
from pipeline.video import VideoError, VideoStream, decode
from pipeline.video_work import check_shape

FOLDER = "annotated"  # of OUT


@dataclass(frozen=True)
class Look:
    """What is drawn."""

    top: int = 6  # classes in the strip: those that score highest anywhere in the video
    threshold: float | None = None  # of a label that is active; None: events as the settings make them
    skeletons: bool | None = None  # None: where joints are there; True: they are made; False: none

    def __post_init__(self) -> None:
        if self.top < 1 or not (self.threshold is None or 0 <= self.threshold <= 1):
            raise UsageError(
                f"expected one class or more and a threshold from 0 to 1, got {self.top} and {self.threshold}"
            )


def annotate(
    video: str | Path,
    out: str | Path | None = None,
    *,
    to: str | Path | None = None,
    checkpoint: str | Path | None = None,
    annotations: str | Path | None = None,
    look: Look = Look(),
    device: str = "auto",
    quiet: bool = False,
) -> Path:
    """Write the annotated video, by default below OUT/annotated; returns where it is.

    Scores are those of the models that were trained in `out`, or of `checkpoint`; what they need and `out`
    does not hold is made, in a temporary folder where there is no `out`. UsageError before any work,
    FailFast where the video cannot be decoded, which is said.
    """
    video = Path(video)
    check_video(video)
    with _results(out, checkpoint) as folder:
        request = make_request(
            [video],
            folder,
            annotations=annotations or (None if checkpoint else _labels_of(folder)),
            checkpoint=checkpoint,
            config=None if checkpoint else folder / "run.json",
            device=device,
            quiet=quiet,
        )
        source = named_in(folder, video, request.job)
        beside = Path(f"{video.stem}-annotated.mp4")  # of an OUT that is kept: in its folder
        target = Path(to) if to else folder / FOLDER / _mp4_name(source.name) if out else beside
        _check_target(target, video)
        job = replace(request.job, sources=(source,), fail_fast=True)
        return _draw(replace(request, job=job), target, look)


def _draw(request: Request, to: Path, look: Look) -> Path:
    job = request.job
    lineup = request.lineup()
    job.out.mkdir(parents=True, exist_ok=True)
    try:
        with job.stage("annotate") as result:
            shown = gather(request, lineup, skeletons=look.skeletons, threshold=look.threshold)
            try:
                write_atomic(to, partial(_write, job, shown, look.top))
            except VideoError as error:
                job.fail(result, job.sources[0].name, error.reason, str(error))
    finally:
        job.claims.let_go()
    for line in _remarks(shown, lineup.final, look):
        job.progress.say(line)
    job.progress.say(f"written: {printable(to)}")
    return to


def render(
    video: Path, shown: Shown, path: Path, *, config: RunConfig, progress: Progress, top: int = 6
) -> None:
    """Decode, draw, encode to `path`, in one pass.

    Once more from the first frame where another decoder has to take over. VideoError where the video cannot
    be decoded, CacheError where its frames are not those that were scored.
    """

    def consume(frames: VideoStream) -> None:
        check_shape(frames)
        clock = frames.meta.clock
        _check_clock(video, clock, shown.clock)
        painter = Painter(shown, (frames.meta.width, frames.meta.height), top)
        bar = progress.bar("annotate", clock.num_frames)
        with mp4_writer(path, painter.size, clock) as writer, bar as done:
            for frame, rgb_HWC in enumerate(frames):
                writer.write(painter.draw(frame, rgb_HWC))
                done.advance()

    decode(video, consume, fps=None, policy=config.decode, limits=config.work.limits)


def _write(job: Job, shown: Shown, top: int, file: IO[bytes]) -> None:
    """Into a file that has no good name yet."""
    (source,) = job.sources
    render(source.path, shown, Path(file.name), config=job.config, progress=job.progress, top=top)


def _remarks(shown: Shown, model: str, look: Look) -> Iterator[str]:
    """What a user should know of the picture."""
    active = len({event.label for event in shown.events})
    yield (
        f"scores of {model}: {len(shown.events)} events of {active} of {len(shown.scores.classes)} classes; "
        f"{'no labels are known of it' if shown.truth is None else 'labels are the white bars'}; "
        "sound is left out"
    )
    if shown.people is None and look.skeletons is None:
        yield "nobody's joints are known of it: --skeletons finds them, if the preset has weights for that"


@contextmanager
def _results(out: str | Path | None, checkpoint: str | Path | None) -> Iterator[Path]:
    """The folder of a run; or, for a checkpoint alone, one that is gone in the end."""
    if out is None and checkpoint is None:
        raise UsageError("nothing to score with: give --out, the folder of a run, or --checkpoint")
    if out is None:
        with tempfile.TemporaryDirectory(prefix="augrgb-annotate-") as folder:
            yield Path(folder)
        return
    if checkpoint is None and not read_json(Path(out) / "run.json"):
        raise UsageError(f"{out}: no run has left anything there; name the folder of a run, or --checkpoint")
    yield Path(out)


def _labels_of(out: Path) -> str | None:
    """The labels of the run, where they still are: they are shown, and nothing depends on them."""
    path = read_json(out / "run.json").get("annotations")
    return path if isinstance(path, str) and Path(path).is_file() else None


def _mp4_name(video: str) -> str:
    return video if video.lower().endswith(".mp4") else f"{video}.mp4"


def _check_target(to: Path, video: Path) -> None:
    """UsageError where the file cannot be written, before any work."""
    if to.suffix.lower() != ".mp4":
        raise UsageError(f"{to}: what is written is an MP4; expected a name that ends in .mp4")
    if to.is_dir() or (to.exists() and to.samefile(video)):
        raise UsageError(f"{to}: is {'a folder' if to.is_dir() else 'the video itself'}; name another file")


def _check_clock(video: Path, clock: Clock, scored: Clock) -> None:
    """CacheError where frames are not those that were scored: every score belongs to one of them."""
    if clock.num_frames != scored.num_frames or not np.array_equal(clock.sec_F, scored.sec_F):
        raise CacheError(
            f"{video}: its features were made of {scored.num_frames} frames, and now {clock.num_frames} come "
            "from it, or at other times; delete them (augrgb clean) and run again"
        )
