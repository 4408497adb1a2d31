"""The one way to get frames: counts, clocks, errors, fallback."""

import itertools
import os
import signal

import av
import numpy as np
import pytest

from pipeline.video import DecodeLimits, DecodePolicy, RedoWithFallback, VideoError, decode, open_video, probe

KEEP = DecodePolicy(partial="keep")


def consume(stream):
    """Frames, copied."""
    return [frame.copy() for frame in stream]


def read_all(path, **settings):
    return decode(path, consume, **{"fps": None, **settings})


@pytest.fixture(scope="module")
def video(write_video, tmp_path_factory):
    """50 numbered frames at 25 per second, with B-frames."""
    return write_video(tmp_path_factory.mktemp("video") / "a.mp4", 50)


def test_every_frame(video, read_number):
    frames, result = read_all(video)
    assert [read_number(frame) for frame in frames] == list(range(50))
    assert (result.decoder, result.why) == ("decord", "default")
    assert (result.num_frames, result.num_sampled, result.expected_frames) == (50, 50, 50)
    assert (result.partial, result.error, result.meta.notes) == (False, None, ())
    assert (result.meta.width, result.meta.height, result.meta.codec) == (128, 96, "h264")
    np.testing.assert_allclose(result.meta.clock.sec_F, np.arange(50) / 25)


@pytest.mark.parametrize("fps", [1, 12.5, 25, 29.97, 60])
@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_sampling_skips_and_repeats(video, read_number, fps, decoder):
    frames, result = read_all(video, fps=fps, policy=DecodePolicy(decoder=decoder))
    wanted = result.meta.clock.sample(fps)
    assert [read_number(frame) for frame in frames] == wanted.tolist()
    assert result.num_sampled == len(wanted)


def test_plan_is_there_before_the_first_frame(video):
    with open_video(video, fps=10) as stream:
        assert stream.meta.clock.num_frames == 50
        np.testing.assert_array_equal(stream.frame_index_S, stream.meta.clock.sample(10))
        assert stream.num_sampled == len(stream.frame_index_S)


def test_a_small_queue_changes_nothing(video, read_number):
    frames, _ = read_all(video, limits=DecodeLimits(queue_bytes=1))
    assert [read_number(frame) for frame in frames] == list(range(50))


@pytest.mark.parametrize("num_frames", [1, 2])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("fps", [None, 25, 60])
def test_very_short(write_video, read_number, tmp_path, num_frames, suffix, fps):
    frames, result = read_all(write_video(tmp_path / f"a.{suffix}", num_frames), fps=fps)
    assert result.num_frames == num_frames
    assert sorted({read_number(frame) for frame in frames}) == list(range(num_frames))


def test_variable_rate_keeps_its_times(write_video, tmp_path):
    ticks = [i * 20 + (i * 7) % 13 for i in range(30)]
    meta = probe(write_video(tmp_path / "a.mp4", 30, rate=600, pts=ticks))
    np.testing.assert_allclose(meta.clock.sec_F, np.array(ticks) / 600, atol=1e-9)
    assert meta.clock.kind == "pts"


@pytest.mark.parametrize(("suffix", "start"), [("mp4", 1.0), ("mkv", 1.0), ("ts", 0.0)])
def test_late_start(write_video, tmp_path, suffix, start):
    """MP4 and Matroska have a zero of their own; MPEG-TS starts at any number."""
    meta = probe(write_video(tmp_path / f"a.{suffix}", 30, pts=range(25, 55)))
    assert meta.clock.start_sec == pytest.approx(start)
    assert meta.clock.sec_F[-1] == pytest.approx(29 / 25)


def test_without_times_the_clock_is_synthetic(write_video, read_number, tmp_path):
    frames, result = read_all(write_video(tmp_path / "a.h264", 30))
    assert (result.meta.clock.kind, result.num_frames) == ("synthetic", 30)
    assert "times synthetic" in result.meta.notes[0]
    assert [read_number(frame) for frame in frames] == list(range(30))


