"""Every recipe from frames to features to seconds, against arithmetic written here; and run on a file."""

import json
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.models.optical_flow import raft_small

from extractors.base import Window
from extractors.dense_grid import WholeWindow
from extractors.i3d import I3D
from extractors.preprocess import center_crop, resize_short_side
from pipeline import extract
from pipeline.config import from_values, load_config, to_values
from pipeline.presets import PRESETS
from pipeline.progress import Progress
from pipeline.recompute import row_stream
from pipeline.scoring import frames_from_steps
from pipeline.streams import FeatureStream, run_streams
from pipeline.synthetic import Scene, SceneSpec
from pipeline.timeline import Clock, centers_sec
from pipeline.verify import verify
from pipeline.video import decode

CPU = torch.device("cpu")
LENGTHS = range(1, 201)


def padded_stacks(length: int) -> Callable[[int], list[list[int]]]:
    """Frames of each stack, stack after stack until the video is used up; beyond its end, counted on."""

    def stacks(num_frames: int) -> list[list[int]]:
        return [[*range(start, start + length)] for start in range(0, num_frames, length)]

    return stacks


def whole_stacks(num_frames: int) -> list[list[int]]:
    """16 frames every 4 as long as they last; at least one stack."""
    found = [[*range(start, start + 16)] for start in range(0, num_frames - 15, 4)]
    return found or [[*range(16)]]


def dense_steps(num_frames: int) -> list[list[int]]:
    """The frame in the middle of each vector: 8 apart, the first by what is left over of 4."""
    seen = max(num_frames, 9)
    first = (9, 6, 7, 8)[seen % 4]
    return [[first + 8 * k] for k in range(math.ceil(seen / 8) - 1)]


def tiny_stacks(num_frames: int) -> list[list[int]]:
    return [[*range(start, start + 16)] for start in range(0, num_frames, 8)]


# preset -> its rate, and the frames about whose middle each vector is
ARITHMETIC: dict[str, tuple[float, Callable[[int], list[list[int]]]]] = {
    "kinetics": (25.0, padded_stacks(16)),
    "kinetics-16": (25.0, padded_stacks(16)),
    "kinetics-64": (25.0, padded_stacks(64)),
    "charades": (24.0, dense_steps),
    "charades-i3d": (24.0, dense_steps),
    "thumos": (30.0, whole_stacks),
    "tsu": (25.0, padded_stacks(16)),
    "tiny": (12.5, tiny_stacks),
}


def grids(preset: str) -> list[tuple[str, object]]:
    config = load_config(preset)
    return [("rgb", config.rgb.grid), ("flow", config.flow.i3d.grid), ("skeleton", config.skeleton.grid)]


@pytest.mark.parametrize("preset", ARITHMETIC)
def test_counts_and_seconds_of_all_modalities(preset):
    fps, frames_of = ARITHMETIC[preset]
    assert load_config(preset).fps == fps
    modalities = grids(preset)
    for num_frames in LENGTHS:
        clock = Clock.constant(num_frames, Fraction(fps))
        assert len(clock.sample(fps)) == num_frames
        middles = [sum(frames) / len(frames) / fps for frames in frames_of(num_frames)]
        for modality, grid in modalities:
            assert grid.count(num_frames) == len(middles), (modality, num_frames)
            found = centers_sec(grid, num_frames, clock, fps)
            np.testing.assert_allclose(found, middles, rtol=0, atol=1e-9, err_msg=f"{modality} {num_frames}")


@pytest.mark.parametrize("preset", ARITHMETIC)
@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(60)])
def test_seconds_of_videos_at_other_rates_are_the_sources(preset, rate):
    """Sampling takes the frame shown nearest: so a vector's time is off by at most half a frame."""
    fps, frames_of = ARITHMETIC[preset]
    (_, grid), *_ = grids(preset)
    for num_frames in (1, 2, 31, 32, 33, 200):
        clock = Clock.constant(num_frames, rate)
        shown = clock.sec_F[clock.sample(fps)]
        assert len(shown) == math.floor(Fraction(num_frames - 1) / rate * Fraction(fps)) + 1
        centers = centers_sec(grid, len(shown), clock, fps)
        for center, frames in zip(centers, frames_of(len(shown)), strict=True):
            if frames[-1] < len(shown):
                assert abs(center - shown[frames].mean()) <= 0.5 / rate + 1e-9


@pytest.mark.parametrize("preset", ["kinetics-16", "kinetics-64", "thumos", "tsu"])
def test_windows_hold_the_frames_of_the_recipe(preset):
    """What hangs over repeats the last frame."""
    _, frames_of = ARITHMETIC[preset]
    config = load_config(preset)
    for num_frames in LENGTHS:
        wanted = [[min(frame, num_frames - 1) for frame in frames] for frames in frames_of(num_frames)]
        for grid in (config.rgb.grid, config.flow.i3d.grid):
            assert grid.frames_KL(num_frames).tolist() == wanted


