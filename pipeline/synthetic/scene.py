"""A scene: any frame of one seeded video, and the truth about it, without a video file.

Shapes: F frames, M persons, J = 17 COCO joints, C cards, K classes, H W pixels.
"""

from functools import cached_property

import numpy as np

from pipeline.synthetic.cards import flow, motion, paint
from pipeline.synthetic.script import CONTEXT_BIAS, Label, Script, write_script
from pipeline.synthetic.spec import SceneSpec
from pipeline.synthetic.stage import Layout, Stage

_BLOCK = 128  # frames whose places are computed at once


class Scene:
    """Frames, joints, boxes, flow and labels of a spec, each computed when asked for."""

    def __init__(self, spec: SceneSpec) -> None:
        self.spec = spec
        self._block: Layout | None = None
        script_rng, self._looks, self._moves = np.random.default_rng(spec.seed).spawn(3)
        bias = spec.bias if spec.bias is not None else CONTEXT_BIAS if spec.domain == "train" else 0.5
        self.script: Script = write_script(
            script_rng,
            actions=spec.actions,
            seconds=spec.num_frames / spec.fps,
            persons=int(script_rng.integers(spec.persons[0], spec.persons[1] + 1)),
            busy=spec.busy,
            bias=bias,
        )

    @property
    def num_persons(self) -> int:
        """M."""
        return self.script.persons

    def labels(self) -> tuple[Label, ...]:
        """Every action of every person, sorted by start; seconds from the first frame."""
        return tuple(sorted(self.script.labels, key=lambda x: (x.start, x.label, x.person)))

    def active(self, frames: np.ndarray) -> np.ndarray:
        """Which classes someone does in these frames: (len(frames), K) bool, start <= t < end."""
        time_F = np.asarray(frames) / self.spec.fps
        active_FK = np.zeros((len(time_F), len(self.spec.actions)), dtype=bool)
        for label in self.script.labels:
            k = self.spec.actions.index(label.label)
            active_FK[(time_F >= label.start) & (time_F < label.end), k] = True
        return active_FK

    def frame(self, i: int) -> np.ndarray:
        """Frame i: (H, W, 3) uint8 RGB."""
        return self._paint(i, None)

    def frame_and_top(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Frame i, and the number of the card seen at every pixel: (H, W) uint16.

        A pixel belongs to the topmost card that covers it by more than half; between cards motion may jump.
        """
        top_HW = np.zeros(self.spec.size[::-1], dtype=np.uint16)
        picture_HW3 = self._paint(i, top_HW)
        return picture_HW3, self._layout(i).number_C[top_HW].astype(np.uint16)

    def joints(self, i: int, top_HW: np.ndarray | None = None) -> np.ndarray:
        """Joints of all persons in frame i: (M, J, 3) float32, x, y, visible.

        Visible is 1 inside the picture where nothing but the person itself covers the joint, else 0.
        `top_HW` of `frame_and_top` saves a drawing.
        """
        top_HW = self.frame_and_top(i)[1] if top_HW is None else top_HW
        layout = self._layout(i)
        xy_MJ2 = layout.joints_FMJ2[i - layout.first]
        width, height = self.spec.size
        column_MJ, row_MJ = np.round(xy_MJ2).astype(int).transpose(2, 0, 1)
        inside_MJ = (column_MJ >= 0) & (column_MJ < width) & (row_MJ >= 0) & (row_MJ < height)
        seen_MJ = self._stage.owners[top_HW[row_MJ.clip(0, height - 1), column_MJ.clip(0, width - 1)]]
        visible_MJ = inside_MJ & (seen_MJ == np.arange(self.num_persons)[:, None])
        return np.concatenate([xy_MJ2, visible_MJ[..., None]], axis=2).astype(np.float32)

    def boxes(self, i: int) -> np.ndarray:
        """Box x0, y0, x1, y1 of every person in frame i, cut at the picture's border: (M, 4) float32."""
        width, height = self.spec.size
        layout = self._layout(i)
        return np.clip(layout.boxes_FM4[i - layout.first], 0, [width, height, width, height]).astype(
            np.float32
        )

    def flow(self, i: int, top_HW: np.ndarray | None = None) -> np.ndarray:
        """Where every pixel of frame i goes in frame i + 1: (H, W, 2) float32, pixels right and down.

        It is the motion of the surface seen in frame i, also where that surface is hidden or outside the
        picture in frame i + 1. The last frame has one too: the world goes on. `top_HW` saves a drawing.
        """
        top_HW = self.frame_and_top(i)[1] if top_HW is None else top_HW
        layout = self._layout(i)
        now_C23, next_C23 = layout.placement_FC23[i - layout.first : i - layout.first + 2]
        return flow(motion(now_C23, next_C23), np.searchsorted(layout.number_C, top_HW))

    def _paint(self, i: int, top_HW: np.ndarray | None) -> np.ndarray:
        layout = self._layout(i)
        cards = [self._stage.cards[c] for c in layout.number_C]
        f = i - layout.first
        extent_C4, order_C = layout.extent_FC4[f].tolist(), layout.order_FC[f].tolist()
        return paint(cards, layout.placement_FC23[f], extent_C4, order_C, self.spec.size, top_HW)

    def _layout(self, i: int) -> Layout:
        """The block of frames that holds frame i, and one frame more, for flow."""
        if not 0 <= i < self.spec.num_frames:
            raise IndexError(f"frame {i} of a scene of {self.spec.num_frames}")
        first = i - i % _BLOCK
        if self._block is None or self._block.first != first:
            self._block = self._stage.layout(first, min(_BLOCK, self.spec.num_frames - first) + 1)
        return self._block

    @cached_property
    def _stage(self) -> Stage:
        return Stage(self.spec, self.script, self._looks, self._moves)
