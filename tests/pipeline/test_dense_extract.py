"""Dense features in extraction: equal to the network on all frames at once, on one clock with the others."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from extractors.dense_grid import DenseGrid
from extractors.flow import decode as decode_flow
from extractors.flow import encode
from extractors.i3d import I3D
from extractors.preprocess import resize_short_side
from extractors.raft import FlowNetwork
from pipeline import extract, run
from pipeline.checkpoint import Checkpoint
from pipeline.config import ConfigError, load_config
from pipeline.synthetic import render_practice
from pipeline.timeline import Clock, centers_sec
from pipeline.video import decode

DENSE = ["rgb.mode=dense", "flow.i3d.mode=dense", "fps=null"]


@pytest.fixture(scope="module")
def settings(random_networks, tmp_path_factory):
    """Small random networks of both streams on whole videos."""
    path = tmp_path_factory.mktemp("rgb") / "rgb.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        save_file(I3D(3, None, 1 / 16).state_dict(), path)
    rgb = [f"rgb.weights={path}", "rgb.width=0.0625", "rgb.resize=48"]
    return [*random_networks, *rgb, "flow.pool=4", *DENSE]


@pytest.fixture(scope="module")
def miscounted(write_video, tmp_path_factory) -> Path:
    """A stream cut before its first key frame: 50 packets, of which 40 can be decoded."""
    folder = tmp_path_factory.mktemp("miscounted")
    options = {"g": "20", "bf": "0", "x264-params": "scenecut=0"}
    with (
        av.open(str(write_video(folder / "a.ts", 60, options=options))) as source,
        av.open(str(folder / "b.ts"), "w") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for i, packet in enumerate(p for p in source.demux(video=0) if p.size):
            if i >= 10:
                packet.stream = stream
                target.mux(packet)
    return folder / "b.ts"


def features(video, out, overrides, modalities=("rgb", "flow")):
    made = extract(video, out, features=modalities, preset="tiny", overrides=overrides, quiet=True)
    return {name: of[Path(video).name] for name, of in made.items()}


def all_frames(video):
    frames, _ = decode(video, lambda stream: np.stack([frame.copy() for frame in stream]), fps=None)
    return torch.from_numpy(frames)


def at_once(config, channels, x_NHWC):
    """Features (T, D) of the network of a config on all of its input at once."""
    network = I3D(channels, None, config.width).eval()
    network.load_state_dict(load_file(config.weights))
    with torch.inference_mode():
        return network.extract_features(x_NHWC.permute(3, 0, 1, 2)[None])[0].T.numpy()


def assert_close(got_TD, want_TD):
    assert got_TD.shape == want_TD.shape
    assert want_TD.std() > 0
    np.testing.assert_allclose(got_TD, want_TD, rtol=0, atol=1e-4 * np.abs(want_TD).max())


def test_both_streams_equal_their_networks_on_all_frames_of_a_miscounted_video(
    settings, miscounted, tmp_path
):
    """Steps depend on the length, and packets told a wrong one: everything was done again."""
    tracks = features(miscounted, tmp_path / "out", [*settings, "work.dense_frames=16"])
    frames = all_frames(miscounted)
    assert len(frames) == 40
    for record in (tmp_path / "out").rglob("b.ts.json"):
        assert "again from the first frame" in json.loads(record.read_text())["decoder_reason"]
    config = load_config("tiny", overrides=settings)
    rgb = resize_short_side(frames, config.rgb.resize) / 127.5 - 1
    assert_close(tracks["rgb"].data_TD, at_once(config.rgb, 3, rgb))
    flow = config.flow
    resized = resize_short_side(frames, flow.i3d.resize)
    px_NHW2 = FlowNetwork(flow.raft, torch.device("cpu"))(resized)
    pooled = torch.nn.functional.avg_pool2d(px_NHW2.permute(0, 3, 1, 2), 4).permute(0, 2, 3, 1)
    kept = decode_flow(encode(pooled, flow.max_px, "float"), flow.max_px, "float")
    kept = torch.cat([kept, kept[-1:]])  # the last flow is repeated
    assert_close(tracks["flow"].data_TD, at_once(flow.i3d, 2, kept))
    for track in tracks.values():
        np.testing.assert_allclose(track.center_sec_T, (8 * np.arange(4) + 9) / 25)  # 40 divides by 4


def test_windows_of_a_miscounted_video_are_those_of_its_frames(settings, miscounted, tmp_path):
    overrides = [*settings, "rgb.mode=windows", "rgb.window.length=16", "rgb.window.stride=8"]
    (track,) = features(miscounted, tmp_path / "out", overrides, ("rgb",)).values()
    config = load_config("tiny", overrides=overrides)
    rgb = resize_short_side(all_frames(miscounted), config.rgb.resize) / 127.5 - 1
    rows = [at_once(config.rgb, 3, rgb[frames]).mean(0) for frames in config.rgb.window.frames_KL(40)]
    assert_close(track.data_TD, np.stack(rows))


@pytest.mark.parametrize("num_frames", [1, 8, 9, 21])
def test_short_videos_have_features_too(settings, write_video, tmp_path, num_frames):
    video = write_video(tmp_path / "a.mp4", num_frames)
    (track,) = features(video, tmp_path / "out", settings, ("rgb",)).values()
    frames = all_frames(video)
    repeated = torch.cat([frames, frames[-1:].expand(max(0, 9 - num_frames), -1, -1, -1)])
    config = load_config("tiny", overrides=settings).rgb
    assert_close(track.data_TD, at_once(config, 3, resize_short_side(repeated, config.resize) / 127.5 - 1))
    assert (track.step_sec_T <= (num_frames - 1) / 25).all()


@pytest.mark.slow
def test_the_public_scripts_pieces_are_its_own_under_its_name_alone(settings, write_video, tmp_path):
    """Of 1,700 frames: 1 to 1656 and, overlapping them, 1553 to 1698, each as one clip, joined untrimmed."""
    video = write_video(tmp_path / "a.mp4", 1700)
    public = [*settings, "rgb.mode=dense-public"]
    made = features(video, tmp_path / "out", public, ("rgb",))["rgb"].data_TD
    config = load_config("tiny", overrides=public).rgb
    rgb = resize_short_side(all_frames(video), config.resize) / 127.5 - 1
    assert len(rgb) == 1700
    pieces = [at_once(config, 3, rgb[start:stop]) for start, stop in ((1, 1657), (1553, 1699))]
    assert [len(piece) for piece in pieces] == [206, 18]
    assert_close(made, np.concatenate(pieces))
    whole = features(video, tmp_path / "out", settings, ("rgb",))["rgb"].data_TD
    assert len(whole) == 212  # without the other name, the whole video is one clip


def test_the_layout_of_the_work_is_recorded_and_changes_rounding_only(settings, write_video, tmp_path):
    video = write_video(tmp_path / "a.mp4", 45)
    small = ["work.dense_frames=5", "work.frames=3"]
    one = features(video, tmp_path / "one", settings, ("rgb",))["rgb"].data_TD
    other = features(video, tmp_path / "other", [*settings, *small], ("rgb",))["rgb"].data_TD
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-5 * np.abs(one).max())
    (record,) = (tmp_path / "other" / "features").rglob("*.json")
    (same,) = (tmp_path / "one" / "features").rglob("*.json")
    assert record.parent.name == same.parent.name
    assert json.loads(record.read_text())["batch"]["dense_frames"] == 5


def test_teachers_take_the_steps_of_their_student():
    teachers = ["teachers=[flow, skeleton]", "skeleton.window.length=33"]
    everywhere = ["rgb.mode=dense", "flow.i3d.mode=dense", "skeleton.mode=dense"]
    config = load_config("tiny", overrides=[*everywhere, *teachers])
    for length in (1, 8, 9, 10, 11, 12, 300):
        for grid in (config.flow.i3d.grid, config.skeleton.grid):
            assert grid.centers_K(length).tolist() == config.rgb.grid.centers_K(length).tolist()
    for left_out in everywhere:
        with pytest.raises(ConfigError, match=r"a teacher takes the same steps as its student.*same stride$"):
            load_config("tiny", overrides=[*{*everywhere} - {left_out}, *teachers])


@pytest.mark.parametrize("num_frames", range(1, 201))
def test_charades_from_frames_to_seconds(num_frames):
    """A video at 30 fps: frames at 24 fps, features, their seconds, in whole numbers."""
    config = load_config("charades")
    clock = Clock.constant(num_frames, Fraction(30))
    sampled = len(clock.sample(config.fps))
    assert sampled == (num_frames - 1) * 24 // 30 + 1
    seen = max(sampled, 9)
    features = (seen + 7) // 8 - 1
    earlier = {0: 0, 1: 3, 2: 2, 3: 1}[seen % 4]
    frames = [9 - earlier + 8 * k for k in range(features)]
    found = centers_sec(config.rgb.grid, sampled, clock, config.fps)
    assert (found * 24).round(9).tolist() == frames


def test_the_charades_preset_is_one_recipe():
    config = load_config("charades", overrides=["teachers=[flow, skeleton]"])
    assert (config.fps, config.rgb.weights, config.rgb.crop) == (24.0, "i3d-rgb-charades", 224)
    assert config.rgb.grid == config.flow.i3d.grid == config.skeleton.grid.grid == DenseGrid()


@pytest.mark.slow
def test_teachers_of_whole_videos_teach(random_networks, tmp_path):
    """All three modalities, trained and scored on the same steps."""
    render_practice(tmp_path, train_videos=4, test_videos=1, seconds=4.0, workers=1)
    dense = ["rgb.mode=dense", "flow.i3d.mode=dense", "skeleton.mode=dense", "skeleton.window.length=33"]
    small = ["teachers=[flow, skeleton]", "train.epochs=2", "tcn.hidden=8"]
    overrides = [*random_networks, *dense, *small]
    labels = tmp_path / "labels.csv"
    scores = run(
        tmp_path / "videos",
        tmp_path / "out",
        annotations=labels,
        preset="tiny",
        overrides=overrides,
        quiet=True,
    )
    assert np.isfinite(scores["test_000.mp4"].scores_FK).all()
    student = Checkpoint.load(tmp_path / "out" / "checkpoints" / "student.ckpt")
    assert student.features["rgb"]["extractor"]["mode"] == "dense"
    assert student.run_config.rgb.grid == DenseGrid()
