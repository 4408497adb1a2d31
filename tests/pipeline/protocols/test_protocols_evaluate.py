"""The stage: which protocols, on which videos, what is kept in metrics.json and printed."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from pipeline.cli import _overrides, app
from pipeline.config import EvaluationConfig, EventConfig, load_config, override
from pipeline.datasets import load_annotations
from pipeline.evaluate import evaluate, metrics_table
from pipeline.inputs import Source
from pipeline.job import Job
from pipeline.labels import interval_targets
from pipeline.metrics import frame_map
from pipeline.page import results
from pipeline.progress import Progress
from pipeline.protocols import ProtocolError
from pipeline.report_data import ReportData
from pipeline.report_json import class_rows, compared, result_rows
from pipeline.task import make_task
from pipeline.timeline import Clock
from pipeline.tracks import ScoreTrack

VIDEOS = [f"{name}.mp4" for name in "abcde"]
ROWS = """video,start,end,label,subset
a,0,2,run,training
b,1,3,run,testing
b,2,5,sit,testing
c,0,1,sit,testing
c,4,9,run,testing
d,,,,testing
e,1,2,run,testing
"""


@pytest.fixture
def job(tmp_path):
    (tmp_path / "labels.csv").write_text(ROWS)
    sources = tuple(Source(tmp_path / name, name) for name in VIDEOS)
    return Job(
        tmp_path / "out",
        sources,
        replace(load_config("tiny"), evaluation=EvaluationConfig(samples=50)),
        torch.device("cpu"),
        Progress(quiet=True),
        load_annotations(tmp_path / "labels.csv"),
    )


@pytest.fixture
def task(job):
    clock = Clock.constant(60, 10)
    return make_task(job.annotations, VIDEOS, job.config.labels, seed=0).on(dict.fromkeys(VIDEOS, clock))


def tracks(seed: int, videos: str = "abcde") -> dict[str, ScoreTrack]:
    """60 frames at 10 fps."""
    rng = np.random.default_rng(seed)
    return {
        f"{v}.mp4": ScoreTrack(rng.random((60, 2)).astype(np.float32), np.arange(60) / 10, ("run", "sit"))
        for v in videos
    }


def with_protocols(job: Job, *names: str, **events: object) -> Job:
    config = replace(job.config, evaluation=EvaluationConfig(protocols=names, samples=50))
    return replace(job, config=replace(config, events=EventConfig(**events)))


def test_frame_map_is_what_it_was(job, task):
    """The structure that the report reads, and the figures of `frame_map` on the cleaned labels."""
    scores = {"vanilla": tracks(0), "student": tracks(1)}
    metrics = evaluate(job, task, scores)
    assert json.loads((job.out / "metrics.json").read_text()) == json.loads(json.dumps(metrics))
    assert (metrics["videos"], metrics["missing"]) == (VIDEOS[1:], [])
    for model, found in scores.items():
        row = metrics["models"][model]["frame_map/all"]
        videos = VIDEOS[1:]
        targets = [interval_targets(task.intervals[v], found[v].times_sec_F, task.classes) for v in videos]
        expected = frame_map([found[v].scores_FK for v in videos], targets, task.classes).to_json()
        assert {key: row[key] for key in expected} == expected
        low, high = row["interval"]
        assert 0 < low < row["mean_ap"] < high < 1
        assert row["chance_interval"][0] < row["chance"] < row["chance_interval"][1]


def test_protocols_asked_for_stand_side_by_side(job, task):
    job = with_protocols(job, "charades_localize_25", "event_map/video@0.5", "frame_map")
    metrics = evaluate(job, task, {"vanilla": tracks(0), "student": tracks(1)})
    names = ["charades_localize_25", "event_map/video@0.5", "frame_map/all", "frame_map/all_classes"]
    assert [list(rows) for rows in metrics["models"].values()] == [names, names]
    console = Console(file=io.StringIO(), width=80)
    console.print(metrics_table(metrics))
    printed = console.file.getvalue()
    assert all(name in printed for name in names)
    assert printed.count("student") == len(names)
    assert printed.count("chance") == 3  # events have none
    assert all(text in printed for text in ("100 instants", "240 frames", "5 events"))


def test_a_video_one_model_lacks_is_missing_for_all(job, task):
    job = with_protocols(job, "frame_map/all", "event_map/action@0.1")
    metrics = evaluate(job, task, {"vanilla": tracks(0, "abcd"), "student": tracks(1, "abcde")})
    assert (metrics["videos"], metrics["missing"]) == (["b.mp4", "c.mp4", "d.mp4"], ["e.mp4"])
    for rows in metrics["models"].values():
        assert rows["frame_map/all"]["videos"] == 3
        assert rows["frame_map/all"]["missing"] == rows["event_map/action@0.1"]["missing"] == ["e.mp4"]
    console = Console(file=io.StringIO(), width=80)
    console.print(metrics_table(metrics))
    assert "3 videos, 1 missing" in console.file.getvalue()


def test_made_again_only_where_something_changed(job, task):
    scores = {"vanilla": tracks(0)}
    grids = {video: np.arange(3, 60, 8) / 10 for video in VIDEOS}
    evaluate(job, task, scores, grids)

    def done(*arguments: object) -> int:
        evaluate(*arguments)
        return arguments[0].results[-1].done

    assert done(job, task, scores, grids) == 0
    assert done(job, task, scores, {video: grid + 0.1 for video, grid in grids.items()}) == 1
    other = with_protocols(job, "event_map/action@0.1")
    assert done(other, task, scores, grids) == 1
    assert done(other, task, scores, grids) == 0
    assert done(with_protocols(job, "event_map/action@0.1", threshold=0.7), task, scores, grids) == 1
    assert done(other, task, {"vanilla": tracks(1)}, grids) == 1
    evaluate(job, task, {"vanilla": tracks(0)}, grids)
    (job.out.parent / "labels.csv").write_text(ROWS.replace("e,1,2", "e,1,3"))
    labels = load_annotations(job.out.parent / "labels.csv")
    changed = make_task(labels, VIDEOS, job.config.labels, seed=0).on(
        dict.fromkeys(VIDEOS, Clock.constant(60, 10))
    )
    assert done(job, changed, scores, grids) == 1


def test_steps_are_those_of_the_features(job, task):
    job = with_protocols(job, "step_map/all", "grid_map/all")
    scores = {"vanilla": tracks(0)}
    grids = {video: np.arange(3, 60, 8) / 10 for video in VIDEOS}
    rows = evaluate(job, task, scores, grids)["models"]["vanilla"]
    assert {row["frames"] for row in rows.values()} == {4 * 8}
    assert {row["frames"] for row in evaluate(job, task, scores)["models"]["vanilla"].values()} == {4 * 60}


def test_events_follow_the_settings(job, task):
    scores = {"vanilla": tracks(0)}
    counts = []
    for rule in ({"threshold": 0.5}, {"threshold": 0.9}, {"rule": "background-grouping", "activity": 0.9}):
        settings = with_protocols(job, "event_map/action@0.1", min_sec=0.0, merge_gap_sec=0.0, **rule)
        rows = evaluate(settings, task, scores)["models"]["vanilla"]
        counts.append(rows["event_map/action@0.1"]["proposals"])
    assert len(set(counts)) == 3


def test_a_data_set_brings_its_protocols(job, task):
    match = replace(task.match, annotations=replace(task.match.annotations, dataset="pku-mmd-cs"))
    metrics = evaluate(job, replace(task, match=match), {"vanilla": tracks(0)})
    assert next(iter(metrics["models"]["vanilla"])) == "event_map/action@0.1"
    assert list(metrics["models"]["vanilla"])[-1] == "frame_map/all"


def test_nothing_to_measure_and_unknown_names(job, task):
    metrics = evaluate(job, task, {"vanilla": tracks(0, "a")})
    assert (metrics["models"], metrics["missing"]) == ({}, VIDEOS[1:])
    assert metrics_table(metrics) is None
    with pytest.raises(ProtocolError, match="there is no protocol 'map'"):
        evaluate(with_protocols(job, "map"), task, {"vanilla": tracks(0)})


def test_no_interval_when_none_is_asked_for(job, task):
    config = replace(job.config, evaluation=EvaluationConfig(samples=0))
    row = evaluate(replace(job, config=config), task, {"vanilla": tracks(0)})["models"]["vanilla"][
        "frame_map/all"
    ]
    assert row["interval"] is row["chance_interval"] is None
    with pytest.raises(ValueError, match="samples >= 0"):
        EvaluationConfig(samples=-1)


def test_the_page_compares_by_the_first_protocol(job, task):
    job = with_protocols(job, "charades_localize_25", "frame_map/all")
    metrics = evaluate(job, task, {"vanilla": tracks(0), "student": tracks(1, "abcd")})
    rows = results(metrics)
    assert list(rows) == [
        "vanilla (frame_map/all)",
        "student (frame_map/all)",
        "vanilla (charades_localize_25)",
        "student (charades_localize_25)",
    ]
    data = ReportData("t", task.classes, rows, (), (), (), (), (), {})
    assert [row["model"] for row in compared(data)] == list(rows)[2:]
    assert [row["missing"] for row in result_rows(data)] == [1] * 4
    assert result_rows(data)[-1]["interval"] == rows["student (charades_localize_25)"]["interval"]
    assert [len(row["ap"]) for row in class_rows(data)] == [2, 2]
    assert list(results({"models": {"vanilla": {"frame_map/all": {}}}})) == ["vanilla"]
    assert results({}) == {}


def test_the_option_is_a_setting():
    names = "segment_map@0.1:0.9, event_map/action@0.5,frame_map"
    settings = override(load_config("tiny"), _overrides(["train.epochs=3"], protocols=names))
    assert settings.evaluation.protocols == ("segment_map@0.1:0.9", "event_map/action@0.5", "frame_map")
    assert settings.train.epochs == 3
    assert override(load_config("tiny"), _overrides(None)).evaluation.protocols == ()


def test_an_unknown_protocol_stops_before_any_work(tmp_path):
    (tmp_path / "labels.csv").write_text(ROWS)
    out = tmp_path / "out"
    arguments = ["run", tmp_path, "-o", out, "-a", tmp_path / "labels.csv", "--protocols", "frame_map,map"]
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 2
    assert "there is no protocol 'map'; there is: frame_map/all, " in done.output
    assert not out.exists()
