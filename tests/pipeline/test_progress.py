"""What is shown and logged while it works."""

import pytest

from pipeline.files import read_json_lines
from pipeline.progress import PLAIN_EVERY_SEC, WITHIN_EVERY_SEC, Progress


@pytest.fixture
def clock(monkeypatch):
    """`clock(seconds)`: so much time passes, for progress alone."""
    now = [1000.0]

    def passes(seconds):
        now[0] += seconds

    monkeypatch.setattr("pipeline.progress.time.monotonic", lambda: now[0])
    return passes


def test_counts_and_the_time_left_are_said_every_few_seconds(capsys, clock):
    with Progress().bar("extract", 10) as bar:
        for number in range(10):
            clock(PLAIN_EVERY_SEC / 2)
            bar.advance(f"{number}.mp4")
    assert capsys.readouterr().out.splitlines() == [
        "extract  2/10  0:00:05 gone, 0:00:20 left  1.mp4",
        "extract  4/10  0:00:10 gone, 0:00:15 left  3.mp4",
        "extract  6/10  0:00:15 gone, 0:00:10 left  5.mp4",
        "extract  8/10  0:00:20 gone, 0:00:05 left  7.mp4",
    ]


def test_how_far_it_is_in_a_long_video_is_said_and_logged(tmp_path, capsys, clock):
    progress, seen = Progress(tmp_path / "log.jsonl"), []
    with progress.bar("extract", 1):
        for frame in progress.within("long.mp4", iter(range(100)), 100):
            clock(WITHIN_EVERY_SEC / 40)
            seen.append(frame)
    assert seen == list(range(100))
    rows = read_json_lines(tmp_path / "log.jsonl")
    assert [(row["event"], row["video"], row["frames"], row["of"]) for row in rows] == [
        ("position", "long.mp4", 40, 100),
        ("position", "long.mp4", 80, 100),
    ]
    assert capsys.readouterr().out.splitlines() == [
        "extract  0/1  0:00:10 gone  long.mp4 (40 of 100 frames)",
        "extract  0/1  0:00:20 gone  long.mp4 (80 of 100 frames)",
    ]


def test_a_short_video_and_a_quiet_run_say_nothing(tmp_path, capsys, clock):
    progress = Progress(tmp_path / "log.jsonl", quiet=True)
    with progress.bar("extract", 2) as bar:
        list(progress.within("short.mp4", range(5), 5))
        clock(PLAIN_EVERY_SEC)
        bar.advance("short.mp4")
    assert not (tmp_path / "log.jsonl").exists()
    assert capsys.readouterr().out == ""


def test_half_a_line_of_a_process_that_was_killed_spoils_no_other(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"event": "start"}\n{"event": "ext')
    Progress(log).event("start", videos=2)
    Progress(log).event("end")
    assert [row["event"] for row in read_json_lines(log)] == ["start", "start", "end"]
