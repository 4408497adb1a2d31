"""Videos repeated and cut without decoding."""

import numpy as np
import pytest

from pipeline.inputs import Source, UsageError
from pipeline.speed.looped import write_looped
from pipeline.speed.scaling import clip, more_videos, of_lengths
from pipeline.video import open_video


def numbers(path, read_number):
    with open_video(path, fps=None) as stream:
        found = [read_number(frame) for frame in stream]
        return found, stream.meta.clock.sec_F


@pytest.mark.parametrize("options", [{"g": "12"}, {"g": "12", "bf": "3"}])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_come_again_and_again_at_an_even_rate(tmp_path, write_video, read_number, options, suffix):
    source = write_video(tmp_path / f"a{suffix}", 25, options=options)
    found, sec_F = numbers(write_looped(source, tmp_path / f"b{suffix}", 2.6), read_number)
    assert found == [i % 25 for i in range(len(found))]  # none is missing, nor at the end
    assert 65 <= len(found) <= 69  # where they can be cut
    np.testing.assert_allclose(np.diff(sec_F), 0.04, atol=2e-3)


def test_a_part(tmp_path, write_video, read_number):
    source = write_video(tmp_path / "a.mp4", 50, options={"bf": "0"})
    found, _ = numbers(write_looped(source, tmp_path / "b.mp4", 0.4), read_number)
    assert found == list(range(10))


def test_the_source_is_left_as_it_is(tmp_path, write_video):
    source = write_video(tmp_path / "a.mp4", 10)
    before = source.read_bytes()
    write_looped(source, tmp_path / "b.mp4", 5)
    assert source.read_bytes() == before


def test_what_is_no_video_is_a_clear_error(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"a\.mp4: cannot be repeated .* without --lengths"):
        write_looped(tmp_path / "a.mp4", tmp_path / "b.mp4", 1)


def test_sizes(tmp_path, write_video):
    a = Source(write_video(tmp_path / "a.mp4", 25), "a.mp4")
    b = Source(write_video(tmp_path / "b.mp4", 50), "b.mp4")
    longer = of_lengths(a, [0.05, 0.1], 12.5, tmp_path)
    assert [len(size.sources) for size in longer] == [1, 1]
    assert [size.frames for size in longer] == pytest.approx([38, 75], abs=2)
    many = more_videos([a, b], [1, 3], 1.0, None, tmp_path)
    assert [size.minutes for size in many] == pytest.approx([1 / 60, 3 / 60])
    assert [source.name.split("/")[0] for source in many[1].sources] == ["0000", "0001", "0002"]
    assert many[1].sources[0].path == many[1].sources[2].path != many[1].sources[1].path
    assert many[1].frames == pytest.approx(75, abs=3)
    assert more_videos([a], [], 1.0, None, tmp_path) == []


def test_containers_that_cannot_be_written_become_another(tmp_path, write_video):
    source = Source(write_video(tmp_path / "a.avi", 25, codec="mpeg4"), "a.avi")
    assert clip(source, tmp_path, 1.0).name == "1s.mkv"
