"""Which videos are judged in which fold, and which are labelled on a label curve: by lot, always the same.

A lot depends on a video's name in the annotations and on a seed alone: not on the order of a file, nor on
what other videos there are.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.inputs import UsageError


@dataclass(frozen=True)
class Grouping:
    """Videos that belong together, and must not be on both sides of a split, by a regular expression.

    The group of a video is what the pattern's groups matched in its name, or the whole match where it has
    none. Without a pattern every video is a group of its own.
    """

    pattern: str | None = None

    def __post_init__(self) -> None:
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise UsageError(f"--group-by {self.pattern}: not a regular expression ({error})") from error

    def of(self, video: str) -> str:
        """UsageError where the pattern is not in the name."""
        if self.pattern is None:
            return video
        match = re.search(self.pattern, video)
        if match is None:
            raise UsageError(f"--group-by {self.pattern}: not found in the name of video {video!r}")
        return " ".join(part or "" for part in match.groups()) if match.groups() else match[0]


def deal_folds(videos: Sequence[str], folds: int, grouping: Grouping, *, seed: int = 0) -> list[list[str]]:
    """Every video in one of `folds` parts, groups whole, each group into the part that has fewest videos.

    UsageError where there are fewer groups than folds.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for video in sorted(videos):
        groups[grouping.of(video)].append(video)
    if folds < 2 or len(groups) < folds:
        raise UsageError(
            f"--folds {folds}: expected 2 to {len(groups)}, the number of groups of labelled videos"
        )
    parts: list[list[str]] = [[] for _ in range(folds)]
    for group in sorted(groups, key=_lot(f"fold {seed}")):
        min(parts, key=len).extend(groups[group])
    return [sorted(part) for part in parts]


def in_order_of_lots(videos: Sequence[str], draw: int) -> list[str]:
    """The order in which videos are labelled: of n, the first n, so that subsets are nested."""
    return sorted(videos, key=_lot(f"labelled {draw}"))


def held_out(videos: Sequence[str], share: float) -> list[str]:
    """A share of the videos, at least one of two or more, the same for every draw: to choose by."""
    if share <= 0 or len(videos) < 2:
        return []
    return sorted(sorted(videos, key=_lot("held out"))[: max(1, round(share * len(videos)))])


def _lot(what: str) -> Callable[[str], bytes]:
    return lambda name: hashlib.sha256(f"{what} {name}".encode()).digest()
