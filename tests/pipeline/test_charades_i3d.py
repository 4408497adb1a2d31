"""Every frame scored with the classifier in an I3D's weights: nothing trained, all else as ever."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from extractors import build_extractor
from extractors.i3d import I3D
from models.linear import Linear, LinearConfig, softmax_log_odds
from pipeline import commands, run
from pipeline.checkpoint import Checkpoint
from pipeline.classifier import class_names, under_names
from pipeline.cli import app
from pipeline.config import load_config
from pipeline.datasets import load_annotations
from pipeline.request import request
from pipeline.timeline import Clock
from pipeline.video import decode

CPU = torch.device("cpu")
VIDEO = "AB12C.mp4"  # named as those of Charades are
SMALL = ["rgb.width=0.0625", "rgb.resize=66", "rgb.crop=64"]
IDS = tuple(f"c{k:03}" for k in range(157))
NAMES = tuple(f"Doing thing {k}" for k in range(157))


def random_weights(path, classes):
    """An I3D with random weights in the public layout, whose scores are spread."""
    torch.manual_seed(classes or 1)
    network = I3D(3, classes, 1 / 16).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d):  # as they are made, what goes in is hardly seen at the end
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    torch.save(network.state_dict(), path)
    return network


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The network and its file."""
    path = tmp_path_factory.mktemp("weights") / "rgb_charades.pt"
    return random_weights(path, 157), path


@pytest.fixture(scope="module")
def videos(tmp_path_factory, write_video):
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / VIDEO, 60)
    write_video(folder / "DE34F.mp4", 31)
    return folder


def settings(path, *more):
    overrides = [f"rgb.weights={path}", *SMALL, *more]
    return [part for override in overrides for part in ("--set", override)]


def augrgb(*arguments, check=0):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == check, done.output
    return " ".join(done.output.split())


@pytest.fixture(scope="module")
def finished(weights, videos, tmp_path_factory):
    """A run: its folder and what it printed. Copy it before changing anything."""
    out = tmp_path_factory.mktemp("finished") / "out"
    preset = ["--preset", "charades-i3d", *settings(weights[1]), "--device", "cpu"]
    return out, augrgb("run", videos, "--out", out, *preset)


@pytest.fixture
def out(finished, tmp_path):
    return Path(shutil.copytree(finished[0], tmp_path / "out"))


def scores_of(out, video=VIDEO):
    with np.load(out / "scores" / f"{video}.npz", allow_pickle=False) as arrays:
        return arrays["scores"], arrays["times"], tuple(arrays["classes"])


def annotate(folder, *, names=False, subset="testing"):
    """Charades' annotations of both videos, with the list of what its classes are called or without."""
    folder.mkdir()
    actions = [[5, 0.0, 1.0], [156, 0.5, 1.5]]
    labels = {name: {"subset": subset, "duration": 2.0, "actions": actions} for name in ("AB12C", "DE34F")}
    (folder / "charades.json").write_text(json.dumps(labels))
    if names:
        lines = [f"{number} {name}" for number, name in zip(IDS, NAMES, strict=True)]
        (folder / "Charades_v1_classes.txt").write_text("\n".join(lines))
    return folder / "charades.json"


def test_scores_are_those_of_the_whole_network(finished, weights, videos):
    """Every layer of it, its classifier too, on the video in one piece; straight lines between its steps."""
    config = load_config("charades-i3d", overrides=[f"rgb.weights={weights[1]}", *SMALL])
    extractor = build_extractor("rgb", config.rgb, CPU)
    frames, decoded = decode(videos / VIDEO, lambda stream: [f.copy() for f in stream], fps=24.0)
    pixels = extractor.frames(torch.from_numpy(np.stack(frames)))
    with torch.inference_mode():
        x = pixels.permute(3, 0, 1, 2).float()[None] / 127.5 - 1
        steps_TK = weights[0](x)[0].T.sigmoid().numpy()
    found_FK, times_F, classes = scores_of(finished[0])
    assert classes == IDS
    assert found_FK.shape == (60, 157)
    clock: Clock = decoded.meta.clock
    np.testing.assert_allclose(times_F, clock.sec_F)
    centers_T = (8 * np.arange(len(steps_TK)) + 9 - (-len(frames) % 4)) / 24
    expected = [np.interp(times_F, centers_T, step_T) for step_T in steps_TK.T]
    np.testing.assert_allclose(found_FK, np.stack(expected, axis=1), atol=1e-4)
    assert found_FK.std(axis=0).max() > 0.05  # they do change over time


def test_nothing_is_trained_and_all_else_is_there(finished):
    out, printed = finished
    assert "train" not in printed
    assert (out / "scores" / f"{VIDEO}.csv").is_file()
    with (out / "events.csv").open() as file:
        events = list(csv.DictReader(file))
    assert events
    assert {event["label"] for event in events} <= {*IDS}
    page = (out / "report" / "index.html").read_text()
    assert events[0]["label"] in page
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["charades-i3d.ckpt"]
    assert not (out / "training").exists()


