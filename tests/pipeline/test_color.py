"""Colours: known ones go in, the same come out, whatever range, matrix and depth they were stored in."""

import itertools
import json
from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline import extract
from pipeline.video import DecodePolicy, decode, probe

COLORS = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [128, 128, 128], [200, 120, 40]]
)
SHARES = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}  # of red, of blue
TAGS = {"bt601": 5, "bt709": 1, "bt2020": 9}
BAR = 32  # px, width of a bar of one colour
WIDTH, HEIGHT = BAR * len(COLORS), 64


def stored(matrix: str, full: bool, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Luma and chroma of every colour by ITU-R BT.601, BT.709 and BT.2020: (K,), (K, 2)."""
    red, blue = SHARES[matrix]
    rgb_K3 = COLORS / 255
    luma_K = rgb_K3 @ [red, 1 - red - blue, blue]
    chroma_K2 = (rgb_K3[:, [2, 0]] - luma_K[:, None]) / [2 * (1 - blue), 2 * (1 - red)]
    unit, largest = 1 << (bits - 8), (1 << bits) - 1
    if full:
        luma_K, chroma_K2 = luma_K * largest, chroma_K2 * largest + 128 * unit
    else:
        luma_K, chroma_K2 = (16 + 219 * luma_K) * unit, (128 + 224 * chroma_K2) * unit
    return luma_K.round().clip(0, largest), chroma_K2.round().clip(0, largest)


def bars(
    path, matrix, full, *, bits=8, codec="libx264", pix_fmt="yuv420p", said=("range", "matrix"), transfer=None
):
    """Four frames of bars; the stream says what is in `said`."""
    luma_K, chroma_K2 = stored(matrix, full, bits)
    planes_K = luma_K, chroma_K2[:, 0], chroma_K2[:, 1]
    options = {"x265-params": "log-level=none:crf=1"} if codec == "libx265" else {"crf": "1"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options if codec.startswith("libx26") else {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        for i in range(4):
            frame = av.VideoFrame(WIDTH, HEIGHT, pix_fmt)
            for plane, values_K in zip(frame.planes, planes_K, strict=True):
                samples = np.zeros((plane.height, plane.line_size // (1 + (bits > 8))))
                samples[:, : plane.width] = values_K.repeat(plane.width // len(COLORS))
                plane.update(samples.astype(np.uint16 if bits > 8 else np.uint8).tobytes())
            for of in (frame, stream.codec_context):
                of.color_range = (2 if full else 1) if "range" in said else of.color_range
                of.colorspace = TAGS[matrix] if "matrix" in said else of.colorspace
                of.color_trc = transfer or of.color_trc
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def seen(path, decoder="auto"):
    """Mean colour of the middle of every bar of the third frame, and how it was decoded."""

    def third(stream):
        return [frame.copy() for frame in stream][2]

    frame, result = decode(path, third, fps=None, policy=DecodePolicy(decoder=decoder))
    assert frame.shape == (HEIGHT, WIDTH, 3)
    middle = frame[16:-16].reshape(HEIGHT - 32, len(COLORS), BAR, 3)[:, :, 8:-8]
    return middle.mean(axis=(0, 2)), result


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize(("file", "codec"), [("a.mp4", "libx264"), ("a.webm", "libvpx-vp9")])
def test_colours_are_those_that_were_stored(tmp_path, file, codec, matrix, full):
    """VP9's name of the layout does not say which range it is in; H.264's does (yuvj420p)."""
    path = bars(tmp_path / file, matrix, full, codec=codec)
    for decoder in ("decord", "pyav"):
        found, result = seen(path, decoder)
        assert np.abs(found - COLORS).max() <= 2.5
        assert (result.meta.color_range, result.meta.color_matrix) == ("full" if full else "limited", matrix)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_ten_bits_are_those_colours_too(tmp_path, matrix, full):
    path = bars(tmp_path / "a.mp4", matrix, full, bits=10, codec="libx265", pix_fmt="yuv420p10le")
    found, result = seen(path)
    assert np.abs(found - COLORS).max() <= 2.5
    assert (result.decoder, result.meta.bit_depth) == ("pyav", 10)
    assert "10-bit" in result.why
    assert (result.meta.color_range, result.meta.color_matrix) == ("full" if full else "limited", matrix)


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("mov", "mjpeg")])
def test_the_full_range_of_jpeg_needs_no_word(tmp_path, suffix, codec):
    found, result = seen(
        bars(tmp_path / f"a.{suffix}", "bt601", True, codec=codec, pix_fmt="yuvj420p", said=())
    )
    assert np.abs(found - COLORS).max() <= 2.5
    assert (result.meta.pix_fmt, result.meta.color_range) == ("yuvj420p", "full")


def test_silence_is_taken_as_limited_bt601_and_said_to_be(tmp_path):
    found, result = seen(bars(tmp_path / "a.mp4", "bt601", False, said=()))
    assert np.abs(found - COLORS).max() <= 2.5
    assert (result.meta.color_range, result.meta.color_matrix) == ("limited (assumed)", "bt601 (assumed)")
    # and so wrong where it is wrong, for both decoders alike
    for decoder in ("decord", "pyav"):
        found, _ = seen(bars(tmp_path / "b.mp4", "bt709", False, said=()), decoder)
        assert np.abs(found - COLORS).max() > 10


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_said(tmp_path, transfer, name):
    path = bars(
        tmp_path / "a.mp4",
        "bt2020",
        False,
        bits=10,
        codec="libx265",
        pix_fmt="yuv420p10le",
        transfer=transfer,
    )
    (note,) = probe(path).notes
    assert note.startswith(f"high dynamic range ({name}) taken as it is")


@pytest.mark.parametrize(("bits", "decoder"), [(8, "decord"), (10, "pyav")])
def test_the_record_says_how_pixels_were_made(tmp_path, bits, decoder):
    codec, pix_fmt = ("libx264", "yuv420p") if bits == 8 else ("libx265", "yuv420p10le")
    path = bars(tmp_path / "a.mp4", "bt709", False, bits=bits, codec=codec, pix_fmt=pix_fmt)
    extract(path, tmp_path / "out", features=("rgb",), preset="tiny", quiet=True)
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "out" / "features").rglob("*.json"))
    assert (record["decoder"], record["pix_fmt"]) == (decoder, pix_fmt)
    assert ("10-bit" in record["decoder_reason"]) is (bits == 10)
    assert (record["color_range"], record["color_matrix"]) == ("limited", "bt709")


# Bits


NOISE = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8)


def by_pyav(path):
    """Every frame as PyAV gives it to whoever asks for RGB."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def by_us(path):
    frames, result = decode(path, lambda stream: np.stack([frame.copy() for frame in stream]), fps=None)
    assert result.decoder == "decord"
    return frames


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"options": {"profile": "baseline", "crf": "35"}},
        {"options": {"preset": "slow", "bf": "3", "crf": "30"}},
        {"pix_fmt": "yuv422p"},
        {"pix_fmt": "yuv444p"},
        {"pix_fmt": "yuvj420p"},
    ],
    ids=str,
)
def test_pixels_of_h264_are_those_of_pyav(write_video, tmp_path, settings):
    path = write_video(tmp_path / "a.mp4", NOISE, **settings)
    found = by_us(path)
    assert found.std() > 20  # there is something to differ in
    assert np.array_equal(found, by_pyav(path))


