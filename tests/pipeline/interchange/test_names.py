from pathlib import Path

import pytest

from pipeline.interchange.names import (
    InterchangeError,
    NameIndex,
    listed,
    refuse_others,
    stem,
    video_ids,
    without_suffix,
)


def test_only_a_videos_suffix_is_a_suffix():
    assert [without_suffix(n) for n in ("d/a.MP4", "S01.cam2", "a.b.avi")] == ["d/a", "S01.cam2", "a.b"]
    assert stem("d/e/a.b.mkv") == "a.b"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("d/a.mp4", "d/a.mp4"),
        ("d/a", "d/a.mp4"),
        ("a.avi", "d/a.mp4"),  # another suffix, by stem
        ("./d/a.mp4", "d/a.mp4"),
        ("b", "b"),
        ("b.mp4", "b"),
        ("S01", None),  # not S01.cam2
        ("S01.cam2", "e/S01.cam2"),
        ("c", None),
    ],
)
def test_a_name_is_found_by_other_spellings(wanted, found):
    assert NameIndex(["d/a.mp4", "b", "e/S01.cam2"], "the videos").find(wanted) == found


def test_the_exact_path_counts_for_more_than_an_ambiguous_stem():
    index = NameIndex(["d/a.mp4", "e/a.mp4", "a.avi"], "the files in x")
    assert index.find("e/a.mp4") == "e/a.mp4"
    assert index.find("a") == "a.avi"  # by path without suffix
    with pytest.raises(InterchangeError, match=r"'f/a' could mean 3 of the files in x: 'd/a.mp4', 'e/a.mp4'"):
        index.find("f/a")


def test_ids_are_stems_where_these_differ_else_paths():
    assert video_ids(["d/a.mp4", "e/b.avi"]) == {"d/a.mp4": "a", "e/b.avi": "b"}
    assert video_ids(["d/a.mp4", "e/a.mp4", "b.mp4"]) == {"d/a.mp4": "d/a", "e/a.mp4": "e/a", "b.mp4": "b"}
    assert video_ids([]) == {}


@pytest.mark.parametrize("names", [["a.mp4", "a.avi"], ["d/A.mp4", "d/a.mp4"]])
def test_videos_that_would_share_a_file_are_refused(names):
    with pytest.raises(InterchangeError, match="would all be called"):
        video_ids(names)


@pytest.mark.parametrize("name", ["../a.mp4", "/etc/a", "d/../../a", "a\nb", "x" * 300, ""])
def test_names_that_are_no_paths_below_a_folder_are_refused(name):
    with pytest.raises(InterchangeError):
        video_ids(["fine.mp4", name])


def test_a_folder_with_other_files_is_refused(tmp_path: Path):
    (tmp_path / "d").mkdir()
    ours, other = tmp_path / "a.npy", tmp_path / "d" / "old.npy"
    ours.touch()
    refuse_others(tmp_path, [ours], ".npy")
    other.touch()
    refuse_others(tmp_path, [ours], ".srt")
    with pytest.raises(InterchangeError, match=r"holds 1 other \.npy files, such as old\.npy"):
        refuse_others(tmp_path, [ours], ".npy")


def test_listed_shows_the_first_few():
    assert listed("ab") == "a, b"
    assert listed("abcdefg") == "a, b, c, d, e and 2 more"
