"""Folders as OpenTAD, ActionFormer and PDAN keep them. Shapes: T steps, D = 4 features."""

import hashlib

import numpy as np
import pytest

from pipeline.interchange.feature_layouts import (
    LAYOUTS,
    MissingFeaturesError,
    export_features,
    find_files,
    load_foreign,
)
from pipeline.interchange.grids import GridRule
from pipeline.interchange.names import InterchangeError
from pipeline.timeline import Clock
from pipeline.tracks import FeatureTrack

STEPS = {"a": 9, "b": 14, "kitchen/c": 1}
DURATIONS = {"a": 9.0, "b": 14.0, "kitchen/c": 0.5}


def features(video, steps, dim=4, shift=0.0):
    seed = int(hashlib.sha256(video.encode()).hexdigest()[:8], 16)
    return np.random.default_rng(seed).normal(shift, 1, (steps, dim)).astype(np.float32)


def write(folder, layout="td", steps=STEPS, dim=4, dtype=np.float32, name="{}.npy"):
    for video, count in steps.items():
        x_TD = features(video, count, dim).astype(dtype)
        path = folder / name.format(video)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, {"td": x_TD, "t11d": x_TD[:, None, None], "dt": x_TD.T}[layout])
    return folder


def load(folder, layout="td", videos=tuple(STEPS), **more):
    folders = folder if isinstance(folder, dict) else {"rgb": folder}
    arguments = {"durations_sec": DURATIONS, "fps": 25.0} | more
    return load_foreign(folders, layout=layout, videos=videos, **arguments)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_layout_gives_the_same_tracks(tmp_path, layout, dtype):
    found = load(write(tmp_path, layout, dtype=dtype), layout)
    assert list(found.tracks["rgb"]) == list(STEPS)
    for video, (track, sha256) in found.tracks["rgb"].items():
        expected = features(video, STEPS[video]).astype(dtype).astype(np.float32)
        assert np.array_equal(track.data_TD, expected)
        assert track.data_TD.flags.c_contiguous
        assert track.data_TD.flags.writeable  # in memory, not a view of the file
        assert type(track.data_TD) is np.ndarray
        assert sha256 == load(tmp_path, layout).tracks["rgb"][video][1]
    assert found.identities == {
        "rgb": {"name": "rgb", "foreign": {"layout": layout, "grid": {"name": "even"}, "fps": 25.0}}
    }


def test_the_hash_is_of_the_numbers_not_of_the_file(tmp_path):
    hashes = [
        {
            video: sha
            for video, (_, sha) in load(write(tmp_path / layout, layout), layout).tracks["rgb"].items()
        }
        for layout in LAYOUTS
    ]
    assert hashes[0] == hashes[1] == hashes[2]
    assert len(set(hashes[0].values())) == len(STEPS)


def test_npz_is_read_like_npy(tmp_path):
    np.savez(tmp_path / "a.npz", feats=features("a", 9))
    track, _ = load(tmp_path, videos=["a"]).tracks["rgb"]["a"]
    assert np.array_equal(track.data_TD, features("a", 9))


@pytest.mark.parametrize("name", ["{}.mp4.npy", "{}_rgb.npy", "features/{}.npy", "x/y/{}.npy"])
def test_files_go_by_suffix_modality_or_folder(tmp_path, name):
    write(tmp_path, name=name)
    assert list(load(tmp_path).tracks["rgb"]) == list(STEPS)


def test_videos_of_the_annotations_may_have_a_suffix(tmp_path):
    write(tmp_path, steps={"c": 1})
    found = load(tmp_path, videos=["kitchen/c.mp4"], durations_sec={"kitchen/c.mp4": 1.0})
    assert list(found.tracks["rgb"]) == ["kitchen/c.mp4"]


def test_one_folder_may_hold_several_modalities(tmp_path):
    write(tmp_path, name="{}_rgb.npy")
    write(tmp_path, name="{}_flow.npy", dim=2)
    found = load({"rgb": tmp_path, "flow": tmp_path})
    assert found.tracks["rgb"]["a"][0].data_TD.shape == (9, 4)
    assert found.tracks["flow"]["a"][0].data_TD.shape == (9, 2)


