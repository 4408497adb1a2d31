"""Exports read back by the rules of the toolboxes they are for. Shapes: T steps, D features."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import yaml

from extractors.base import Window
from pipeline.cache import CacheError, FeatureFile
from pipeline.config import LabelConfig
from pipeline.inputs import UsageError
from pipeline.interchange.feature_layouts import load_foreign
from pipeline.interchange.grids import GridRule
from pipeline.interchange.names import InterchangeError
from pipeline.interchange.stored_features import find_stored
from pipeline.interchange.toolboxes import export_toolbox
from pipeline.labels import read_annotations
from pipeline.task import make_task
from pipeline.timeline import Clock, centers_sec
from pipeline.tracks import FeatureTrack

FRAMES = {"d/a.mp4": 41, "d/b.mp4": 97, "d/c.mp4": 3}
LABELS = """video,start,end,label,subset
a,0.5,1.25,pour,training
a,1,1.5,stir,training
b,2.0,3.5,stir,testing
"""


def make_features(
    out, window=Window(16, 8), modality="rgb", fps=None, rate=25, frames=FRAMES, start_sec=0.0, about=()
):
    """As extraction leaves them: a (T, D) and its record for each video."""
    tracks = {}
    for video, count in frames.items():
        clock = Clock.constant(count, Fraction(rate), start_sec)
        sampled = len(clock.sample(fps))
        center_T = centers_sec(window, sampled, clock, fps)
        data_TD = np.random.default_rng(count).normal(0, 1, (len(center_T), 5)).astype(np.float32)
        tracks[video] = FeatureTrack(data_TD, center_T, clock)
        made_by = {"name": modality, "window": [window.length, window.stride, window.offset]}
        file = FeatureFile.locate(out, video, "0" * 64, made_by, {"fps": fps})
        file.save(tracks[video], {"fps": fps, "partial": False, **dict(about)})
    return tracks


def task_of(out, tracks, text=LABELS):
    path = Path(out) / "labels.csv"
    path.write_text(text)
    task = make_task(read_annotations(path), list(tracks), LabelConfig(), seed=0)
    return task.on({video: track.clock for video, track in tracks.items()})


WINDOWS = [
    Window(16, 8),
    Window(16, 16),
    Window(48, 16, -16),  # skeletons beside 16-frame windows
    Window(1, 1),
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("fps", [None, 12.5])
@pytest.mark.parametrize("toolbox", ["opentad", "actionformer", "pdan"])
def test_arrays_are_equal_and_steps_within_half_a_step(tmp_path, toolbox, window, fps):
    tracks = make_features(tmp_path / "out", window, fps=fps)
    export_toolbox(find_stored(tmp_path / "out", "rgb"), toolbox, tmp_path / "to", None)
    facts = json.loads((tmp_path / "to" / "rgb.facts.json").read_text())
    rate = fps or 25.0
    pdan = toolbox == "pdan"
    found = load_foreign(
        {"rgb": tmp_path / "to" / "rgb"},
        layout="t11d" if pdan else "td",
        videos=list(facts["videos"]),
        durations_sec={name: each["duration_sec"] for name, each in facts["videos"].items()},
        fps=rate,
        grid=GridRule() if pdan else GridRule("actionformer", facts["stride"], facts["window"]),
    )
    assert [each["video"] for each in facts["videos"].values()] == list(tracks)
    for name, each in facts["videos"].items():
        track, (back, _) = tracks[each["video"]], found.tracks["rgb"][name]
        assert np.array_equal(back.data_TD, track.data_TD)
        off_steps = np.abs(back.center_sec_T - track.center_sec_T).max() * rate / window.stride
        assert off_steps <= 0.5 + 1e-9
        assert off_steps == pytest.approx(each["off_steps"], abs=1e-5)


def test_opentad_finds_files_labels_and_times(tmp_path):
    tracks = make_features(tmp_path)
    task = task_of(tmp_path, tracks)
    lines = export_toolbox(find_stored(tmp_path, "rgb"), "opentad", tmp_path / "to", task)
    assert lines[0].endswith("a step every 8 frames, the first in the middle of 16")
    settings = yaml.safe_load((tmp_path / "to" / "rgb.yaml").read_text())
    assert (settings["feature_stride"], settings["offset_frames"], settings["in_channels"]) == (8, 8, 5)
    classes = (tmp_path / "to" / settings["class_map"]).read_text().splitlines()
    database = json.loads((tmp_path / "to" / settings["ann_file"]).read_text())["database"]
    assert {name: entry["subset"] for name, entry in database.items()} == {
        "a": "training",
        "b": "testing",
        "c": "unlabelled",
    }
    for name, entry in database.items():  # what its data sets compute
        feats = np.load(tmp_path / "to" / settings["data_path"] / f"{name}.{settings['feat_format']}")
        assert np.array_equal(feats, tracks[f"d/{name}.mp4"].data_TD)
        for annotation in entry["annotations"]:
            assert classes[annotation["label_id"]] == annotation["label"]
    start = database["b"]["annotations"][0]["segment"][0]
    frame = int(start / database["b"]["duration"] * database["b"]["frame"])
    step = (frame - settings["offset_frames"]) / settings["feature_stride"]
    centers_T = tracks["d/b.mp4"].center_sec_T
    assert abs(step - np.interp(2.0, centers_T, np.arange(len(centers_T)))) <= 0.5


def test_actionformer_finds_files_labels_and_times(tmp_path):
    tracks = make_features(tmp_path, fps=12.5)
    task = task_of(tmp_path, tracks)
    export_toolbox(find_stored(tmp_path, "rgb"), "actionformer", tmp_path / "to", task)
    settings = yaml.safe_load((tmp_path / "to" / "rgb.yaml").read_text())
    dataset = settings["dataset"]
    database = json.loads((tmp_path / "to" / dataset["json_file"]).read_text())["database"]
    assert database["b"]["subset"].lower() in settings["val_split"]
    assert database["a"]["subset"].lower() in settings["train_split"]
    assert (dataset["num_classes"], dataset["input_dim"]) == (2, 5)
    assert len(np.load(tmp_path / "to" / dataset["feat_folder"] / f"b{dataset['file_ext']}")) == 7
    (annotation,) = database["b"]["annotations"]
    step = (annotation["segment"][0] * database["b"]["fps"] - 0.5 * dataset["num_frames"]) / dataset[
        "feat_stride"
    ]
    centers_T = tracks["d/b.mp4"].center_sec_T
    assert abs(step - np.interp(2.0, centers_T, np.arange(len(centers_T)))) <= 0.5


def test_pdan_finds_files_labels_and_its_rate_of_steps(tmp_path):
    tracks = make_features(tmp_path, Window(16, 16))
    task = task_of(tmp_path, tracks)
    export_toolbox(find_stored(tmp_path, "rgb"), "pdan", tmp_path / "to", task)
    data = json.loads((tmp_path / "to" / "annotations.json").read_text())
    assert data["a"]["actions"] == [[0, 0.5, 1.25], [1, 1.0, 1.5]]
    assert data["c"] == {"subset": "unlabelled", "duration": 0.64, "actions": []}
    fts = np.load(tmp_path / "to" / "rgb" / "b.npy")
    assert fts.shape == (7, 1, 1, 5)
    assert fts.shape[0] / data["b"]["duration"] == pytest.approx(25 / 16)


def test_times_are_those_from_the_first_frame(tmp_path):
    """The toolboxes know no other clock than that of the frames."""
    tracks = make_features(tmp_path, start_sec=0.75)
    task = task_of(tmp_path, tracks)
    export_toolbox(find_stored(tmp_path, "rgb"), "pdan", tmp_path / "to", task)
    data = json.loads((tmp_path / "to" / "annotations.json").read_text())
    assert data["a"]["actions"] == [[0, 0.0, 0.5], [1, 0.25, 0.75]]
    facts = json.loads((tmp_path / "to" / "rgb.facts.json").read_text())
    assert facts["videos"]["a"]["start_sec"] == 0.75


def test_steps_that_no_line_fits_are_said(tmp_path):
    tracks = make_features(tmp_path, Window(64, 8))
    lines = export_toolbox(find_stored(tmp_path, "rgb"), "pdan", tmp_path / "to", None)
    far = [line for line in lines if "0.5 steps from where" in line]
    assert len(far) == 1
    assert "steps of 3 videos" in far[0]
    assert "at most 3.4" in far[0]  # 31.5 frames for the first step; PDAN takes it to be at 4
    assert len(tracks) == 3
    lines = export_toolbox(find_stored(tmp_path, "rgb"), "actionformer", tmp_path / "af", None)
    assert not [line for line in lines if "steps from where" in line]


def test_videos_decoded_in_part_are_said(tmp_path):
    make_features(tmp_path, about={"partial": True})
    lines = export_toolbox(find_stored(tmp_path, "rgb"), "opentad", tmp_path / "to", None)
    assert "3 videos were decoded in part, such as d/a.mp4" in lines
    assert not (tmp_path / "to" / "annotations.json").exists()


def test_which_features(tmp_path):
    with pytest.raises(InterchangeError, match="no rgb features in it; there is nothing"):
        find_stored(tmp_path, "rgb")
    make_features(tmp_path)
    make_features(tmp_path, modality="flow")
    with pytest.raises(InterchangeError, match=r"no skeleton features in it; there is flow-\w{8}, rgb-\w{8}"):
        find_stored(tmp_path, "skeleton")
    assert find_stored(tmp_path, "flow").modality == "flow"
    make_features(tmp_path, Window(16, 16))
    with pytest.raises(
        InterchangeError, match=r"holds 2 kinds of rgb features; give one .*: rgb-\w{8}, rgb-\w{8}"
    ):
        find_stored(tmp_path, "rgb")
    name = min(path.name for path in (tmp_path / "features").glob("rgb-*"))
    assert find_stored(tmp_path, name).folder.name == name


def test_two_modalities_share_a_folder_and_other_features_do_not_mix(tmp_path):
    make_features(tmp_path)
    make_features(tmp_path, modality="flow")
    for modality in ("rgb", "flow", "rgb"):
        export_toolbox(find_stored(tmp_path, modality), "opentad", tmp_path / "to", None)
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == [
        "flow",
        "flow.facts.json",
        "flow.yaml",
        "rgb",
        "rgb.facts.json",
        "rgb.yaml",
    ]
    make_features(tmp_path / "other", frames={"z.mp4": 10})
    with pytest.raises(InterchangeError, match="holds 3 other"):
        export_toolbox(find_stored(tmp_path / "other", "rgb"), "opentad", tmp_path / "to", None)


def test_damage_is_noticed(tmp_path):
    make_features(tmp_path)
    (path,) = tmp_path.rglob("a.mp4.npy")
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CacheError, match=r"a\.mp4\.npy"):
        export_toolbox(find_stored(tmp_path, "rgb"), "opentad", tmp_path / "to", None)
    path.with_suffix(".json").write_text('{"shape": [1]}')
    with pytest.raises(CacheError, match="its record is not whole"):
        export_toolbox(find_stored(tmp_path, "rgb"), "opentad", tmp_path / "to2", None)
    with pytest.raises(UsageError, match="expected opentad, actionformer, pdan"):
        export_toolbox(find_stored(tmp_path, "rgb"), "mmaction", tmp_path / "to", None)
