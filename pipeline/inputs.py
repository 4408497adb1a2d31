"""The VIDEOS arguments: files, folders and lists to videos in order, each with its name below OUT."""

import csv
import io
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Containers a decoder may open. In folders only these are videos; a file given by name is one whatever its
# suffix. No .gif: beside recordings it is a preview more often than a video.
VIDEO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".h264", ".h265", ".hevc", ".ivf"}
    | {".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg"}
    | {".mpg", ".mts", ".mxf", ".nut", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm"}
    | {".wmv", ".y4m"}
)
LIST_SUFFIXES = frozenset({".txt", ".csv"})
MAX_COMPONENT_BYTES = 200  # file systems allow 255; products add their own suffixes
_MOST_SHOWN = 4096  # characters of a path: Linux allows no more; of a longer one, beginning and end are shown
_UNPRINTABLE = {
    "Cc": "control character",
    "Zl": "line separator",
    "Zp": "line separator",
    "Cs": "undecodable byte",
}


class UsageError(ValueError):
    """The command cannot start as it was given; nothing has been done yet."""


@dataclass(frozen=True)
class Source:
    """One video: `path` (absolute) is where it lies, `name` (relative, POSIX) what its products go by."""

    path: Path
    name: str

    def __post_init__(self) -> None:
        problem = name_problem(self.name)
        if problem or not self.path.is_absolute():
            raise ValueError(f"{printable(self.path)}: {problem or 'expected an absolute path'}")


@dataclass(frozen=True)
class Rejected:
    """A file of a folder or list that cannot be an input: a failure of that video, not of the run."""

    video: str  # printable
    message: str


@dataclass(frozen=True)
class Inputs:
    """What the arguments amount to; `ignored` counts files in folders that are no videos by their suffix."""

    sources: tuple[Source, ...]
    rejected: tuple[Rejected, ...]
    ignored: int


def find_videos(args: Sequence[Path]) -> Inputs:
    """Videos in the order of the arguments, within a folder sorted by name, within a list as listed.

    Names: of a folder, the path relative to it, with the folder's name in front where there are
    several arguments; of a file, its file name; in a list, the path relative to the list's folder if
    below it, else the file name. UsageError where an argument is neither file nor folder, where two
    videos would have one name, and where there is no video at all.
    """
    found = _Found()
    for arg in args:
        if stat.S_ISDIR(_mode(arg)):
            _add_folder(found, arg, prefix=_folder_name(arg) if len(args) > 1 else "")
        elif problem := _why_not_a_file(arg):
            raise UsageError(f"{printable(arg)}: {problem}; expected a video, a folder or a list of videos")
        elif arg.suffix.lower() in LIST_SUFFIXES:
            _add_list(found, arg)
        elif problem := found.add(arg, arg.name):
            raise UsageError(f"{printable(arg)}: {problem}")
    if not found.sources:
        raise UsageError(_nothing_found(args, found))
    return Inputs(tuple(found.sources.values()), tuple(found.rejected), found.ignored)


def name_problem(name: str) -> str | None:
    """Why a relative path must not name files below OUT; None where it may."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        return f"{name!r} is no path below a folder"
    if unprintable := unprintable_character(name):
        return f"its name holds {unprintable}; rename it"
    longest = max(len(part.encode()) for part in path.parts)
    if longest > MAX_COMPONENT_BYTES:
        return (
            f"a part of its name is {longest} bytes long; expected at most {MAX_COMPONENT_BYTES}, rename it"
        )
    return None


def unprintable_character(text: str) -> str | None:
    """The first character that has no place in a name, described; None where there is none."""
    for character in text:
        if kind := _UNPRINTABLE.get(unicodedata.category(character)):
            return f"a {kind} ({character!a})"
    return None


def printable(path: Path | str) -> str:
    """A path for messages: control characters and bytes that are not UTF-8 are shown escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    if len(text) > _MOST_SHOWN:
        text = f"{text[:100]}...{text[-100:]}"
    return "".join(ascii(c)[1:-1] if unprintable_character(c) else c for c in text)


