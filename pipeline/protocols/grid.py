"""Protocols of the community on the feature grid: T steps spread over the length of the video.

    grid_map/all            every step; mean over the classes that have a positive
    grid_map/all_classes    the same, mean over all classes, one without a positive counting 0
    sampled_25              steps 1, 1 + s, 1 + 2 s, ... with s = int(T / 25), the first 25 of them, of videos
                            with more than 25 steps; mean over the classes that have a positive there

Source: the public code of PDAN (dairui01/PDAN), MS-TCT (dairui01/MS-TCT) and TSU (dairui01/TSU_evaluation):
fps' = T / length, class k is positive at step t iff start < t / fps' < end, both strict, length in seconds as
the data set states it. They average over the classes whose AP is not 0, which are those with a positive. Ties
are left to the order of a sort there; here they share a rank. Videos in which nothing happens are all
negatives. Videos without scores are left out and listed.

T, and the scores of the steps, are those of `grids`, which makes them exact but for rounding (see
`frames`). Without `grids` the rows of the scores are the steps: exact for scores of steps; of frame scores
it is the same protocol on a finer grid.
"""

import numpy as np

from pipeline.protocols.case import Case, Truth
from pipeline.protocols.points import Mean, Points

SAMPLES = 25


def grid_targets(truth: Truth, num_steps: int, classes: tuple[str, ...]) -> np.ndarray:
    """Labels (T, K) bool of a video on its feature grid."""
    fps = num_steps / truth.duration_sec
    sec_T = np.arange(num_steps) / fps
    target_TK = np.zeros((num_steps, len(classes)), dtype=bool)
    for interval in truth.intervals:
        inside_T = (sec_T > interval.start_sec) & (sec_T < interval.end_sec)
        target_TK[inside_T, classes.index(interval.label)] = True
    return target_TK


def grid_points(protocol: str, case: Case, mean: Mean = "present") -> Points:
    """Scores and targets on every step of the grid."""
    scores = [case.steps(video)[0] for video in case.scored]
    targets = [
        grid_targets(case.truth[video], len(score_TK), case.classes)
        for video, score_TK in zip(case.scored, scores, strict=True)
    ]
    details = {"unit": "steps", "missing": list(case.missing)}
    return Points(protocol, case.scored, scores, targets, case.classes, mean, details)


def sampled_points(protocol: str, case: Case) -> Points:
    """Scores and targets on 25 steps of each video that has more."""
    whole = grid_points(protocol, case)
    long = [i for i, score_TK in enumerate(whole.scores) if len(score_TK) > SAMPLES]
    short = [video for i, video in enumerate(whole.videos) if i not in set(long)]
    return Points(
        protocol,
        tuple(whole.videos[i] for i in long),
        [sampled(whole.scores[i]) for i in long],
        [sampled(whole.targets[i]) for i in long],
        case.classes,
        details={**whole.details, "too_short": short},
    )


def sampled(rows_TK: np.ndarray) -> np.ndarray:
    """25 of the T rows, T > 25."""
    return rows_TK[1 :: int(len(rows_TK) / SAMPLES)][:SAMPLES]
