"""What the page plays: previews made once, links elsewhere, and no name of a user's in between."""

from pathlib import Path

import pytest

from pipeline.inputs import Source
from pipeline.job import Job, StageResult, resolve_device
from pipeline.page_media import media_of
from pipeline.presets import tiny
from pipeline.progress import Progress

HOSTILE = '"><img onerror=x>.MP4'


@pytest.fixture
def job(tmp_path, write_video) -> Job:
    """A video with a bad name, one no browser plays, one that is none."""
    videos = tmp_path / "videos"
    videos.mkdir()
    write_video(videos / "a.mp4", 5).rename(videos / HOSTILE)
    write_video(videos / "b.avi", 5, codec="mpeg4")
    (videos / "c.mp4").write_bytes(b"none")
    sources = tuple(Source(path, path.name) for path in sorted(videos.iterdir()))
    return Job(tmp_path / "out", sources, tiny(), resolve_device("cpu"), Progress(quiet=True))


def media(job: Job, *, previews: bool) -> tuple[dict, StageResult]:
    starts = {source.name: (job.hashes.sha256(source.path), 0.5) for source in job.sources}
    result = StageResult("report")
    return media_of(job, starts, result, previews=previews), result


def files(job: Job) -> dict[str, int]:
    folder = job.out / "report" / "media"
    return {path.name: path.lstat().st_mtime_ns for path in folder.iterdir()}


def test_links_lead_to_the_videos_and_are_not_named_after_them(job):
    found, result = media(job, previews=False)
    assert not result.failures
    for source in job.sources:
        link = job.out / "report" / found[source.name].file
        assert link.is_symlink()
        assert link.samefile(source.path)
        assert not link.readlink().is_absolute()  # both may be moved together
        assert (found[source.name].kind, found[source.name].offset_sec) == ("source", 0.0)
    before = files(job)
    assert media(job, previews=False)[0] == found
    assert files(job) == before


def test_previews_are_made_once_and_a_failure_is_told(job):
    found, result = media(job, previews=True)
    (failure,) = result.failures
    assert (failure.video, failure.stage) == ("c.mp4", "report")
    assert found["c.mp4"].kind == "source"
    for name in (HOSTILE, "b.avi"):
        assert (found[name].kind, found[name].offset_sec) == ("preview", 0.5)
        assert (job.out / "report" / found[name].file).stat().st_size > 500
        assert (job.out / "report" / found[name].flow).is_file()
    before = files(job)
    assert len(before) == 5  # two previews, each with its flow, and one link
    assert media(job, previews=False)[0] == found  # those that are there are used
    assert media(job, previews=True)[0] == found
    assert files(job) == before


def test_previews_of_other_videos_go_when_all_are_asked_for(job):
    media(job, previews=True)
    fewer = Job(job.out, job.sources[1:2], job.config, job.device, job.progress)
    media(fewer, previews=False)
    assert len([name for name in files(job) if name.endswith(".mp4")]) == 2  # they took a while
    found, _ = media(fewer, previews=True)
    assert set(files(job)) == {Path(found["b.avi"].file).name, Path(found["b.avi"].flow).name}


def test_a_file_system_without_links(job, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    found, result = media(job, previews=False)
    assert found == {}
    assert not result.failures
    assert files(job) == {}