def test_files_that_could_be_of_several_videos_are_refused(tmp_path):
    write(tmp_path, steps={"x/a": 9, "y/a": 9})
    with pytest.raises(InterchangeError, match=r"'a' could mean 2 of the files in .*'x/a', 'y/a'"):
        load(tmp_path, videos=["a"])
    with pytest.raises(InterchangeError, match=r"a\.npy: is the file of 'x/a\.mp4' and of 'x/a\.avi'"):
        find_files(tmp_path, ["x/a.mp4", "x/a.avi"], "rgb")
    np.savez(tmp_path / "x" / "a.npz", features("a", 9))
    with pytest.raises(InterchangeError, match=r"a\.npz: there as \.npy, too"):
        find_files(tmp_path, ["x/a"], "rgb")


def test_missing_videos_are_listed_or_left_out_aloud(tmp_path):
    write(tmp_path / "rgb")
    write(tmp_path / "flow", steps={"b": 14})
    folders = {"rgb": tmp_path / "rgb", "flow": tmp_path / "flow"}
    with pytest.raises(
        MissingFeaturesError, match=r"2 of 3 videos have no flow features in .*: a, kitchen/c"
    ) as error:
        load(folders)
    assert error.value.videos == {"flow": ("a", "kitchen/c")}
    said = []
    found = load(folders, allow_missing=True, say=said.append)
    assert list(found.tracks["rgb"]) == list(found.tracks["flow"]) == ["b"]
    assert len(said) == 1
    assert "a, kitchen/c" in said[0]
    with pytest.raises(InterchangeError, match="no video has a file"):
        load(tmp_path / "rgb", videos=["z"], allow_missing=True)


@pytest.mark.parametrize(
    ("is_layout", "read_as", "message"),
    [
        ("dt", "td", r"D is 9 in a\.npy and 14 in b\.npy; it looks like layout dt, \(D, T\)"),
        ("td", "dt", r"D is 9 in a\.npy and 14 in b\.npy; it looks like layout td, \(T, D\)"),
        ("t11d", "td", r"has the shape \(9, 1, 1, 4\), layout td is \(T, D\); it looks like layout t11d"),
        ("td", "t11d", r"has the shape \(9, 4\), layout t11d is \(T, 1, 1, D\); it looks like layout td"),
    ],
)
def test_a_wrong_layout_is_noticed_and_the_right_one_named(tmp_path, is_layout, read_as, message):
    with pytest.raises(InterchangeError, match=message):
        load(write(tmp_path, is_layout), read_as)


def test_features_of_two_kinds_are_noticed(tmp_path):
    write(tmp_path, steps={"a": 9})
    write(tmp_path, steps={"b": 14}, dim=5)
    with pytest.raises(InterchangeError, match=r"D is 4 in a\.npy and 5 in b\.npy; these are not the same"):
        load(tmp_path, videos=["a", "b"])


def test_more_steps_than_frames_are_no_steps(tmp_path):
    """Of one video, or videos of one length, D alone gives nothing away."""
    np.save(tmp_path / "a.npy", np.zeros((1024, 9), dtype=np.float32))
    with pytest.raises(InterchangeError, match=r"1024 steps for 225 frames; it looks like layout dt"):
        load(tmp_path, videos=["a"])
    np.save(tmp_path / "a.npy", features("a", 225))  # a step for every frame
    assert len(load(tmp_path, videos=["a"]).tracks["rgb"]["a"][0].data_TD) == 225


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_numbers_that_are_none_are_named(tmp_path, bad):
    x_TD = features("b", 14).astype(np.float64)
    x_TD[3, 1] = bad
    np.save(write(tmp_path) / "b.npy", x_TD)
    with pytest.raises(InterchangeError, match=r"b\.npy: 1 of 14 feature rows are not finite"):
        load(tmp_path)


@pytest.mark.parametrize("duration", [None, 0.0, float("nan"), float("inf"), -1.0])
def test_lengths_are_needed(tmp_path, duration):
    with pytest.raises(InterchangeError, match="video 'b': its length is"):
        load(write(tmp_path), durations_sec=DURATIONS | {"b": duration})


