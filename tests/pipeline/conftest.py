"""Videos made on the spot, with the number of every frame painted into its pixels."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

_BITS = 12


def paint_number(number: int, width: int = 128, height: int = 96) -> np.ndarray:
    """Frame (H, W, 3) uint8 whose 4 x 3 blocks, black or white, are the bits of `number`."""
    bits = (number >> np.arange(_BITS)) & 1
    rows = np.arange(height) * 3 // height
    columns = np.arange(width) * 4 // width
    gray = (40 + 170 * bits.reshape(3, 4)[rows][:, columns]).astype(np.uint8)
    return np.repeat(gray[:, :, None], 3, axis=2)


def read_number(frame_HWC: np.ndarray) -> int:
    """The number painted by `paint_number`, from the brightness around the middle of each block."""
    height, width, _ = frame_HWC.shape
    rows, columns = (np.arange(3) * 2 + 1) * height // 6, (np.arange(4) * 2 + 1) * width // 8
    reach = np.arange(-(width // 32), width // 32 + 1)
    at = np.ix_((rows[:, None] + reach).ravel(), (columns[:, None] + reach).ravel())
    bits = frame_HWC.mean(axis=2)[at].reshape(3, len(reach), 4, len(reach)).mean(axis=(1, 3)) > 125
    return int((bits.ravel() << np.arange(_BITS)).sum())


def write_video(
    path: Path,
    frames: int | Iterable[np.ndarray] = 50,
    *,
    codec: str = "libx264",
    rate: int | Fraction = 25,
    pts: Iterable[int] | None = None,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    mux: dict[str, str] | None = None,
    rotation: int = 0,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Encode frames, or that many numbered ones; `pts` are in units of 1 / rate."""
    if isinstance(frames, int):
        frames = [paint_number(i) for i in range(frames)]
    times = iter(pts) if pts is not None else iter(range(1 << 40))
    with av.open(str(path), "w", options=mux or {}) as container:
        container.metadata.update(metadata or {})
        stream = None
        for rgb_HWC, time in zip(frames, times, strict=False):
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options or {})
                stream.height, stream.width, _ = rgb_HWC.shape
                stream.pix_fmt = pix_fmt
                stream.time_base = stream.codec_context.time_base = 1 / Fraction(rate)
                if rotation:
                    stream.set_display_rotation(rotation)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HWC), format="rgb24")
            frame.pts, frame.time_base = time, 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(name="write_video", scope="session")
def write_video_fixture() -> Callable[..., Path]:
    """`write_video(path, frames=50, codec=..., rate=..., pts=..., options=...)`."""
    return write_video


@pytest.fixture(name="read_number", scope="session")
def read_number_fixture() -> Callable[[np.ndarray], int]:
    """The number painted into a frame by `write_video`."""
    return read_number


@pytest.fixture(name="paint_number", scope="session")
def paint_number_fixture() -> Callable[..., np.ndarray]:
    """`paint_number(number, width=128, height=96)`: a frame with its number in its pixels."""
    return paint_number


@pytest.fixture(scope="session")
def random_networks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Settings over those of `tiny` for networks with random weights: how good they are is not the matter.

    The detector finds persons everywhere.
    """
    from torchvision.models.optical_flow import raft_small

    from extractors.detector import tiny_detector
    from extractors.i3d import I3D
    from extractors.pose import build_pose_network
    from extractors.skeleton import build_graph
    from extractors.skeleton_config import SkeletonConfig

    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        detector = tiny_detector()
        torch.nn.init.zeros_(detector.head.classification_head.cls_logits.bias)
        networks = {
            "flow.raft.weights": raft_small(weights=None),
            "flow.i3d.weights": I3D(2, None, 1 / 16),
            "pose.detector_weights": detector,
            "pose.pose_weights": build_pose_network("augrgb-tiny-pose").module,
            "skeleton.weights": build_graph(SkeletonConfig(network="stgcn++", base=8, blocks=(1, 1))),
        }
    for name, network in networks.items():
        state = {key: value.contiguous() for key, value in network.state_dict().items()}
        save_file(state, folder / f"{name}.safetensors")
    paths = [f"{name}={folder / name}.safetensors" for name in networks]
    smaller = ["flow.raft.updates=1", "flow.i3d.width=0.0625", "skeleton.base=8", "skeleton.blocks=[1, 1]"]
    found = ["pose.detector_threshold=0.1", "pose.max_persons=2", "pose.detect_every=4"]
    return [*paths, *smaller, *found]
