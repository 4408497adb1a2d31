from dataclasses import astuple, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.labels import Annotations, Interval, Match, VideoLabels, match_videos, read_annotations
from pipeline.splits import Split, split


def match(videos: dict[str, str], subsets: dict[str, str] | None = None) -> Match:
    """Videos by name, each with the classes of its letters."""
    labels = tuple(
        VideoLabels(name, (subsets or {}).get(name), tuple(Interval(0, 1, label) for label in letters))
        for name, letters in videos.items()
    )
    classes = tuple(sorted(set("".join(videos.values()))))
    return match_videos(Annotations(labels, classes, Path("labels.csv"), ""), list(videos))


def parts(found: Split) -> list[set[str]]:
    return [set(part) for part in astuple(found)[:4]]


def names(count: int) -> list[str]:
    return [f"v{i:03}.mp4" for i in range(count)]


def test_subsets_as_annotated():
    subsets = {"a": "training", "b": "training", "c": "testing", "d": "unlabelled"}
    known = match(dict.fromkeys(subsets, "x"), subsets)
    found = split(replace(known, unlabelled=("e",)), seed=0)
    assert set(found.training) | set(found.validation) == {"a", "b"}
    assert len(found.validation) == 1
    assert (found.testing, found.unlabelled, found.drawn) == (("c",), ("d", "e"), False)


@pytest.mark.parametrize(
    ("count", "training", "validation", "testing"),
    [
        (1, 1, 0, 0),
        (2, 1, 0, 1),
        (3, 1, 1, 1),
        (9, 6, 1, 2),
        (10, 7, 1, 2),
        (20, 14, 2, 4),
        (100, 68, 12, 20),
    ],
)
def test_without_subsets_a_fifth_is_drawn_for_testing(count, training, validation, testing):
    found = split(match(dict.fromkeys(names(count), "x")), seed=0)
    assert [len(part) for part in parts(found)] == [training, validation, testing, 0]
    assert found.drawn
    assert f"{testing} testing" in found.describe()
    assert "seed 0" in found.describe()


def test_a_seed_means_the_same_videos_for_good():
    """Published figures name a seed: a change of this draw changes what they measure."""
    found = split(match(dict.fromkeys(names(8), "x")), seed=0)
    assert (found.testing, found.validation) == (("v004.mp4", "v007.mp4"), ("v001.mp4",))


def test_shares_are_settings():
    found = split(match(dict.fromkeys(names(10), "x")), seed=0, test_share=0.5, validation_share=0.0)
    assert [len(part) for part in parts(found)] == [5, 0, 5, 0]


def test_another_seed_draws_otherwise_and_the_validation_share_moves_no_test_video():
    known = match(dict.fromkeys(names(40), "x"))
    assert len({split(known, seed).testing for seed in range(5)}) == 5
    assert split(known, 0).testing == split(known, 0, validation_share=0.5).testing


videos = st.dictionaries(st.sampled_from(names(30)), st.text("xyz", max_size=3), min_size=1)


@settings(deadline=None)
@given(videos, st.integers(0, 3), st.randoms(use_true_random=False))
def test_every_video_is_in_one_part_whatever_the_order(known, seed, random):
    found = split(match(known), seed)
    shuffled = dict(random.sample(sorted(known.items()), len(known)))
    assert split(match(shuffled), seed) == found
    assert sorted(video for part in parts(found) for video in part) == sorted(known)


@settings(deadline=None)
@given(videos, st.integers(0, 3))
def test_no_class_is_lost_where_enough_videos_are_free(known, seed):
    free = {f"free{i}.mp4": "" for i in range(30)}  # more than are ever held out
    found = split(match({**known, **free}), seed)
    assert {c for video in found.training for c in {**known, **free}[video]} == set("".join(known.values()))


def test_the_only_video_of_a_class_is_not_held_out_where_another_can_be():
    known = match({**dict.fromkeys(names(9), "x"), "only": "y"})
    assert all("only" in split(known, seed).training for seed in range(30))


def test_the_share_is_kept_where_every_video_is_the_last_of_a_class():
    found = split(match(dict(zip(names(5), "abcde", strict=True))), seed=0)
    assert [len(part) for part in parts(found)] == [3, 1, 1, 0]


def test_the_folder_given_does_not_move_the_draw():
    known = match(dict.fromkeys(names(20), "x")).annotations
    above = split(match_videos(known, [f"videos/{name}" for name in names(20)]), seed=0)
    below = split(match_videos(known, names(20)), seed=0)
    assert [Path(video).name for video in above.testing] == list(below.testing)


@pytest.mark.shared
def test_labelled_streams(shared):
    found = read_annotations(shared / "data" / "ut_streams" / "labels.csv")
    result = split(match_videos(found, [video.video for video in found.videos]), seed=0)
    assert [len(part) for part in parts(result)] == [12, 2, 6, 0]