def test_fields_of_interlaced_video_have_colours_of_their_own(write_video, tmp_path):
    """In 4:2:0 every other row of chroma belongs to one field: BT.601 by hand, field by field."""
    path = write_video(tmp_path / "a.mp4", NOISE, options={"x264-params": "interlaced=1"})
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        planes = [np.frombuffer(plane, np.uint8).reshape(plane.height, -1) for plane in frame.planes]
    luma, blue, red = (plane[:, : p.width] for plane, p in zip(planes, frame.planes, strict=True))
    expected = np.zeros((*luma.shape, 3))
    for field in (slice(0, None, 2), slice(1, None, 2)):
        y = (luma[field] - 16.0) * 255 / 219
        cb, cr = (plane[field].repeat(2, 0).repeat(2, 1) - 128.0 for plane in (blue, red))
        rgb = y + 1.596 * cr, y - 0.392 * cb - 0.813 * cr, y + 2.017 * cb
        expected[field] = np.stack(rgb, axis=2).clip(0, 255)
    frames, result = decode(path, lambda stream: [frame.copy() for frame in stream], fps=None)
    assert result.decoder == "pyav"
    assert "interlaced" in result.why
    assert np.abs(frames[0] - expected).max() < 4


@pytest.mark.parametrize(("height", "width"), itertools.product((47, 50), (63, 66)))
def test_pixels_of_odd_sizes_are_those_of_pyav(write_video, tmp_path, height, width):
    path = write_video(tmp_path / "a.mp4", np.resize(NOISE, (5, height, width, 3)), pix_fmt="yuv444p")
    assert np.array_equal(by_us(path), by_pyav(path))


@pytest.mark.shared
@pytest.mark.slow
def test_pixels_of_real_streams_are_those_of_pyav(shared):
    for path in sorted((shared / "data" / "ut_streams" / "videos").glob("*.mp4")):
        with av.open(str(path)) as container:
            reference = (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))

            def compare(stream, reference=reference):
                return all(
                    np.array_equal(one, other) for one, other in itertools.zip_longest(stream, reference)
                )

            same, result = decode(path, compare, fps=None)
        assert same, path
        assert result.decoder == "decord"
