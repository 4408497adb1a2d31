"""Streams that are opened before their frames are asked for."""

import threading
import time

import pytest

from pipeline.decoder_client import NoLongerWanted
from pipeline.video import RedoWithFallback, decode, open_video


@pytest.fixture(scope="module")
def video(write_video, tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("videos") / "a.mp4", 100)


def test_frames_are_decoded_before_they_are_asked_for_and_no_more_than_may_wait(video, read_number):
    with open_video(video, fps=None) as stream:
        stream.start()
        ring = stream._child.ring
        while not ring.full:
            time.sleep(0.01)
        assert 4 <= ring.waiting < 100
        stream.start()  # it is under way
        assert [read_number(frame) for frame in stream] == list(range(100))
        assert stream.result.num_frames == 100


def test_a_stream_that_is_not_wanted_is_waited_for_no_longer(video):
    stop = threading.Event()
    with open_video(video, fps=None, stop=stop) as stream:
        frames = iter(stream)
        next(frames)
        stop.set()
        with pytest.raises(NoLongerWanted):
            list(frames)
    with pytest.raises(NoLongerWanted):
        open_video(video, fps=None, stop=stop)


def test_decoding_begins_with_the_stream_that_is_open_and_closes_it(video):
    opened, seen = open_video(video, fps=None), []

    def consume(stream):
        seen.append(stream)
        if len(seen) == 1:
            raise RedoWithFallback("to see what comes next")
        return sum(1 for _ in stream)

    count, result = decode(video, consume, fps=None, opened=opened)
    assert (count, result.decoder) == (100, "pyav")
    assert seen[0] is opened
    assert seen[1] is not opened
    assert all(stream._child._connection.closed for stream in seen)