def test_open_gop_x265(write_video, read_number, tmp_path):
    """Where random access of decord is wrong for one frame in four."""
    options = {"x265-params": "log-level=none:keyint=24"}
    frames, result = read_all(write_video(tmp_path / "a.mp4", 120, codec="libx265", options=options))
    assert [read_number(frame) for frame in frames] == list(range(120))
    assert result.decoder == "decord"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.mp4", None, "not_found"),
        ("empty.webm", b"", "empty"),
        ("text.mp4", b"frame,time,label\n" * 50, "unreadable"),
        (
            "cut.mp4",
            b"\x00\x00\x00\x18ftypmp42" + bytes(12) + b"\x00\x01\x00\x00mdat" + bytes(300),
            "truncated",
        ),
    ],
)
def test_what_is_no_video(tmp_path, name, content, reason):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError) as error:
        probe(path)
    assert error.value.reason == reason
    assert str(error.value).startswith(f"{path}: ")
    assert "expected" in str(error.value)


def test_a_folder_is_no_video(tmp_path):
    with pytest.raises(VideoError, match="is a folder") as error:
        probe(tmp_path)
    assert error.value.reason == "not_a_file"


@pytest.mark.parametrize(
    ("name", "settings"),
    [("a.mkv", {}), ("a.webm", {"codec": "libvpx-vp9"}), ("a.avi", {"codec": "mpeg4"}), ("a.flv", {})],
)
def test_a_cut_file_is_named_and_can_be_kept(write_video, read_number, tmp_path, name, settings):
    path = write_video(tmp_path / name, 100, **settings)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match=r"file was cut.*keep") as error:
        read_all(path)
    assert error.value.reason == "truncated"
    frames, result = read_all(path, policy=KEEP)
    assert 0 < len(frames) == result.num_frames < 100 <= result.expected_frames
    assert result.partial
    assert "file was cut" in result.error
    assert [read_number(frame) for frame in frames] == list(range(len(frames)))


def test_a_cut_mp4_with_its_index_in_front(write_video, read_number, paint_number, tmp_path):
    noise = np.random.default_rng(0).integers(0, 60, (60, 96, 128, 3), dtype=np.uint8)
    painted = [np.clip(paint_number(i) + noise[i] - 30.0, 0, 255).astype(np.uint8) for i in range(60)]
    path = write_video(tmp_path / "a.mp4", painted, mux={"movflags": "faststart"})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match=r"\d+ of 60 frames") as error:
        probe(path)
    assert error.value.reason == "truncated"
    frames, result = read_all(path, policy=KEEP)
    assert 10 < len(frames) < 50
    assert (result.expected_frames, result.partial) == (60, True)
    assert [read_number(frame) for frame in frames] == list(range(len(frames)))


