"""Inception-I3D over a whole video as one clip, given in pieces: memory does not grow with its length.

Every layer keeps the few frames of its own input that its next output still needs, and none is computed
twice. That equals the whole clip, to rounding, if each layer is padded as the whole is: "SAME" goes by the
length modulo the stride, so the length has to be known before the first frame.

Shapes: C channels, T frames of a piece, H W pixels, t steps, D features; the clip is one: 1 in front.
"""

import torch
from torch import Tensor

from extractors.dense_grid import MIN_FRAMES
from extractors.i3d import I3D, Layer, same_padding


class DenseI3D:
    """One clip of `num_frames` through I3D, as `I3D.extract_features` of all of it; for inference."""

    def __init__(self, network: I3D, num_frames: int) -> None:
        if num_frames < MIN_FRAMES:
            raise ValueError(f"I3D needs at least {MIN_FRAMES} frames, got {num_frames}")
        self._layers = []
        length = num_frames
        for layer in network.trunk():
            self._layers.append(_Streamed(layer, length))
            length = self._layers[-1].steps
        self._dim = network.dim
        self._last_1D: Tensor | None = None  # of the map: half of the next feature

    def push(self, x_1CTHW: Tensor) -> Tensor:
        """The next frames, at least one, to the features (t, D) float32 that they complete.

        The last frame of the clip completes the last feature: ceil(num_frames / 8) - 1 in all.
        """
        for layer in self._layers:
            y_1CTHW = layer.push(x_1CTHW)
            if y_1CTHW is None:
                return x_1CTHW.new_zeros((0, self._dim), dtype=torch.float32)
            x_1CTHW = y_1CTHW
        mean_TD = x_1CTHW.float().mean((0, 3, 4)).T  # averages of half-precision maps in full precision
        if self._last_1D is not None:
            mean_TD = torch.cat([self._last_1D, mean_TD])
        self._last_1D = mean_TD[-1:]
        return (mean_TD[:-1] + mean_TD[1:]) / 2


class _Streamed:
    """A layer that is given its input of `length` frames in pieces.

    With kernel k, stride s and p frames of padding in front, output j sees frames j s - p, ..., + k - 1.
    """

    def __init__(self, layer: Layer, length: int) -> None:
        self._layer, self._length = layer, length
        self._kernel, self._stride = layer.reach
        self._before = same_padding([length], [self._kernel], [self._stride])[0]
        self.steps = -(-length // self._stride)
        self._done = 0  # outputs
        self._held: Tensor | None = None  # frames _first, _first + 1, ...
        self._first = 0

    def push(self, x_1CTHW: Tensor) -> Tensor | None:
        """The outputs that these frames complete, in one piece; None where there are none."""
        if self._held is not None:
            x_1CTHW = torch.cat([self._held, x_1CTHW], dim=2)
        stop = self._first + x_1CTHW.shape[2]
        assert stop <= self._length, f"{stop} frames came, {self._length} were announced"
        # A piece is padded as the whole is if both lengths agree modulo the stride and it starts at a
        # multiple of it; outputs that see its padding are cut off, except at the ends of the whole.
        used = stop - (stop - self._length) % self._stride
        ready = self._ready(used)
        y_1CTHW = None
        if ready > self._done:
            y_1CTHW = self._outputs(x_1CTHW[:, :, : used - self._first], ready)
            self._done = ready
        self._hold(x_1CTHW, stop)
        return y_1CTHW

    def _outputs(self, x_1CTHW: Tensor, ready: int) -> Tensor:
        """Outputs `_done`, ..., `ready` - 1."""
        start = self._done * self._stride - self._before - self._first
        if start >= 0 and ready < self.steps:  # none is computed to be cut off
            return self._layer.within(x_1CTHW[:, :, start:])[:, :, : ready - self._done]
        skipped = self._first // self._stride
        return self._layer(x_1CTHW)[:, :, self._done - skipped : ready - skipped]

    def _ready(self, received: int) -> int:
        """Outputs that see none but the first `received` frames, or the end."""
        if received == self._length:
            return self.steps
        return (received + self._before - self._kernel) // self._stride + 1

    def _hold(self, x_1CTHW: Tensor, stop: int) -> None:
        """Keep what the next output sees, from a multiple of the stride on."""
        needed = max(0, (self._done * self._stride - self._before) // self._stride * self._stride)
        needed = min(needed, stop)
        # a copy: a view would keep the whole piece
        self._held = x_1CTHW[:, :, needed - self._first :].clone() if needed < stop else None
        self._first = needed
