import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.labels import (
    Annotations,
    Interval,
    LabelError,
    VideoLabels,
    interval_targets,
    match_videos,
    read_annotations,
)


def read(tmp_path: Path, text: str | bytes) -> Annotations:
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_annotations(path)


def annotations(*names: str) -> Annotations:
    videos = tuple(VideoLabels(name, None, (Interval(0, 1, "run"),)) for name in names)
    return Annotations(videos, ("run",), Path("labels.csv"), "0" * 64)


def test_reads_intervals_by_video_and_sorts_classes(tmp_path):
    found = read(
        tmp_path, "video,start,end,label,subset\nb.mp4,1,2.5,run,train\na.mp4,,,,test\nb.mp4,0,1e1,fall,\n"
    )
    assert found.videos == (
        VideoLabels("b.mp4", "training", (Interval(1.0, 2.5, "run"), Interval(0.0, 10.0, "fall"))),
        VideoLabels("a.mp4", "testing", ()),
    )
    assert found.classes == ("fall", "run")
    assert found.source == tmp_path / "labels.csv"


def test_the_hash_is_that_of_the_file(tmp_path):
    text = b"video,start,end,label\na.mp4,1,2,run\n"
    assert read(tmp_path, text).sha256 == hashlib.sha256(text).hexdigest()


PLAIN = 'video,start,end,label\n"a, b.mp4",1,2,"say ""hi"""\n'


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\n\n , ,\t,\n"),
        PLAIN.replace(",1,2,", ", 1 ,2\t, "),
        PLAIN.rstrip("\n"),
        'LABEL, Start,END,video\n"say ""hi""",1,2,"a, b.mp4"\n',
    ],
)
def test_the_same_table_written_otherwise(tmp_path, text):
    assert read(tmp_path, text).videos == (VideoLabels("a, b.mp4", None, (Interval(1, 2, 'say "hi"'),)),)


@pytest.mark.parametrize("name", ["/etc/passwd", "../../x.mp4", "=cmd|x", "日本/é 🙂.mp4"])
def test_names_are_only_names(tmp_path, name):
    assert [v.video for v in read(tmp_path, f"video,start,end,label\n{name},1,2,{name}\n").videos] == [name]


@pytest.mark.parametrize(
    ("subset", "meaning"),
    [("train", "training"), ("Training", "training"), ("test", "testing"), ("unlabelled", "unlabelled")],
)
def test_subset_aliases(tmp_path, subset, meaning):
    (video,) = read(tmp_path, f"video,start,end,label,subset\na,1,2,x,{subset}\n").videos
    assert video.subset == meaning


@pytest.mark.parametrize(
    ("rows", "line", "message"),
    [
        ("a.mp4,one,2,run,train", 2, "start is 'one'; expected seconds"),
        ("a.mp4,00:01,2,run,train", 2, "start is '00:01'"),
        ("a.mp4,1_0,20,run,train", 2, "start is '1_0'"),
        ('a.mp4,"1,5",2,run,train', 2, "start is '1,5'"),
        ("a.mp4,1,nan,run,train", 2, "end is nan; expected seconds, 0 or more"),
        ("a.mp4,1,inf,run,train", 2, "end is inf"),
        ("a.mp4,1,1e999,run,train", 2, "end is inf"),
        ("a.mp4,-0.5,2,run,train", 2, "start is -0.5; expected seconds, 0 or more"),
        ("a.mp4,,2,run,train", 2, "give all three"),
        ("a.mp4,1,2,,train", 2, "give all three"),
        ("a.mp4,,,run,train", 2, "give all three"),
        (",1,2,run,train", 2, "video is empty"),
        ("a.mp4,1,2,run,validation", 2, "subset is 'validation'; expected one of training, testing"),
        ("a.mp4,1,2,run,train\n\na.mp4,3,4,run,test", 4, "is testing here and training before"),
        ("a.mp4,1,2,run", 2, "4 cells .* expected 5"),
        ("a.mp4,1,2,run, fast,train", 2, "6 cells .* expected 5; quote commas"),
        ("a\0.mp4,1,2,run,train", 2, r"video 'a\\x00.mp4' holds a control character"),
        ('"a\nb.mp4",1,2,run,train', 3, r"video 'a\\nb.mp4' holds a control character"),
        ("a.mp4,1,2,ru\x1bn,train", 2, r"label 'ru\\x1bn' holds a control character"),
        ("a.mp4,1,2,ru\u2028n,train", 2, r"label 'ru\\u2028n' holds a line separator"),
        ("a.mp4,1,2," + "x" * 200_000 + ",train", 2, "not a CSV file .*field larger than"),
        ('a.mp4,1,2,"run,train', 2, "not a CSV file"),
    ],
)
def test_errors_name_file_line_and_what_was_found(tmp_path, rows, line, message):
    with pytest.raises(LabelError, match=rf"labels\.csv, line {line}: .*{message}"):
        read(tmp_path, f"video,start,end,label,subset\n{rows}\n")


