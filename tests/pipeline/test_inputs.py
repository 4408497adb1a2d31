import os
import socket
from pathlib import Path

import pytest

from pipeline.inputs import MAX_COMPONENT_BYTES, Inputs, Rejected, Source, UsageError, find_videos, printable


def make(folder: Path, *names: str) -> Path:
    """Empty files of these names."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(inputs: Inputs) -> list[str]:
    return [source.name for source in inputs.sources]


def test_folder_is_searched_whole_and_sorted(tmp_path):
    make(
        tmp_path, "b.mp4", "a/z.MKV", "a/b/c.webm", "a.avi", "labels.csv", "list.txt", "notes", "preview.gif"
    )
    inputs = find_videos([tmp_path])
    assert names(inputs) == ["a/b/c.webm", "a/z.MKV", "a.avi", "b.mp4"]
    assert [source.path for source in inputs.sources] == [tmp_path / name for name in names(inputs)]
    assert inputs.ignored == 4
    assert inputs.rejected == ()


def test_hidden_files_and_folders_are_skipped_unless_asked_for(tmp_path):
    make(tmp_path, "a.mp4", "._a.mp4", ".trash/b.mp4")
    assert names(find_videos([tmp_path])) == ["a.mp4"]
    assert names(find_videos([tmp_path / ".trash"])) == ["b.mp4"]
    assert names(find_videos([tmp_path / "._a.mp4"])) == ["._a.mp4"]


def test_a_file_given_by_name_is_taken_whatever_its_suffix(tmp_path):
    make(tmp_path, "sub/raw.bin", "x.mp4")
    inputs = find_videos([tmp_path / "sub" / "raw.bin", tmp_path / "x.mp4"])
    assert names(inputs) == ["raw.bin", "x.mp4"]


def test_relative_arguments_become_absolute_paths(tmp_path, monkeypatch):
    make(tmp_path, "videos/a.mp4")
    monkeypatch.chdir(tmp_path)
    for argument in ("videos", "./videos", "videos/../videos"):
        (source,) = find_videos([Path(argument)]).sources
        assert source.name == "a.mp4"
        assert source.path.is_absolute()
        assert source.path.samefile("videos/a.mp4")


def test_several_arguments_put_the_folder_name_in_front(tmp_path, monkeypatch):
    make(tmp_path, "one/a.mp4", "two/a.mp4", "b.mp4")
    found = find_videos([tmp_path / "two", tmp_path / "b.mp4", tmp_path / "one"])
    assert names(found) == ["two/a.mp4", "b.mp4", "one/a.mp4"]
    monkeypatch.chdir(tmp_path / "one")
    assert names(find_videos([Path(), Path("../two"), Path("..", "b.mp4")])) == [
        "one/a.mp4",
        "two/a.mp4",
        "b.mp4",
    ]


@pytest.mark.parametrize("arguments", [("x/d", "y/d"), ("x/d/a.mp4", "y/d/a.mp4")])
def test_two_videos_of_one_name_are_wrong_usage(tmp_path, arguments):
    make(tmp_path, "x/d/a.mp4", "y/d/a.mp4")
    with pytest.raises(UsageError, match=r"x/d/a\.mp4 and .*y/d/a\.mp4 would both be named"):
        find_videos([tmp_path / argument for argument in arguments])


def test_the_same_file_twice_is_one_video(tmp_path):
    make(tmp_path, "a.mp4")
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "a.mp4").symlink_to(tmp_path / "a.mp4")
    inputs = find_videos([tmp_path / "a.mp4", tmp_path / "a.mp4", tmp_path / "link" / "a.mp4"])
    assert [source.path for source in inputs.sources] == [tmp_path / "a.mp4"]


def test_a_folder_called_like_a_video_is_a_folder(tmp_path):
    make(tmp_path, "trap.mp4/a.mp4")
    assert names(find_videos([tmp_path])) == ["trap.mp4/a.mp4"]
    assert names(find_videos([tmp_path / "trap.mp4"])) == ["a.mp4"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    make(tmp_path, "videos/deep/a.mp4", "elsewhere/b.mp4")
    videos = tmp_path / "videos"
    (videos / "other").symlink_to(tmp_path / "elsewhere")
    (videos / "again").symlink_to(tmp_path / "elsewhere")  # a second way to a folder is no circle
    (videos / "deep" / "up").symlink_to(videos)
    (videos / "self").symlink_to(videos / "self")
    (videos / "c.mp4").symlink_to(tmp_path / "elsewhere" / "b.mp4")
    assert names(find_videos([videos])) == ["again/b.mp4", "c.mp4", "deep/a.mp4", "other/b.mp4"]


def test_a_broken_link_is_rejected_not_hidden(tmp_path):
    make(tmp_path, "a.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    inputs = find_videos([tmp_path])
    assert names(inputs) == ["a.mp4"]
    assert [rejected.video for rejected in inputs.rejected] == [str(tmp_path / "gone.mp4")]
    assert "does not exist" in inputs.rejected[0].message


def test_a_folder_that_cannot_be_listed_is_rejected_not_hidden(tmp_path, monkeypatch):
    make(tmp_path, "a.mp4", "locked/b.mp4")
    listing = Path.iterdir

    def deny(folder: Path):
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listing(folder)

    monkeypatch.setattr(Path, "iterdir", deny)
    inputs = find_videos([tmp_path])
    assert names(inputs) == ["a.mp4"]
    message = "cannot be listed (Permission denied); check its rights"
    assert inputs.rejected == (Rejected(str(tmp_path / "locked"), message),)


def test_pipes_and_sockets_are_skipped_in_folders_and_refused_by_name(tmp_path, monkeypatch):
    make(tmp_path, "a.mp4")
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    os.mkfifo("pipe.mp4")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.mp4")
        inputs = find_videos([tmp_path])
        assert (names(inputs), inputs.ignored, inputs.rejected) == (["a.mp4"], 2, ())
        for name in ("pipe.mp4", "socket.mp4"):
            with pytest.raises(UsageError, match=f"{name}: is not a regular file"):
                find_videos([Path(name)])


@pytest.mark.parametrize(
    "argument", ["missing.mp4", "videos/*.mp4", "https://example.org/a.mp4", "n" * 300, "a\0b"]
)
def test_an_argument_that_is_not_there_is_wrong_usage(tmp_path, argument):
    with pytest.raises(UsageError, match="expected a video, a folder or a list"):
        find_videos([tmp_path / argument])


@pytest.mark.parametrize("argument", [[], ["empty"]])
def test_no_video_at_all_says_what_was_looked_for(tmp_path, argument):
    make(tmp_path, "empty/readme.md")
    with pytest.raises(UsageError, match=r"no videos in .*looked for .*\.mp4"):
        find_videos([tmp_path / name for name in argument])


LONG = "n" * (MAX_COMPONENT_BYTES - 3) + ".mp4"  # one byte too long
BAD_NAMES = {
    "new\nline.mp4": "control character",
    os.fsdecode(b"\xff.mp4"): "undecodable byte",
    LONG: "201 bytes",
}


@pytest.mark.parametrize(("name", "problem"), BAD_NAMES.items())
def test_a_name_that_cannot_be_kept_below_out(tmp_path, name, problem):
    make(tmp_path, "good.mp4", name)
    inputs = find_videos([tmp_path])
    assert names(inputs) == ["good.mp4"]
    (rejected,) = inputs.rejected
    assert problem in rejected.message
    assert rejected.video.isprintable()
    with pytest.raises(UsageError, match=problem):
        find_videos([tmp_path / name])


def test_the_longest_name_is_taken(tmp_path):
    make(tmp_path, LONG[1:])
    assert names(find_videos([tmp_path])) == [LONG[1:]]


@pytest.mark.parametrize(
    "name", ["", ".", "/a.mp4", "../a.mp4", "a/../../b.mp4", "a\0.mp4", "\ud800.mp4", LONG]
)
def test_no_source_leaves_the_output_folder(name):
    with pytest.raises(ValueError, match=r"name|no path"):
        Source(Path("/videos/a.mp4"), name)


def test_printable_shows_what_a_terminal_would_obey():
    assert printable(Path(os.fsdecode(b"a\x1b[2J\xff\xc3\xa9.mp4"))) == r"a\x1b[2J\xffé.mp4"


def test_text_list(tmp_path):
    make(tmp_path, "lists/a.mp4", "lists/sub/b.bin", "far/c.mp4", "lists/#1.mp4")
    far = tmp_path / "far" / "c.mp4"
    lines = [
        "\ufeffsub/b.bin",
        "",
        "# a comment",
        "  ./a.mp4 ",
        "sub/../#1.mp4",
        str(far),
        "../far/c.mp4",
        "a.mp4",
    ]
    (tmp_path / "lists" / "all.txt").write_text("\r\n".join(lines), encoding="utf-8")
    inputs = find_videos([tmp_path / "lists" / "all.txt"])
    assert names(inputs) == ["sub/b.bin", "a.mp4", "#1.mp4", "c.mp4"]
    assert inputs.sources[3].path == far
    assert inputs.rejected == ()


def test_entries_of_a_list_that_are_no_files_are_rejected_one_by_one(tmp_path):
    make(tmp_path, "a.mp4", "folder/b.mp4")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "all.txt").write_text(f"missing.mp4\na.mp4\nfolder\npipe\n{'n' * 300}\nn\0l.mp4\n")
    inputs = find_videos([tmp_path / "all.txt"])
    assert names(inputs) == ["a.mp4"]
    messages = [rejected.message for rejected in inputs.rejected]
    expected = [
        "does not exist",
        "is a folder",
        "is not a regular file",
        "cannot be reached",
        "cannot be reached",
    ]
    assert all(message.startswith(start) for message, start in zip(messages, expected, strict=True)), messages
    assert [message.split()[-1] for message in messages] == ["1)", "3)", "4)", "5)", "6)"]


def test_a_list_of_two_different_files_with_one_name_is_wrong_usage(tmp_path):
    make(tmp_path, "lists/a.mp4", "far/a.mp4")
    (tmp_path / "lists" / "all.txt").write_text("a.mp4\n../far/a.mp4\n")
    with pytest.raises(UsageError, match=r"would both be named 'a.mp4'"):
        find_videos([tmp_path / "lists" / "all.txt"])


@pytest.mark.parametrize(
    "text",
    [
        "start,Video ,label\n0,a.mp4,x\n1,a.mp4,y\n0,b.mp4,x\n",  # an annotation file is a list, too
        "a.mp4,1,2\nb.mp4,3,4\n",
        '\ufeff"a.mp4"\r\n\r\nb.mp4\r\n',
    ],
)
def test_csv_list(tmp_path, text):
    make(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "all.CSV").write_text(text, encoding="utf-8")
    assert names(find_videos([tmp_path / "all.CSV"])) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", b"\xff\xfea\0"), ("a.csv", b'video\n"open'), ("b.csv", b"x" * 200_000)]
)
def test_a_list_that_is_none(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=name):
        find_videos([tmp_path / name])


@pytest.mark.shared
def test_labelled_streams(shared):
    folder = shared / "data" / "ut_streams"
    inputs = find_videos([folder])
    assert names(inputs) == [f"videos/seq{i:02}.mp4" for i in range(1, 21)]
    assert names(find_videos([folder / "labels.csv"])) == names(inputs)