def test_thumos_counts_as_its_published_features_do():
    """video_validation_0000051: 5,090 frames, 1,269 vectors; centres half a frame before ActionFormer's."""
    config = load_config("thumos")
    assert config.rgb.grid.count(5090) == 1269
    clock = Clock.constant(5090, Fraction(30))
    seconds = centers_sec(config.rgb.grid, 5090, clock, config.fps)
    grid = (seconds * 30 - 0.5 * 16) / 4
    np.testing.assert_allclose(grid - np.arange(1269), -0.5 / 4, atol=1e-9)


def test_peers_give_fewer_vectors_as_the_docstrings_say():
    """Loops of video_features (a stack is full with one frame more) and of the script for TSU."""
    names = ("kinetics", "kinetics-64", "tsu")
    kinetics, kinetics_64, tsu = (load_config(name).rgb.grid for name in names)
    for num_frames in LENGTHS:
        for length, grid in ((16, kinetics), (64, kinetics_64)):
            held = stacks = 0
            for _ in range(num_frames):
                held += 1
                if held == length + 1:
                    stacks, held = stacks + 1, 1
            assert stacks == (num_frames - 1) // length
            assert grid.count(num_frames) == stacks + 1
        script = len(range(1, num_frames, 16))  # frames are numbered from 1, the last is left out
        left_out = num_frames % 16 == 1
        assert tsu.count(num_frames) == script + left_out


def test_kinetics_and_kinetics_16_are_one_recipe():
    values = to_values(load_config("kinetics"))
    assert from_values({**values, "preset": "kinetics-16"}) == load_config("kinetics-16")
    assert load_config().preset == "kinetics"


def test_all_presets_are_tested_here():
    assert ARITHMETIC.keys() == PRESETS.keys()


class Numbers:
    """An extractor whose feature of a window is the list of frame numbers in it."""

    dim, device, lookahead, name = 0, CPU, 0, "numbers"

    def __init__(self, window):
        self.window = self.grid = window

    def frames(self, rgb_NHWC):
        return rgb_NHWC[:, 0, 0, 0].int()

    def clips(self, x_NL):
        return x_NL.float()


class Pairs(Numbers):
    """The same, of products made of a frame and the next one."""

    lookahead = 1

    def frames(self, rgb_NHWC):
        return rgb_NHWC[:-1, 0, 0, 0].int()


@pytest.mark.parametrize("window", [WholeWindow(16, 4), WholeWindow(16, 16), WholeWindow(20, 6, -2)])
@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_whole_windows_in_streams(window, chunk):
    """All of them, and some made again, at every length about the ends of windows."""
    for count in [*range(1, 40), 100]:
        video = [np.full((2, 3, 3), i, dtype=np.uint8) for i in range(count)]
        wanted = window.frames_KL(count)
        for kind in (Numbers, Pairs):
            seen = np.minimum(wanted, max(count - 1 - kind.lookahead, 0))
            streams = [FeatureStream(kind(window), 3)]
            picked = [np.arange(len(wanted)), np.arange(len(wanted))[-1:]]
            streams += [row_stream(kind(window), count, rows, {"clips": 3}) for rows in picked]
            made = run_streams(video, streams, device=CPU, chunk_frames=chunk)
            np.testing.assert_array_equal(made[0], seen)
            for rows, again in zip(picked, made[1:], strict=True):
                np.testing.assert_array_equal(again, seen[rows])


def test_frames_after_the_last_whole_window_keep_its_score():
    grid, clock = WholeWindow(16, 4), Clock.constant(35, Fraction(30))
    centers = centers_sec(grid, 35, clock, 30.0)
    assert len(centers) == 5
    scores = frames_from_steps(np.arange(5.0)[:, None], centers, clock.sec_F)[:, 0]
    assert scores.shape == (35,)
    np.testing.assert_allclose(scores[24:], 4)
    np.testing.assert_allclose(scores[:8], 0)
    assert 0 < scores[9] < scores[10] < 1


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """Small random networks for any preset: what it says of frames, windows and rates stays."""
    folder = tmp_path_factory.mktemp("narrow")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        networks = {
            "rgb.weights": I3D(3, None, 1 / 16),
            "flow.i3d.weights": I3D(2, None, 1 / 16),
            "flow.raft.weights": raft_small(weights=None),
        }
    for name, network in networks.items():
        state = {key: value.contiguous() for key, value in network.state_dict().items()}
        save_file(state, folder / f"{name}.safetensors")
    paths = [f"{name}={folder / name}.safetensors" for name in networks]
    smaller = ["rgb.width=0.0625", "flow.i3d.width=0.0625", "flow.i3d.resize=128", "flow.i3d.crop=null"]
    smaller += ["flow.pool=2"]
    raft = ["flow.raft.variant=raft_small", "flow.raft.updates=1"]
    person = [f"rgb.person.{name}=augrgb-tiny-detector" for name in ("detector", "detector_weights")]
    return [*paths, *smaller, *raft, *person]


@pytest.fixture(scope="module")
def acted(write_video, tmp_path_factory):
    """Two thirds of a second of somebody acting, 41 frames at 60 a second."""
    scene = Scene(SceneSpec(seed=(4, 4), num_frames=50, fps=60.0, size=(96, 72)))
    frames = (scene.frame(i) for i in range(41))
    return write_video(tmp_path_factory.mktemp("acted") / "acted.mp4", frames, rate=60)