@pytest.mark.parametrize(
    "header",
    [
        "a.mp4,1,2,run",
        "video,start,end",
        "video;start;end;label",
        "video,start,end,label,subest",
        "video,start,end,label,label",
        "video,start,end,label,",
    ],
)
def test_header_must_be_the_known_one(tmp_path, header):
    with pytest.raises(
        LabelError, match=r"line 1: the columns are .*; expected video,start,end,label\[,subset\]"
    ):
        read(tmp_path, f"{header}\na.mp4,1,2,run\n")


@pytest.mark.parametrize(
    "text", [b"", b"\n\n", b"video,start,end,label\n", b"v\xff,", "video".encode("utf-16")]
)
def test_a_file_that_says_nothing(tmp_path, text):
    with pytest.raises(LabelError, match=r"labels\.csv: (names no video|cannot be read as text in UTF-8)"):
        read(tmp_path, text)


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_a_file_that_cannot_be_read(tmp_path, name):
    with pytest.raises(LabelError, match="cannot be read"):
        read_annotations(tmp_path / name)


def test_subsets_are_for_all_videos_or_for_none(tmp_path):
    with pytest.raises(
        LabelError, match=r"1 of 2 videos have no subset, the first is 'b'; give every video one"
    ):
        read(tmp_path, "video,start,end,label,subset\na,1,2,x,train\nb,1,2,x,\n")
    assert all(v.subset is None for v in read(tmp_path, "video,start,end,label,subset\na,1,2,x,\n").videos)


def test_annotations_hold_together():
    video = VideoLabels("a", None, (Interval(0, 1, "run"),))
    for videos, classes in [((video, video), ("run",)), ((video,), ("run", "run")), ((video,), ("fall",))]:
        with pytest.raises(LabelError):
            Annotations(videos, classes, Path("labels.csv"), "")


def test_classes_can_be_left_out_by_name(tmp_path):
    found = read(tmp_path, "video,start,end,label\na,1,2,x\na,1,2,y\nb,1,2,x\n")
    kept = found.without(["x"])
    assert kept.classes == ("y",)
    assert [(v.video, v.intervals) for v in kept.videos] == [("a", (Interval(1, 2, "y"),)), ("b", ())]
    with pytest.raises(LabelError, match="cannot leave out 'z'; the classes are x, y"):
        found.without(["z"])


