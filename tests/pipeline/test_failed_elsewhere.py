"""A video that fails in one process is not tried by those that were running then, and is by later ones."""

import json

import pytest

from pipeline.commands import extract
from pipeline.failed_elsewhere import FailedElsewhere
from pipeline.request import request

FAILED = {"event": "failure", "reason": "hang", "message": "a.mp4: hangs"}


def add(log, **row):
    with log.open("a") as file:
        file.write(json.dumps(row) + "\n")


def test_what_is_added_after_the_beginning_is_found_and_nothing_older(tmp_path):
    log = tmp_path / "log.jsonl"
    add(log, **FAILED, attempt="old")
    others = FailedElsewhere(log, log.stat().st_size)
    assert others.find(tmp_path, "old") is None
    add(log, **FAILED, attempt="new")
    found = others.find(tmp_path / "a.mp4", "new")
    assert (found.reason, str(found), found.path) == ("hang", "a.mp4: hangs", tmp_path / "a.mp4")
    assert others.find(tmp_path, "old") is None


def test_half_a_line_is_read_when_it_is_whole_and_damage_is_passed_over(tmp_path):
    log = tmp_path / "log.jsonl"
    others = FailedElsewhere(log, 0)
    assert others.find(tmp_path, "a") is None  # there is no log yet
    whole = json.dumps({**FAILED, "attempt": "a"})
    log.write_text('{"attempt": 1}\n"attempt"\n{"attempt"\n' + whole[:40])
    assert others.find(tmp_path, "a") is None
    with log.open("a") as file:
        file.write(whole[40:] + "\n")
    assert others.find(tmp_path, "a").reason == "hang"


@pytest.fixture
def begun(tmp_path):
    """`begun(*settings)`: a run that has begun, on a folder with one broken video."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"no video")

    def begin(*settings):
        options = {"preset": "tiny", "device": "cpu", "quiet": True, "features": ("rgb",)}
        return request(tmp_path / "videos", tmp_path / "out", overrides=settings, **options)

    return begin


@pytest.fixture
def opened(monkeypatch):
    """Paths that a decoder was asked for."""
    import pipeline.video_work

    whole, paths = pipeline.video_work.open_video, []

    def open_video(path, **options):
        paths.append(path)
        return whole(path, **options)

    monkeypatch.setattr(pipeline.video_work, "open_video", open_video)
    return paths


def test_a_run_that_had_begun_does_not_try_again_and_a_later_one_does(tmp_path, begun, opened):
    def tries(each):
        before = len(opened)
        extract(each)
        (failure,) = each.job.failures
        (kept,) = (tmp_path / "out" / "failures.jsonl").read_text().splitlines()
        assert json.loads(kept)["message"] == failure.message
        return len(opened) - before

    first, second, with_other_limits = begun(), begun(), begun("work.decoder_mb=1500")
    assert tries(first) == 1
    assert tries(second) == 0
    assert tries(with_other_limits) == 1
    assert tries(begun()) == 1
