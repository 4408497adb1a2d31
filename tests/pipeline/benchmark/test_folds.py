"""Folds and subsets by lot: the same whatever the order, groups whole, subsets nested."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.benchmark.folds import Grouping, deal_folds, held_out, in_order_of_lots
from pipeline.inputs import UsageError

VIDEOS = [f"seq{i:02}" for i in range(20)]


@given(st.permutations(VIDEOS), st.integers(2, 20))
def test_every_video_is_in_one_fold_whatever_the_order(videos, folds):
    parts = deal_folds(videos, folds, Grouping())
    assert parts == deal_folds(VIDEOS, folds, Grouping())
    assert sorted(video for part in parts for video in part) == VIDEOS
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_groups_are_whole():
    videos = [f"P{person}C{camera}" for person in range(5) for camera in range(3)]
    grouping = Grouping("P([0-9])")
    for part in deal_folds(videos, 2, grouping):
        others = {grouping.of(video) for video in videos if video not in part}
        assert not others & {grouping.of(video) for video in part}


def test_a_group_is_what_the_pattern_matched():
    assert Grouping("P[0-9]+").of("P12C3") == "P12"
    assert Grouping("(P[0-9]+)C([0-9])?").of("P12C") == "P12 "
    assert Grouping().of("a/b.mp4") == "a/b.mp4"


def test_what_cannot_be_dealt_is_said():
    with pytest.raises(UsageError, match="expected 2 to 20"):
        deal_folds(VIDEOS, 21, Grouping())
    with pytest.raises(UsageError, match="expected 2 to 20"):
        deal_folds(VIDEOS, 1, Grouping())
    with pytest.raises(UsageError, match="not found in the name of video 'seq00'"):
        deal_folds(VIDEOS, 2, Grouping("cam"))
    with pytest.raises(UsageError, match="not a regular expression"):
        Grouping("(")


def test_draws_differ_and_do_not_depend_on_other_videos():
    orders = {tuple(in_order_of_lots(VIDEOS, draw)) for draw in range(3)}
    assert len(orders) == 3
    fewer = [video for video in in_order_of_lots(VIDEOS, 1) if video != "seq07"]
    assert in_order_of_lots([video for video in VIDEOS if video != "seq07"], 1) == fewer


def test_the_share_held_out_is_at_least_one_of_two():
    assert len(held_out(VIDEOS, 0.15)) == 3
    assert len(held_out(VIDEOS[:2], 0.15)) == 1
    assert held_out(VIDEOS[:1], 0.15) == held_out(VIDEOS, 0.0) == []
