"""Names of videos between toolboxes: "kitchen/a.mp4" here may be "a.mp4", "kitchen/a" or "a" there."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from pipeline.inputs import VIDEO_SUFFIXES, name_problem, printable

_SHOWN = 5  # names in a message


class InterchangeError(ValueError):
    """Somebody else's file that cannot be used as it is, or ours that cannot be written as theirs."""


def without_suffix(name: str) -> str:
    """A name without a video's suffix; a dot is not always one: S01.cam2 stays what it is."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in VIDEO_SUFFIXES else str(path)


def stem(name: str) -> str:
    """The last part of a name, without a video's suffix."""
    return PurePosixPath(without_suffix(name)).name


_RULES: tuple[Callable[[str], str], ...] = (lambda name: str(PurePosixPath(name)), without_suffix, stem)


class NameIndex:
    """Names, found by another spelling: the same path, else the same without suffix, else the same stem.

    `what` they are names of and where they come from is for messages.
    """

    def __init__(self, names: Iterable[str], what: str) -> None:
        self._what = what
        self._by_rule: list[dict[str, list[str]]] = [defaultdict(list) for _ in _RULES]
        for name in names:
            for rule, found in zip(_RULES, self._by_rule, strict=True):
                found[rule(name)].append(name)

    def find(self, name: str) -> str | None:
        """The one name meant; None where there is none. InterchangeError where it could be several."""
        for rule, found in zip(_RULES, self._by_rule, strict=True):
            if hits := found.get(rule(name)):
                if len(hits) > 1:
                    raise InterchangeError(
                        f"{name!r} could mean {len(hits)} of {self._what}: "
                        f"{', '.join(map(repr, hits[:3]))}; name them by their paths"
                    )
                return hits[0]
        return None


def video_ids(videos: Sequence[str]) -> dict[str, str]:
    """What each video is called in another toolbox, which may become the path of a file.

    Its stem where all stems differ, else its path without suffix. InterchangeError where these are the same,
    too, and for a name that is no path below a folder.
    """
    for video in videos:
        if problem := name_problem(video):
            raise InterchangeError(f"video {video!r}: {problem}")
    for rule in (stem, without_suffix):
        ids = {video: rule(video) for video in videos}
        # as a file system sees them that does not tell capitals from small letters
        (most, count), *_ = Counter(name.casefold() for name in ids.values()).most_common(1) or [("", 0)]
        if count <= 1:
            return ids
    same = [video for video, name in ids.items() if name.casefold() == most]
    raise InterchangeError(
        f"{', '.join(map(repr, same[:3]))} would all be called {ids[same[0]]!r}; rename all but one"
    )


def refuse_others(folder: Path, ours: Iterable[Path], suffix: str) -> None:
    """InterchangeError where a folder to be written holds files that would seem to belong to it."""
    mine = set(ours)
    others = [path for path in sorted(folder.rglob(f"*{suffix}")) if path not in mine]
    if others:
        raise InterchangeError(
            f"{printable(folder)}: holds {len(others)} other {suffix} files, such as "
            f"{printable(others[0].name)}; name a new folder, or remove them"
        )


def listed(names: Iterable[str]) -> str:
    """The first few, for messages."""
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
