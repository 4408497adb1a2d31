"""Seeds, folds and label curves: who trains, who judges, who is left without labels."""

import pytest

from pipeline.benchmark.cells import Splits, curve_cells, describe, seed_cells
from pipeline.config import load_config
from pipeline.inputs import UsageError
from pipeline.labels import Annotations, Interval, VideoLabels

CONFIG = load_config("tiny", None, ["labels.validation_share=0.2"])


def splits(subset=True, videos=12, **more):
    """Two classes, of which `rare` is in one training video alone; every third video tests."""
    labels = []
    for i in range(videos):
        intervals = (Interval(0.0, 1.0, "common"), *([Interval(1.0, 2.0, "rare")] if i == 0 else []))
        role = "testing" if i % 3 == 2 else "training"
        labels.append(VideoLabels(f"v{i}", role if subset else None, intervals))
    annotations = Annotations(
        tuple(labels), ("common", "rare"), more.pop("source", None) or "labels.csv", "0"
    )
    return Splits(annotations, tuple(f"v{i}.mp4" for i in range(videos)), **more)


def test_seeds_share_the_test_videos_and_draw_their_own_validation(tmp_path):
    cells = seed_cells(splits(), CONFIG, 6, tmp_path)
    assert [cell.config.seed for cell in cells] == list(range(6))
    assert {cell.parts[0].testing for cell in cells} == {("v11.mp4", "v2.mp4", "v5.mp4", "v8.mp4")}
    assert len({cell.parts[0].validation for cell in cells}) > 1
    for cell in cells:
        assert not {*cell.parts[0].validation, *cell.parts[0].testing} & {*cell.parts[0].task.split.training}


def test_in_folds_every_video_tests_once_and_trains_in_the_others(tmp_path):
    (cell,) = seed_cells(splits(subset=False, folds=4), CONFIG, 1, tmp_path)
    tested = [video for part in cell.parts for video in part.testing]
    assert sorted(tested) == sorted(f"v{i}.mp4" for i in range(12))
    for part in cell.parts:
        learned = {*part.task.split.training, *part.task.split.validation}
        assert learned == {f"v{i}.mp4" for i in range(12)} - {*part.testing}
    assert len({part.out for part in cell.parts}) == 4
    assert describe([cell])["testing"] == 12


def test_folds_do_not_look_at_the_subsets(tmp_path):
    by_subset, without = splits(folds=4), splits(subset=False, folds=4)
    assert [p.testing for p in seed_cells(by_subset, CONFIG, 1, tmp_path)[0].parts] == [
        p.testing for p in seed_cells(without, CONFIG, 1, tmp_path)[0].parts
    ]


def test_without_subsets_and_folds_nothing_says_who_tests(tmp_path):
    with pytest.raises(UsageError, match="--folds 5"):
        seed_cells(splits(subset=False), CONFIG, 1, tmp_path)


def test_a_label_curve_has_nested_subsets_and_leaves_the_others_unlabelled(tmp_path):
    cells = curve_cells(splits(), CONFIG, [1, 2, 4], 3, tmp_path)
    assert [(cell.labelled, cell.config.seed) for cell in cells] == [
        (count, draw) for count in (1, 2, 4) for draw in range(3)
    ]
    held = {cell.parts[0].validation for cell in cells}
    assert len(held) == 1
    (validation,) = held
    assert len(validation) == 2  # 0.2 of 8 training videos
    for cell in cells:
        (part,) = cell.parts
        learned, rest = set(part.task.split.training), set(part.task.split.unlabelled)
        assert len(learned) == cell.labelled
        assert not part.task.split.validation  # no epoch is chosen
        assert learned | rest | {*validation, *part.testing} == {f"v{i}.mp4" for i in range(12)}
        assert (
            not rest & part.task.match.labels.keys()
        )  # they join the distillation only where it is asked for
        smaller = [c for c in cells if c.config.seed == cell.config.seed and c.labelled < cell.labelled]
        assert all(set(c.parts[0].task.split.training) <= learned for c in smaller)


def test_a_class_without_a_labelled_video_stays_a_column(tmp_path):
    for cell in curve_cells(splits(), CONFIG, [1], 3, tmp_path):
        assert cell.parts[0].task.classes == ("common", "rare")


def test_more_labelled_videos_than_there_are_become_all_there_are(tmp_path):
    cells = curve_cells(splits(), CONFIG, [4, 16, 32], 1, tmp_path)
    assert [cell.labelled for cell in cells] == [4, 6]
    with pytest.raises(UsageError, match="from 1 to 6"):
        curve_cells(splits(), CONFIG, [0], 1, tmp_path)


def test_a_digest_names_the_split_and_not_the_folder(tmp_path):
    one, other = (seed_cells(splits(), CONFIG, 2, tmp_path / name) for name in "ab")
    assert [cell.digest for cell in one] == [cell.digest for cell in other]
    assert one[0].digest != one[1].digest
