"""Persons of an annotated video: where each is at every frame, and how they are drawn.

Shapes: F frames, S sampled frames, M rows of a frame, P persons, J = 17 COCO joints.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import supervision as sv

from pipeline.cache import CacheError
from pipeline.tracks import JointTrack

MIN_SCORE = 0.3  # of a joint that is drawn; what mmpose's own demos take
# told apart from one another by those who see few colours, and from the colours of classes
_PEOPLE = ("#00e5ff", "#ff4d94", "#c6ff00", "#ffb74d", "#b39dff", "#ffffff")


@dataclass(frozen=True)
class Seen:
    """Who is in one frame: `person_id_P`, `joints_PJ3` (x, y in px of the source, score), `boxes_P4`."""

    person_id_P: np.ndarray
    joints_PJ3: np.ndarray
    boxes_P4: np.ndarray


@dataclass(frozen=True)
class People:
    """Everyone found in the sampled frames of a video, for any of its frames."""

    track: JointTrack
    frame_S: np.ndarray  # decoded frame behind each sampled one, not decreasing

    @classmethod
    def of(cls, track: JointTrack, fps: float | None) -> "People":
        """`fps`: the rate at which frames were sampled. CacheError where that does not fit the joints."""
        frame_S = track.clock.sample(fps)
        if len(frame_S) != track.joints.num_frames:
            raise CacheError(
                f"joints of {track.joints.num_frames} frames, but {len(frame_S)} of its video are sampled at "
                f"{fps} fps; run extract again"
            )
        return cls(track, frame_S)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in which joints and boxes are counted."""
        return self.track.joints.width, self.track.joints.height

    def at(self, frame: int) -> Seen:
        """Who is in a decoded frame: between two sampled frames, whoever is in both moves on a line."""
        before = max(int(np.searchsorted(self.frame_S, frame, side="right")) - 1, 0)
        after = int(np.searchsorted(self.frame_S, frame, side="left"))
        if after >= len(self.frame_S) or self.frame_S[before] == frame:
            return self._sampled(before)
        ticks_F = self.track.clock.ticks_F
        start, end = (int(ticks_F[self.frame_S[s]]) for s in (before, after))
        share = (int(ticks_F[frame]) - start) / (end - start)
        return _between(self._sampled(before), self._sampled(after), share)

    def _sampled(self, sample: int) -> Seen:
        joints = self.track.joints
        here_M = joints.person_id_SM[sample] >= 0
        return Seen(
            joints.person_id_SM[sample, here_M],
            np.asarray(joints.joints_SMJ3[sample, here_M], np.float32),
            np.asarray(joints.boxes_SM5[sample, here_M, :4], np.float32),
        )


def _between(a: Seen, b: Seen, share: float) -> Seen:
    """Those in both, `share` of the way from a to b; of a joint the lower score."""
    both = np.intersect1d(a.person_id_P, b.person_id_P)
    of_a, of_b = ([np.flatnonzero(s.person_id_P == i)[0] for i in both] for s in (a, b))
    joints_PJ3 = (1 - share) * a.joints_PJ3[of_a] + share * b.joints_PJ3[of_b]
    joints_PJ3[..., 2] = np.minimum(a.joints_PJ3[of_a][..., 2], b.joints_PJ3[of_b][..., 2])
    return Seen(both, joints_PJ3, (1 - share) * a.boxes_P4[of_a] + share * b.boxes_P4[of_b])


class PeoplePainter:
    """Draws boxes with ids, and skeletons, by supervision's annotators."""

    def __init__(self, width_px: int) -> None:
        line = max(1, round(width_px / 480))
        palette = sv.ColorPalette.from_hex(list(_PEOPLE))
        by_id = sv.ColorLookup.TRACK
        self._boxes = sv.BoxCornerAnnotator(palette, line + 1, max(6, width_px // 60), by_id)
        self._labels = sv.LabelAnnotator(
            palette, by_id, sv.Color.BLACK, text_scale=0.4 * max(1.0, width_px / 900), text_padding=3
        )
        colors = [palette.by_idx(i) for i in range(len(_PEOPLE))]
        self._edges = [sv.EdgeAnnotator(color, line) for color in colors]
        self._joints = [sv.VertexAnnotator(color, line + 1) for color in colors]

    def draw(self, picture_HWC: np.ndarray, seen: Seen, scale: tuple[float, float]) -> None:
        """Onto a BGR picture; `scale` is px of the picture by px of the source, across and down."""
        if not len(seen.person_id_P):
            return
        boxes_P4 = seen.boxes_P4 * np.tile(scale, 2)
        found = sv.Detections(xyxy=boxes_P4, tracker_id=seen.person_id_P.astype(int))
        self._boxes.annotate(picture_HWC, found)
        for person_id, joints_J3 in zip(seen.person_id_P, seen.joints_PJ3, strict=True):
            visible_1J = joints_J3[None, :, 2] >= MIN_SCORE
            body = sv.KeyPoints(xy=joints_J3[None, :, :2] * scale, visible=visible_1J)
            color = int(person_id) % len(_PEOPLE)
            self._edges[color].annotate(picture_HWC, body)
            self._joints[color].annotate(picture_HWC, body)
        self._labels.annotate(picture_HWC, found, labels=[f"person {i}" for i in seen.person_id_P])
