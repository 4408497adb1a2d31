"""verify and compare-features on what extraction really makes: every recipe, real videos, wrong settings."""

import hashlib
import io
import json
import shutil
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.optical_flow import raft_small
from typer.testing import CliRunner

from extractors.i3d import I3D
from pipeline import extract
from pipeline.cli import app
from pipeline.compare import compare_features
from pipeline.compare_verdict import verdict
from pipeline.presets import PRESETS
from pipeline.synthetic import render_practice

_OTHERWISE = {"tiny", "kinetics", "charades-i3d"}  # below; features of kinetics-16; of charades


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """Settings over those of any preset for networks that are narrow and random; pixels stay the recipe's."""
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
    small = [
        "rgb.width=0.0625",
        "flow.i3d.width=0.0625",
        "flow.raft.variant=raft_small",
        "flow.raft.updates=1",
    ]
    person = [f"rgb.person.{name}=augrgb-tiny-detector" for name in ("detector", "detector_weights")]
    return [*paths, *small, *person]


@pytest.fixture(scope="module")
def beginnings(shared, tmp_path_factory):
    """The first 60 frames of every real video (2 to 6 s), in its own container, as they are stored."""
    folder = tmp_path_factory.mktemp("beginnings")
    for path in (shared / "data" / "videos" / "real").iterdir():
        with av.open(str(path)) as whole, av.open(str(folder / path.name), "w") as part:
            stream = part.add_stream_from_template(whole.streams.best("video"))
            packets = (packet for packet in whole.demux(whole.streams.best("video")) if packet.size)
            for packet in islice(packets, 60):
                packet.stream = stream
                part.mux(packet)
    return folder


def tamper(file: Path, row: int) -> None:
    """Change one number of a row by a tenth of its largest, and the digest in its record with it."""
    features = np.load(file)
    features[row, 3] += 0.1 * np.abs(features[row]).max()
    buffer = io.BytesIO()
    np.save(buffer, features)
    file.write_bytes(buffer.getvalue())
    record = json.loads(file.with_suffix(".json").read_text())
    record["data_sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    del record["record_sha256"]
    file.with_suffix(".json").write_text(json.dumps(record))


def verify(out: Path, *options: str):
    return CliRunner().invoke(app, ["verify", str(out), "--device", "cpu", *options])


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("preset", [name for name in PRESETS if name not in _OTHERWISE])
def test_every_recipe_on_the_real_videos(beginnings, narrow, tmp_path, preset):
    """All of them for RGB, one for flow, too: made, verified, and one number of one file changed."""
    out = tmp_path / "out"
    settings = {"preset": preset, "overrides": narrow, "quiet": True, "device": "cpu"}
    made = extract(beginnings, out, features=("rgb",), **settings)
    assert made["rgb"].keys() == {path.name for path in beginnings.iterdir()}
    assert {track.clock.num_frames for track in made["rgb"].values()} == {60}
    extract(beginnings / "ta_chi.mp4", out, features=("rgb", "flow"), **settings)
    done = verify(out, str(beginnings), "-k", "2")
    assert done.exit_code == 0, done.output
    assert f"verified: {len(made['rgb']) + 1} files" in done.output
    (file,) = (out / "features").glob("rgb-*/demo.mp4.npy")
    tamper(file, row=0)
    done = verify(out, str(beginnings), "--all")
    assert done.exit_code == 1
    assert "demo.mp4.npy row 0: at" in done.output
    assert "not verified: 1 mismatches in 1 of" in done.output


@pytest.mark.slow
@pytest.mark.shared
def test_the_tiny_recipe_on_real_videos_with_skeletons(shared, tmp_path):
    """The weights that are shipped, all modalities; a changed row of each is found."""
    real, videos, out = shared / "data" / "videos" / "real", tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    for name in ("skateboarding.mp4", "test.avi", "flipping_a_pancake.mkv"):
        (videos / name).symlink_to(real / name)
    modalities = ("rgb", "flow", "skeleton")
    extract(videos, out, features=modalities, preset="tiny", quiet=True, device="cpu")
    assert verify(out, "-k", "3").exit_code == 0
    for modality in modalities:
        copy = tmp_path / modality
        shutil.copytree(out, copy)
        (file,) = (copy / "features").glob(f"{modality}-*/skateboarding.mp4.npy")
        tamper(file, row=2)
        done = verify(copy, "--all")
        assert done.exit_code == 1
        assert f"{modality}-" in done.output
        assert "skateboarding.mp4.npy row 2: at" in done.output


@pytest.fixture(scope="module")
def practice(tmp_path_factory):
    folder = tmp_path_factory.mktemp("practice")
    render_practice(folder, train_videos=1, test_videos=1, seconds=20.0, workers=1)
    return folder


@pytest.fixture(scope="module")
def features_of(practice):
    """RGB features of a practice video with the weights that are shipped, by settings."""

    def make(*overrides):
        out = practice / "-".join(["out", *overrides]).replace("=", "_")
        if not out.exists():
            settings = ["rgb.window.stride=4", *overrides]
            extract(
                practice / "videos" / "test_000.mp4",
                out,
                preset="tiny",
                overrides=settings,
                quiet=True,
                device="cpu",
            )
        return out

    return make


@pytest.mark.parametrize(("offset", "steps"), [(8, 2), pytest.param(-12, -3, marks=pytest.mark.slow)])
def test_features_some_steps_off_are_found_out(features_of, offset, steps):
    found = compare_features(features_of(), features_of(f"rgb.window.offset={offset}"))
    assert found.kind == "shift"
    assert (found.line.ratio, found.line.shift) == (1, pytest.approx(steps, abs=0.1))
    sign = "+" if steps > 0 else "-"
    assert f"step i of B is step i {sign} {abs(steps)} of A" in verdict(found)
    assert found.clock_agrees  # ours know when they are
    assert found.cosine() > 0.99 > found.cosine(as_is=True)


@pytest.mark.parametrize("fps", [10.0, pytest.param(15.0, marks=pytest.mark.slow)])
def test_features_at_another_rate_are_found_out(features_of, fps):
    found = compare_features(features_of(), features_of(f"fps={fps}"))
    assert found.kind == "rate"
    assert found.line.ratio == pytest.approx(12.5 / fps, rel=0.01)
    formula = {10.0: "(5/4) i", 15.0: "(5/6) i"}[fps]
    assert f"B runs at another rate: step i of B is step {formula} of A, as of" in verdict(found)
    # windows begin together, so their middles are half a step apart: the times know it, the line does not
    assert found.clock.ratio == pytest.approx(12.5 / fps)
    assert abs(found.clock.shift - found.line.shift) > 0.3
    assert "their own times say the same" in verdict(found)


def test_the_same_twice_is_the_same(features_of, practice, tmp_path):
    shutil.copytree(features_of(), tmp_path / "again")
    page = ["--out", str(tmp_path / "page.html")]
    arguments = ["compare-features", str(features_of()), str(tmp_path / "again"), *page]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    arguments[2] = str(features_of("fps=10.0"))
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "B runs at another rate: step i of B is step (5/4) i of A" in done.output