@pytest.mark.parametrize(
    ("name", "videos", "expected"),
    [
        ("d/a.mp4", ["d/a.mp4", "a.mp4"], "d/a.mp4"),  # exact before anything else
        ("a.mp4", ["d/a.mp4", "a.mp4"], "a.mp4"),
        ("d/a", ["d/a.mp4", "a.mp4"], "d/a.mp4"),  # the same without suffix
        ("d/a.avi", ["d/a.mp4", "e/a.mp4"], "d/a.mp4"),
        ("d/a.mp4", ["a.mp4"], "a.mp4"),  # a unique stem
        ("a", ["x/y/a.mp4", "x/b.mp4"], "x/y/a.mp4"),
        ("a", ["x/raw.bin", "x/a.bin"], "x/a.bin"),
        ("S01.cam2", ["S01.mp4"], None),  # .cam2 is no suffix of a video
        ("S01.cam2", ["S01.mp4", "S01.cam2.mp4"], "S01.cam2.mp4"),
        ("a.mp4", ["a.mp4.mkv", "a.avi"], "a.mp4.mkv"),
        ("d/a.mp4", ["d/a.mp4.mkv", "d/a.avi"], "d/a.mp4.mkv"),
        ("./d//a.mp4", ["d/a.mp4"], "d/a.mp4"),
        ("A.mp4", ["a.mp4"], None),
        ("../a.mp4", ["a.mp4"], "a.mp4"),
        ("/", ["a.mp4"], None),
        (".", ["a.mp4"], None),
    ],
)
def test_which_video_a_name_means(name, videos, expected):
    match = match_videos(annotations(name), videos)
    assert list(match.labels) == ([expected] if expected else [])
    assert match.absent == (() if expected else (name,))
    assert set(match.unlabelled) == set(videos) - {expected}


@pytest.mark.parametrize(
    ("name", "videos"),
    [("a", ["a.mp4", "a.avi"]), ("a.mp4", ["x/a.mp4", "y/a.avi"]), ("d/a", ["d/a.mp4", "d/a.mkv"])],
)
def test_a_name_of_several_videos_is_an_error(name, videos):
    with pytest.raises(LabelError, match=f"'{name}' could mean 2 videos: '{videos[0]}', '{videos[1]}'"):
        match_videos(annotations(name), videos)


def test_two_names_of_one_video_are_an_error():
    with pytest.raises(LabelError, match=r"'train/1\.mp4' and 'test/1\.mp4' both mean '1\.mp4'"):
        match_videos(annotations("train/1.mp4", "test/1.mp4"), ["1.mp4"])


stems = st.lists(
    st.text("abc.", min_size=1, max_size=4).filter(lambda s: s.strip(".")), unique=True, max_size=6
)


@settings(deadline=None)
@given(stems, st.randoms(use_true_random=False))
def test_matching_ignores_order_and_every_video_finds_its_own_path(names, random):
    videos = [f"d{i % 2}/{name}.mp4" for i, name in enumerate(names)]
    shuffled = random.sample(videos, len(videos))
    match = match_videos(annotations(*shuffled), videos)
    assert list(match.labels) == videos  # in the videos' order
    assert all(labels.video == video for video, labels in match.labels.items())
    # the same folder, given one level below
    if len({Path(v).stem for v in videos}) == len(videos):
        below = match_videos(annotations(*shuffled), [Path(v).name for v in videos])
        assert all(Path(labels.video).name == video for video, labels in below.labels.items())
        assert len(below.labels) == len(videos)


def test_targets_hold_from_start_until_before_end():
    intervals = (Interval(1.0, 2.0, "run"), Interval(1.5, 3.0, "fall"), Interval(2.5, 2.5, "run"))
    times = np.array([0.999, 1.0, 1.5, 1.999, 2.0, 2.5, 3.0])
    target_TK = interval_targets(intervals, times, ("fall", "run"))
    assert target_TK.astype(int).tolist() == [[0, 0], [0, 1], [1, 1], [1, 1], [1, 0], [1, 0], [0, 0]]
    with pytest.raises(LabelError, match="label 'run' is none of the classes fall"):
        interval_targets(intervals, times, ("fall",))


@pytest.mark.shared
def test_labelled_streams(shared):
    folder = shared / "data" / "ut_streams"
    found = read_annotations(folder / "labels.csv")
    assert len(found.videos) == 20
    assert sum(len(video.intervals) for video in found.videos) == 120
    assert found.classes == ("handshake", "hug", "kick", "point", "punch", "push")
    assert [v.video for v in found.videos if v.subset == "testing"] == [
        f"videos/seq{i:02}.mp4" for i in (8, 9, 10, 18, 19, 20)
    ]
    for videos in (folder, folder / "videos"):
        paths = sorted(path.relative_to(videos).as_posix() for path in videos.rglob("*.mp4"))
        match = match_videos(found, paths)
        assert list(match.labels) == paths
        assert (match.absent, match.unlabelled) == ((), ())