def assert_runs_and_verifies(preset, video, out, overrides, modalities):
    """All from one decode of a file: counts, seconds, and rows that come out the same again."""
    made = extract(
        video, out, features=modalities, preset=preset, overrides=overrides, quiet=True, device="cpu"
    )
    fps, frames_of = ARITHMETIC[preset]
    sampled = math.floor(40 / 60 * fps) + 1
    middles = [sum(frames) / len(frames) / fps for frames in frames_of(sampled)]
    for name in modalities:
        track = made[name][video.name]
        np.testing.assert_allclose(track.center_sec_T, middles, atol=1e-9)
        assert np.isfinite(track.data_TD).all()
        assert track.data_TD.std() > 0
    checked = verify(out, windows=2, device=CPU, progress=Progress(quiet=True))
    assert checked.findings == []
    assert sum(one.recomputed for one in checked.folders.values()) == len(modalities) * min(2, len(middles))


@pytest.mark.parametrize(
    ("preset", "modalities"),
    [("kinetics-64", ["rgb"]), ("charades", ["rgb"]), ("thumos", ["rgb", "flow"]), ("tsu", ["rgb", "flow"])],
)
def test_each_recipe_runs_and_verifies(preset, modalities, narrow, acted, tmp_path):
    small = [*narrow, "rgb.resize=96", "rgb.crop=null"]
    assert_runs_and_verifies(preset, acted, tmp_path / "out", small, modalities)


@pytest.mark.shared
@pytest.mark.parametrize("preset", ["charades", "thumos", "tsu"])
def test_recipes_on_real_videos(preset, narrow, shared, tmp_path):
    """Ten seconds each, sampled five times a second to be quick: as many vectors as the arithmetic says."""
    names = ("skateboarding.mp4", "chaplin.mp4")
    videos = [shared / "data" / "videos" / "real" / name for name in names]
    small = [*narrow, "rgb.resize=96", "rgb.crop=null", "fps=5"]
    made = extract(videos, tmp_path / "out", preset=preset, overrides=small, quiet=True, device="cpu")["rgb"]
    for name, frames in zip(names, (300, 241), strict=True):
        track = made[name]
        assert track.clock.num_frames == frames
        sampled = math.floor(track.clock.sec_F[-1] * 5) + 1
        middles = [sum(frames) / len(frames) / 5 for frames in ARITHMETIC[preset][1](sampled)]
        np.testing.assert_allclose(track.center_sec_T, middles, atol=1e-9)
        assert track.data_TD.std(axis=0).max() > 0  # what happens moves it
    checked = verify(tmp_path / "out", windows=1, device=CPU, progress=Progress(quiet=True))
    assert checked.findings == []


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["kinetics-64", "charades", "thumos", "tsu"])
def test_each_recipe_runs_with_skeletons(preset, random_networks, narrow, acted, tmp_path):
    pose = ["pose.detector=augrgb-tiny-detector", "pose.pose=augrgb-tiny-pose", "skeleton.network=stgcn++"]
    overrides = [*random_networks, *narrow, *pose]
    assert_runs_and_verifies(preset, acted, tmp_path / "out", overrides, ("rgb", "flow", "skeleton"))


def test_thumos_features_are_the_networks_on_frames_cut_by_hand(narrow, write_video, tmp_path):
    video = write_video(tmp_path / "a.mp4", 27, rate=30)
    made = extract(video, tmp_path / "out", preset="thumos", overrides=narrow, quiet=True, device="cpu")
    config = load_config("thumos", overrides=narrow)
    frames, _ = decode(video, lambda stream: np.stack([frame.copy() for frame in stream]), fps=None)
    shown = center_crop(resize_short_side(torch.from_numpy(frames), 256), 224) / 127.5 - 1
    network = I3D(3, None, 1 / 16).eval()
    network.load_state_dict(load_file(config.rgb.weights))
    with torch.inference_mode():
        clips = torch.stack([shown[start : start + 16] for start in (0, 4, 8)]).permute(0, 4, 1, 2, 3)
        wanted = network.extract_features(clips).mean(2).numpy()
    got = made["rgb"]["a.mp4"].data_TD
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_settings_saved_under_an_older_name_load(tmp_path):
    """A run.json made before there were modes, crops of persons and other presets."""
    saved = to_values(load_config("kinetics"))
    for part in (saved["rgb"], saved["flow"]["i3d"], saved["skeleton"]):
        for name in ("mode", "geometry", "person"):
            part.pop(name, None)
    (tmp_path / "run.json").write_text(json.dumps({"config": saved}))
    assert load_config(config_file=tmp_path / "run.json") == load_config("kinetics")


def test_a_window_is_the_same_in_every_mode_that_has_one():
    config = load_config("kinetics", overrides=["rgb.mode=windows-whole"])
    assert config.rgb.grid == WholeWindow(16, 16)
    assert config.rgb.window == Window(16, 16)
