"""Cross-subject or cross-view: which protocol a split is of, by what separates its two parts."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from pipeline.labels import VideoLabels


def protocol_of(
    videos: Iterable[VideoLabels], *, subject: Callable[[str], str], view: Callable[[str], str]
) -> str:
    """`-cs` where each subject is in one subset only, `-cv` where each view is; else nothing."""
    subsets_of: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    for video in videos:
        subsets_of["cs", subject(video.video)].add(video.subset)
        subsets_of["cv", view(video.video)].add(video.subset)
    mixed = {kind for (kind, _), subsets in subsets_of.items() if len(subsets) > 1}
    return {frozenset({"cv"}): "-cs", frozenset({"cs"}): "-cv"}.get(frozenset(mixed), "")