def test_everything_is_found_again(out, weights, videos):
    preset = ["--preset", "charades-i3d", *settings(weights[1]), "--device", "cpu"]
    assert "nothing to do" in augrgb("run", videos, "--out", out, *preset)
    said = augrgb("run", videos, "--out", out, *preset, "--dry-run")
    assert "extract: 2 videos cached, 0 to do score: 2 videos cached, 0 to do" in said
    assert "train" not in said
    assert "nothing to do" in augrgb("score", "--out", out, "--device", "cpu")
    augrgb("report", out)  # makes previews, which a run does not
    assert "nothing to do" in augrgb("report", out)


@pytest.mark.parametrize("names", [False, True])
def test_evaluated_later_by_ids_or_by_names(out, tmp_path, names):
    """Scores keep the names they have: what was scored is not scored again for another list of names."""
    before = scores_of(out)
    augrgb("evaluate", "--out", out, "--annotations", annotate(tmp_path / "labels", names=names))
    metrics = json.loads((out / "metrics.json").read_text())
    (model,) = metrics["models"]
    assert model == "charades-i3d"
    assert metrics["videos"] == [VIDEO, "DE34F.mp4"]
    assert metrics["missing"] == []
    assert scores_of(out)[2] == before[2] == IDS
    augrgb("report", out)  # which remembers the labels


def test_official_names_are_used_where_the_annotations_give_them(out, weights, videos, tmp_path):
    preset = ["--preset", "charades-i3d", *settings(weights[1]), "--device", "cpu"]
    labels = annotate(tmp_path / "labels", names=True)
    before = scores_of(out)
    augrgb("run", videos, "--out", out, *preset, "--annotations", labels)
    measured = json.loads((out / "metrics.json").read_text())["models"]["charades-i3d"]
    assert 0 < measured["frame_map/all"]["ap"][NAMES[5]] < 1
    named = scores_of(out)
    assert named[2] == NAMES
    assert (named[0] == before[0]).all()
    # by ids, they are found as well
    augrgb("evaluate", "--out", out, "--annotations", annotate(tmp_path / "ids"))
    assert json.loads((out / "metrics.json").read_text())["missing"] == []
    assert scores_of(out)[2] == NAMES


def test_labels_of_one_s_own_go_by_class_ids(out, tmp_path):
    (tmp_path / "labels.csv").write_text("video,start,end,label\nAB12C.mp4,0,1,c005\nDE34F.mp4,0.2,1,c156\n")
    augrgb("evaluate", "--out", out, "--annotations", tmp_path / "labels.csv")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["videos"] == [VIDEO, "DE34F.mp4"]  # without subsets every labelled video judges it
    (tmp_path / "other.csv").write_text("video,start,end,label\nAB12C.mp4,0,1,waving\n")
    said = augrgb("evaluate", "--out", out, "--annotations", tmp_path / "other.csv", check=2)
    assert "does not know the labels waving" in said


def test_only_the_test_subset_is_evaluated(out, tmp_path):
    labels = annotate(tmp_path / "labels", subset="training")
    augrgb("evaluate", "--out", out, "--annotations", labels)
    assert json.loads((out / "metrics.json").read_text())["videos"] == []


def test_the_model_is_a_checkpoint_for_other_videos(finished, write_video, tmp_path):
    model = finished[0] / "checkpoints" / "charades-i3d.ckpt"
    found = Checkpoint.load(model)
    assert (found.name, found.classes, found.in_dim) == ("charades-i3d", IDS, 64)
    video = write_video(tmp_path / "other.mp4", 20)
    scores = commands.run(request(video, tmp_path / "out", checkpoint=model, device="cpu", quiet=True))
    assert scores["other.mp4"].scores_FK.shape == (20, 157)


def test_it_trains_nothing_and_takes_no_teachers(out, weights, videos, tmp_path):
    labels = annotate(tmp_path / "labels")
    said = augrgb("train", "--out", out, "--annotations", labels, check=2)
    assert "'charades-i3d' scores with the classifier in its weights and trains nothing" in said
    preset = ["--preset", "charades-i3d", *settings(weights[1])]
    said = augrgb("run", videos, "--out", tmp_path / "new", *preset, "--teachers", "flow", check=2)
    assert "scores by itself, but the teachers flow are asked for" in said


def test_features_alone_are_those_of_charades(weights, videos):
    """A model trained with the preset charades finds them; flow can be asked for, too."""
    asked = request(
        videos,
        "unused",
        preset="charades-i3d",
        features=("rgb",),
        overrides=[f"rgb.weights={weights[1]}", *SMALL],
    )
    assert asked.checkpoint is None
    plain = request(
        videos,
        "unused",
        preset="charades",
        features=("rgb",),
        overrides=[f"rgb.weights={weights[1]}", *SMALL],
    )
    assert asked.recipe().identities == plain.recipe().identities


