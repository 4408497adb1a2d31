"""`--show-drift`: what features lose in less than float32, on the first windows of the first video.

Both are made in one pass over the same frames. The video is taken as if it ended with those windows, so that
only its beginning is decoded; of features of whole videos, too.

Shapes: K windows, D feature size, N flow vectors or joints, P Q persons of a frame, J joints.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from extractors.base import Grid
from extractors.dense_grid import STEP, CenteredWindow, DenseGrid, Window
from pipeline.job import Job
from pipeline.precision import in_float32
from pipeline.recipe import FLOW, SKELETON, Recipe
from pipeline.recompute import row_stream
from pipeline.streams import Stream, run_streams
from pipeline.video import RedoWithFallback, VideoError, VideoStream, open_video
from pipeline.video_keeper import JOINTS
from pipeline.video_work import check_shape

if TYPE_CHECKING:  # RGB alone needs nothing of flow and skeletons
    from extractors.flow import FlowInput
    from extractors.skeleton_input import Joints

T = TypeVar("T")

WINDOWS = 8
_FIELD = "field"  # of flow
_PAIRS = 8  # of frames, whose flow is compared vector by vector


@dataclass(frozen=True)
class Drift:
    """One extractor's features beside its own in float32."""

    cosine_K: np.ndarray
    largest: float  # difference of two numbers
    scale: float  # the largest number in float32
    px_N: np.ndarray | None = None  # how far flow vectors, or joints of the same persons, are apart
    alone: int = 0  # persons that are found in one of the precisions only

    def describe(self, what: str) -> str:
        """One line; `what` has px."""
        text = (
            f"cosine at least {self.cosine_K.min():.6f}, mean {self.cosine_K.mean():.6f}; numbers differ by "
            f"up to {self.largest:.2g} (the largest is {self.scale:.2g})"
        )
        if self.px_N is not None and len(self.px_N):
            text += f"; {what} by up to {self.px_N.max():.2g} px, mean {self.px_N.mean():.2g} px"
        return text + (f"; {self.alone} persons found in one of both alone" if self.alone else "")


def show_drift(job: Job, recipe: Recipe, windows: int = WINDOWS) -> None:
    """Say how far the features of a recipe are from float32."""
    plain = Recipe.build(in_float32(job.config), recipe.modalities, job.progress, job.device)
    if plain.identities == recipe.identities:
        job.progress.say("drift: none, features are made in float32")
        return
    video, drifts = measure_drift(job, recipe, plain, windows)
    if not drifts:
        job.progress.say("drift: no video can be decoded")
        return
    job.progress.say(f"drift against float32, the first {windows} windows of {video}:")
    for name, drift in drifts.items():
        what = f"flow of {_PAIRS} pairs of frames" if name == FLOW else "joints"
        job.progress.say(f"  {name}: {drift.describe(what)}")


def measure_drift(
    job: Job, recipe: Recipe, plain: Recipe, windows: int = WINDOWS
) -> tuple[str, dict[str, Drift]]:
    """The first video that can be decoded, and the drift of `recipe` from `plain` by modality."""
    for source in job.sources:
        try:
            return source.name, _decode_beginning(
                job, source.path, lambda frames: _compare(job, frames, (recipe, plain), windows)
            )
        except VideoError:
            continue  # extract says what is wrong with it
    return "", {}


def _compare(job: Job, frames: VideoStream, recipes: tuple[Recipe, Recipe], windows: int) -> dict[str, Drift]:
    check_shape(frames)
    num_frames = _frames_needed(recipes[0], frames.num_sampled, windows)
    streams = [_streams(job, recipe, num_frames, windows) for recipe in recipes]
    made = run_streams(
        islice(frames, num_frames),
        [stream for of in streams for stream in of.values()],
        device=job.device,
        chunk_frames=job.config.work.frames,
    )
    products = iter(made)
    ours, theirs = ({name: next(products) for name in of} for of in streams)
    drifts = {}
    for name in recipes[0].modalities:
        if name == SKELETON:
            drifts[name] = _skeleton_drift(recipes, ours[JOINTS], theirs[JOINTS], windows)
        else:
            px_N = _flow_px(ours[_FIELD], theirs[_FIELD]) if name == FLOW else None
            drifts[name] = feature_drift(ours[name], theirs[name], px_N)
    return drifts


