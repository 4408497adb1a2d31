"""Whole videos, streamed: which frames the network is given, what is held, what a wrong length does."""

import numpy as np
import pytest
import torch

from extractors.dense_grid import DenseGrid
from pipeline.chunks import chunks
from pipeline.dense_stream import DenseStream
from pipeline.streams import run_streams

CPU = torch.device("cpu")


class Recorder:
    """An extractor whose "features" are the numbers of the frames that a clip is made of."""

    dim, device, lookahead, name, window = 1, CPU, 0, "recorder", None

    def __init__(self, public: bool = False) -> None:
        self.grid = DenseGrid(public)
        self.announced, self.batches, self.open = [], [], 0

    def frames(self, rgb_NHWC):
        return rgb_NHWC[:, 0, 0, 0].int() + 256 * rgb_NHWC[:, 0, 0, 1].int()

    def clips(self, x_NL):
        raise AssertionError("no windows are wanted")

    def begin(self, num_frames):
        self.announced.append(num_frames)
        left = num_frames

        def push(x_N):
            nonlocal left
            left -= len(x_N)
            assert left >= 0
            self.batches.append(len(x_N))
            return x_N[:, None].float()

        return push


class Differences(Recorder):
    """The same, of products made of a frame and the next one."""

    lookahead = 1

    def frames(self, rgb_NHWC):
        numbers = super().frames(rgb_NHWC)
        return numbers[:-1] * 10_000 + numbers[1:]


def numbered(count):
    return [np.full((1, 1, 3), (i % 256, i // 256, 0), dtype=np.uint8) for i in range(count)]


def seen(extractor, count, chunk=7, batch=16, announced=None):
    stream = DenseStream(extractor, announced or count, batch)
    (rows,) = run_streams(numbered(count), [stream], device=CPU, chunk_frames=chunk)
    return rows[:, 0].astype(int).tolist()


@pytest.mark.parametrize("count", [1, 2, 8, 9, 10, 16, 100])
@pytest.mark.parametrize(("chunk", "batch"), [(1, 1), (7, 4), (64, 16)])
def test_the_clip_is_the_whole_video(count, chunk, batch):
    whole = [*range(count), *[count - 1] * (9 - count)]  # below 9 frames the last one repeats
    extractor = Recorder()
    assert seen(extractor, count, chunk, batch) == whole
    assert extractor.announced == [len(whole)]
    last_pair = [max(count - 2, 0) * 10_000 + count - 1] * max(1, 10 - count)  # the last product repeats
    pairs = [i * 10_000 + i + 1 for i in range(count - 1)] + last_pair
    assert seen(Differences(), count, chunk, batch) == pairs


@pytest.mark.parametrize("count", [1600, 1601, 3300])
def test_the_public_clips_overlap(count):
    extractor = Recorder(public=True)
    wanted = [range(start, stop) for start, stop in extractor.grid.spans(count)]
    assert seen(extractor, count, chunk=64, batch=100) == [frame for clip in wanted for frame in clip]
    assert extractor.announced == [len(clip) for clip in wanted]


def test_batches_are_laid_out_from_the_first_frame_whatever_the_chunks():
    layouts = []
    for chunk in (1, 5, 64):
        extractor = Recorder()
        seen(extractor, 45, chunk, batch=16)
        layouts.append(extractor.batches)
    assert layouts == [[16, 16, 13]] * 3


def test_only_a_batch_of_products_is_held():
    stream = DenseStream(Recorder(), 1000, 32)
    most = 0
    for chunk in chunks(numbered(1000), 8):
        stream.push(chunk)
        most = max(most, len(stream._held))
    assert most <= 32
    assert len(stream.finish()) == 1000


def test_a_clip_that_is_complete_is_let_go():
    extractor = Recorder(public=True)
    stream = DenseStream(extractor, 5000, 64)
    for i, chunk in enumerate(chunks(numbered(5000), 64)):
        stream.push(chunk)
        assert sum(clip._push is not None for clip in stream._clips) <= 2, i
    stream.finish()


@pytest.mark.parametrize("extractor", [Recorder(), Differences()])
def test_a_wrong_length_is_an_error(extractor):
    with pytest.raises(ValueError, match=r"21 frames were announced, 20 came; .* do it again"):
        seen(extractor, 20, announced=21)
    with pytest.raises(ValueError, match="19 frames were announced, more came"):
        seen(extractor, 20, announced=19)
