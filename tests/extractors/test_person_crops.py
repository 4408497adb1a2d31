"""Crops of persons: cut where the person is, resampled as PIL does, the same whatever the batch."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from extractors import build_extractor
from extractors.base import Window
from extractors.detector import tiny_detector
from extractors.flow_config import FlowConfig
from extractors.i3d import I3D, I3DConfig
from extractors.person_crops import PersonCrops, Square, around, middle
from extractors.person_crops_config import PersonCropConfig
from extractors.preprocess import resample_square
from extractors.weights import WeightsError
from pipeline.synthetic import DEMO_ACTIONS, Scene, SceneSpec

CPU = torch.device("cpu")
TINY = PersonCropConfig("augrgb-tiny-detector", "augrgb-tiny-detector")


@pytest.fixture(scope="module")
def crops() -> PersonCrops:
    return PersonCrops(TINY, 112, CPU)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> I3DConfig:
    """A narrow network with random weights on crops of persons."""
    path = tmp_path_factory.mktemp("weights") / "narrow.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        save_file(I3D(3, None, width=1 / 16).state_dict(), path)
    narrow = I3DConfig(str(path), 1 / 16, resize=64, crop=None, window=Window(16, 16))
    return replace(narrow, geometry="person", person=TINY)


def scene(seed: int, persons: int = 1, domain: str = "train") -> Scene:
    spec = SceneSpec(seed=(seed, 9), actions=DEMO_ACTIONS, domain=domain, num_frames=50, fps=12.5)
    return Scene(replace(spec, persons=(persons, persons)))


def smooth_picture(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height * width)
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("left", "top", "side"),
    [
        (30, 20, 64),  # the pixels themselves
        (30.4, 20.7, 64),
        (3.3, 5.1, 100.5),  # smaller
        (50.25, 40.5, 21.7),  # larger
        (-30.5, -10, 150),  # beyond two edges
        (100, 90.3, 80),
        (-40, -60, 300),  # beyond all
    ],
)
def test_a_square_is_resampled_as_pil_does_it(left: float, top: float, side: float) -> None:
    """Its edges repeated by numpy, outside of what the function does."""
    picture, pad = smooth_picture(120, 160), 320
    padded = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    box = (left + pad, top + pad, left + side + pad, top + side + pad)
    want = np.asarray(Image.fromarray(padded).resize((64, 64), Image.Resampling.BILINEAR, box=box))
    got = resample_square(torch.from_numpy(picture), left, top, side, 64)
    assert got.shape == (64, 64, 3)
    assert got.dtype == torch.uint8
    assert np.abs(got.numpy().astype(int) - want.astype(int)).max() <= 1


def test_the_pixels_themselves_are_not_changed() -> None:
    picture = torch.from_numpy(smooth_picture(120, 160))
    assert torch.equal(resample_square(picture, 30, 20, 64, 64), picture[20:84, 30:94])


def test_a_box_moved_by_a_last_bit_moves_no_pixel_by_more_than_a_grey_level() -> None:
    picture = torch.from_numpy(smooth_picture(120, 160))
    one, other = (resample_square(picture, left, 20.5, 70.0, 64) for left in (30.0, 30.0 - 1e-4))
    assert (one.int() - other.int()).abs().max() <= 1


def test_squares_are_about_boxes_and_frames() -> None:
    assert around([10, 20, 30, 80], margin=1.5) == Square(left=-25, top=5, side=90)
    assert around([10, 20, 90, 80], margin=1.0) == Square(left=10, top=10, side=80)
    assert middle(160, 90) == Square(left=35, top=0, side=90)
    assert middle(90, 160) == Square(left=0, top=35, side=90)


def test_an_empty_frame_gives_its_middle(crops: PersonCrops) -> None:
    frames = torch.full((2, 90, 160, 3), 127, dtype=torch.uint8)
    frames[1, :, 35:125] = 60  # a plain square, nobody
    assert crops.squares(frames) == [Square(35, 0, 90)] * 2
    cut = crops(frames)
    assert cut.shape == (2, 112, 112, 3)
    assert (cut[1, 1:-1, 1:-1] == 60).all()
    assert (cut[1, :, 0] != 60).all()  # enlarged: its edge lies between two pixels


@pytest.mark.parametrize("domain", ["train", "test"])
def test_crops_are_where_the_person_is(crops: PersonCrops, domain: str) -> None:
    """Against the practice world's exact boxes: figures and scenes that the detector was not trained on."""
    overlaps, shown = [], []
    for seed in range(15):
        world = scene(seed, domain=domain)
        if world.joints(30)[0, :, 2].sum() < 10:  # hidden, or out of the picture
            continue
        box = world.boxes(30)[0].astype(float)
        (square,) = crops.squares(torch.from_numpy(world.frame(30))[None])
        overlaps.append(iou(square, around(box.tolist(), TINY.margin)))
        shown.append(inside(box, square))
    assert len(shown) >= 10
    assert np.median(overlaps) > 0.85
    assert min(overlaps) > 0.6
    assert min(shown) > 0.95


