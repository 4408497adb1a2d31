"""The command line of interchange, on a folder of results as a run leaves it."""

import json
from fractions import Fraction

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cache import FeatureFile
from pipeline.cli import app
from pipeline.events import Event, write_events
from pipeline.files import write_json
from pipeline.timeline import Clock
from pipeline.tracks import FeatureTrack

LABELS = "video,start,end,label,subset\na,1,2,wave,testing\na,3,5,pour,testing\nb,0,1,wave,training\n"
EVENTS = {"d/a.mp4": [Event(1.0, 2.0, "wave", 0.5), Event(3.0, 4.0, "pour", 0.75)], "d/b.mp4": []}


def augrgb(*args, check=0):
    done = CliRunner().invoke(app, list(map(str, args)))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == check, done.output
    return done.output


@pytest.fixture
def out(tmp_path):
    folder, labels = tmp_path / "out", tmp_path / "labels.csv"
    labels.write_text(LABELS)
    for video in EVENTS:
        track = FeatureTrack(
            np.ones((12, 3), np.float32), np.arange(12) / 2 + 0.25, Clock.constant(60, Fraction(10))
        )
        file = FeatureFile.locate(folder, video, "0" * 64, {"name": "rgb"}, {"fps": None})
        file.save(track, {"fps": None, "partial": False})
    write_events(folder / "events.csv", folder / "events.json", EVENTS)
    write_json(folder / "run.json", {"config": {"preset": "tiny"}, "annotations": str(labels)})
    return folder


def test_features_with_the_labels_of_the_run(out, tmp_path):
    output = augrgb("export", out, "--features", "opentad", "--to", tmp_path / "to")
    assert "2 videos of rgb-" in output
    assert "a step every 5 frames" in output
    database = json.loads((tmp_path / "to" / "annotations.json").read_text())["database"]
    assert [a["label"] for a in database["a"]["annotations"]] == ["wave", "pour"]
    assert np.load(tmp_path / "to" / "rgb" / "a.npy").shape == (12, 3)


def test_features_with_other_labels_and_without(out, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("video,start,end,label\na,1,2,jump\nb,,,\n")
    augrgb("export", out, "--features", "pdan", "--to", tmp_path / "to", "-a", other)
    assert (tmp_path / "to" / "classes.txt").read_text() == "jump\n"
    (out / "run.json").unlink()
    output = augrgb("export", out, "--features", "pdan", "--to", tmp_path / "plain")
    assert "no labels known" in output
    assert np.load(tmp_path / "plain" / "rgb" / "b.npy").shape == (12, 1, 1, 3)


def test_events_out_and_in_again(out, tmp_path):
    assert "2 events of 2 videos" in augrgb(
        "export", out, "--events", "activitynet", "--to", tmp_path / "e.json"
    )
    assert "1 videos have no event" in augrgb("export", out, "--events", "srt", "--to", tmp_path / "srt")
    assert [path.name for path in (tmp_path / "srt").iterdir()] == ["a.srt"]
    # events of any origin become subtitles, too
    augrgb("export", tmp_path / "e.json", "--events", "srt", "--to", tmp_path / "again")
    assert (tmp_path / "again" / "a.srt").read_bytes() == (tmp_path / "srt" / "a.srt").read_bytes()
    tables = []
    for file in (tmp_path / "e.json", out / "events.json", out / "events.csv"):
        output = augrgb(
            "evaluate-events", file, "-a", tmp_path / "labels.csv", "--protocols",
            "segment_map@0.1:0.9,event_map,frame_map/all", "--bootstrap", 0, "--json", tmp_path / "m.json",
        )  # fmt: skip
        assert "event_map/action@0.5" in output
        tables.append(json.loads((tmp_path / "m.json").read_text())["protocols"])
    assert tables[0] == tables[1] == tables[2]
    # pour is found to one half: at 5 of 9 thresholds
    assert tables[0]["segment_map@0.1:0.9"]["value"] == pytest.approx((1 + 5 / 9) / 2)
    assert tables[0]["frame_map/all"]["value"] == pytest.approx((1 + 0.5 + 0.5 * 50 / 125) / 2, abs=0.02)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["export", "OUT", "--to", "x"], "give one of --features and --events"),
        (["export", "OUT", "--to", "x", "--features", "pdan", "--events", "srt"], "give one of"),
        (["export", "OUT", "--to", "x", "--features", "mmaction"], "expected opentad, actionformer, pdan"),
        (["export", "OUT", "--to", "x", "--events", "vtt"], "expected activitynet or srt"),
        (
            ["export", "OUT", "--to", "x", "--features", "pdan", "--modality", "flow"],
            "no flow features in it",
        ),
        (["evaluate-events", "OUT/events.json", "-a", "LABELS", "--protocols", "map"], "no protocol 'map'"),
        (["evaluate-events", "OUT/events.json", "-a", "LABELS", "--subset", "x"], "expected testing"),
        (["evaluate-events", "OUT/none.json", "-a", "LABELS"], "cannot be read"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(out, tmp_path, args, message):
    places = {"OUT": str(out), "LABELS": str(tmp_path / "labels.csv"), "x": str(tmp_path / "x")}
    for name, place in places.items():
        args = [place if a == name else a.replace(f"{name}/", f"{place}/") for a in args]
    output = augrgb(*args, check=2)
    assert message in output
    assert "Traceback" not in output
    assert not (tmp_path / "x").exists()
