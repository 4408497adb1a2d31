"""Graph networks on the 17 joints of COCO: AAGCN and ST-GCN++.

AAGCN: L. Shi, Y. Zhang, J. Cheng, H. Lu, "Two-Stream Adaptive Graph Convolutional Networks", CVPR 2019,
and with attention "Skeleton-Based Action Recognition with Multi-Stream Adaptive Graph Convolutional
Networks", IEEE TIP 2020. ST-GCN++: H. Duan, J. Wang, K. Chen, D. Lin, "PYSKL: Towards Good Practices for
Skeleton Action Recognition", ACM MM 2022, after S. Yan, Y. Xiong, D. Lin, "Spatial Temporal Graph
Convolutional Networks", AAAI 2018. Module names are those of kennymckormick/pyskl (commit 3f6795f), so
that its public checkpoints load as they are; outputs are equal to it.

Differences, none of which moves a number: width and depth are settings; no dropout.

Shapes: N clips, M persons, T frames, V = 17 joints, C channels (x, y, score at the input), S = 3 subsets of
the graph, D features.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from extractors.skeleton_config import GraphNetwork, GraphSize

JOINTS = 17
# Joint 0 is the nose. (child, parent) edges of the graph, a tree rooted there; order of COCO's joints.
EDGES = (
    *((1, 0), (2, 0), (3, 1), (4, 2), (5, 0), (6, 0), (7, 5), (8, 6), (9, 7), (10, 8)),
    *((11, 5), (12, 6), (13, 11), (14, 12), (15, 13), (16, 14)),
)


def build_graph_network(network: GraphNetwork, size: GraphSize, persons: int = 2) -> "GraphConvNet":
    """The network by name, with random weights; `persons` matters to AAGCN's input normalisation alone."""
    if network == "aagcn":
        return AAGCN(size, persons)
    if network == "stgcn++":
        return STGCNPlusPlus(size)
    raise ValueError(f"unknown graph network {network!r}; there are: aagcn, stgcn++")


def spatial_graph() -> Tensor:
    """Who is joined to whom: itself, inward (to the parent), outward; (S, V, V).

    Entry [s, i, j] is the weight of joint i in the sum for joint j; columns of the last two add up to 1
    (or 0 where nothing points there).
    """
    inward = np.zeros((JOINTS, JOINTS))
    for child, parent in EDGES:
        inward[parent, child] = 1
    directed = [matrix / np.maximum(matrix.sum(0), 1) for matrix in (inward, inward.T)]
    return torch.from_numpy(np.stack([np.eye(JOINTS), *directed])).float()


class GraphConvNet(nn.Module, ABC):
    """Clips (N, M, T, V, 3) to features (N, D): what both networks share.

    `dim` is D. Subclasses give `gcn`, a list of blocks (N, C, T, V) -> (N, C', T', V), and `normalise`.
    """

    gcn: nn.ModuleList

    def __init__(self, size: GraphSize) -> None:
        super().__init__()
        self.dim = size.dim

    @abstractmethod
    def normalise(self, x_NMTVC: Tensor) -> Tensor:
        """Batch norm of every joint's coordinates: (N * M, C, T, V)."""

    def features_map(self, x_NMTVC: Tensor) -> Tensor:
        """Output of the last block: (N, M, D, T', V), T' = T / 2 per stage after the first, rounded up."""
        assert x_NMTVC.shape[3:] == (JOINTS, 3), x_NMTVC.shape
        x = self.normalise(x_NMTVC)
        for block in self.gcn:
            x = block(x)
        return x.unflatten(0, x_NMTVC.shape[:2])

    def forward(self, x_NMTVC: Tensor) -> Tensor:
        """Mean over persons, time and joints: (N, D)."""
        return self.features_map(x_NMTVC).mean((1, 3, 4))