class _Found:
    """Collects videos by name."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self.rejected: list[Rejected] = []
        self.ignored = 0

    def add(self, path: Path, name: str) -> str | None:
        """One more video, or why its name is no good; the same file under the same name counts once."""
        if problem := name_problem(name):
            return problem
        path = path.absolute()
        source = self.sources.setdefault(name, Source(path, name))
        if source.path != path and not source.path.samefile(path):
            raise UsageError(
                f"{printable(source.path)} and {printable(path)} would both be named {name!r}; "
                "give a folder above both, or rename one"
            )
        return None

    def reject(self, path: Path, message: str) -> None:
        """A file of a folder or list that cannot be taken."""
        self.rejected.append(Rejected(printable(path), message))


def _add_folder(found: _Found, folder: Path, prefix: str) -> None:
    videos = []
    for path in _files(found, folder):
        mode = _mode(path)
        if path.suffix.lower() not in VIDEO_SUFFIXES or (mode and not stat.S_ISREG(mode)):
            found.ignored += 1
        elif mode:
            videos.append(path)
        else:
            found.reject(path, f"{_why_not_a_file(path)}; restore the file or remove the link")
    for path in sorted(videos, key=lambda path: path.relative_to(folder).parts):
        if problem := found.add(path, str(PurePosixPath(prefix, path.relative_to(folder)))):
            found.reject(path, problem)


def _files(found: _Found, folder: Path) -> Iterator[Path]:
    """All that is no folder, hidden files and folders left out; links are followed, but never into a loop."""
    stack = [(folder, frozenset[tuple[int, int]]())]
    while stack:
        current, above = stack.pop()
        try:
            status = current.stat()
            entries = sorted(current.iterdir())
        except OSError as error:
            found.reject(current, f"cannot be listed ({error.strerror}); check its rights")
            continue
        here = (status.st_dev, status.st_ino)
        if here in above:
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if stat.S_ISDIR(_mode(entry)):
                stack.append((entry, above | {here}))
            else:
                yield entry


def _add_list(found: _Found, path: Path) -> None:
    folder = path.absolute().parent
    for line, entry in _list_entries(path):
        video = folder / entry
        problem = _why_not_a_file(video)
        if problem is None:
            name = os.path.relpath(video, folder)
            problem = found.add(video, video.name if name.startswith("../") else name)
        if problem:
            found.reject(video, f"{problem} ({printable(path)}, line {line})")


def _list_entries(path: Path) -> Iterator[tuple[int, str]]:
    """Line and path of each entry: of a .csv its column `video`, else its first one; of a .txt every line.

    A .csv without a column of that name has no header. In a .txt, lines that start with # are comments.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{printable(path)}: cannot be read as a list of videos in UTF-8 ({error})"
        ) from error
    if path.suffix.lower() == ".txt":
        lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
        yield from ((number, line) for number, line in lines if line and not line.startswith("#"))
        return
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    column = None
    try:
        for row in reader:
            if column is None:
                names = [cell.strip().lower() for cell in row]
                column = names.index("video") if "video" in names else 0
                if "video" in names:
                    continue
            if column < len(row) and (cell := row[column].strip()):
                yield reader.line_num, cell
    except csv.Error as error:
        raise UsageError(f"{printable(path)}, line {reader.line_num}: not a CSV file ({error})") from error


def _folder_name(folder: Path) -> str:
    """As it was given; of `.` and `..`, its real one."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name


def _mode(path: Path) -> int:
    """Type and rights, links followed; 0 where there is nothing that can be reached."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):  # ValueError: a NUL in a path
        return 0


def _why_not_a_file(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "is a link to a file that does not exist" if path.is_symlink() else "does not exist"
    except (OSError, ValueError) as error:
        return f"cannot be reached ({error.strerror if isinstance(error, OSError) else error})"
    if stat.S_ISREG(mode):
        return None
    return "is a folder" if stat.S_ISDIR(mode) else "is not a regular file (a pipe, a socket or a device)"


def _nothing_found(args: Sequence[Path], found: _Found) -> str:
    looked = ", ".join(map(printable, args)) or "no arguments"
    rejected = "".join(f"\n  {each.video}: {each.message}" for each in found.rejected[:5])
    return (
        f"no videos in {looked}: {found.ignored} other files, {len(found.rejected)} unusable; looked for "
        f"{' '.join(sorted(VIDEO_SUFFIXES))} (a file given by name is taken whatever its suffix){rejected}"
    )
