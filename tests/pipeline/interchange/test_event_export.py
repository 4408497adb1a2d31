import io
import json

import av
import pytest

from pipeline.events import Event
from pipeline.interchange.event_export import subtitles, write_activitynet, write_srt
from pipeline.interchange.event_import import read_events
from pipeline.interchange.names import InterchangeError

EVENTS = {
    "d/a.mp4": [Event(1 / 3, 2.0, "pour, then stir", 0.1 + 0.2), Event(1.5, 3.25, "=日本", 1.0)],
    "d/none.mp4": [],
}


def test_activitynet_has_every_video_and_exact_numbers(tmp_path):
    write_activitynet(tmp_path / "to" / "events.json", EVENTS)
    document = json.loads((tmp_path / "to" / "events.json").read_text())
    assert set(document) == {"version", "results", "external_data"}  # which its evaluation looks for
    assert document["results"]["none"] == []
    assert document["results"]["a"][0] == {
        "label": "pour, then stir",
        "score": 0.1 + 0.2,
        "segment": [1 / 3, 2.0],
    }
    back = read_events(tmp_path / "to" / "events.json")
    assert list(back.values()) == list(EVENTS.values())
    with pytest.raises(InterchangeError, match="is a folder"):
        write_activitynet(tmp_path / "to", EVENTS)


def read_by_ffmpeg(text):
    """(start, end, text) of each subtitle, by an independent parser."""
    with av.open(io.BytesIO(text.encode()), format="srt") as file:
        packets = [packet for packet in file.demux() if packet.size]
        return [(p.pts * p.time_base, (p.pts + p.duration) * p.time_base, bytes(p).decode()) for p in packets]


def test_subtitles_follow_one_another_and_list_what_goes_on():
    events = [Event(1.0, 3.0, "walk", 0.5), Event(2.0, 4.0, "wave", 0.75), Event(5.0, 6.0, "sit", 1.0)]
    assert read_by_ffmpeg(subtitles(events)) == [
        (1, 2, "walk (0.50)"),
        (2, 3, "wave (0.75)\nwalk (0.50)"),
        (3, 4, "wave (0.75)"),
        (5, 6, "sit (1.00)"),
    ]


def test_subtitles_are_numbered_from_one_with_times_to_the_millisecond():
    text = subtitles([Event(0.0, 0.9996, "a", 0.5), Event(360_000.0018, 360_001.0, "b", 0.5)])
    assert text == (
        "1\n00:00:00,000 --> 00:00:01,000\na (0.50)\n\n2\n100:00:00,002 --> 100:00:01,000\nb (0.50)\n"
    )
    assert subtitles([]) == ""


def test_events_shorter_than_a_millisecond_are_seen_and_none_before_the_beginning():
    assert read_by_ffmpeg(subtitles([Event(1.0, 1.0, "blink", 0.5)])) == [
        (1, pytest.approx(1.001), "blink (0.50)")
    ]
    assert read_by_ffmpeg(subtitles([Event(-1.0, 0.5, "early", 0.5)])) == [(0, 0.5, "early (0.50)")]
    assert subtitles([Event(-1.0, -0.5, "before", 0.5)]) == ""


@pytest.mark.parametrize(
    ("label", "line"),
    [
        ("two\nlines\r\n\r\n7", "two lines 7"),
        ("a --> b", "a --＞ b"),
        ("<b>x</b>{\\an8}", "＜b＞x＜/b＞｛＼an8｝"),
        ("00:00:01,000 --> 00:00:02,000", "00:00:01,000 --＞ 00:00:02,000"),
    ],
)
def test_labels_stay_in_their_line_and_are_no_mark_up(label, line):
    found = read_by_ffmpeg(subtitles([Event(1.0, 2.0, label, 0.5), Event(3.0, 4.0, "next", 0.5)]))
    assert found == [(1, 2, f"{line} (0.50)"), (3, 4, "next (0.50)")]


def test_a_file_for_each_video_that_has_events(tmp_path):
    assert write_srt(tmp_path / "to", EVENTS) == ["d/none.mp4"]
    (path,) = (tmp_path / "to").iterdir()
    assert path.name == "a.srt"
    assert len(read_by_ffmpeg(path.read_text())) == 3
    write_srt(tmp_path / "to", EVENTS)  # again, over its own
    with pytest.raises(InterchangeError, match=r"holds 1 other \.srt files, such as a\.srt"):
        write_srt(tmp_path / "to", {"b.mp4": EVENTS["d/a.mp4"]})
    with pytest.raises(InterchangeError, match="is a file; name a folder"):
        write_srt(path, EVENTS)


def test_paths_are_kept_where_stems_collide(tmp_path):
    write_srt(tmp_path, {"d/a.mp4": EVENTS["d/a.mp4"], "e/a.mp4": EVENTS["d/a.mp4"]})
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.srt")} == {
        "d/a.srt",
        "e/a.srt",
    }


@pytest.mark.parametrize("name", ["../a.mp4", "/tmp/a.mp4", "d/../../a.mp4", "a\0b"])
@pytest.mark.parametrize("write", [write_srt, write_activitynet])
def test_names_from_files_are_not_trusted(tmp_path, name, write):
    with pytest.raises(InterchangeError, match="video "):
        write(tmp_path / "to" / "x", {name: EVENTS["d/a.mp4"]})
    assert not list(tmp_path.rglob("*"))
