"""What is there, what is missing, and that the annotations are those of the benchmark."""

import json
import shutil

import pytest

from pipeline.benchmark.prepare import features_of, prepare
from pipeline.inputs import UsageError
from pipeline.progress import Progress


@pytest.fixture
def progress():
    return Progress(None, quiet=True)


@pytest.fixture
def damaged(features, tmp_path):
    """Two videos lack a modality."""
    copy = tmp_path / "features"
    shutil.copytree(features, copy)
    (copy / "rgb" / "v1.npy").unlink()
    (copy / "flow" / "v5.npy").unlink()
    return copy


def test_missing_videos_end_it_with_a_count_and_a_list(damaged, small, tmp_path, progress):
    with pytest.raises(
        UsageError, match=r"2 of 9 annotated videos have no features: v1, v5 .*--allow-missing"
    ):
        prepare(small(damaged, tmp_path / "out"), progress)
    assert (tmp_path / "out" / "missing.txt").read_text() == "v1\nv5\n"


def test_they_may_be_missing(damaged, features, small, tmp_path, progress):
    found = prepare(small(damaged, tmp_path / "out", allow_missing=True), progress)
    assert found.missing == ("v1", "v5")
    assert features_of(found).videos == ("v0", "v2", "v3", "v4", "v6", "v7", "v8")
    prepare(small(features, tmp_path / "out"), progress)  # and the list goes when they are there
    assert not (tmp_path / "out" / "missing.txt").exists()


def test_a_dry_run_writes_nothing(damaged, small, tmp_path, progress):
    assert prepare(small(damaged, tmp_path / "out", dry_run=True), progress).missing == ("v1", "v5")
    assert not (tmp_path / "out").exists()


def test_missing_videos_of_a_folder_of_videos(small, features, tmp_path, progress):
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("v0.mp4", "v1.mp4", "another.mp4"):
        (videos / name).write_bytes(b"")
    given = {"videos": [videos], "folders": {}, "layout": None, "teachers": ()}
    with pytest.raises(UsageError, match="7 of 9 annotated videos are not there: v2, v3"):
        prepare(small(features, tmp_path / "out", **given), progress)
    found = prepare(small(features, tmp_path / "out", **given, allow_missing=True), progress)
    assert found.videos == ("v0.mp4", "v1.mp4")
    given |= {"allow_missing": True, "overrides": ["distill_unlabelled=true"]}
    joined = prepare(small(features, tmp_path / "out", **given), progress)
    assert joined.videos == ("another.mp4", "v0.mp4", "v1.mp4")


def test_annotations_of_another_data_set_are_refused(features, small, tmp_path, progress):
    with pytest.raises(UsageError, match=r"is read as activitynet; charades needs charades\.json"):
        prepare(small(features, tmp_path / "out", name="charades", preset=None, folds=None), progress)


@pytest.mark.shared
def test_counts_that_are_not_as_published_are_said(shared, small, tmp_path, progress):
    document = json.loads((shared / "data" / "annotations" / "tsu" / "smarthome_CS_51.json").read_text())
    document.pop(next(video for video, entry in document.items() if entry["subset"] == "training"))
    fewer = tmp_path / "tsu.json"
    fewer.write_text(json.dumps(document))
    folder = tmp_path / "rgb"
    folder.mkdir()
    (folder / "another.npy").write_bytes(b"")
    given = {"annotations": fewer, "folders": {"rgb": folder}, "preset": None, "folds": None, "dry_run": True}
    with pytest.raises(UsageError, match="of its 535 videos none is there"):
        prepare(small(tmp_path, tmp_path / "out", name="tsu-cs", **given), progress)
    (folder / f"{next(iter(document))}.npy").write_bytes(b"")
    found = prepare(small(tmp_path, tmp_path / "out", name="tsu-cs", **given), progress)
    assert "tsu.json: not as published: training 350, expected 351" in found.remarks


def test_features_without_times_need_lengths(write_features, small, tmp_path, progress):
    folder = write_features(tmp_path / "features")
    rows = ["video,start,end,label,subset"]
    for name, entry in json.loads((folder / "labels.json").read_text())["database"].items():
        rows += [
            f"{name},{one['segment'][0]},{one['segment'][1]},{one['label']},{entry['subset']}"
            for one in entry["annotations"]
        ]
    (folder / "labels.csv").write_text("\n".join(rows))
    given = {"annotations": folder / "labels.csv"}
    with pytest.raises(UsageError, match=r"does not say how long videos are, such as 'v0'.*--steps-per-sec"):
        features_of(prepare(small(folder, tmp_path / "out", **given), progress))
    stated = features_of(prepare(small(folder, tmp_path / "out"), progress))
    counted = features_of(prepare(small(folder, tmp_path / "out", **given, steps_per_sec=2.0), progress))
    assert counted.durations_sec == stated.durations_sec
    assert counted.sha256 == stated.sha256
