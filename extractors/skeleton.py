"""Tracked joints of a video to one vector per window, by a graph network.

Works on what a pose estimator left behind: no frame is needed, so it runs again without a decode.

Which persons a window shows: the two (`persons`) with the largest box area times detection score, summed
over its frames; all others are left out. They stand in one order for the whole video, the most important
one of the video first. With fewer, the rest is zero. Gaps: a person, or a single joint, that is missing for
at most `max_gap` frames is interpolated; beyond that its coordinates and score are zero, and score zero
says so. A window in which nobody is found gives a zero vector, whatever the network.

Shapes: S sampled frames, T windows, N windows of a batch, P persons, L frames of a window, J = 17 joints,
D features; C channels of the network's last block.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from extractors.gcn import GraphConvNet, build_graph_network
from extractors.identities import of_skeleton
from extractors.precision import exact
from extractors.skeleton_config import SkeletonConfig
from extractors.skeleton_input import (
    Joints,
    Person,
    choose,
    cut,
    normalise,
    people,
    to_stream,
)
from extractors.weights import fit_state, load_weights

# COCO's joints of head, left and right arm, left and right leg
PARTS = ([0, 1, 2, 3, 4], [5, 7, 9], [6, 8, 10], [11, 13, 15], [12, 14, 16])


class SkeletonFeatures:
    """Joints of a video -> windows of its main persons -> one vector each. Results stay on `device`."""

    name = "skeleton"

    def __init__(self, config: SkeletonConfig, device: torch.device) -> None:
        """Finds, verifies and loads the weights; WeightsError or ValueError where they do not fit."""
        self.config, self.device, self.grid = config, device, config.grid
        loaded = load_weights(config.weights)
        network = build_graph(config)
        load_graph_state(network, loaded.state, str(loaded.path))
        self.weights_sha256 = loaded.sha256
        self.dim = network.dim * (len(PARTS) if config.pooling == "parts" else 1)
        self._network = network.eval().requires_grad_(False).to(device)

    def features(self, joints: Joints, batch: int = 32) -> Tensor:
        """One vector per window of the video: (T, D) float32, T as its grid says; zero without anyone."""
        windows = Windows(joints, self.config)
        rows = [
            self.clips(torch.from_numpy(windows.clips(slice(start, start + batch))))
            for start in range(0, len(windows), batch)
        ]
        return torch.cat(rows) if rows else torch.zeros(0, self.dim, device=self.device)

    @torch.inference_mode()
    def clips(self, x_NPLJ3: Tensor) -> Tensor:
        """Windows as `Windows.clips` gives them, (N, P, L, J, 3), to (N, D) float32."""
        x_NPLJ3 = x_NPLJ3.to(self.device, torch.float32)
        someone_N = (x_NPLJ3[..., 2] > 0).flatten(1).any(1)
        with exact():  # whatever the run's precision: see `precision`
            map_NPCTJ = self._network.features_map(x_NPLJ3)
        return self._pool(map_NPCTJ) * someone_N[:, None]

    def _pool(self, map_NPCTJ: Tensor) -> Tensor:
        """Means over persons and time, and over the joints of the body or of each of its parts: (N, D)."""
        if self.config.pooling == "body":
            return map_NPCTJ.mean((1, 3, 4))
        map_NCJ = map_NPCTJ.mean((1, 3))
        return torch.cat([map_NCJ[..., joints].mean(-1) for joints in PARTS], dim=1)

    def identity(self) -> dict[str, Any]:
        """See `identities`."""
        return of_skeleton(self.config, {self.config.weights: self.weights_sha256}.__getitem__)


def build_graph(config: SkeletonConfig) -> GraphConvNet:
    """The network of a config, with random weights."""
    return build_graph_network(config.network, config.size, config.persons)


class Windows:
    """All windows of a video: who is in them, and what the network sees of them, made when asked for."""

    def __init__(self, joints: Joints, config: SkeletonConfig) -> None:
        self.config, self.size = config, (joints.width, joints.height)
        self.people: list[Person] = people(joints, min_score=config.min_score, max_gap=config.max_gap)
        self.frames_TL = config.grid.frames_KL(joints.num_frames)
        self.chosen_TP = choose(self.people, self.frames_TL, config.persons)

    def __len__(self) -> int:
        """T."""
        return len(self.frames_TL)

    def clips(self, part: slice) -> np.ndarray:
        """Network input of these windows: (N, P, L, J, 3) float32, x, y, score; zero where missing."""
        found = cut(self.people, self.chosen_TP[part], self.frames_TL[part])
        return to_stream(normalise(found, self.config.origin, *self.size), self.config.stream)


def load_graph_state(model: GraphConvNet, state: Mapping[str, Tensor], source: str) -> None:
    """Load a checkpoint of ours or of pyskl, whose classifier is left out.

    Any other key or shape that does not fit is a WeightsError (a ValueError) that names the first few.
    """
    state = {key.removeprefix("backbone."): value for key, value in state.items()}
    fit_state(model, {key: value for key, value in state.items() if not key.startswith("cls_head.")}, source)