class AAGCN(GraphConvNet):
    """Adaptive graph convolutions with attention. Input statistics are per person: M is fixed."""

    A: Tensor  # kept for the checkpoints' sake, the blocks have their own

    def __init__(self, size: GraphSize, persons: int) -> None:
        super().__init__(size)
        graph = spatial_graph()
        self.persons = persons
        self.register_buffer("A", graph)
        self.data_bn = nn.BatchNorm1d(persons * JOINTS * 3)
        self.gcn = nn.ModuleList(
            Block(AdaptiveGraphConv(i, o, graph), TemporalConv(o, o, 9, stride), i, o, stride, first=n == 0)
            for n, (i, o, stride) in enumerate(size.layers())
        )

    def normalise(self, x_NMTVC: Tensor) -> Tensor:
        n, m, t, v, c = x_NMTVC.shape
        if m != self.persons:
            raise ValueError(
                f"this AAGCN was built for {self.persons} persons, got {tuple(x_NMTVC.shape) = }"
            )
        x_NET = self.data_bn(x_NMTVC.permute(0, 1, 3, 4, 2).reshape(n, m * v * c, t))
        return x_NET.view(n * m, v, c, t).permute(0, 2, 3, 1)


class STGCNPlusPlus(GraphConvNet):
    """Learned graphs, residual graph convolutions, temporal convolutions at several scales."""

    def __init__(self, size: GraphSize) -> None:
        super().__init__(size)
        graph = spatial_graph()
        self.data_bn = nn.BatchNorm1d(JOINTS * 3)
        self.gcn = nn.ModuleList(
            Block(GraphConv(i, o, graph), MultiScaleTemporalConv(o, stride), i, o, stride, first=n == 0)
            for n, (i, o, stride) in enumerate(size.layers())
        )

    def normalise(self, x_NMTVC: Tensor) -> Tensor:
        n, m, t, v, c = x_NMTVC.shape
        x_NET = self.data_bn(x_NMTVC.permute(0, 1, 3, 4, 2).reshape(n * m, v * c, t))
        return x_NET.view(n * m, v, c, t).permute(0, 2, 3, 1)


class Block(nn.Module):
    """Graph convolution, temporal convolution, a residual around both (but not in the first block), ReLU."""

    def __init__(
        self, gcn: nn.Module, tcn: nn.Module, channels_in: int, channels: int, stride: int, *, first: bool
    ) -> None:
        super().__init__()
        self.gcn, self.tcn, self.first = gcn, tcn, first
        same = channels_in == channels and stride == 1
        self.residual = nn.Identity() if first or same else TemporalConv(channels_in, channels, 1, stride)

    def forward(self, x_NCTV: Tensor) -> Tensor:
        y_NCTV = self.tcn(self.gcn(x_NCTV))
        return (y_NCTV if self.first else y_NCTV + self.residual(x_NCTV)).relu()


