"""Where the people are: torchvision's detectors, and a small one of our own, by name.

Ours is FCOS (Tian et al., ICCV 2019) with torchvision's head, losses and post-processing on a narrow
feature pyramid with strides 8, 16 and 32.
Shapes: N frames, H W pixels, P persons of a frame.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.ops import Conv2dNormActivation, FeaturePyramidNetwork

from extractors.base import NetworkError
from extractors.detector_names import SHORT_SIDES, TINY_DETECTOR, TINY_SIDE, check_detector
from extractors.identities import of_detector
from extractors.precision import Precision, exact, reduce_parts
from extractors.preprocess import resize_short_side
from extractors.weights import fit_state, load_weights

_PERSON = 1  # of COCO's classes, in all of torchvision's detectors and in ours
_FEATURES = ("backbone", "roi_heads.box_head")  # what may compute in less than float32: see `precision`


class TinyPyramid(nn.Module):
    """Pictures (N, 3, H, W) to maps of 64 channels at strides 8, 16 and 32: 0.8 million weights."""

    out_channels = 64

    def __init__(self) -> None:
        super().__init__()
        self.stride8 = _stage(3, (16, 2), (32, 2), (32, 1), (64, 2), (64, 1), (64, 1))
        self.stride16 = _stage(64, (96, 2), (96, 1), (96, 1))
        self.stride32 = _stage(96, (128, 2), (128, 1))
        self.fpn = FeaturePyramidNetwork([64, 96, 128], self.out_channels)

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        c8 = self.stride8(x_NCHW)
        c16 = self.stride16(c8)
        return self.fpn(OrderedDict(p8=c8, p16=c16, p32=self.stride32(c16)))


def _stage(channels: int, *layers: tuple[int, int]) -> nn.Sequential:
    """3x3 convolutions with batch norm and ReLU; each layer is (channels, stride)."""
    convolutions = []
    for width, stride in layers:
        convolutions.append(Conv2dNormActivation(channels, width, 3, stride))
        channels = width
    return nn.Sequential(*convolutions)


def tiny_detector() -> FCOS:
    """FCOS for one class, for frames with a short side of about 144 px and persons of 30 px and more."""
    head = FCOSHead(TinyPyramid.out_channels, num_anchors=1, num_classes=2, num_convs=2)
    # distances pass a ReLU: start from those of a typical person (in strides) so that none is born dead
    head.regression_head.bbox_reg.bias.data = torch.tensor([2.0, 5.0, 2.0, 5.0])
    return FCOS(
        TinyPyramid(),
        num_classes=2,
        min_size=TINY_SIDE,
        max_size=4 * TINY_SIDE,
        anchor_generator=AnchorGenerator(((8,), (16,), (32,)), ((1.0,),) * 3),
        head=head,
        score_thresh=0.05,
        nms_thresh=0.6,
        detections_per_img=20,
        topk_candidates=100,
    )


@dataclass(frozen=True)
class DetectorKind:
    """How a detector is built and fed."""

    build: Callable[[], nn.Module]
    batch: int  # frames at once, bounded by memory


def _torchvision(builder: Callable[..., nn.Module], batch: int) -> DetectorKind:
    return DetectorKind(lambda: builder(weights=None, weights_backbone=None), batch)


DETECTORS: dict[str, DetectorKind] = {
    TINY_DETECTOR: DetectorKind(tiny_detector, batch=16),
    "ssdlite320_mobilenet_v3_large": _torchvision(detection.ssdlite320_mobilenet_v3_large, batch=16),
    "fasterrcnn_mobilenet_v3_large_fpn": _torchvision(detection.fasterrcnn_mobilenet_v3_large_fpn, batch=4),
    "fasterrcnn_resnet50_fpn_v2": _torchvision(detection.fasterrcnn_resnet50_fpn_v2, batch=2),
}


class PersonDetector:
    """Frames to boxes of persons, best first."""

    def __init__(
        self,
        name: str,
        weights: str,
        *,
        threshold: float,
        max_persons: int,
        device: torch.device,
        precision: Precision | None = None,
    ) -> None:
        """`name` is one of DETECTORS; `weights` a name or a path, see `extractors.weights`.

        NetworkError for an unknown name; WeightsError for weights that are missing or do not fit.
        """
        check_detector(name)
        if not 0 <= threshold < 1 or max_persons < 1:
            raise NetworkError(f"need 0 <= threshold < 1 and a person, got {threshold = }, {max_persons = }")
        self.name, self.threshold, self.max_persons, self.device = name, threshold, max_persons, device
        self._kind, self._precision = DETECTORS[name], precision
        loaded = load_weights(weights)
        self.weights_sha256 = loaded.sha256
        network = self._kind.build()
        fit_state(network, loaded.state, str(loaded.path))
        reduce_parts(network, _FEATURES, precision, device)
        self._network = network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, rgb_NHWC: Tensor) -> list[Tensor]:
        """uint8 frames (N, H, W, 3) to (P, 5) float32 per frame: x1, y1, x2, y2 in px of the frame, score.

        On the CPU: who gets them decides what to do next.
        """
        found: list[Tensor] = []
        for batch_NHWC in rgb_NHWC.split(self._kind.batch):
            found += self._detect(batch_NHWC.to(self.device))
        return found

    def _detect(self, rgb_NHWC: Tensor) -> list[Tensor]:
        height, width = rgb_NHWC.shape[1:3]
        if short_side := SHORT_SIDES[self.name]:
            rgb_NHWC = resize_short_side(rgb_NHWC, short_side)
        x_NCHW = rgb_NHWC.permute(0, 3, 1, 2).float().div_(255)
        scale_4 = torch.tensor([width, height] * 2) / torch.tensor([x_NCHW.shape[3], x_NCHW.shape[2]] * 2)
        with exact():
            found = self._network(list(x_NCHW))
        return [self._persons(frame, scale_4) for frame in _on_cpu(found)]

    def _persons(self, found: dict[str, Tensor], scale_4: Tensor) -> Tensor:
        """The best boxes of the person class, above the threshold."""
        keep = (found["labels"] == _PERSON) & (found["scores"] >= self.threshold)
        boxes_P4, score_P = found["boxes"][keep] * scale_4, found["scores"][keep]
        best = score_P.argsort(descending=True, stable=True)[: self.max_persons]
        return torch.cat([boxes_P4[best], score_P[best, None]], dim=1)

    def identity(self) -> dict[str, Any]:
        """See `identities`."""
        return of_detector(self.name, self.weights_sha256, self.threshold, self.max_persons, self._precision)


def _on_cpu(found: list[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """What was found in each frame, carried over in one piece: each copy waits for the device."""
    rows = [
        torch.cat([frame["boxes"], frame["scores"][:, None], frame["labels"][:, None]], 1) for frame in found
    ]
    for row_Q6 in torch.cat(rows).cpu().split([len(row) for row in rows]):
        yield {"boxes": row_Q6[:, :4], "scores": row_Q6[:, 4], "labels": row_Q6[:, 5]}
