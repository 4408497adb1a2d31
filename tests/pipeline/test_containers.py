"""What containers promise, and when the promise is broken."""

import numpy as np
import pytest

from pipeline.containers import AVI, MATROSKA, MOV, cut_short, missing_end, origin_sec, presentation_times


def test_times_are_sorted_into_the_order_of_presentation():
    times, why = presentation_times([0, 4, 2, 1, 3], dts=[-2, -1, 0, 1, 2])
    np.testing.assert_array_equal(times, np.arange(5))
    assert times.dtype == np.int64
    assert why is None


@pytest.mark.parametrize(
    ("pts", "dts", "why"),
    [
        ([0, None, 2], [], "1 of 3 are missing"),
        ([0, 1, 1, 2], [], "1 of 4 are repeated"),
        ([0, 2, 1, 3], [0, 1, -50, -49], "jump back"),
    ],
)
def test_times_that_cannot_be_used(pts, dts, why):
    times, note = presentation_times(pts, dts)
    assert times is None
    assert why in note


@pytest.mark.parametrize(("name", "origin"), [(MOV, 0.0), (MATROSKA, 0.0), (AVI, 1.5), ("mpegts", 1.4)])
def test_where_a_player_starts_to_count(name, origin):
    assert origin_sec(name, container_start_sec=1.4, first_sec=1.5) == origin


@pytest.mark.parametrize(
    "name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "faststart.mp4", "fragmented.mp4", "live.mkv", "a.avi"]
)
def test_whole_files_are_whole_and_cut_ones_are_cut(write_video, tmp_path, name):
    mux = {
        "faststart.mp4": {"movflags": "faststart"},
        "fragmented.mp4": {"movflags": "frag_keyframe+empty_moov"},
        "live.mkv": {"live": "1"},
    }
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(
        name[-5:], {".avi": "mpeg4"}.get(name[-4:], "libx264")
    )
    path = write_video(tmp_path / name, 20, codec=codec, mux=mux.get(name))
    assert not cut_short(path)
    whole = path.read_bytes()
    path.write_bytes(whole + b"\x00" * 5)
    assert not cut_short(path)
    path.write_bytes(whole[:-3])
    silent = name in (
        "live.mkv",
        "a.avi",
    )  # a live stream has no declared size; of AVI the duration is compared
    assert cut_short(path) is not silent


def test_sixty_four_bit_boxes(tmp_path):
    path = tmp_path / "a.mp4"
    box = b"\x00\x00\x00\x01mdat" + (16 + 100).to_bytes(8, "big") + bytes(100)
    path.write_bytes(b"\x00\x00\x00\x08ftyp" + box)
    assert not cut_short(path)
    path.write_bytes(b"\x00\x00\x00\x08ftyp" + box[:-1])
    assert cut_short(path)


def test_declared_duration_not_reached(tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(b"RIFF" + bytes(100))
    assert missing_end(path, AVI, declared_sec=100.0, end_sec=99.5) is None
    assert "60.0 of 100.0 s" in (missing_end(path, AVI, declared_sec=100.0, end_sec=60.0) or "")
    assert missing_end(path, "mpegts", declared_sec=100.0, end_sec=60.0) is None
