"""Where the pipeline hands ready tensors to its networks: the one file that looks into extractors.

| network | of features | what it is given |
|---|---|---|
| I3D RGB, I3D flow | rgb, flow | clips, or pieces of a whole video, in [-1, 1] |
| RAFT | flow | frames in [-1, 1], of the size it works on |
| detector | skeleton; rgb of crops of persons | frames in [0, 1]; what torchvision's has around it counts |
| pose | skeleton | normalised crops; then the head's maps; saying where a joint is does not count |
| graph | skeleton | normalised joints of windows |
| temporal | scores | features of a video |
| any other extractor | its own | what its `frames` and `clips` are given |
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from extractors.base import Extractor
from models.base import TemporalModel
from pipeline.recipe import Recipe, Skeletons
from pipeline.speed.recording import Recorder

I3D_RGB, I3D_FLOW, RAFT = "I3D RGB", "I3D flow", "RAFT"
DETECTOR, POSE, GRAPH, TEMPORAL = "detector", "pose", "graph", "temporal"


@dataclass(frozen=True)
class Tap:
    """A function that a network's work goes through: attribute `name` of `owner`."""

    network: str
    owner: Any
    name: str
    dtype: torch.dtype | None = None  # what the network casts its input to, where it does

    def watched(self, recorder: Recorder) -> Callable[..., Any]:
        """What to put in its place."""
        function = getattr(self.owner, self.name)
        if self.name == "begin":
            return _watched_begin(self, function, recorder)
        return recorder.watched(self.network, function, self.dtype)


def taps(recipe: Recipe) -> list[Tap]:
    """Of all networks that make these features."""
    found = [tap for extractor in recipe.extractors.values() for tap in _of_extractor(extractor)]
    return found + (_of_skeletons(recipe.skeletons) if recipe.skeletons else [])


def temporal_taps(model: TemporalModel) -> list[Tap]:
    """Of all temporal models of this kind: each video's scores are another instance's."""
    return [Tap(TEMPORAL, type(model), name) for name in ("encode", "classify")]


@contextmanager
def watched(taps: Sequence[Tap], recorder: Recorder) -> Iterator[None]:
    """Inside, the recorder sees every call."""
    with ExitStack() as stack:
        for tap in taps:
            stack.enter_context(_replaced(tap.owner, tap.name, tap.watched(recorder)))
        yield


def _of_extractor(extractor: Any) -> list[Tap]:
    # here, not above: who wants RGB alone needs nothing of flow
    from extractors.rgb import I3DRGB

    if isinstance(extractor, I3DRGB):
        crops = (
            [Tap(DETECTOR, extractor._persons._detector._network, "forward")] if extractor._persons else []
        )
        return [*crops, *_of_encoder(I3D_RGB, extractor._encoder)]
    from extractors import raft
    from extractors.flow import I3DFlow

    if isinstance(extractor, I3DFlow):
        return [Tap(RAFT, raft, "consecutive_flow"), *_of_encoder(I3D_FLOW, extractor._encoder)]
    return _of_any(extractor)


def _of_any(extractor: Extractor) -> list[Tap]:
    return [Tap(extractor.name, extractor, name) for name in ("frames", "clips")]


def _of_encoder(network: str, encoder: Any) -> list[Tap]:
    return [Tap(network, encoder, name, encoder._dtype) for name in ("clips", "begin")]


def _of_skeletons(skeletons: Skeletons) -> list[Tap]:
    module: Any = skeletons.pose._network.module
    return [
        Tap(DETECTOR, skeletons.pose.detector._network, "forward"),
        Tap(POSE, module, "extract_feat"),
        Tap(POSE, module.head, "forward"),
        Tap(GRAPH, skeletons.features._network, "features_map"),
    ]


def _watched_begin(tap: Tap, begin: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    """Of a network that takes a video whole, in pieces: it starts anew wherever the calls are made again."""

    def watched_begin(num_frames: int) -> Callable[[Tensor], Tensor]:
        push: Callable[[Tensor], Tensor] = begin(num_frames)
        again = _Restarted(lambda: begin(num_frames))

        if recorder.recording:
            recorder.keep(tap.network, again.start, ())
        return recorder.watched(tap.network, push, tap.dtype, again=again.push)

    return watched_begin


class _Restarted:
    def __init__(self, begin: Callable[[], Callable[[Tensor], Tensor]]) -> None:
        self._begin = begin
        self._push = begin()

    def start(self) -> None:
        self._push = self._begin()

    def push(self, x_N: Tensor) -> Tensor:
        return self._push(x_N)


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute with another value, for a while."""
    own = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)