def test_a_step_or_two_of_difference_is_trimmed_and_said(tmp_path):
    write(tmp_path / "rgb")
    write(tmp_path / "flow", steps=STEPS | {"a": 11, "b": 13})
    folders, said = {"rgb": tmp_path / "rgb", "flow": tmp_path / "flow"}, []
    found = load(folders, say=said.append)
    assert said == ["trimmed to the shorter modality: 2 videos: a (rgb 9, flow 11), b (rgb 14, flow 13)"]
    for video, steps in {"a": 9, "b": 13, "kitchen/c": 1}.items():
        rgb, flow = (found.tracks[modality][video][0] for modality in ("rgb", "flow"))
        assert len(rgb.data_TD) == len(flow.data_TD) == steps
        assert np.array_equal(rgb.center_sec_T, flow.center_sec_T)
        assert found.joined(("rgb", "flow"), video).data_TD.shape == (steps, 8)
    assert np.array_equal(found.tracks["flow"]["a"][0].data_TD, features("a", 11)[:9])
    with pytest.raises(InterchangeError, match=r"video a \(rgb 9, flow 11\): .* differ by more than 1 steps"):
        load(folders, max_trim_steps=1)


def test_the_clock_is_synthetic_over_the_length(tmp_path):
    clock = load(write(tmp_path), fps=29.97).tracks["rgb"]["b"][0].clock
    assert (clock.kind, clock.num_frames, clock.start_sec) == ("synthetic", 420, 0.0)
    assert clock.duration_sec == pytest.approx(14.0, abs=0.5 / 29.97)


def test_steps_are_where_the_rule_says(tmp_path):
    write(tmp_path)
    even = load(tmp_path).tracks["rgb"]["a"][0]
    assert np.allclose(even.center_sec_T, np.arange(9) + 0.5)
    pdan = load(tmp_path, grid=GridRule("pdan")).tracks["rgb"]["a"][0]
    assert np.allclose(pdan.center_sec_T, np.arange(9))
    line = load(tmp_path, grid=GridRule("actionformer", 4, 16), fps=30.0)
    assert np.allclose(line.tracks["rgb"]["a"][0].center_sec_T, (4 * np.arange(9) + 8) / 30)
    assert line.identities["rgb"]["foreign"]["grid"] == {"name": "actionformer", "stride": 4, "window": 16}


def test_rules_by_name():
    assert GridRule.parse("even") == GridRule()
    assert GridRule.parse("actionformer:4/16") == GridRule("actionformer", 4.0, 16.0)
    for text in (
        "odd",
        "even:4/16",
        "actionformer",
        "actionformer:4",
        "actionformer:0/16",
        "actionformer:1.2.3/4",
        "",
    ):
        with pytest.raises(InterchangeError, match="expected even, pdan, or actionformer:STRIDE/WINDOW"):
            GridRule.parse(text)


def test_no_folder_an_empty_one_and_an_unknown_layout(tmp_path):
    with pytest.raises(InterchangeError, match="absent: is no folder"):
        load(tmp_path / "absent")
    with pytest.raises(InterchangeError, match=r"no \.npy or \.npz in it"):
        load(tmp_path)
    with pytest.raises(InterchangeError, match="expected td, t11d, dt"):
        load(write(tmp_path), "tcd")


def track(video, steps):
    clock = Clock.constant(steps * 25, 25)
    return FeatureTrack(features(video, steps), np.arange(steps) + 0.5, clock)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_export_and_load_give_the_same_back(tmp_path, layout):
    tracks = {f"{video}.mp4": track(video, steps) for video, steps in STEPS.items()}
    assert export_features(tracks, tmp_path, layout) == {"a.mp4": "a", "b.mp4": "b", "kitchen/c.mp4": "c"}
    lengths = {video: of.clock.duration_sec for video, of in tracks.items()}
    found = load(tmp_path, layout, videos=list(tracks), durations_sec=lengths).tracks["rgb"]
    for video, of in tracks.items():
        assert np.array_equal(found[video][0].data_TD, of.data_TD)
        assert np.allclose(found[video][0].center_sec_T, of.center_sec_T)


def test_export_keeps_paths_where_stems_collide_and_leaves_other_files_alone(tmp_path):
    tracks = {"x/a.mp4": track("x", 2), "y/a.mp4": track("y", 3)}
    assert export_features(tracks, tmp_path, "td") == {"x/a.mp4": "x/a", "y/a.mp4": "y/a"}
    assert np.load(tmp_path / "y" / "a.npy").shape == (3, 4)
    export_features(tracks, tmp_path, "td")  # again, over its own
    with pytest.raises(InterchangeError, match="2 other"):
        export_features({"b.mp4": track("b", 2)}, tmp_path, "td")
    assert sorted(path.name for path in tmp_path.rglob("*.npy")) == ["a.npy", "a.npy"]
