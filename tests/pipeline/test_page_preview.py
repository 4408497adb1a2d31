"""Previews: what any browser plays, when the source shows it; and where its picture moves."""

import base64
import json
import re
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.page_preview import make_preview, preview_size, thinned
from pipeline.timeline import Clock
from pipeline.video import VideoError, open_video, probe


def preview(source: Path, folder: Path) -> tuple[Path, dict]:
    """The preview of a video, and its flow."""
    mp4, flow = folder / "a.mp4", folder / "a.js"
    make_preview(source, mp4, flow, "0123")
    (inside,) = re.fullmatch(r'augrgb\.put\("0123",(.*)\);\n', flow.read_text()).groups()
    return mp4, json.loads(inside)


def unpack(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype)


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("a.avi", {"codec": "mpeg4"}),
        ("a.mkv", {"codec": "libx265", "options": {"x265-params": "log-level=none"}}),
        ("a.mp4", {"pix_fmt": "yuv444p"}),
        ("a.mov", {"rotation": 90}),
    ],
)
def test_any_video_becomes_one_that_browsers_play(write_video, read_number, tmp_path, source, changes):
    path = write_video(tmp_path / source, 20, **changes)
    mp4, _ = preview(path, tmp_path)
    with av.open(str(mp4)) as container:
        stream = container.streams.video[0]
        assert container.format.name.startswith("mov,mp4")
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert [s.type for s in container.streams] == ["video"]
    before, after = probe(path), probe(mp4)
    assert (after.width, after.height) == (before.width, before.height)
    assert (after.clock.start_sec, after.rotation) == (0, 0)
    if not changes.get("rotation"):
        with open_video(mp4, fps=None) as frames:
            assert [read_number(frame) for frame in frames] == list(range(20))


def test_frames_come_when_they_come_in_the_source(write_video, tmp_path):
    pts = np.cumsum([0, 1, 1, 5, 1, 2, 9, 1]) + 4  # variable rate, a late start
    path = write_video(tmp_path / "a.mkv", 8, pts=pts.tolist(), rate=20)
    mp4, _ = preview(path, tmp_path)
    np.testing.assert_allclose(probe(mp4).clock.sec_F, (pts - 4) / 20, atol=1e-4)


@pytest.mark.parametrize(
    ("fps", "every"), [(10, 1), (25, 1), (Fraction(30000, 1001), 1), (31, 1), (50, 2), (60, 2), (120, 4)]
)
def test_fast_videos_are_thinned(fps, every):
    np.testing.assert_array_equal(
        np.flatnonzero(thinned(Clock.constant(121, Fraction(fps)))), np.arange(0, 121, every)
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((192, 144), (192, 144)),
        ((1920, 1080), (854, 480)),
        ((1080, 1920), (480, 854)),
        ((640, 480), (640, 480)),
        ((3840, 1000), (854, 222)),
        ((33, 1000), (28, 854)),
        ((17, 15), (16, 16)),
        ((1, 1), (2, 2)),
    ],
)
def test_size(size, expected):
    assert preview_size(*size) == expected


@pytest.mark.parametrize(
    ("width", "height", "frames"), [(16, 16, 3), (34, 480, 3), (480, 34, 3), (128, 96, 1)]
)
def test_odd_pictures(write_video, paint_number, tmp_path, width, height, frames):
    path = write_video(tmp_path / "a.mp4", [paint_number(i, width, height) for i in range(frames)])
    mp4, flow = preview(path, tmp_path)
    assert probe(mp4).clock.num_frames == frames
    assert len(unpack(flow["times"], "<i4")) == (1 if frames > 1 else 0)


@pytest.mark.parametrize("direction", [(1, 0), (-1, 0), (0, 1)])
def test_flow_says_where_the_picture_goes(write_video, tmp_path, direction):
    texture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    shifts = [(3 * i * direction[1], 3 * i * direction[0]) for i in range(20)]
    path = write_video(tmp_path / "a.mp4", [np.roll(texture, shift, (0, 1)) for shift in shifts])
    _, flow = preview(path, tmp_path)
    times, cells = unpack(flow["times"], "<i4"), unpack(flow["cells"], np.int8)
    assert times.tolist() == [0, 200, 400, 600]
    cells = cells.reshape(len(times), flow["rows"], flow["columns"], 2) * flow["scale"] / 127
    assert (flow["rows"], flow["columns"]) == (12, 16)
    inside = np.median(cells[:, 2:-2, 2:-2], axis=(0, 1, 2))  # picture widths a second
    np.testing.assert_allclose(inside, np.array(direction) * 3 * 25 / 256, atol=0.06)


def test_a_video_that_cannot_be_decoded_leaves_nothing(tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video at all")
    with pytest.raises(VideoError, match=r"bad\.mp4"):
        make_preview(bad, tmp_path / "out" / "a.mp4", tmp_path / "out" / "a.js", "0123")
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
