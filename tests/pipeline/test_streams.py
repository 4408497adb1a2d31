"""One pass over the frames gives every extractor what the table of windows says."""

import numpy as np
import pytest
import torch

from extractors.base import Window
from pipeline.chunks import chunks
from pipeline.streams import FeatureStream, run_streams

CPU = torch.device("cpu")


class Recorder:
    """An extractor whose feature of a window is the list of frame numbers in it."""

    dim, device, lookahead, name = 0, CPU, 0, "recorder"

    def __init__(self, window: Window) -> None:
        self.window, self.batches = window, []

    def frames(self, rgb_NHWC):
        return rgb_NHWC[:, 0, 0, 0].int()

    def clips(self, x_NL):
        self.batches.append(len(x_NL))
        return x_NL.float()


class Differences(Recorder):
    """The same, of products made of a frame and the next one."""

    lookahead = 1

    def frames(self, rgb_NHWC):
        numbers = rgb_NHWC[:, 0, 0, 0].int()
        return numbers[:-1] * 1000 + numbers[1:]


def numbered(count):
    return [np.full((2, 3, 3), i, dtype=np.uint8) for i in range(count)]


WINDOWS = [Window(1, 1), Window(16, 8), Window(16, 16), Window(48, 16, -16), Window(4, 9), Window(3, 2, 5)]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 33, 100])
@pytest.mark.parametrize(("chunk", "batch"), [(1, 1), (7, 4), (64, 16)])
def test_windows_hold_the_frames_of_the_table(window, count, chunk, batch):
    streams = [FeatureStream(extractor, batch) for extractor in (Recorder(window), Differences(window))]
    frames, pairs = run_streams(numbered(count), streams, device=CPU, chunk_frames=chunk)
    expected = window.frames_KL(count)
    np.testing.assert_array_equal(frames, expected)
    first = np.minimum(expected, max(count - 2, 0))  # the last product is repeated
    np.testing.assert_array_equal(pairs, first * 1000 + np.minimum(first + 1, count - 1))


def test_batches_are_laid_out_from_the_first_window_whatever_the_chunks():
    layouts = []
    for chunk in (1, 5, 64):
        extractor = Recorder(Window(4, 2))
        run_streams(numbered(21), [FeatureStream(extractor, 4)], device=CPU, chunk_frames=chunk)
        layouts.append(extractor.batches)
    assert layouts[0] == layouts[1] == layouts[2] == [4, 4, 3]


def test_only_frames_that_a_window_needs_are_held():
    stream = FeatureStream(Recorder(Window(16, 8)), batch_clips=2)
    most = 0
    for chunk in chunks(numbered(250), 8):
        stream.push(chunk)
        most = max(most, len(stream._held))
    assert most <= 16 + 8
    assert len(stream.finish()) == 32


def test_frames_are_copied_out_of_the_decoders_memory():
    shared = np.zeros((2, 2, 3), dtype=np.uint8)

    def reused():
        for i in range(3):
            shared[:] = i
            yield shared

    (first,) = chunks(reused(), 8)
    assert first[:, 0, 0, 0].tolist() == [0, 1, 2]
