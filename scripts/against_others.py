"""Ours beside the forms in which the same networks are published: frames/s of each, on this machine.

    PYTHONPATH=. python -P -m scripts.against_others VIDEO [--rounds 3] [--only i3d dense raft-large ...]

Each contender runs in a process of its own, as its users would run it, the contenders of a group in turn,
round after round; ratios are those of the medians. Weights are random: they cost what others cost. The
published I3D is our module, neither folded nor with channels last: its convolutions go to oneDNN as ours do.

| group | beside | ours |
|---|---|---|
| i3d | pytorch-i3d's form on ready tensors, 16 frames at a time | stacks of 16, decoded from VIDEO |
| dense | ours on stacks of 16 frames at stride 8, decoded from VIDEO | the whole VIDEO as one clip |
| raft-large, raft-small | torchvision's, 4 pairs at a time, 12 updates | the same pairs |
| pose | ready crops through RTMPose-t; mmpose's `inference_topdown` | the same crops, cut from frames |
"""

import argparse
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from pipeline.memory import keep_freed

_CPU = torch.device("cpu")
_GROUPS = {
    "i3d": ("i3d:published", "i3d:float32", "i3d:bf16"),
    "dense": ("dense:windows", "dense:whole"),
    "raft-large": ("raft-large:torchvision", "raft-large:exact", "raft-large:reordered"),
    "raft-small": ("raft-small:torchvision", "raft-small:exact", "raft-small:reordered"),
    "pose": ("pose:bare", "pose:ours", "pose:topdown"),
}
_THEIRS = ("published", "torchvision", "topdown")  # nothing of ours is changed for them
_POSE = "rtmpose-t_8xb256-420e_coco-256x192"
Run = Callable[[], int]  # how many frames, pairs or crops it did


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=_GROUPS, default=list(_GROUPS))
    parser.add_argument("--one", help=argparse.SUPPRESS)  # what a process of its own is to run
    args = parser.parse_args()
    if args.one:
        print(rate(args.one, args.video))
        return
    for group in args.only:
        names = _GROUPS[group]
        rates: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(args.rounds):
            for name in names:
                rates[name].append(apart(name, args.video))
        for name, found in rates.items():
            ratio = median(found) / median(rates[names[0]])
            print(
                f"{name:24} {median(found):7.1f}/s ({min(found):.1f}-{max(found):.1f})  x{ratio:.2f}",
                flush=True,
            )


def apart(name: str, video: Path) -> float:
    """The rate of a contender in a process of its own."""
    command = [sys.executable, "-P", "-m", "scripts.against_others", str(video), "--one", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return float(done.stdout.split()[-1])


def rate(name: str, video: Path) -> float:
    """Units per second, the first round left out."""
    group, how = name.split(":")
    if how not in _THEIRS:
        keep_freed()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    with TemporaryDirectory() as folder, torch.inference_mode():
        build = {"i3d": i3d, "dense": i3d, "pose": pose}.get(group, raft)
        run = build(group, how, video, Path(folder))
        run()
        began = time.perf_counter()
        units = run()
        return units / (time.perf_counter() - began)


def i3d(_: str, how: str, video: Path, folder: Path) -> Run:
    """The published network on tensors, or a video through ours."""
    from safetensors.torch import save_file

    from extractors.base import Window
    from extractors.i3d import I3D, I3DConfig
    from extractors.rgb import I3DRGB
    from pipeline.dense_stream import DenseStream
    from pipeline.streams import FeatureStream, run_streams
    from pipeline.video import open_video

    network = I3D(3, None).eval()
    if how == "published":
        x_1CTHW = torch.randn(1, 3, 16, 224, 224)
        return lambda: sum(16 for _ in range(8) if network.extract_features(x_1CTHW).numel())
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()}, folder / "i3d.safetensors"
    )
    settings: dict[str, Any] = {
        "float32": {},
        "bf16": {"precision": "bfloat16"},
        "windows": {"window": Window(16, 8)},
        "whole": {"mode": "dense"},
    }[how]
    extractor = I3DRGB(I3DConfig(weights=str(folder / "i3d.safetensors"), **settings), _CPU)

    def through() -> int:
        with open_video(video, fps=None) as frames:
            stream = (
                DenseStream(extractor, frames.num_sampled, 64)
                if how == "whole"
                else FeatureStream(extractor, 4)
            )
            run_streams(frames, [stream], device=_CPU, chunk_frames=64)
            return frames.num_sampled

    return through