def test_damage_in_the_middle(write_video, read_number, paint_number, tmp_path):
    """All packets are there, one of them cannot be decoded: the count comes from decoding."""
    path = write_video(tmp_path / "a.mp4", 60, options={"bf": "0", "g": "30"})
    data = bytearray(path.read_bytes())
    with open_video(path, fps=None) as stream:
        assert stream.meta.clock.num_frames == 60
    start = data.index(b"mdat") + 4
    end = start + int.from_bytes(data[start - 8 : start - 4], "big") - 8
    data[(start + end) // 2 : (start + end) // 2 + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(VideoError, match=r"\d+ of 60 frames \(decoding stops") as error:
        read_all(path)
    assert error.value.reason == "damaged"
    frames, result = read_all(path, policy=KEEP)
    assert 0 < len(frames) < 60
    assert result.partial
    assert result.why.startswith("again from the first frame: decord")


def stop_for_good(child):
    """What a hang in native code looks like: nothing wakes the child."""
    child._signal(signal.SIGSTOP)
    child.resume = lambda: None


def crash(child):
    child._signal(signal.SIGSEGV)


@pytest.mark.parametrize(
    ("accident", "why"), [(stop_for_good, "decord hangs"), (crash, "decord crashed: killed by SIGSEGV")]
)
def test_an_accident_of_decord_is_repeated_with_pyav(video, read_number, accident, why):
    attempts = []

    def unlucky(stream):
        attempts.append([])
        for frame in stream:
            if len(attempts) == 1 and not attempts[0]:
                accident(stream._child)
            attempts[-1].append(read_number(frame))

    _, result = decode(video, unlucky, fps=None, limits=DecodeLimits(hang_sec=0.4, queue_bytes=1))
    assert (result.decoder, len(attempts)) == ("pyav", 2)
    assert result.why.startswith(f"again from the first frame: {why}")
    assert attempts[0] == list(range(len(attempts[0])))
    assert len(attempts[0]) < 50
    assert attempts[1] == list(range(50))


@pytest.mark.parametrize(("accident", "reason"), [(stop_for_good, "hang"), (crash, "crash")])
@pytest.mark.parametrize("name", ["decord", "again"])
def test_an_accident_without_a_way_out_is_an_error(video, accident, reason, name):
    settings = (
        {"policy": DecodePolicy(decoder="decord")} if name == "decord" else {"after": RedoWithFallback("x")}
    )
    with open_video(video, fps=None, limits=DecodeLimits(hang_sec=0.4, queue_bytes=1), **settings) as stream:
        accident(stream._child)
        with pytest.raises(VideoError) as error:
            consume(stream)
    assert error.value.reason == reason


def test_identity_names_policy_and_libraries():
    identity = DecodePolicy().identity()
    assert set(identity) == {"recipe", "decoder", "partial", "decord", "av"}
    assert identity != KEEP.identity()
    assert identity["av"].split(".")[0].isdigit()


def test_settings_that_mean_nothing(video):
    with pytest.raises(ValueError, match="decoder is auto, decord or pyav"):
        DecodePolicy(decoder="ffmpeg")
    for fps in (0, -25, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            open_video(video, fps=fps)


COUNTS = {
    "chaplin.mp4": 241,
    "demo.mp4": 280,
    "exercise.avi": 393,
    "flipping_a_pancake.mkv": 310,
    "skateboarding.mp4": 300,
    "ta_chi.mp4": 300,
    "test.avi": 164,
    "test_video_structuralize.mp4": 300,
    "v_ZNVhz7ctTq0.mp4": 420,
}


@pytest.mark.shared
@pytest.mark.parametrize("name", COUNTS)
def test_real_videos_are_the_same_through_both_decoders(shared, name):
    path = shared / "data" / "videos" / "real" / name
    with (
        open_video(path, fps=None) as ours,
        open_video(path, fps=None, policy=DecodePolicy(decoder="pyav")) as other,
    ):
        for frame, reference in itertools.zip_longest(ours, other):
            assert np.array_equal(frame, reference)
        assert (ours.result.decoder, other.result.decoder) == ("decord", "pyav")
        assert ours.result.num_frames == COUNTS[name]
        clock = ours.meta.clock
        assert clock.kind == "pts"
        assert clock.start_sec == pytest.approx(0, abs=0.1)
        assert (np.diff(clock.sec_F) > 0).all()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "decoder", "num_frames", "width", "height"),
    [
        ("av1_video.mkv", "pyav", 125, 640, 360),
        ("no_duration.webm", "pyav", 74, 1280, 720),
        ("h264_10bits.mp4", "pyav", 30, 200, 200),
        ("nasa_13013.mp4", "decord", 390, 480, 270),
        ("testsrc2_odd_width_vp9.mp4", "decord", 25, 321, 240),
        ("unordered.mov", "decord", 4, 50, 50),
        ("var_fps_video.mp4", "decord", 300, 128, 128),
        ("video_0.mov", "decord", 3, 568, 320),
        ("video_90.mov", "decord", 3, 320, 568),
        ("video_180.mov", "decord", 3, 568, 320),
        ("video_270.mov", "decord", 3, 320, 568),
    ],
)
def test_odd_videos(shared, name, decoder, num_frames, width, height):
    path = shared / "data" / "videos" / "odd" / name
    frames, result = read_all(path)
    assert (result.decoder, result.num_frames, len(frames)) == (decoder, num_frames, num_frames)
    assert all(frame.shape == (height, width, 3) for frame in frames)
    if decoder == "decord":
        others, _ = read_all(path, policy=DecodePolicy(decoder="pyav"))
        assert all(map(np.array_equal, frames, others))