class TemporalConv(nn.Module):
    """Convolution along time, and batch norm unless left out; T' = ceil(T / stride)."""

    def __init__(
        self,
        channels_in: int,
        channels: int,
        kernel: int,
        stride: int,
        dilation: int = 1,
        *,
        norm: bool = True,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.conv = nn.Conv2d(
            channels_in, channels, (kernel, 1), (stride, 1), (padding, 0), dilation=(dilation, 1)
        )
        self.bn = nn.BatchNorm2d(channels) if norm else nn.Identity()

    def forward(self, x_NCTV: Tensor) -> Tensor:
        return self.bn(self.conv(x_NCTV))


class MultiScaleTemporalConv(nn.Module):
    """Six branches of ST-GCN++ (sec. 3.2): dilations 1 to 4, a max-pool, a 1x1 convolution; concatenated."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        dilations = (1, 2, 3, 4)
        narrow = channels // (len(dilations) + 2)
        wide = channels - (len(dilations) + 1) * narrow  # the first branch takes what is left over

        def before(width: int) -> list[nn.Module]:
            return [nn.Conv2d(channels, width, 1), nn.BatchNorm2d(width), nn.ReLU()]

        widths = (wide, narrow, narrow, narrow)
        branches: list[nn.Module] = [
            nn.Sequential(*before(width), TemporalConv(width, width, 3, stride, dilation, norm=False))
            for width, dilation in zip(widths, dilations, strict=True)
        ]
        branches.append(nn.Sequential(*before(narrow), nn.MaxPool2d((3, 1), (stride, 1), (1, 0))))
        branches.append(nn.Conv2d(channels, narrow, 1, (stride, 1)))
        self.branches = nn.ModuleList(branches)
        self.transform = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 1))
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x_NCTV: Tensor) -> Tensor:
        return self.bn(self.transform(torch.cat([branch(x_NCTV) for branch in self.branches], dim=1)))


class GraphConv(nn.Module):
    """One 1x1 convolution per subset, summed along a learned graph that starts as the body's."""

    def __init__(self, channels_in: int, channels: int, graph: Tensor) -> None:
        super().__init__()
        self.A = nn.Parameter(graph.clone())
        self.conv = nn.Conv2d(channels_in, channels * len(graph), 1)
        self.bn = nn.BatchNorm2d(channels)
        self.down = _match(channels_in, channels)

    def forward(self, x_NCTV: Tensor) -> Tensor:
        y_NSCTV = self.conv(x_NCTV).unflatten(1, (len(self.A), -1))
        y_NCTV = torch.einsum("nsctv,svw->nctw", y_NSCTV, self.A)
        return (self.bn(y_NCTV) + self.down(x_NCTV)).relu()


class AdaptiveGraphConv(nn.Module):
    """Graph convolution on a learned graph plus one made from the clip itself, then three attentions.

    TIP 2020, eq. 3 to 7: graph = A + alpha * tanh(similarity of embedded joints); attention over joints,
    then frames, then channels, each as y + y * sigmoid(...).
    """

    def __init__(self, channels_in: int, channels: int, graph: Tensor) -> None:
        super().__init__()
        embedded = channels // 4
        self.A = nn.Parameter(graph.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.conv_a = nn.ModuleList(nn.Conv2d(channels_in, embedded, 1) for _ in graph)
        self.conv_b = nn.ModuleList(nn.Conv2d(channels_in, embedded, 1) for _ in graph)
        self.conv_d = nn.ModuleList(nn.Conv2d(channels_in, channels, 1) for _ in graph)
        self.conv_sa = nn.Conv1d(channels, 1, JOINTS, padding=JOINTS // 2)
        self.conv_ta = nn.Conv1d(channels, 1, 9, padding=4)
        self.fc1c = nn.Linear(channels, channels // 2)
        self.fc2c = nn.Linear(channels // 2, channels)
        self.down = _match(channels_in, channels)
        self.bn = nn.BatchNorm2d(channels)
        for gate in (self.conv_sa, self.conv_ta, self.fc2c):  # attention starts even: y + y / 2
            for parameter in gate.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x_NCTV: Tensor) -> Tensor:
        subsets = zip(self.A, self.conv_a, self.conv_b, self.conv_d, strict=True)
        y_NCTV = sum(
            conv_d(x_NCTV @ (graph_VV + self.alpha * _similarity(conv_a(x_NCTV), conv_b(x_NCTV))))
            for graph_VV, conv_a, conv_b, conv_d in subsets
        )
        return self._attend((self.bn(y_NCTV) + self.down(x_NCTV)).relu())

    def _attend(self, y_NCTV: Tensor) -> Tensor:
        y_NCTV = y_NCTV * (1 + self.conv_sa(y_NCTV.mean(2)).sigmoid().unsqueeze(2))
        y_NCTV = y_NCTV * (1 + self.conv_ta(y_NCTV.mean(3)).sigmoid().unsqueeze(3))
        gate_NC = self.fc2c(self.fc1c(y_NCTV.mean((2, 3))).relu()).sigmoid()
        return y_NCTV * (1 + gate_NC[:, :, None, None])


def _similarity(a_NCTV: Tensor, b_NCTV: Tensor) -> Tensor:
    """How alike two joints' embeddings are, over channels and time: (N, 1, V, V) in (-1, 1)."""
    size = a_NCTV.shape[1] * a_NCTV.shape[2]
    return (torch.einsum("nctv,nctw->nvw", a_NCTV, b_NCTV) / size).tanh().unsqueeze(1)


def _match(channels_in: int, channels: int) -> nn.Module:
    """What brings a residual to the right number of channels."""
    if channels_in == channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(channels_in, channels, 1), nn.BatchNorm2d(channels))