def raft(group: str, how: str, video: Path, _: Path) -> Run:
    """Flow of four pairs of frames of 256 x 344 px."""
    import torch.nn.functional as F
    from torchvision.models.optical_flow import raft_large, raft_small

    from extractors.raft import build_raft, consecutive_flow

    x_NCHW = first_frames(video, 5).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    x_NCHW = F.interpolate(x_NCHW, (256, 344))
    theirs = {"raft-large": raft_large, "raft-small": raft_small}[group](weights=None).eval()
    if how == "torchvision":
        return lambda: len(theirs(x_NCHW[:-1], x_NCHW[1:], num_flow_updates=12)[-1])
    ours = build_raft(group.replace("-", "_")).eval()
    ours.load_state_dict(theirs.state_dict())
    return lambda: len(consecutive_flow(ours, x_NCHW, 12, reordered=how == "reordered", batch_pairs=4))


def pose(_: str, how: str, video: Path, __: Path) -> Run:
    """Four persons in each of eight frames."""
    from extractors import pose as ours
    from extractors.crops import crop

    network = ours.build_pose_network(_POSE)
    frames_NHWC = first_frames(video, 8)
    height, width = frames_NHWC.shape[1:3]
    left_P, top_P = np.random.default_rng(0).uniform(0, [[0.5 * width], [0.3 * height]], (2, 32))
    boxes_P5 = np.stack([left_P, top_P, left_P + 0.3 * width, top_P + 0.6 * height, np.ones(32)], 1)
    boxes_NP5 = boxes_P5.astype(np.float32).reshape(8, 4, 5)
    if how == "ours":
        estimator = ours.PoseEstimator.__new__(ours.PoseEstimator)  # no detector: boxes are given
        estimator.device, estimator._network = _CPU, network
        return lambda: 4 * len(estimator.poses(frames_NHWC, list(boxes_NP5)))
    if how == "topdown":
        return _topdown(ours, frames_NHWC[0].numpy()[..., ::-1], boxes_NP5[0, :, :4])
    matrices = network.geometry.matrices(network.geometry.regions(boxes_P5[:, :4].astype(np.float32)))
    crops = crop(frames_NHWC, np.repeat(np.arange(8), 4), matrices, network.geometry)
    x_NCHW = ((crops - torch.tensor(network.mean)) / torch.tensor(network.std)).permute(0, 3, 1, 2)

    def bare() -> int:
        network.module.head(network.module.extract_feat(x_NCHW))
        return len(x_NCHW)

    return bare


def _topdown(ours: Any, bgr_HWC: np.ndarray, boxes_P4: np.ndarray) -> Run:
    from mmpose.apis import inference_topdown, init_model

    config = ours._config(_POSE)
    for key in ("_scope_", "init_cfg"):
        config.model.backbone.pop(key, None)
    config.model.test_cfg.flip_test = False
    config.test_dataloader = config.val_dataloader
    network = init_model(config, device="cpu")
    return lambda: len(inference_topdown(network, bgr_HWC, boxes_P4))


def first_frames(video: Path, count: int) -> torch.Tensor:
    """The first frames of a video, uint8 (N, H, W, 3)."""
    from pipeline.video import open_video

    with open_video(video, fps=None) as frames:
        return torch.from_numpy(
            np.stack([frame.copy() for frame, _ in zip(frames, range(count), strict=False)])
        )


if __name__ == "__main__":
    main()
