"""Features made once more, to hold stored ones against: the settings a record names, some rows of a video.

Shapes: S sampled frames, N frames of a chunk, L frames per clip, K rows asked for, D feature size.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from extractors import build_extractor
from extractors.base import DenseExtractor, Extractor, Window
from pipeline.config import RunConfig
from pipeline.dense_stream import DenseStream
from pipeline.recipe import SKELETON
from pipeline.scoring import differences
from pipeline.streams import Stream, encoded

Config = TypeVar("Config")


def as_recorded(config: Config, recorded: Mapping[str, Any]) -> Config:
    """Settings of an extractor, changed to those that the identity in a record names.

    A record names a weight file by its content, so the config's stays. Settings that a record leaves out
    had their defaults: identities name later ones only where they are in use.
    """
    assert is_dataclass(config)
    changes: dict[str, Any] = {}
    for field in fields(config):
        value, found = getattr(config, field.name), recorded.get(field.name, field.default)
        if field.name.endswith("weights") or found is MISSING:
            continue
        if is_dataclass(value):
            changes[field.name] = as_recorded(value, found) if isinstance(found, Mapping) else value
        else:
            changes[field.name] = tuple(found) if isinstance(found, list) else found
    changed: Config = replace(config, **changes)  # type: ignore[type-var]
    return changed


def rebuild(config: RunConfig, recorded: Mapping[str, Any], device: torch.device) -> Any:
    """The network with this identity: an Extractor, or SkeletonFeatures; in words why there is none.

    Weights are those that `config` names. Of skeletons, the joints' part of the identity is not looked at.
    """
    name = recorded["name"]
    expected = {key: value for key, value in recorded.items() if (name, key) != (SKELETON, "joints")}
    try:
        settings = as_recorded(getattr(config, name), expected)
        if name == SKELETON:
            from extractors.skeleton import SkeletonFeatures

            network: Any = SkeletonFeatures(settings, device)
        else:
            network = build_extractor(name, settings, device)
    except (ValueError, TypeError, AttributeError) as error:  # a record may say anything
        return f"its network cannot be built: {error}"
    identity = json.loads(json.dumps(network.identity()))
    if changed := differences(expected, identity):
        return f"cannot be made again by this version and these weights: {', '.join(changed)}"
    return network


def row_stream(
    extractor: Extractor, num_sampled: int, rows_K: np.ndarray, batch: Mapping[str, int]
) -> Stream:
    """What makes these rows, in increasing order, of a video: its `finish` gives (K, D) float32.

    Windows cost what they see; of features of whole videos all are made. `batch` is that of the record.
    """
    if isinstance(extractor.grid, Window):
        return _Windows(extractor, extractor.grid.frames_KL(num_sampled)[rows_K], num_sampled, batch["clips"])
    assert isinstance(extractor, DenseExtractor)
    return _Picked(DenseStream(extractor, num_sampled, batch["dense_frames"]), rows_K)


class _Picked:
    """Some rows of what another stream makes."""

    def __init__(self, stream: Stream, rows_K: np.ndarray) -> None:
        self._stream, self._rows_K = stream, rows_K

    def push(self, rgb_NHWC: Tensor) -> None:
        self._stream.push(rgb_NHWC)

    def finish(self) -> np.ndarray:
        return self._stream.finish()[self._rows_K]


class _Windows:
    """Some windows of a video, from the frames that they see and no others.

    With all windows, chunks and batches are those of `streams.FeatureStream`, and so are the bits.
    """

    def __init__(
        self, extractor: Extractor, frames_KL: np.ndarray, num_sampled: int, batch_clips: int
    ) -> None:
        self._extractor, self._batch = extractor, batch_clips
        # where products look one frame ahead, the last one is repeated
        self._products_KL = np.minimum(frames_KL, max(num_sampled - 1 - extractor.lookahead, 0))
        self._wanted_S = np.zeros(num_sampled, dtype=bool)
        self._wanted_S[self._products_KL] = True
        self._received = 0  # frames
        self._unpaired: Tensor | None = None  # the last one, where products look one frame ahead
        self._held: dict[int, Tensor] = {}  # products by number
        self._next = 0  # window
        self._clips: list[list[Tensor]] = []
        self._rows: list[Tensor] = []

    def push(self, rgb_NHWC: Tensor) -> None:
        """The next frames of the video, uint8, on the extractor's device."""
        first = self._received
        self._received += len(rgb_NHWC)
        if self._unpaired is not None:
            rgb_NHWC, first = torch.cat([self._unpaired, rgb_NHWC]), first - 1
        if self._extractor.lookahead:
            self._unpaired = rgb_NHWC[-1:]
        self._make(rgb_NHWC, first)
        self._cut()

    def finish(self) -> np.ndarray:
        """After the last frame: (K, D) float32."""
        if self._extractor.lookahead and self._received == 1:  # of a single frame, its own
            assert self._unpaired is not None
            self._make(torch.cat([self._unpaired] * 2), 0)
        self._cut()
        self._flush()
        assert self._next == len(self._products_KL), "frames are missing"
        return torch.cat(self._rows).float().cpu().numpy()

    def _make(self, rgb_NHWC: Tensor, first: int) -> None:
        """Products of frames `first`, ... as far as windows want them."""
        count = len(rgb_NHWC) - self._extractor.lookahead
        for start, stop in _runs(self._wanted_S[first : first + count]):
            made = self._extractor.frames(rgb_NHWC[start : stop + self._extractor.lookahead])
            self._held.update(enumerate(made.unbind(), first + start))

    def _cut(self) -> None:
        """Every window whose products are all there."""
        while self._next < len(self._products_KL):
            products_L = self._products_KL[self._next]
            if any(i not in self._held for i in products_L):
                return
            self._clips.append([self._held[i] for i in products_L])
            if len(self._clips) == self._batch:
                self._flush()
            self._next += 1
            needed = self._products_KL[self._next :].min(initial=len(self._wanted_S))
            self._held = {i: product for i, product in self._held.items() if i >= needed}

    def _flush(self) -> None:
        if self._clips:
            self._rows.append(encoded(self._extractor, self._clips))
            self._clips.clear()


def _runs(wanted_N: np.ndarray) -> Iterator[tuple[int, int]]:
    """Start and stop of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted_N, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