def test_wrong_weights_are_named(videos, tmp_path):
    random_weights(tmp_path / "seven.pt", 7)
    random_weights(tmp_path / "none.pt", None)
    arguments = ["run", videos, "--out", tmp_path / "out", "--preset", "charades-i3d", "--device", "cpu"]
    said = augrgb(*arguments, *settings(tmp_path / "seven.pt"), check=2)
    assert "its classifier has 7 classes, charades has 157" in said
    assert "--set classifier=weights" in said
    said = augrgb(*arguments, *settings(tmp_path / "none.pt"), check=2)
    assert "none.pt: these weights come without a classifier" in said
    assert not (tmp_path / "out" / "features").exists()


@pytest.mark.parametrize(
    ("classes", "classifier", "first"), [(7, "weights", "class 0"), (400, "kinetics", "abseiling")]
)
def test_other_weights_with_a_classifier(videos, tmp_path, classes, classifier, first):
    """Classes of Kinetics exclude one another."""
    random_weights(tmp_path / "other.pt", classes)
    overrides = [f"rgb.weights={tmp_path / 'other.pt'}", *SMALL, f"classifier={classifier}"]
    scores = run(
        videos / VIDEO, tmp_path / "out", preset="kinetics", overrides=overrides, device="cpu", quiet=True
    )[VIDEO]
    assert scores.classes[0] == first
    assert scores.scores_FK.shape == (60, classes)
    sums = scores.scores_FK.sum(axis=1)
    assert np.allclose(sums, 1, atol=1e-4) == (classifier == "kinetics")
    assert scores.scores_FK.max(axis=1).std() > 0


def test_the_network_as_a_whole_in_windows(weights, videos, tmp_path):
    """Softmax of the mean logits, as Carreira and Zisserman average them, at the middle of a window."""
    network = random_weights(tmp_path / "kinetics.pt", 400)
    overrides = [f"rgb.weights={tmp_path / 'kinetics.pt'}", *SMALL, "classifier=kinetics", "fps=null"]
    overrides.append("rgb.window.length=17")
    scores = run(
        videos / VIDEO, tmp_path / "out", preset="kinetics", overrides=overrides, device="cpu", quiet=True
    )[VIDEO]
    extractor = build_extractor("rgb", load_config("kinetics", overrides=overrides).rgb, CPU)
    frames, _ = decode(videos / VIDEO, lambda stream: [f.copy() for f in stream], fps=None)
    pixels = extractor.frames(torch.from_numpy(np.stack(frames[16:33])))
    with torch.inference_mode():
        logits = network(pixels.permute(3, 0, 1, 2).float()[None] / 127.5 - 1)[0].mean(-1)
    np.testing.assert_allclose(scores.scores_FK[24], logits.softmax(0).numpy(), atol=1e-4)


def test_log_odds_of_a_softmax():
    logits = torch.randn(5, 9) * 10
    logits[0] = torch.tensor([90.0, *[-90.0] * 8])
    found = softmax_log_odds(logits)
    assert found.isfinite().all()
    torch.testing.assert_close(found.double().sigmoid(), logits.double().softmax(-1), rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(found[0, 0], torch.tensor(180 - np.log(8.0), dtype=torch.float32))
    model = Linear(4, 9, LinearConfig(standardise=False, exclusive=True)).eval()
    x, mask = torch.randn(1, 6, 4), torch.ones(1, 6)
    torch.testing.assert_close(model(x, mask).sigmoid().sum(-1), torch.ones(1, 6))


def test_names_of_charades_and_no_others_are_exchanged(tmp_path, finished):
    labels = load_annotations(annotate(tmp_path / "named", names=True))
    assert labels.classes == NAMES
    ids = under_names(labels, IDS)
    assert ids.classes == IDS
    assert [i.label for i in ids.videos[0].intervals] == ["c005", "c156"]
    assert under_names(ids, NAMES).videos == labels.videos
    others = tuple(f"other {k}" for k in range(157))
    assert under_names(labels, others) is labels
    assert under_names(labels, IDS[:100]) is labels
    charades = load_config("charades-i3d")
    assert class_names(charades, labels, tmp_path, remember=True) == NAMES
    assert class_names(charades, labels, finished[0], remember=True) == IDS
    assert class_names(charades, labels, finished[0], remember=False) == NAMES
    assert class_names(charades, None, finished[0], remember=False) == IDS
    assert (
        class_names(
            load_config("kinetics", overrides=["classifier=kinetics"]), labels, tmp_path, remember=False
        )
        is None
    )


@pytest.mark.shared
def test_a_real_video(shared, weights, tmp_path):
    video = shared / "data" / "videos" / "real" / "skateboarding.mp4"
    preset = ["--preset", "charades-i3d", *settings(weights[1]), "--device", "cpu"]
    augrgb("run", video, "--out", tmp_path / "out", *preset)
    scores_FK, times_F, classes = scores_of(tmp_path / "out", video.name)
    assert scores_FK.shape == (len(times_F), 157)
    assert classes == IDS
    assert scores_FK.std(axis=0).max() > 0.01
