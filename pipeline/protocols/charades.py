"""The official localisation protocol of Charades.

    charades_localize_25             mean AP over the classes
    charades_localize_25/weighted    AP weighted by the number of positive instants of the class

Source: `Charades_v1_localize.m` of the data set (adapted from THUMOS15). 25 instants per video, t_j = (j - 1)
/ 25 * length, j = 1..25, in seconds; a class is positive iff start <= t_j <= end, both inclusive. All test
videos count, also those in which nothing happens; an instant without a score has -inf in every class. AP is
the mean over the positives of the precision at their rank, not interpolated (scikit-learn).

Not as there: equal scores share a rank (there: the order of the annotation file), so that the instants
without a score are at the bottom together; a class without a positive is left out of the mean (there:
the mean is NaN; none of the 157 lacks one in the test set).

An instant has the score of the frames around it, linear in between; the first and the last frame's are held,
the last for as long as a frame lasts. After that, as where a video was only decoded in part, there is none.
"""

import numpy as np

from pipeline.events import frame_edges
from pipeline.protocols.case import Case, Truth
from pipeline.protocols.points import Mean, Points
from pipeline.timeline import frames_from_steps

INSTANTS = 25


def localize_points(protocol: str, case: Case, mean: Mean = "present") -> Points:
    """Scores and targets at 25 instants of every video of the truth."""
    videos = tuple(case.truth)
    when = {video: instants(truth) for video, truth in case.truth.items()}
    return Points(
        protocol,
        videos,
        [_scores(case, video, when[video]) for video in videos],
        [instant_targets(case.truth[video], when[video], case.classes) for video in videos],
        case.classes,
        mean,
        {"unit": "instants", "missing": list(case.missing)},
    )


def instants(truth: Truth) -> np.ndarray:
    """When a video is judged: (25,) seconds."""
    return np.arange(INSTANTS) / INSTANTS * truth.duration_sec


def instant_targets(truth: Truth, sec_N: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Labels (N, K) bool at some instants, start and end inclusive."""
    target_NK = np.zeros((len(sec_N), len(classes)), dtype=bool)
    for interval in truth.intervals:
        inside_N = (interval.start_sec <= sec_N) & (sec_N <= interval.end_sec)
        target_NK[inside_N, classes.index(interval.label)] = True
    return target_NK


def _scores(case: Case, video: str, sec_N: np.ndarray) -> np.ndarray:
    """(25, K); -inf where there is no score."""
    track = case.scores.get(video)
    if track is None:
        return np.full((len(sec_N), len(case.classes)), -np.inf)
    scores_NK = frames_from_steps(track.scores_FK, track.times_sec_F, sec_N)
    scores_NK[sec_N > frame_edges(track.times_sec_F)[-1]] = -np.inf
    return scores_NK