def feature_drift(
    made_KD: np.ndarray, float32_KD: np.ndarray, px_N: np.ndarray | None = None, alone: int = 0
) -> Drift:
    """Rows side by side; two zero vectors are the same."""
    made_KD, float32_KD = made_KD.astype(np.float64), float32_KD.astype(np.float64)
    lengths_K = np.linalg.norm(made_KD, axis=1) * np.linalg.norm(float32_KD, axis=1)
    dots_K = (made_KD * float32_KD).sum(1)
    same_K = (made_KD == float32_KD).all(1)
    cosine_K = np.where(same_K, 1.0, dots_K / np.maximum(lengths_K, np.finfo(np.float64).tiny))
    return Drift(
        cosine_K, float(np.abs(made_KD - float32_KD).max()), float(np.abs(float32_KD).max()), px_N, alone
    )


def joint_distances(made: "Joints", float32: "Joints") -> tuple[np.ndarray, int]:
    """How far the joints of the same persons are apart, px (N,), and how many persons have no partner.

    Persons of a frame are paired so that the mean distance of their joints is least.
    """
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

    found, alone = [np.zeros(0)], 0
    for ours, theirs in zip(_persons(made), _persons(float32), strict=True):
        px_PQJ = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
        pairs = linear_sum_assignment(px_PQJ.mean(-1))
        found.append(px_PQJ[pairs].ravel())
        alone += len(ours) + len(theirs) - 2 * len(pairs[0])
    return np.concatenate(found), alone


def _persons(joints: "Joints") -> Iterator[np.ndarray]:
    """Of each frame, x and y of everyone's joints (P, J, 2)."""
    for id_M, joints_MJ3 in zip(joints.person_id_SM, joints.joints_SMJ3, strict=True):
        yield joints_MJ3[id_M >= 0, :, :2]


def _skeleton_drift(recipes: Sequence[Recipe], ours: "Joints", theirs: "Joints", windows: int) -> Drift:
    rows = []
    for recipe, joints in zip(recipes, (ours, theirs), strict=True):
        assert recipe.skeletons is not None
        rows.append(recipe.skeletons.features.features(joints)[:windows].cpu().numpy())
    px_N, alone = joint_distances(ours, theirs)
    return feature_drift(rows[0], rows[1], px_N, alone)


def _flow_px(ours_NHW2: np.ndarray, theirs_NHW2: np.ndarray) -> np.ndarray:
    return np.linalg.norm(ours_NHW2 - theirs_NHW2, axis=-1).ravel()


def _frames_needed(recipe: Recipe, num_sampled: int, windows: int) -> int:
    """Sampled frames that the first windows of all modalities see."""
    grids: list[tuple[Grid, int]] = [(one.grid, one.lookahead) for one in recipe.extractors.values()]
    if recipe.skeletons:
        grids.append((recipe.skeletons.features.grid, 0))
    return min(num_sampled, max(_seen(grid, num_sampled, windows) + ahead for grid, ahead in grids))


def _seen(grid: Grid, num_sampled: int, windows: int) -> int:
    if isinstance(grid, DenseGrid):
        return STEP * windows + 1
    assert isinstance(grid, Window | CenteredWindow)
    return int(grid.frames_KL(num_sampled)[:windows].max()) + 1


def _streams(job: Job, recipe: Recipe, num_frames: int, windows: int) -> dict[str, Stream]:
    """What makes the first rows of every modality; of flow also its vectors, of skeletons only the joints."""
    work = job.config.work
    batch = {"clips": work.clips, "dense_frames": work.dense_frames}
    streams: dict[str, Stream] = {}
    for name, extractor in recipe.extractors.items():
        rows_K = np.arange(min(windows, extractor.grid.count(num_frames)))
        streams[name] = row_stream(extractor, num_frames, rows_K, batch)
        if name == FLOW:
            from extractors.flow import I3DFlow

            assert isinstance(extractor, I3DFlow)
            streams[_FIELD] = _Field(extractor.flow)
    if recipe.skeletons:
        from extractors.tracking import JointStream

        streams[JOINTS] = JointStream(recipe.skeletons.pose)
    return streams


class _Field:
    """Flow between the first frames, in px."""

    def __init__(self, flow: "FlowInput") -> None:
        self._flow = flow
        self._frames: list[Tensor] = []

    def push(self, rgb_NHWC: Tensor) -> None:
        missing = _PAIRS + 1 - len(self._frames)
        self._frames.extend(rgb_NHWC[: max(missing, 0)])

    def finish(self) -> np.ndarray:
        """(N, H, W, 2); of a single frame, to itself."""
        return self._flow(torch.stack((self._frames * 2)[: max(len(self._frames), 2)])).float().cpu().numpy()


def _decode_beginning(job: Job, path: Path, consume: Callable[[VideoStream], T]) -> T:
    """What `consume` makes of a stream that it need not read to its end; see `video.decode`."""
    config, after = job.config, None
    while True:
        with open_video(
            path, fps=config.fps, policy=config.decode, limits=config.work.limits, after=after
        ) as frames:
            try:
                return consume(frames)
            except RedoWithFallback as failure:
                after = failure
