"""Which videos train a model, which choose it, which judge it: by subset, or drawn with a seed."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.labels import Match, VideoLabels


@dataclass(frozen=True)
class Split:
    """Relative paths of videos, sorted; every video is in exactly one part.

    `validation` is taken from the training videos, for early stopping and every other choice.
    `drawn` says that the annotations name no subsets and `testing` was drawn with `seed`.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    testing: tuple[str, ...]
    unlabelled: tuple[str, ...]
    seed: int
    drawn: bool

    def describe(self) -> str:
        """One line for the user."""
        counts = ", ".join(
            f"{len(getattr(self, part))} {part}"
            for part in ("training", "validation", "testing", "unlabelled")
        )
        how = "no subsets in the annotations: testing and" if self.drawn else "subsets as annotated;"
        return f"videos: {counts} ({how} validation drawn by video, seed {self.seed})"


def split(match: Match, seed: int, *, test_share: float = 0.2, validation_share: float = 0.15) -> Split:
    """The subsets as annotated; without any, a drawn `test_share` of the labelled videos for testing.

    `validation_share` of the training videos validates. A share is rounded to whole videos, but is
    at least one of two or more. What is drawn depends on the seed and the videos' names in the
    annotations alone: not on the order of the file, nor on how the input folder was given.
    """
    labelled = {video: labels for video, labels in match.labels.items() if labels.subset != "unlabelled"}
    drawn = all(labels.subset is None for labels in match.annotations.videos)
    if drawn:
        testing = _draw(labelled, test_share, f"testing {seed}")
    else:
        testing = {video for video, labels in labelled.items() if labels.subset == "testing"}
    training = {video: labels for video, labels in labelled.items() if video not in testing}
    validation = _draw(training, validation_share, f"validation {seed}")
    return Split(
        training=tuple(sorted(training.keys() - validation)),
        validation=tuple(sorted(validation)),
        testing=tuple(sorted(testing)),
        unlabelled=tuple(sorted({*match.unlabelled, *(match.labels.keys() - labelled.keys())})),
        seed=seed,
        drawn=drawn,
    )


def _draw(videos: Mapping[str, VideoLabels], share: float, lot: str) -> set[str]:
    """A share of the videos in the order of their lots, passing over the last one left of a class.

    Only where that leaves too few are such videos taken, too.
    """
    if len(videos) < 2 or share <= 0:
        return set()
    wanted = min(max(1, round(share * len(videos))), len(videos) - 1)
    order = sorted(videos, key=lambda video: hashlib.sha256(f"{lot} {videos[video].video}".encode()).digest())
    labels = {video: {i.label for i in videos[video].intervals if i.start_sec < i.end_sec} for video in order}
    left = Counter(label for video in order for label in labels[video])
    taken: set[str] = set()
    for video in order:
        if len(taken) < wanted and all(left[label] > 1 for label in labels[video]):
            taken.add(video)
            left.subtract(labels[video])
    rest = [video for video in order if video not in taken]
    return taken | set(rest[: wanted - len(taken)])
