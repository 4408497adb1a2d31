"""The whole way, from features made elsewhere to the table."""

import json
import re

import numpy as np
import pytest

from pipeline.benchmark import train_and_judge
from pipeline.benchmark.run import run_benchmark
from pipeline.inputs import UsageError


def contents(out):
    return {name: (out / f"benchmark.{name}").read_bytes() for name in ("json", "md", "html")}


def values(found):
    return {row["name"]: row["protocols"]["frame_map/all"]["values"] for row in found["rows"]}


@pytest.fixture(scope="module")
def whole(features, small, tmp_path_factory):
    """Options and result of a run; what is added to its folder must be asked for by its own options."""
    options = small(features, tmp_path_factory.mktemp("whole") / "out")
    return options, run_benchmark(options)[0]


@pytest.fixture
def nothing_is_trained(monkeypatch):
    def refuse(item):
        raise AssertionError(f"{item.plans[-1].name} is trained")

    monkeypatch.setattr(train_and_judge, "train_model", refuse)


def test_every_row_is_judged_on_the_test_videos(whole, features):
    _, found = whole
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == ["chance", "vanilla", "teacher-flow", "two-stream", "augmented"]
    assert found["videos"]["testing"] == 3
    for row in rows.values():
        assert 0 < row["protocols"]["frame_map/all"]["mean"] <= 1
    low, high = rows["vanilla"]["interval"]
    assert low <= rows["vanilla"]["protocols"]["frame_map/all"]["mean"] <= high
    assert rows["vanilla"]["over_vanilla"] == {"mean": 0.0, "interval": [0.0, 0.0]}
    # the share of time in which a class is active: 3 s of each video
    database = json.loads((features / "labels.json").read_text())["database"]
    seconds = [entry["duration"] for entry in database.values() if entry["subset"] == "testing"]
    assert rows["chance"]["protocols"]["frame_map/all"]["mean"] == pytest.approx(9 / sum(seconds), rel=0.05)


def test_the_table_regenerates_without_any_training(whole, nothing_is_trained):
    options, found = whole
    before = contents(options.out)
    again, failures = run_benchmark(options)
    assert again == json.loads(json.dumps(found))
    assert not failures
    assert contents(options.out) == before


def test_only_what_is_missing_is_trained(features, small, tmp_path, monkeypatch):
    trained = []
    real = train_and_judge.train_model

    def noted(item):
        trained.append(item.plans[-1].name)
        return real(item)

    monkeypatch.setattr(train_and_judge, "train_model", noted)
    first = run_benchmark(small(features, tmp_path, rows=["vanilla", "teacher-flow"]))[0]
    assert trained == ["vanilla", "teacher-flow"]
    checkpoint = tmp_path / "seed-0" / "checkpoints" / "teacher-flow.ckpt"
    written = checkpoint.stat().st_mtime_ns
    trained.clear()
    more = run_benchmark(small(features, tmp_path, rows=["vanilla", "teacher-flow", "hinton"]))[0]
    assert sorted(trained) == ["hinton", "teacher-flow"]  # the teacher is needed, and found
    assert checkpoint.stat().st_mtime_ns == written
    assert values(more)["vanilla"] == values(first)["vanilla"]


def test_other_settings_give_other_models(whole, features, small, tmp_path):
    options, found = whole
    changed = small(features, tmp_path, rows=["vanilla"], overrides=[*options.overrides, "train.epochs=3"])
    assert values(run_benchmark(changed)[0])["vanilla"] != values(found)["vanilla"]


@pytest.mark.parametrize("layout", ["t11d", "dt"])
def test_layouts_are_the_same_numbers(layout, whole, write_features, small, tmp_path):
    folder = write_features(tmp_path / "features", layout)
    options = small(folder, tmp_path / "out", layout=layout, rows=["vanilla", "augmented"])
    found = values(run_benchmark(options)[0])
    assert found == {name: values(whole[1])[name] for name in found}


def test_folds_judge_every_video_once(features, small, tmp_path):
    found = run_benchmark(small(features, tmp_path, folds=3, rows=["chance", "vanilla"]))[0]
    assert found["videos"] == {
        "testing": 9,
        "training": [6, 6, 6],
        "validation": [0, 0, 0],
        "unlabelled": [0, 0, 0],
    }
    measured = json.loads((tmp_path / "seed-0" / "measured" / "vanilla.json").read_text())
    assert measured["protocols"]["frame_map/all"]["videos"] == 9


