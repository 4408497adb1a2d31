"""Verification passes on what extraction made, and finds whatever was changed since."""

import hashlib
import io
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.optical_flow import raft_small
from typer.testing import CliRunner

from extractors.i3d import I3D
from extractors.skeleton import SkeletonFeatures, build_graph
from extractors.skeleton_config import SkeletonConfig
from extractors.skeleton_input import Joints
from pipeline import extract
from pipeline.cache import FeatureFile, JointFile
from pipeline.cli import app
from pipeline.config import load_config
from pipeline.inputs import UsageError, find_videos
from pipeline.progress import Progress
from pipeline.synthetic import render_practice
from pipeline.timeline import Clock, centers_sec
from pipeline.tracks import FeatureTrack, JointTrack
from pipeline.verify import relative_difference, verify

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Over those of `tiny`, for flow and graph networks with random weights; mmpose is not needed."""
    folder, small = (
        tmp_path_factory.mktemp("weights"),
        SkeletonConfig(network="stgcn++", base=8, blocks=(1, 1)),
    )
    networks = {
        "flow.raft.weights": raft_small(weights=None),
        "flow.i3d.weights": I3D(2, None, 1 / 16),
        "skeleton.weights": build_graph(small),
    }
    for name, network in networks.items():
        state = {key: value.contiguous() for key, value in network.state_dict().items()}
        save_file(state, folder / f"{name}.safetensors")
    smaller = ["flow.raft.updates=1", "flow.i3d.width=0.0625", "skeleton.base=8", "skeleton.blocks=[1, 1]"]
    return [*(f"{name}={folder / name}.safetensors" for name in networks), *smaller]


@pytest.fixture(scope="module")
def made(tmp_path_factory, settings):
    """Two videos, and the features of all modalities of both; copy before changing anything."""
    folder = tmp_path_factory.mktemp("made")
    render_practice(folder, train_videos=1, test_videos=1, seconds=4.0, workers=1)
    options = {"preset": "tiny", "overrides": settings, "quiet": True, "device": "cpu"}
    extract(folder / "videos", folder / "out", features=("rgb", "flow"), **options)
    config = load_config("tiny", None, settings)
    network = SkeletonFeatures(config.skeleton, CPU)
    for path in (folder / "out" / "features").glob("rgb-*/*.json"):
        add_skeletons(folder / "out", json.loads(path.read_text()), network)
    return folder


def add_skeletons(out, record, network):
    """Joints of somebody who wanders about, as if found in the frames that RGB saw, and features of them."""
    video, decode = record["video"], record["decode"]
    rng, count = np.random.default_rng(int(video["sha256"][:8], 16)), record["S"]
    joints_SMJ3 = rng.uniform(0.2, 1, (count, 1, 17, 3)).astype(np.float32).cumsum(axis=0)
    joints_SMJ3[..., 2] = 0.9
    boxes_SM5 = np.tile(np.array([0, 0, 50, 90, 0.9], np.float32), (count, 1, 1))
    joints = Joints(np.zeros((count, 1), np.int64), joints_SMJ3, boxes_SM5, 128, 96)
    pose, clock = {"detector": {"name": "someone"}, "pose": "somehow"}, Clock.from_json(record["clock"])
    about = {key: record[key] for key in ("video", "decode", "S", "partial", "device", "batch")}
    joint_file = JointFile.locate(out, video["name"], video["sha256"], pose, decode)
    joint_file.save(JointTrack(joints, clock), {"pose": pose, **about})
    identity = {**network.identity(), "joints": pose}
    track = FeatureTrack(
        network.features(joints).numpy(), centers_sec(network.grid, count, clock, decode["fps"]), clock
    )
    file = FeatureFile.locate(out, video["name"], video["sha256"], identity, decode)
    sha256 = joint_file.record()["data_sha256"]
    file.save(track, {"extractor": identity, **about, "joints_sha256": sha256})


@pytest.fixture
def out(made, tmp_path):
    shutil.copytree(made / "out", tmp_path / "out")
    return tmp_path / "out"


def check(out, **options):
    return verify(out, **{"windows": 2, "device": CPU, "progress": Progress(quiet=True), **options})


def only(out, modality):
    """Leave the features of one modality alone."""
    for folder in (out / "features").iterdir():
        if not folder.name.startswith(modality):
            shutil.rmtree(folder)
    return out


def product(out, modality, video="test_000.mp4"):
    (path,) = (out / "features").glob(f"{modality}-*/{video}.npy")
    return path


def tamper(path, change, **record):
    """Change the features and adapt their record, as one who wants to be believed would."""
    features = np.load(path)
    change(features)
    buffer = io.BytesIO()
    np.save(buffer, features)
    path.write_bytes(buffer.getvalue())
    rewrite(path, data_sha256=hashlib.sha256(buffer.getvalue()).hexdigest(), **record)


def rewrite(path, **changes):
    beside = path.with_suffix(".json")
    record = json.loads(beside.read_text())
    del record["record_sha256"]  # as one who wants to be believed would
    beside.write_text(json.dumps({**record, **changes}))


def test_what_extraction_made_passes_and_nothing_is_written(out):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    outcome = check(out)
    assert outcome.findings == []
    modalities = {folder.split("/")[1].split("-")[0]: found for folder, found in outcome.folders.items()}
    for modality in ("rgb", "flow", "skeleton"):
        assert modalities[modality].files == 2
        assert modalities[modality].recomputed == 4 < modalities[modality].rows
    assert modalities["someone"].files == 2  # joints
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_all_rows_made_again_have_the_same_bits(out):
    outcome = check(only(out, "rgb"), windows=None)
    (found,) = (found for folder, found in outcome.folders.items() if folder.startswith("features"))
    assert found.recomputed == found.rows > 4
    assert found.largest == 0


@pytest.mark.parametrize("modality", ["rgb", "flow", "skeleton"])
def test_a_changed_row_is_named_however_well_its_record_was_adapted(out, modality):
    def change(features):
        features[2, 5] += 0.2 * np.abs(features[2]).max()

    path = product(out, modality)
    tamper(path, change)
    (finding,) = check(only(out, modality), windows=None).findings
    assert finding.file == str(path.relative_to(out))
    assert finding.row == 2
    assert finding.difference == pytest.approx(0.2, rel=0.3)
    assert "row 2: at" in str(finding)


def test_rows_of_another_moment_are_found(out):
    tamper(product(out, "rgb"), lambda features: features.__setitem__(..., np.roll(features, 1, axis=0)))
    findings = check(only(out, "rgb")).findings
    assert [finding.row is not None for finding in findings] == [True, True]


def test_draws_depend_on_the_seed_and_on_nothing_else(out, monkeypatch):
    import pipeline.verify

    drawn = []
    monkeypatch.setattr(
        pipeline.verify,
        "row_stream",
        lambda e, s, rows, b: drawn.append(rows.tolist()) or _Nothing(len(rows)),
    )
    only(out, "rgb")
    for seed in (0, 0, 1, 2, 3):
        check(out, seed=seed)
    runs = [drawn[i : i + 2] for i in range(0, 10, 2)]
    assert runs[0] == runs[1]
    assert len({str(run) for run in runs}) > 1
    assert all(len(set(rows)) == 2 for run in runs for rows in run)


class _Nothing:
    def __init__(self, rows):
        self.rows = rows

    def push(self, rgb_NHWC):
        pass

    def finish(self):
        return np.zeros((self.rows, 256), np.float32)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def _forget_batch(path):
    record = json.loads(path.with_suffix(".json").read_text())
    del record["batch"], record["record_sha256"]
    path.with_suffix(".json").write_text(json.dumps(record))


def _flip_in_record(path):
    text = path.with_suffix(".json").read_text()
    path.with_suffix(".json").write_text(text.replace("cpu", "cpv", 1))


def _drop_row(path):
    features = np.load(path)[:-1]
    buffer = io.BytesIO()
    np.save(buffer, features)
    path.write_bytes(buffer.getvalue())
    record = json.loads(path.with_suffix(".json").read_text())
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    rewrite(path, data_sha256=sha256, shape=list(features.shape), centers_sec=record["centers_sec"][:-1])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, "content is"),
        (lambda path: path.unlink(), "a record of it, but no file"),
        (lambda path: path.with_suffix(".json").unlink(), "no record beside it"),
        (lambda path: path.with_suffix(".json").write_text("{"), "no record beside it that can be read"),
        (lambda path: path.with_suffix(".json").write_text('{"key": 1}'), "record is not whole"),
        (lambda path: rewrite(path, key="0" * 64), "its key is not that"),
        (_forget_batch, "its record does not say batch"),
        (_flip_in_record, "its record changed since it was written"),
        (lambda path: rewrite(path, clock={"runs": 3}), "delete it"),
        (lambda path: rewrite(path, S=12), "but its source gives"),
        (_drop_row, "but its source gives"),
        (lambda path: rewrite(path, centers_sec=[9.0] * 5), "centres in its record"),
    ],
)
def test_files_that_do_not_fit_their_records_or_sources_are_named(out, damage, message):
    path = product(only(out, "rgb"), "rgb")
    damage(path)
    (finding,) = check(out).findings
    assert finding.file == str(path.relative_to(out))
    assert message in finding.problem


def test_another_clock_is_found(out):
    path = product(only(out, "rgb"), "rgb")
    clock = json.loads(path.with_suffix(".json").read_text())["clock"]
    rewrite(path, clock={**clock, "start_sec": 1.0})
    (finding,) = check(out).findings
    assert "clock" in finding.problem


def test_damaged_joints_are_found_with_what_was_made_of_them(out):
    only(out, "skeleton")
    (joints,) = (out / "joints").glob("*/test_000.mp4.npz")
    _cut(joints)
    findings = {finding.file: finding.problem for finding in check(out).findings}
    assert "content is" in findings.pop(str(joints.relative_to(out)))
    assert "the joints it was made of" in findings.pop(str(product(out, "skeleton").relative_to(out)))
    assert findings == {}


def test_another_video_under_the_name_is_found(made, out, tmp_path):
    only(out, "rgb")
    shutil.copytree(made / "videos", tmp_path / "videos")
    shutil.copy(made / "videos" / "train_000.mp4", tmp_path / "videos" / "test_000.mp4")
    (finding,) = check(out, sources=find_videos([tmp_path / "videos"]).sources).findings
    assert "another content" in finding.problem
    assert "test_000.mp4" in finding.file
    (tmp_path / "videos" / "test_000.mp4").unlink()
    (finding,) = check(out, sources=find_videos([tmp_path / "videos"]).sources).findings
    assert "none of the run's; name the videos" in finding.problem


def test_features_of_other_settings_are_made_again_with_those_of_their_records(made, out, settings):
    changed = [*settings, "rgb.window={length: 16, stride: 4, offset: 0}", "rgb.resize=96", "fps=10"]
    extract(made / "videos", out, preset="tiny", overrides=changed, quiet=True, device="cpu")
    outcome = check(only(out, "rgb"))
    assert outcome.findings == []
    folders = [found for folder, found in outcome.folders.items() if folder.startswith("features/rgb")]
    assert [found.recomputed for found in folders] == [4, 4]
    assert folders[0].rows != folders[1].rows


def test_other_weights_are_said_not_passed_over(out):
    path = product(only(out, "rgb"), "rgb")
    for beside in path.parent.glob("*.json"):
        record = json.loads(beside.read_text())
        record["extractor"]["weights"] = "0" * 64
        del record["record_sha256"]
        made_of = {"video": record["video"]["sha256"], "extractor": record["extractor"]}
        text = json.dumps({**made_of, "decode": record["decode"]}, sort_keys=True, separators=(",", ":"))
        beside.write_text(json.dumps({**record, "key": hashlib.sha256(text.encode()).hexdigest()}))
    findings = check(out).findings
    assert len(findings) == 2
    assert all(
        "cannot be made again by this version and these weights: weights was" in f.problem for f in findings
    )


def test_the_command_says_what_it_found_and_leaves_with_it(made, out):
    only(out, "rgb")
    arguments = ["verify", str(out), "--all", "--device", "cpu"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert "verified: 4 files are what their records say" in done.output
    assert "largest difference 0.0e+00 (allowed 1e-04)" in done.output
    tamper(product(out, "rgb"), lambda features: features.__setitem__(3, -features[3]))
    done = CliRunner().invoke(app, [*arguments, str(made / "videos")])
    assert done.exit_code == 1
    assert "MISMATCH features/rgb-" in done.output
    assert "test_000.mp4.npy row 3: at" in done.output
    assert "not verified: 1 mismatches in 1 of 4 files" in done.output
    assert CliRunner().invoke(app, [*arguments, "--tolerance", "2.5"]).exit_code == 0


def test_a_folder_that_is_no_run_is_wrong_usage(tmp_path, out):
    with pytest.raises(UsageError, match=r"no run\.json"):
        check(tmp_path)
    with pytest.raises(UsageError, match="at least one"):
        check(out, windows=0)
    shutil.rmtree(out / "features")
    shutil.rmtree(out / "joints")
    with pytest.raises(UsageError, match="holds no features"):
        check(out)


def test_differences_are_in_units_of_the_largest_number():
    one = np.array([1.0, -4.0], np.float32)
    assert relative_difference(one, np.array([1.0, -3.0], np.float32)) == 0.25
    assert relative_difference(np.zeros(3), np.zeros(3)) == 0
    assert relative_difference(np.zeros(3), np.full(3, 1e-9)) == 1
