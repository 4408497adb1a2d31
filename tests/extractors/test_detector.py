"""Detectors by name: built, fed, filtered and scaled back; ours on figures it has never seen."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import detection
from torchvision.ops import box_iou

from extractors.detector import DETECTORS, PersonDetector, tiny_detector
from extractors.weights import FILES, WeightsError, find_weights
from pipeline.synthetic import DEMO_ACTIONS, Scene, SceneSpec

TINY = "augrgb-tiny-detector"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def detector() -> PersonDetector:
    if find_weights(TINY) is None:
        pytest.skip("our detector's weights are not trained yet")
    return PersonDetector(TINY, TINY, threshold=0.5, max_persons=8, device=CPU)


class Found:
    """Stands in for a network: the same boxes in every picture; remembers what it was shown."""

    def __init__(self, rows: list[tuple[list[float], float, int]]) -> None:
        self.boxes, self.scores, self.labels = (list(column) for column in zip(*rows, strict=True))
        self.shown: list[tuple[int, ...]] = []

    def __call__(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        self.shown += [tuple(image.shape) for image in images]
        found = {"boxes": torch.tensor(self.boxes), "scores": torch.tensor(self.scores)}
        return [found | {"labels": torch.tensor(self.labels)} for _ in images]


def with_network(detector: PersonDetector, network: Found, monkeypatch: pytest.MonkeyPatch) -> PersonDetector:
    monkeypatch.setattr(detector, "_network", network)
    return detector


def test_only_persons_count_best_first_and_no_more_than_asked_for(
    detector: PersonDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = [10.0, 20.0, 30.0, 60.0]
    network = Found(
        [(box, 0.6, 1), (box, 0.99, 3), (box, 0.4999, 1), (box, 0.9, 1), (box, 0.5, 1), (box, 0.7, 1)]
    )
    monkeypatch.setattr(detector, "max_persons", 3)
    (found,) = with_network(detector, network, monkeypatch)(torch.zeros((1, 144, 192, 3), dtype=torch.uint8))
    assert found[:, 4].tolist() == pytest.approx([0.9, 0.7, 0.6])


def test_boxes_are_in_pixels_of_the_frame(detector: PersonDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Found([([10.0, 20.0, 30.0, 60.0], 0.9, 1)])
    found = with_network(detector, network, monkeypatch)(torch.zeros((3, 360, 640, 3), dtype=torch.uint8))
    assert network.shown == [(3, 144, 256)] * 3  # resized to a short side of 144
    for boxes in found:
        np.testing.assert_allclose(boxes[0, :4], np.array([10, 20, 30, 60]) * 2.5)


@pytest.mark.parametrize("domain", ["train", "test"])
def test_ours_finds_people_it_has_never_seen(detector: PersonDetector, domain: str) -> None:
    """Actions of the demo, scenes it was not trained on; the test domain looks unlike its training data."""
    hits = people = found = 0
    for seed in range(20):
        scene = Scene(SceneSpec(seed=(seed, 5), actions=DEMO_ACTIONS, domain=domain, num_frames=50, fps=12.5))
        boxes = scene.boxes(40)[scene.joints(40)[..., 2].sum(1) >= 10]
        (seen,) = detector(torch.from_numpy(scene.frame(40))[None])
        hits += int((box_iou(torch.from_numpy(boxes), seen[:, :4]) >= 0.5).any(1).sum()) if len(seen) else 0
        people += len(boxes)
        found += len(seen)
    assert hits / people >= 0.9
    assert found <= 1.15 * people


def test_an_empty_picture_holds_nobody(detector: PersonDetector) -> None:
    for value in (0, 127, 255):
        (found,) = detector(torch.full((1, 144, 192, 3), value, dtype=torch.uint8))
        assert found.shape == (0, 5)


def test_frames_together_and_alone_give_the_same(detector: PersonDetector) -> None:
    scene = Scene(SceneSpec(seed=(3,), num_frames=40, persons=(3, 3)))
    frames = torch.from_numpy(np.stack([scene.frame(i) for i in range(0, 40, 2)]))  # more than one batch
    together = detector(frames)
    assert sum(map(len, together)) >= 40
    for i in (0, 15, 16, 19):
        torch.testing.assert_close(detector(frames[i : i + 1])[0], together[i], rtol=1e-4, atol=1e-2)


def test_ours_is_small() -> None:
    assert sum(p.numel() for p in tiny_detector().state_dict().values()) * 2 <= 2e6


@pytest.mark.parametrize(
    ("name", "enum"),
    [
        ("fasterrcnn_resnet50_fpn_v2", detection.FasterRCNN_ResNet50_FPN_V2_Weights),
        ("fasterrcnn_mobilenet_v3_large_fpn", detection.FasterRCNN_MobileNet_V3_Large_FPN_Weights),
        ("ssdlite320_mobilenet_v3_large", detection.SSDLite320_MobileNet_V3_Large_Weights),
    ],
)
def test_public_weights_are_those_of_torchvision(name: str, enum: type) -> None:
    entry = FILES[name]
    assert name in DETECTORS
    assert entry.url == enum.COCO_V1.url
    assert entry.digest == "sha256:" + entry.url.removesuffix(".pth").rpartition("-")[2]


@pytest.mark.parametrize("name", ["ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_fpn"])
def test_a_public_detector_takes_weights_saved_with_frozen_batch_norms(name: str, tmp_path: Path) -> None:
    state = DETECTORS[name].build().state_dict()
    saved = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(saved, tmp_path / "weights.pth")
    public = PersonDetector(name, str(tmp_path / "weights.pth"), threshold=0.5, max_persons=3, device=CPU)
    found = public(torch.zeros((1, 120, 160, 3), dtype=torch.uint8))
    assert found[0].shape[1] == 5


def test_weights_of_another_network_are_refused_and_the_misfits_named(tmp_path: Path) -> None:
    state = tiny_detector().state_dict()
    state["head.classification_head.cls_logits.weight"] = torch.zeros(3, 64, 3, 3)
    state["other"] = state.pop("backbone.fpn.inner_blocks.0.0.weight")
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(
        WeightsError, match=r"3 misfits.*inner_blocks.0.0.weight is missing.*expected \(2, 64"
    ):
        PersonDetector(TINY, str(tmp_path / "weights.pth"), threshold=0.5, max_persons=3, device=CPU)


def test_wrong_names_and_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no detector 'yolo'.*augrgb-tiny-detector"):
        PersonDetector("yolo", TINY, threshold=0.5, max_persons=3, device=CPU)
    with pytest.raises(ValueError, match=r"threshold = 1\.5"):
        PersonDetector(TINY, TINY, threshold=1.5, max_persons=3, device=CPU)


def test_identity_says_what_changes_the_boxes(detector: PersonDetector) -> None:
    other = PersonDetector(TINY, TINY, threshold=0.4, max_persons=8, device=CPU)
    assert detector.identity() != other.identity()
    assert detector.identity()["short_side"] == 144
