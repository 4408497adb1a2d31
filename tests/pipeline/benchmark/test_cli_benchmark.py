"""`augrgb benchmark` as it is typed."""

import pytest
from typer.testing import CliRunner

from pipeline.cli import app


def augrgb(*args, check):
    done = CliRunner().invoke(app, ["benchmark", *map(str, args)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == check, done.output
    return done


def given(features):
    """Features made elsewhere and a short training."""
    folders = [word for m in ("rgb", "flow") for word in ("--features", f"{m}={features / m}")]
    short = [word for one in ("train.epochs=2", "tcn.hidden=8", "tcn.layers=1") for word in ("--set", one)]
    labels = ["--annotations", features / "labels.json", "--layout", "td", "--preset", "tiny"]
    return ["folder", *labels, *folders, *short, "--device", "cpu", "--workers", "1"]


def test_a_table_from_feature_folders(features, tmp_path):
    args = [*given(features), "--folds", "0", "--rows", "chance,vanilla", "--out", tmp_path / "out"]
    done = augrgb(*args, check=0)
    assert "vanilla" in done.stdout
    assert (tmp_path / "out" / "benchmark.md").read_text().startswith("# videos of a folder")


def test_missing_videos_are_wrong_usage(features, tmp_path):
    (tmp_path / "rgb").mkdir()
    (tmp_path / "rgb" / "v0.npy").write_bytes((features / "rgb" / "v0.npy").read_bytes())
    args = [
        "folder",
        "-a",
        features / "labels.json",
        "--features",
        f"rgb={tmp_path / 'rgb'}",
        "--layout",
        "td",
    ]
    done = augrgb(*args, "--teachers", "none", "--out", tmp_path / "out", check=2)
    assert "8 of 9 annotated videos have no features" in done.stderr
    assert len((tmp_path / "out" / "missing.txt").read_text().splitlines()) == 8


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["charade"], "no benchmark 'charade'"),
        (["folder", "--features", "rgb"], "expected MODALITY=DIR"),
        (["practice", "--label-curve", "1,two"], "expected numbers of videos by commas"),
    ],
)
def test_wrong_usage(args, message, tmp_path):
    assert message in augrgb(*args, "--out", tmp_path / "out", check=2).stderr
    assert not (tmp_path / "out").exists()


def test_a_dry_run_of_practice_renders_nothing(tmp_path):
    done = augrgb("practice", "--dry-run", "--out", tmp_path / "out", check=0)
    assert "render: to do" in done.stdout
    assert not (tmp_path / "out").exists()
