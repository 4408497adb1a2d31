"""What is odd about an annotation file by itself, before a video is looked at."""

from collections import Counter
from collections.abc import Mapping

from pipeline.label_lint import MAX_EXAMPLES, POLICIES, Finding, Kind
from pipeline.labels import Annotations, VideoLabels

# kind -> what it is, what is done about it; without a video, its end is the length that the file states
_TEXTS: Mapping[Kind, tuple[str, str]] = {
    "reversed": POLICIES["reversed"],
    "past_end": (
        "intervals that end after the length stated",
        "clipped to the end of the video; left out where they start after it",
    ),
    "duplicate": POLICIES["duplicate"],
    "no_action": POLICIES["no_action"],
    "not_in_training": ("classes without an interval in the training videos", "cannot be learned"),
    "not_in_testing": ("classes without an interval in the test videos", "not part of the mean"),
}


def review(annotations: Annotations) -> tuple[Finding, ...]:
    """Counts of what is odd, with the first few examples; the annotations stay as they are."""
    found: dict[Kind, list[str]] = {kind: [] for kind in _TEXTS}
    for video in annotations.videos:
        _review_video(video, found)
    for subset, absent in (
        ("training", found["not_in_training"]),
        ("testing", found["not_in_testing"]),
    ):
        videos = [video for video in annotations.videos if video.subset == subset]
        seen = {i.label for video in videos for i in video.intervals if i.start_sec < i.end_sec}
        absent += [label for label in annotations.classes if videos and label not in seen]
    return tuple(
        Finding(kind, len(found[kind]), *texts, tuple(found[kind][:MAX_EXAMPLES]))
        for kind, texts in _TEXTS.items()
        if found[kind]
    )


def summary(annotations: Annotations) -> str:
    """One line: what the file was taken for and how much it holds."""
    subsets = Counter(video.subset or "without a subset" for video in annotations.videos)
    parts = ", ".join(f"{count} {subset}" for subset, count in sorted(subsets.items(), reverse=True))
    intervals = sum(len(video.intervals) for video in annotations.videos)
    return (
        f"read as {annotations.dataset}: {len(annotations.videos)} videos ({parts}), {intervals} intervals "
        f"of {len(annotations.classes)} classes"
    )


def _review_video(video: VideoLabels, found: Mapping[Kind, list[str]]) -> None:
    seen = set()
    for interval in video.intervals:
        example = f"{video.video} {interval.start_sec:.2f}-{interval.end_sec:.2f} {interval.label}"
        if interval.start_sec >= interval.end_sec:
            found["reversed"].append(example)
        if video.duration_sec is not None and interval.end_sec > video.duration_sec:
            found["past_end"].append(f"{example} of {video.duration_sec:.2f}")
        if interval in seen:
            found["duplicate"].append(example)
        seen.add(interval)
    if not video.intervals and video.subset != "unlabelled":
        found["no_action"].append(video.video)
