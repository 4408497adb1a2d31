"""Some rows made again are those that all rows would have held, and cost only what they see."""

import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from extractors.base import Window
from extractors.dense_grid import DenseGrid
from extractors.flow_config import FlowConfig, RAFTConfig
from extractors.i3d import I3DConfig
from pipeline.presets import tiny
from pipeline.recompute import as_recorded, rebuild, row_stream
from pipeline.streams import FeatureStream, run_streams

CPU = torch.device("cpu")
BATCH = {"clips": 4, "dense_frames": 16}


class Recorder:
    """An extractor whose feature of a window is the list of frame numbers in it."""

    dim, device, lookahead, name = 0, CPU, 0, "recorder"

    def __init__(self, window):
        self.window = self.grid = window
        self.seen = []

    def frames(self, rgb_NHWC):
        numbers = rgb_NHWC[:, 0, 0, 0].int()
        self.seen += numbers.tolist()
        return numbers

    def clips(self, x_NL):
        return x_NL.float()

    def identity(self):
        return {}


class Differences(Recorder):
    """The same, of products made of a frame and the next one."""

    lookahead = 1

    def frames(self, rgb_NHWC):
        numbers = rgb_NHWC[:, 0, 0, 0].int()
        self.seen += numbers.tolist()
        return numbers[:-1] * 1000 + numbers[1:]


class Dense(Recorder):
    """Steps of a whole video: each the number of the frame in its middle."""

    def __init__(self):
        super().__init__(Window(9, 8))
        self.grid = DenseGrid()

    def begin(self, num_frames):
        centers, done = self.grid.centers_K(num_frames), [0]

        def push(x_N):
            done[0] += len(x_N)
            ready = [c for c in centers if done[0] - len(x_N) <= c < done[0]]
            return torch.tensor(ready).reshape(-1, 1).float()

        return push


def numbered(count):
    return [np.full((2, 3, 3), i, dtype=np.uint8) for i in range(count)]


WINDOWS = [Window(1, 1), Window(16, 8), Window(48, 16, -16), Window(4, 9), Window(3, 2, 5)]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kind", [Recorder, Differences])
def test_rows_are_those_of_the_whole(window, kind):
    for count, chunk in itertools.product([1, 2, 15, 16, 17, 70], [1, 7, 64]):
        whole = FeatureStream(kind(window), BATCH["clips"])
        (all_rows,) = run_streams(numbered(count), [whole], device=CPU, chunk_frames=chunk)
        rows = np.arange(len(all_rows))
        for chosen in (rows, rows[::3], rows[-1:]):
            stream = row_stream(kind(window), count, chosen, BATCH)
            (made,) = run_streams(numbered(count), [stream], device=CPU, chunk_frames=chunk)
            np.testing.assert_array_equal(made, all_rows[chosen])


@pytest.mark.parametrize("kind", [Recorder, Differences])
def test_only_frames_that_the_rows_see_are_worked_on(kind):
    extractor = kind(Window(16, 8))
    stream = row_stream(extractor, 200, np.array([3, 20]), BATCH)
    run_streams(numbered(200), [stream], device=CPU, chunk_frames=32)
    seen = {*range(24, 40 + kind.lookahead), *range(160, 176 + kind.lookahead)}
    assert set(extractor.seen) == seen


def test_products_that_no_row_needs_any_more_are_dropped():
    stream = row_stream(Recorder(Window(16, 8)), 250, np.arange(32), BATCH)
    most = 0
    for frame in numbered(250):
        stream.push(torch.from_numpy(frame)[None])
        most = max(most, len(stream._held))
    assert most <= 16
    assert len(stream.finish()) == 32


def test_rows_of_whole_videos_are_picked_from_all_of_them():
    for count in (5, 9, 100):
        centers = DenseGrid().centers_K(count)
        rows = np.arange(len(centers))[::2]
        stream = row_stream(Dense(), count, rows, BATCH)
        (made,) = run_streams(numbered(count), [stream], device=CPU, chunk_frames=10)
        np.testing.assert_array_equal(made[:, 0], centers[rows])


def test_settings_are_those_of_the_record_and_weights_those_of_the_config():
    config = I3DConfig(weights="mine.pt", resize=112, crop=None, mode="dense", geometry="charades")
    recorded = {**I3DConfig(resize=256, crop=224, window=Window(16, 4, -2)).identity(), "weights": "ab" * 32}
    made = as_recorded(config, json.loads(json.dumps(recorded)))
    # what a record leaves out had its default; it names its precision, whatever the run's is now
    assert made == I3DConfig(
        weights="mine.pt", resize=256, crop=224, window=Window(16, 4, -2), precision="float32"
    )


def test_nested_settings_are_those_of_the_record():
    config = replace(FlowConfig(), raft=RAFTConfig(updates=20, weights="mine.pth"), max_px=10.0)
    recorded = {"raft": {"variant": "raft_small", "updates": 4, "weights": "ab"}, "max_px": 20.0, "pool": 2}
    made = as_recorded(config, recorded)
    assert made.raft == RAFTConfig(variant="raft_small", updates=4, weights="mine.pth")
    assert (made.max_px, made.pool) == (20.0, 2)
    assert made.i3d == config.i3d


def test_a_network_is_rebuilt_from_what_its_record_says():
    network = rebuild(tiny(), _tiny_identity(), CPU)
    assert network.identity() == _tiny_identity()
    other = rebuild(tiny(), {**_tiny_identity(), "window": {"length": 32, "stride": 4, "offset": 0}}, CPU)
    assert other.window == Window(32, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": "0" * 64}, f"weights was {'0' * 64}, is"),
        ({"version": 0}, "version was 0, is 1"),
        ({"width": 0.5}, "cannot be built: .*does not fit"),
        ({"crop": "big"}, "cannot be built"),
        ({"name": "sound"}, "cannot be built"),
    ],
)
def test_what_cannot_be_rebuilt_is_said_in_words(change, message):
    assert re.search(message, rebuild(tiny(), {**_tiny_identity(), **change}, CPU))


def _tiny_identity():
    from extractors import build_extractor

    return build_extractor("rgb", tiny().rgb, CPU).identity()
