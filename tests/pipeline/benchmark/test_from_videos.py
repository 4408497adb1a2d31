"""From videos: extraction by the recipe, videos that cannot be read, the practice world."""

import pytest

from pipeline.benchmark import run, train_and_judge
from pipeline.benchmark.options import Options
from pipeline.benchmark.run import run_benchmark
from pipeline.synthetic import render_practice

SHORT = ("train.epochs=1", "tcn.hidden=8", "tcn.layers=1")


@pytest.fixture(scope="module")
def videos(tmp_path_factory, write_video):
    """Four short videos and one that is none, with labels."""
    folder = tmp_path_factory.mktemp("videos")
    rows = ["video,start,end,label"]
    for i in range(4):
        write_video(folder / f"v{i}.mp4", 40 + i)
        rows += [f"v{i}.mp4,0.2,0.8,wave", f"v{i}.mp4,0.6,1.2,jump"]
    (folder / "broken.mp4").write_bytes(b"not a video")
    (folder / "labels.csv").write_text("\n".join([*rows, "broken.mp4,0.1,0.5,wave"]))
    return folder


def options(videos, out, **changes):
    values = {
        "name": "folder",
        "out": out,
        "videos": [videos],
        "annotations": videos / "labels.csv",
        "preset": "tiny",
        "overrides": SHORT,
        "teachers": (),
        "folds": 2,
        "samples": 20,
        "device": "cpu",
        "workers": 1,
        "quiet": True,
    }
    return Options(**{**values, **changes})


def test_videos_are_extracted_and_one_that_cannot_be_read_is_told_of(videos, tmp_path, monkeypatch):
    found, failures = run_benchmark(options(videos, tmp_path))
    assert [failure.video for failure in failures] == ["broken.mp4"]
    assert found["missing"] == ["broken.mp4"]
    assert found["videos"]["testing"] == 4
    assert [row["name"] for row in found["rows"]] == ["chance", "vanilla"]
    assert (tmp_path / "features").is_dir()
    assert "broken.mp4" in (tmp_path / "failures.jsonl").read_text()

    def refuse(item):
        raise AssertionError("nothing is to be trained again")

    monkeypatch.setattr(train_and_judge, "train_model", refuse)
    assert run_benchmark(options(videos, tmp_path))[0] == found


def test_a_dry_run_says_how_many_videos_are_to_be_extracted(videos, tmp_path, capsys):
    out = tmp_path / "out"
    run_benchmark(options(videos, out, dry_run=True, quiet=False))
    said = capsys.readouterr().out
    assert "extract: 0 videos cached, 5 to do" in said
    assert "rows chance, vanilla" in said
    assert not out.exists()


@pytest.mark.slow
def test_practice_makes_its_own_world(tmp_path, monkeypatch):
    def small(out, progress, workers):
        render_practice(out, seed=1, train_videos=4, test_videos=2, seconds=4.0, workers=1)

    monkeypatch.setattr(run, "render", small)
    given = Options(
        name="practice",
        out=tmp_path,
        overrides=SHORT,
        teachers=(),
        seeds=2,
        label_curve=(1, 2),
        draws=1,
        samples=20,
        device="cpu",
        workers=1,
        quiet=True,
    )
    found, failures = run_benchmark(given)
    assert not failures
    assert (found["videos"]["testing"], found["videos"]["validation"]) == (2, [1])
    assert found["config"]["tcn"]["hidden"] == 8
    assert [table["labelled"] for table in found["label_curve"]] == [1, 2]
    assert (tmp_path / "practice" / "labels.csv").is_file()