@pytest.mark.shared
def test_which_of_two_streams_is_named(shared):
    meta = probe(shared / "data" / "videos" / "odd" / "nasa_13013.mp4")
    assert meta.notes == ("2 video streams, took #3 (480x270)",)


@pytest.mark.shared
def test_rotation_of_phone_recordings(shared):
    """The turns were seen to be right: the letters on the keyboard stand upright."""
    odd = shared / "data" / "videos" / "odd"
    assert [probe(odd / f"video_{turn}.mov").rotation for turn in (0, 90, 180, 270)] == [0, 270, 180, 90]


@pytest.mark.shared
def test_ten_bits_are_converted_as_eight_would_be(shared):
    """Against the definition of BT.601 in limited range, from the stored samples."""
    path = shared / "data" / "videos" / "odd" / "h264_10bits.mp4"
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0))
        planes = [np.frombuffer(plane, np.uint16).reshape(plane.height, -1) for plane in stored.planes]
    y, cb, cr = (plane[:, : stored.width >> (i > 0)] / 4.0 for i, plane in enumerate(planes))
    cb, cr = (plane.repeat(2, axis=0).repeat(2, axis=1) - 128 for plane in (cb, cr))
    y = (y - 16) * 255 / 219
    r, g, b = y + 1.596 * cr, y - 0.392 * cb - 0.813 * cr, y + 2.017 * cb
    expected = np.clip(np.stack([r, g, b], axis=2), 0, 255)
    frames, _ = read_all(path)
    assert np.abs(frames[0] - expected).max() < 6


@pytest.mark.shared
def test_a_corrupted_video_has_28_of_50_frames_every_time(shared):
    path = shared / "data" / "videos" / "odd" / "corrupted.mp4"
    for _ in range(2):
        with pytest.raises(VideoError, match="28 of 50 frames"):
            read_all(path)
        frames, result = read_all(path, policy=KEEP)
        assert (len(frames), result.num_frames, result.expected_frames) == (28, 28, 50)
        assert (result.partial, result.decoder) == (True, "pyav")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "reason", "found"),
    [
        ("audio_only_somename.mp4", "no_video_stream", "streams: audio"),
        ("no_streams_vis_demo_video.mp4", "no_video_stream", "streams: none"),
        ("zero_length_result.webm", "empty", "0 bytes"),
    ],
)
def test_broken_videos_are_named(shared, name, reason, found):
    with pytest.raises(VideoError, match=found) as error:
        probe(shared / "data" / "videos" / "odd" / name)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    "name", ["with space.mp4", "%03d.mp4", "a:b?c#d.mp4", "fünf 五.mp4", "-y.mp4", b"\xff\xfe.mp4"]
)
def test_any_file_name(video, tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.symlink_to(video)
    frames, result = read_all(path)
    assert (len(frames), result.num_frames) == (50, 50)


def test_relative_paths_are_of_the_current_folder(video, monkeypatch):
    probe(video)  # the server runs where it was started
    monkeypatch.chdir(video.parent)
    assert probe(video.name).clock.num_frames == 50


def test_metadata_in_an_unknown_encoding(write_video, tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, 5, metadata={"title": "AAAAAAAA"})
    path.write_bytes(path.read_bytes().replace(b"AAAAAAAA", b"\xff\xfe\xc3\x28\xa0\xa1\x80\x81"))
    assert probe(path).clock.num_frames == 5
