"""What the page plays: a preview of each video, or a link to the video itself.

    media/<id>.mp4             preview
    media/<id>.js              its coarse flow
    media/<id>-source.<type>   link to the video where there is no preview; it plays if the browser can

The id is that of the video's content and the recipe of the preview, never of its name.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path

from pipeline.files import digest, temporary_path
from pipeline.inputs import VIDEO_SUFFIXES
from pipeline.job import Job, StageResult
from pipeline.page_preview import RECIPE, make_preview
from pipeline.report_data import Media
from pipeline.video_types import VideoError


def media_of(
    job: Job, starts: Mapping[str, tuple[str, float]], result: StageResult, *, previews: bool
) -> dict[str, Media]:
    """What is played of each video; `starts` has the hash of its content and its first frame's time.

    `previews`: those that are missing are made; a video of which none can be made is a failure of the stage.
    """
    folder = job.out / "report" / "media"
    names = {video: _name(job, sha256) for video, (sha256, _) in starts.items()}
    paths = {source.name: source.path for source in job.sources}
    if previews:
        todo = [video for video, name in names.items() if not _is_there(folder, name)]
        _make(job, folder, {video: names[video] for video in todo}, paths, result)
    found = {}
    for video, name in names.items():
        if _is_there(folder, name):
            files = f"media/{name}.mp4", f"media/{name}.js"
            found[video] = Media("preview", files[0], starts[video][1], files[1])
        elif link := _link(folder, name, paths[video]):
            found[video] = Media("source", f"media/{link}", 0.0)
    tidy(folder, found.values(), all_of_it=previews)
    return found


def tidy(folder: Path, used: Iterable[Media], *, all_of_it: bool) -> None:
    """Remove links that no video of the page uses; previews, which took a while, only where all are new."""
    names = {Path(file).name for media in used for file in (media.file, media.flow) if file}
    for path in folder.glob("*"):
        if path.name not in names and (path.is_symlink() or (all_of_it and path.suffix in (".mp4", ".js"))):
            path.unlink(missing_ok=True)


def _make(
    job: Job, folder: Path, names: Mapping[str, str], paths: Mapping[str, Path], result: StageResult
) -> None:
    """The previews of these videos, those that others make at the same time left to them."""
    claimed = job.claims.each("preview", list(names), job.progress.say)
    with job.progress.bar("preview", len(names)) as bar, closing(claimed):
        for video in claimed:
            name = names[video]
            try:
                if not _is_there(folder, name):
                    mp4, flow = folder / f"{name}.mp4", folder / f"{name}.js"
                    policy, limits = job.config.decode, job.config.work.limits
                    make_preview(paths[video], mp4, flow, name, policy=policy, limits=limits)
            except VideoError as error:
                job.fail(result, video, error.reason, str(error))
            bar.advance(video)


def _name(job: Job, sha256: str) -> str:
    return digest({"video": sha256, "recipe": RECIPE, "decode": asdict(job.config.decode)})[:16]


def _is_there(folder: Path, name: str) -> bool:
    """The flow is written last, so both are whole."""
    return (folder / f"{name}.js").is_file() and (folder / f"{name}.mp4").is_file()


def _link(folder: Path, name: str, source: Path) -> str | None:
    """Name of a relative link to the video; None where the file system has no links."""
    suffix = source.suffix.lower()
    link = f"{name}-source{suffix if suffix in VIDEO_SUFFIXES else ''}"
    target = os.path.relpath(source, folder.resolve())
    with suppress(OSError):
        if (folder / link).readlink() == Path(target):
            return link
    folder.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(folder)
    try:
        temporary.symlink_to(target)
        temporary.replace(folder / link)
    except OSError:
        temporary.unlink(missing_ok=True)
        return None
    return link
