"""Which frames come, from which decoder: the child's work, run in this process."""

from dataclasses import replace

import av
import numpy as np
import pytest

from pipeline.decoder import DecodeError, frames
from pipeline.scan import recount, scan


def tick() -> None:
    """No watchdog here."""


def read(path, name, wanted=None):
    known = scan(path, tick)
    wanted_F = np.ones(known.num_frames, dtype=bool) if wanted is None else wanted
    return [frame.copy() for frame in frames(path, known, name, wanted_F, tick)]


X265 = {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=24:open-gop=1"}}
OPEN_GOP = {"options": {"x264-params": "open-gop=1:keyint=24:bframes=3"}}


@pytest.mark.parametrize("name", ["decord", "pyav"])
@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("closed.mp4", {}),
        ("open.mp4", OPEN_GOP),
        ("open265.mp4", X265),
        ("open265.mkv", X265),
        ("fragmented.mp4", {"mux": {"movflags": "frag_keyframe+empty_moov"}, "options": {"g": "12"}}),
        ("late.mp4", {"pts": range(25, 125)}),
        ("late.mkv", {"pts": range(25, 125)}),
        ("bframes.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
        ("vp9.webm", {"codec": "libvpx-vp9"}),
        ("mjpeg.mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    ],
)
def test_every_frame_comes_once_and_in_order(write_video, read_number, tmp_path, name, file, settings):
    path = write_video(tmp_path / file, 72, **settings)
    assert [read_number(frame) for frame in read(path, name)] == list(range(72))
    assert scan(path, tick).avoid_decord is None


@pytest.mark.parametrize("name", ["decord", "pyav"])
def test_only_wanted_frames_are_converted(write_video, read_number, tmp_path, name):
    path = write_video(tmp_path / "a.mp4", 30)
    wanted_F = np.zeros(30, dtype=bool)
    wanted_F[[3, 4, 29]] = True
    assert [read_number(frame) for frame in read(path, name, wanted_F)] == [3, 4, 29]


@pytest.mark.parametrize(
    ("file", "settings", "why"),
    [
        ("a.ts", {}, "mpegts"),
        ("gop.ts", X265, "mpegts"),
        ("mpeg2.ts", {"codec": "mpeg2video"}, "mpegts"),
        ("a.flv", {}, "flv"),
        ("a.gif", {"codec": "gif", "pix_fmt": "rgb8"}, "gif"),
        ("live.mkv", {"mux": {"live": "1"}}, "declared duration"),
        (
            "ten.mp4",
            {"codec": "libx265", "options": {"x265-params": "log-level=none"}, "pix_fmt": "yuv420p10le"},
            "10-bit",
        ),
        ("prores.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}, "prores"),
        ("interlaced.mp4", {"options": {"x264-params": "interlaced=1"}}, "fields of interlaced"),
    ],
)
def test_what_decord_gets_wrong_goes_to_pyav(write_video, read_number, tmp_path, file, settings, why):
    path = write_video(tmp_path / file, 60, **settings)
    assert why in scan(path, tick).avoid_decord
    assert [read_number(frame) for frame in read(path, "pyav")] == list(range(60))


@pytest.mark.parametrize("settings", [{"codec": "mpeg2video"}, X265])
def test_decord_cannot_put_frames_in_the_place_of_others(write_video, tmp_path, settings):
    """Of MPEG-TS it drops the first frames, repeats the last ones, and the count is right."""
    path = write_video(tmp_path / "a.ts", 60, **settings)
    with pytest.raises(DecodeError, match="decord"):
        read(path, "decord")


def test_frames_before_the_start_of_an_edit_list_are_not_shown(write_video, read_number, tmp_path):
    path = write_video(tmp_path / "a.mp4", 30, pts=range(-5, 25))
    known = scan(path, tick)
    assert (known.num_frames, known.notes) == (25, ("5 frames hidden by an edit list",))
    assert "edit list" in known.avoid_decord
    assert [read_number(frame) for frame in read(path, "pyav")] == list(range(5, 30))


@pytest.mark.parametrize("name", ["decord", "pyav"])
@pytest.mark.parametrize(("width", "height"), [(127, 95), (129, 96), (128, 97), (32, 24)])
def test_odd_sizes(write_video, paint_number, read_number, tmp_path, name, width, height):
    for file, codec, pix_fmt in [("a.webm", "libvpx-vp9", "yuv420p"), ("a.mp4", "libx264", "yuv444p")]:
        path = write_video(
            tmp_path / file, [paint_number(i, width, height) for i in range(6)], codec=codec, pix_fmt=pix_fmt
        )
        found = read(path, name)
        assert [frame.shape for frame in found] == [(height, width, 3)] * 6
        assert [read_number(frame) for frame in found] == list(range(6))


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_rotation_makes_upright(write_video, paint_number, read_number, tmp_path, rotation):
    """Stored turned, with the matrix that turns it back."""
    stored = [np.rot90(paint_number(i), -rotation // 90) for i in range(6)]
    path = write_video(tmp_path / "a.mp4", stored, rotation=rotation)
    for name in ("decord", "pyav"):
        found = read(path, name)
        assert [frame.shape for frame in found] == [(96, 128, 3)] * 6
        assert [read_number(frame) for frame in found] == list(range(6))


def test_recordings_that_follow_one_another_keep_their_order(
    write_video, paint_number, read_number, tmp_path
):
    """Times start anew in the middle, and so does the size."""
    first = write_video(tmp_path / "a.ts", 20)
    second = write_video(tmp_path / "b.ts", [paint_number(i, 160, 120) for i in range(20, 40)])
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    known = scan(both, tick)
    assert known.pts_F is None
    found = read(both, "pyav")
    assert [frame.shape for frame in found] == [(96, 128, 3)] * 40
    assert [read_number(frame) for frame in found] == list(range(40))


def test_a_cover_picture_is_no_video(write_video, paint_number, tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuvj420p"
        stream.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(paint_number(1), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(DecodeError, match="cover picture") as error:
        scan(path, tick)
    assert error.value.reason == "no_video_stream"


def test_a_decoder_that_gives_another_count_is_an_error(write_video, tmp_path):
    path = write_video(tmp_path / "a.mp4", 20)
    known = scan(path, tick)
    with pytest.raises(DecodeError, match="gave 20 of 25 frames"):
        list(frames(path, known, "decord", np.ones(25, dtype=bool), tick))


def test_a_decoder_that_starts_with_another_frame_is_an_error(write_video, tmp_path):
    path = write_video(tmp_path / "a.mp4", 20)
    known = scan(path, tick)
    known = replace(known, first_HWC=255 - known.first_HWC)
    with pytest.raises(DecodeError, match="first frame"):
        list(frames(path, known, "decord", np.ones(20, dtype=bool), tick))


def test_memory_of_decord_has_a_limit(write_video, tmp_path, monkeypatch):
    """Where the process cannot be stopped in time: its frames are dropped and PyAV decodes."""
    path = write_video(tmp_path / "a.mp4", 20)
    monkeypatch.setattr("pipeline.decoder._private_bytes", iter([0, 1 << 40]).__next__)  # before, later
    with pytest.raises(DecodeError, match="fills the memory"):
        read(path, "decord")


def test_a_large_stream_goes_to_pyav(write_video, tmp_path, monkeypatch):
    """decord holds all packets in memory."""
    path = write_video(tmp_path / "a.mp4", 20)
    assert scan(path, tick).avoid_decord is None
    monkeypatch.setattr("pipeline.decoder._DECORD_PACKET_BYTES", 1000)
    assert "packets in memory" in scan(path, tick).avoid_decord


def test_packets_that_are_not_frames(write_video, read_number, tmp_path):
    """A stream cut before its first key frame: what cannot be decoded was never shown."""
    path = write_video(tmp_path / "a.ts", 60, options={"g": "20", "bf": "0", "x264-params": "scenecut=0"})
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.ts"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for i, packet in enumerate(p for p in source.demux(video=0) if p.size):
            if i >= 10:
                packet.stream = stream
                target.mux(packet)
    known = scan(tmp_path / "b.ts", tick)
    counted = recount(tmp_path / "b.ts", known, tick)
    assert counted.error is None
    wanted_F = np.ones(counted.num_frames, dtype=bool)
    numbers = [read_number(frame) for frame in frames(tmp_path / "b.ts", counted, "pyav", wanted_F, tick)]
    assert numbers == list(range(20, 60))
    assert (known.num_frames, counted.num_frames, counted.expected_frames) == (50, 40, 40)
    assert counted.notes == ("50 packets hold 40 frames",)