def test_the_validation_share_is_measured_too(features, small, tmp_path):
    overrides = ["train.epochs=2", "tcn.hidden=8", "tcn.layers=1", "labels.validation_share=0.3"]
    found = run_benchmark(small(features, tmp_path, overrides=overrides, rows=["vanilla", "augmented"]))[0]
    assert found["videos"]["validation"] == [2]
    assert found["chosen"]["row"] in ("vanilla", "augmented")
    assert {row["validation"]["mean"] for row in found["rows"]} >= {found["chosen"]["validation"]}


def test_a_label_curve(features, small, tmp_path):
    options = small(features, tmp_path, rows=["none"], label_curve=(1, 3), draws=1)
    found = run_benchmark(options)[0]
    assert not found["rows"]
    assert [table["labelled"] for table in found["label_curve"]] == [1, 3]
    few = found["label_curve"][0]
    assert (few["videos"]["training"], few["videos"]["unlabelled"]) == ([1], [5])
    rows = {row["name"]: row for row in few["rows"]}
    assert list(rows) == [
        "vanilla",
        "distilled-labelled",
        "distilled-all",
        "ensemble-all",
        "teacher-flow",
        "two-stream",
    ]
    assert few["draws"] == len(rows["vanilla"]["protocols"]["frame_map/all"]["values"]) == 1
    # five more videos are something else to learn from
    figures = [
        rows[name]["protocols"]["frame_map/all"]["values"] for name in ("distilled-labelled", "distilled-all")
    ]
    assert figures[0] != figures[1]
    page = (tmp_path / "benchmark.html").read_text()
    assert 'id="curve-chart"' in page
    assert 'id="rows-chart"' not in page


def test_what_cannot_be_split_is_said_before_any_work(features, small, tmp_path):
    with pytest.raises(UsageError, match="--folds 10: expected 2 to 9"):
        run_benchmark(small(features, tmp_path / "out", folds=10))
    with pytest.raises(UsageError, match="no row 'student'"):
        run_benchmark(small(features, tmp_path / "out", rows=["student"]))
    assert not (tmp_path / "out" / "seed-0").exists()


def test_a_dry_run_says_what_is_to_do(whole, features, small, tmp_path, capsys):
    options, _ = whole
    run_benchmark(small(features, tmp_path / "out", dry_run=True, quiet=False))
    said = capsys.readouterr().out
    assert "5 rows in 1 cells: 0 of 4 judged" in said
    assert "already included: 3" in said  # two-stream has no model of its own
    assert not (tmp_path / "out").exists()
    run_benchmark(small(features, options.out, dry_run=True, quiet=False))
    assert "4 of 4 judged" in capsys.readouterr().out


def test_the_page_loads_nothing_and_escapes_names(features, small, tmp_path):
    labels = json.loads((features / "labels.json").read_text())
    for entry in labels["database"].values():
        for one in entry["annotations"]:
            one["label"] = one["label"].replace("run", "<img src=x onerror=alert(1)>")
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    command = "augrgb benchmark folder '</script><b>'"
    options = small(
        features, tmp_path / "out", annotations=tmp_path / "labels.json", rows=["vanilla"], command=command
    )
    run_benchmark(options)
    page = (tmp_path / "out" / "benchmark.html").read_text()
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)  # plotly and our own scripts
    assert "<img" not in outside
    assert "</script><b>" not in outside.replace("</script>\n", "")
    assert "&lt;/script&gt;&lt;b&gt;" in outside
    assert not re.search(r"(src|href)=\"(https?:)?//", outside)


def test_an_array_that_is_no_number_is_named(write_features, small, tmp_path):
    folder = write_features(tmp_path / "features")
    broken = np.load(folder / "rgb" / "v3.npy")
    broken[2, 1] = np.nan
    np.save(folder / "rgb" / "v3.npy", broken)
    with pytest.raises(ValueError, match=r"v3\.npy: 1 of 23 feature rows are not finite"):
        run_benchmark(small(folder, tmp_path / "out"))


def test_a_row_does_not_depend_on_what_else_is_asked_for(whole, small, features, nothing_is_trained):
    options, found = whole
    fewer = small(features, options.out, rows=["vanilla"])
    assert values(run_benchmark(fewer)[0])["vanilla"] == values(found)["vanilla"]
    run_benchmark(options)  # and the table is as it was