def iou(one: Square, other: Square) -> float:
    left, top = max(one.left, other.left), max(one.top, other.top)
    right = min(one.left + one.side, other.left + other.side)
    bottom = min(one.top + one.side, other.top + other.side)
    common = max(0.0, right - left) * max(0.0, bottom - top)
    return common / (one.side**2 + other.side**2 - common)


def inside(box: np.ndarray, square: Square) -> float:
    """The share of a box that a square shows."""
    x1, y1, x2, y2 = box
    width = min(x2, square.left + square.side) - max(x1, square.left)
    height = min(y2, square.top + square.side) - max(y1, square.top)
    return max(0.0, width) * max(0.0, height) / ((x2 - x1) * (y2 - y1))


def test_of_several_the_surest_is_shown(crops: PersonCrops) -> None:
    frame = torch.from_numpy(scene(3, persons=3).frame(30))
    (boxes,) = crops._detector.__class__(
        TINY.detector, TINY.detector_weights, threshold=0.5, max_persons=9, device=CPU
    )(frame[None])
    assert len(boxes) >= 2
    assert crops.squares(frame[None]) == [around(boxes[boxes[:, 4].argmax(), :4].tolist(), TINY.margin)]


def test_the_batch_changes_rounding_only(crops: PersonCrops) -> None:
    world = scene(1, persons=2)
    frames = torch.from_numpy(np.stack([world.frame(i) for i in range(0, 40, 2)]))  # more than one batch
    frames[7] = 127  # nobody
    together = crops(frames)
    for size in (1, 3, 16):
        apart = torch.cat([crops(part) for part in frames.split(size)])
        assert (apart.int() - together.int()).abs().max() <= 1


@pytest.mark.shared
def test_crops_of_real_frames(crops: PersonCrops, shared: Path) -> None:
    """Pictures of any size and shape: wherever the detector puts the squares, they show what PIL does."""
    pictures = sorted((shared / "data" / "images").glob("*.jp*g"))[:6]
    assert pictures
    for path in pictures:
        picture = np.asarray(Image.open(path).convert("RGB"))
        (square,) = crops.squares(torch.from_numpy(picture.copy())[None])
        (cut,) = crops(torch.from_numpy(picture.copy())[None])
        pad = 2 * max(picture.shape)
        padded = Image.fromarray(np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
        left, top = square.left + pad, square.top + pad
        box = (left, top, left + square.side, top + square.side)
        want = np.asarray(padded.resize((112, 112), Image.Resampling.BILINEAR, box=box))
        assert np.abs(cut.numpy().astype(int) - want.astype(int)).max() <= 1


def test_the_extractor_shows_its_network_the_crops(config: I3DConfig) -> None:
    extractor = build_extractor("rgb", config, CPU)
    world = scene(2)
    frames = torch.from_numpy(np.stack([world.frame(i) for i in range(16)]))
    products = extractor.frames(frames)
    assert torch.equal(products, PersonCrops(TINY, 64, CPU)(frames))
    smaller = build_extractor("rgb", replace(config, crop=48), CPU)
    assert torch.equal(smaller.frames(frames), products[:, 8:56, 8:56])
    features = extractor.clips(products[None])
    assert features.shape == (1, extractor.dim)
    assert features.isfinite().all()


def test_identity_names_all_that_changes_the_crops(config: I3DConfig, tmp_path: Path) -> None:
    identity = build_extractor("rgb", config, CPU).identity()
    assert json.loads(json.dumps(identity)) == identity
    assert identity["person"]["detector_weights"] == identity["person"]["found_by"]["weights"]
    save_file(tiny_detector().state_dict(), tmp_path / "other.safetensors")
    for person in (
        replace(TINY, margin=1.5),
        replace(TINY, threshold=0.4),
        replace(TINY, detector_weights=str(tmp_path / "other.safetensors")),
    ):
        assert build_extractor("rgb", replace(config, person=person), CPU).identity() != identity
    # who looks for nobody has no word of it
    whole = replace(config, geometry="short-side")
    assert "person" not in build_extractor("rgb", whole, CPU).identity()


def test_the_detectors_weights_are_needed_and_named(config: I3DConfig) -> None:
    assert config.needed_weights == (config.weights, "augrgb-tiny-detector")
    assert replace(config, geometry="short-side").needed_weights == (config.weights,)
    missing = replace(config, person=replace(TINY, detector_weights="nowhere.pt"))
    with pytest.raises(WeightsError, match=r"nowhere\.pt.*no such file"):
        build_extractor("rgb", missing, CPU)


@pytest.mark.parametrize("wrong", [{"threshold": 1.0}, {"margin": 0.9}, {"threshold": -0.1}, {"margin": 11}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PersonCropConfig(**wrong)


def test_flow_is_of_whole_frames() -> None:
    with pytest.raises(ValueError, match="flow is of whole frames"):
        FlowConfig(i3d=I3DConfig(geometry="person"))
