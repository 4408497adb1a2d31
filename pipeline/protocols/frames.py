"""Per-frame and per-step mean average precision on the video's own clock.

    frame_map/all            every frame; mean over the classes that have a positive
    frame_map/all_classes    the same, mean over all classes, one without a positive counting 0
    step_map/all             frame_map/all on the steps of the model instead of frames

Source: the usual per-frame mAP (sort all frames of all test videos together by score, AP is the mean over
the positives of the precision at their rank, not interpolated), by scikit-learn. A class is positive at t
iff start <= t < end. Equal scores share a rank, so order cannot matter and a constant score gets chance.
Videos in which nothing happens are all negatives. Videos without scores are left out and listed.

Steps are exact where `grids` says when they are: frame scores are linear between step centres, so reading
them there gives the steps back, up to what rounding to frames cuts off at the kinks (nothing where a centre
falls on a frame). Without `grids` the rows of the scores are taken for the steps, which is exact for
scores of steps, and makes `step_map/all` of frame scores the same as `frame_map/all`.
"""

from pipeline.labels import interval_targets
from pipeline.protocols.case import Case
from pipeline.protocols.points import Mean, Points


def frame_points(protocol: str, case: Case, mean: Mean = "present") -> Points:
    """Scores and targets on every frame."""
    tracks = [case.scores[video] for video in case.scored]
    targets = [
        interval_targets(case.truth[video].intervals, track.times_sec_F, case.classes)
        for video, track in zip(case.scored, tracks, strict=True)
    ]
    return Points(
        protocol,
        case.scored,
        [track.scores_FK for track in tracks],
        targets,
        case.classes,
        mean,
        {"unit": "frames", "missing": list(case.missing)},
    )


def step_points(protocol: str, case: Case) -> Points:
    """Scores and targets on every step."""
    steps = [case.steps(video) for video in case.scored]
    targets = [
        interval_targets(case.truth[video].intervals, times_T, case.classes)
        for video, (_, times_T) in zip(case.scored, steps, strict=True)
    ]
    details = {"unit": "steps", "missing": list(case.missing)}
    return Points(
        protocol, case.scored, [score_TK for score_TK, _ in steps], targets, case.classes, details=details
    )
