"""Broken and hostile videos through the whole run: each is scored or fails with a reason; the run ends."""

import errno
import importlib.util
import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest

from models import build_model
from pipeline import files
from pipeline.checkpoint import Checkpoint
from pipeline.commands import run, summary
from pipeline.config import WorkConfig, load_config, to_values
from pipeline.decoder_client import DecoderProcess
from pipeline.job import resolve_device
from pipeline.progress import Progress
from pipeline.recipe import Recipe
from pipeline.request import request
from pipeline.video import DecodeLimits, VideoError, decode, probe
from pipeline.video_types import REASONS

# Long enough for whole videos on a machine that is busy with other things.
LIGHT = ["fps=2", "work.hang_sec=60", "work.deadline_sec=120"]
LIMITS = WorkConfig(hang_sec=60, deadline_sec=120).limits


def load_mutate() -> ModuleType:
    """The file beside this one: tests are no package."""
    spec = importlib.util.spec_from_file_location("mutate", Path(__file__).with_name("mutate.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mutate = load_mutate()


@dataclass
class Watch:
    """What decoder processes did: path -> seconds alive, seconds waited for, peak of memory in MB."""

    spent: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)

    @property
    def peak_mb(self) -> float:
        return max((peak for runs in self.spent.values() for _, _, peak in runs), default=0.0)

    @property
    def longest_sec(self) -> float:
        """Of all processes for one video together."""
        return max((sum(alive for alive, _, _ in runs) for runs in self.spent.values()), default=0.0)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    found = Watch()

    class Watched(DecoderProcess):
        def __init__(self, path: Path, *options: Any) -> None:
            self.path, self.began = path, time.monotonic()
            super().__init__(path, *options)

        def close(self) -> None:
            closed = self._connection.closed
            super().close()
            if not closed:
                spent = (time.monotonic() - self.began, self.waited_sec, self.peak_bytes / 2**20)
                found.spent.setdefault(self.path.name, []).append(spent)

    monkeypatch.setattr("pipeline.video.DecoderProcess", Watched)
    return found


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two classes that never saw a video: whether its scores are good is not the matter."""
    config = load_config("tiny", overrides=[*LIGHT, "tcn.hidden=8"])
    recipe = Recipe.build(config, ("rgb",), Progress(quiet=True), resolve_device("cpu"))
    in_dim = recipe.extractors["rgb"].dim
    model = build_model("tcn", in_dim=in_dim, num_classes=2, config=config.tcn)
    path = tmp_path_factory.mktemp("checkpoint") / "vanilla.ckpt"
    Checkpoint(
        name="vanilla",
        classes=("walk", "wave"),
        config=to_values(config),
        features=recipe.identities,
        in_dim=in_dim,
        state=model.state_dict(),
        key="none",
        best={},
    ).save(path)
    return path


def render(
    path: Path, codec: str, size: tuple[int, int] = (64, 48), frames: int = 20, **options: str
) -> Path:
    """A square that moves over noise; `size` is (width, height)."""
    rng = np.random.default_rng(len(path.name))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"g": "8", **options})
        stream.width, stream.height = size
        stream.pix_fmt = {"mjpeg": "yuvj420p", "ffv1": "gray"}.get(codec, "yuv420p")
        for i in range(frames):
            image = rng.integers(0, 90, (size[1], size[0], 3), dtype=np.uint8)
            image[8:24, 2 * i : 2 * i + 16] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Whole videos of many kinds, small."""
    folder = tmp_path_factory.mktemp("rendered")
    codecs = {
        **{"h264.mp4": "libx264", "h264.mkv": "libx264", "mpeg4.avi": "mpeg4", "mpeg4.mp4": "mpeg4"},
        **{"vp9.webm": "libvpx-vp9", "mjpeg.avi": "mjpeg", "mjpeg.mov": "mjpeg", "h264.ts": "libx264"},
        **{"ffv1.mkv": "ffv1", "h264.flv": "libx264", "hevc.mp4": "libx265"},
    }
    quiet = {"libx265": {"x265-params": "log-level=none"}}
    return {
        name: render(folder / name, codec, **quiet.get(codec, {})).read_bytes()
        for name, codec in codecs.items()
    }


def run_on(folder: Path, checkpoint: Path, out: Path) -> dict[str, str]:
    """A whole run, scores and page included: video -> "scored" or its reason."""
    asked = request(folder, out, checkpoint=checkpoint, overrides=LIGHT, device="cpu", quiet=True)
    run(asked)
    failures = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert summary(asked) == (1 if failures else 0)
    assert not [row for row in failures if not row["message"] or "\n" in row["message"]]
    ended = {Path(row["video"]).name: row["reason"] for row in failures}
    assert len(ended) == len(failures), "a video fails once"
    for path in (out / "scores").rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert np.isfinite(arrays["scores"]).all()
            assert len(arrays["scores"]) == len(arrays["times"]) > 0
        assert path.stem not in ended
        ended[path.stem] = "scored"
    assert not [row["message"] for row in failures if "decoder process failed" in row["message"]]
    return ended


def check(
    seeds: dict[str, bytes], count: int, seed: int, where: Path, checkpoint: Path, watch: Watch
) -> Counter:
    """Mutants through a run; how each class of mutation ended."""
    folder = where / "in"
    folder.mkdir()
    wanted = mutate.mutants(seeds, count, seed)
    for name, data in wanted.items():
        (folder / name).write_bytes(data)
    began = time.monotonic()
    ended = run_on(folder, checkpoint, where / "out")
    took = time.monotonic() - began
    assert ended.keys() == wanted.keys(), "none is forgotten"
    assert set(ended.values()) <= {"scored", *REASONS}
    assert watch.peak_mb <= LIMITS.memory_bytes / 2**20
    late = [
        waited for runs in watch.spent.values() for _, waited, _ in runs if waited > LIMITS.deadline_sec + 2
    ]
    assert not late
    found = Counter((name.split("-")[1], how) for name, how in ended.items())
    spent = f"{took:.0f} s, the longest {watch.longest_sec:.1f} s, {watch.peak_mb:.0f} MB"
    print(f"\n{count} mutants, seed {seed}: {spent}")
    print(dict(Counter(ended.values())))
    print("\n".join(f"  {kind}: {how} {times}" for (kind, how), times in sorted(found.items())))
    return found


def test_mutants_of_rendered_videos(rendered, checkpoint, tmp_path, watch):
    found = check(rendered, 40, 1, tmp_path, checkpoint, watch)
    assert {kind for kind, _ in found} == {m.__name__ for m in (*mutate.MUTATIONS, mutate.swapped_headers)}
    assert len({how for _, how in found}) > 3, "they are broken in different ways"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_many_mutants(shared, rendered, checkpoint, tmp_path, watch, seed):
    """Real videos too, whole: 6 x 90."""
    real = {path.name: path.read_bytes() for path in (shared / "data" / "videos").glob("*/*.*")}
    assert len(real) >= 20
    check(rendered | real, 90, seed, tmp_path, checkpoint, watch)


def test_what_is_no_ordinary_file(rendered, checkpoint, tmp_path, watch):
    """A folder of traps and one good video: the good one is scored, nothing blocks."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.mp4").write_bytes(rendered["h264.mp4"])
    (folder / "empty.mp4").touch()
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.mp4")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    (folder / "gone.mp4").symlink_to(folder / "nowhere.mp4")
    (folder / "up").symlink_to(folder)
    ended = run_on(folder, checkpoint, tmp_path / "out")
    assert ended == {
        "good.mp4": "scored",
        "empty.mp4": "empty",
        "loop.mp4": "unusable",
        "gone.mp4": "unusable",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_an_unreadable_file(rendered, checkpoint, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(rendered["h264.mp4"])
    (tmp_path / "b.mp4").chmod(0)
    assert run_on(tmp_path, checkpoint, tmp_path / "out") == {"a.mp4": "scored", "b.mp4": "unreadable"}


def test_a_file_whose_rights_are_gone_or_whose_disk_fails(rendered, checkpoint, tmp_path, monkeypatch):
    """As the superuser, too, whom rights do not stop."""
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / "in" / name).write_bytes(rendered["h264.mp4"])
    failing, whole = {"b.mp4": errno.EACCES, "c.mp4": errno.EIO}, files.file_sha256

    def read(path):
        if path.name in failing:
            raise OSError(failing[path.name], os.strerror(failing[path.name]), str(path))
        return whole(path)

    monkeypatch.setattr(files, "file_sha256", read)
    ended = run_on(tmp_path / "in", checkpoint, tmp_path / "out")
    assert ended == {"a.mp4": "scored", "b.mp4": "unreadable", "c.mp4": "unreadable"}


@pytest.mark.parametrize("size", [(100_000, 1), (8, 20_000), (4, 2)])
def test_slivers_of_pictures(checkpoint, tmp_path, size):
    render(tmp_path / "a.mkv", "ffv1", size, frames=3)
    how = run_on(tmp_path, checkpoint, tmp_path / "out")
    assert how == {"a.mkv": "scored" if max(size) < 32 else "bad_dimensions"}


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile other.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.mp4\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>',
    ],
)
def test_a_playlist_opens_no_other_file(rendered, tmp_path, text):
    """A file named as a video must not lead to another one, or to the network."""
    (tmp_path / "other.mp4").write_bytes(rendered["h264.mp4"])
    (tmp_path / "a.mp4").write_text(text)
    with pytest.raises(VideoError) as error:
        probe(tmp_path / "a.mp4")
    assert error.value.reason == "unreadable"


def test_a_codec_that_nobody_knows(rendered, tmp_path):
    (tmp_path / "a.mp4").write_bytes(rendered["h264.mp4"].replace(b"avc1", b"zzzz"))
    with pytest.raises(VideoError, match="no codec that FFmpeg knows") as error:
        probe(tmp_path / "a.mp4")
    assert error.value.reason == "decode_error"


def read_all(path: Path, **limits: float) -> int:
    number, _ = decode(path, lambda frames: sum(1 for _ in frames), fps=None, limits=DecodeLimits(**limits))
    return number


def test_a_decoder_may_not_have_more_memory_than_it_is_given(tmp_path, watch):
    path = render(tmp_path / "a.mkv", "ffv1", (7000, 5000), frames=2)  # 105 MB a frame in RGB
    assert read_all(path) == 2
    for mb, reason in ((700, "bad_dimensions"), (256, "memory")):
        with pytest.raises(VideoError) as error:
            read_all(path, memory_bytes=mb << 20)
        assert error.value.reason == reason
        assert "work.decoder_mb" in str(error.value) or reason == "bad_dimensions"
        assert watch.spent["a.mkv"][-1][2] <= mb


def test_a_video_that_comes_too_slowly_is_given_up(rendered, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(rendered["h264.mp4"])
    with pytest.raises(VideoError, match=r"waited for 1e-06 s.*work\.deadline_sec") as error:
        read_all(path, deadline_sec=1e-6)
    assert error.value.reason == "deadline"


def test_all_tries_for_a_video_have_one_deadline(rendered, tmp_path, monkeypatch):
    """What was waited for decord is not forgotten when PyAV begins anew."""
    path, given = tmp_path / "a.mp4", []
    path.write_bytes(rendered["h264.mp4"])

    class Counting(DecoderProcess):
        def __init__(self, path: Path, limits: DecodeLimits, waited_sec: float, *options: Any) -> None:
            given.append(waited_sec)
            super().__init__(path, limits, waited_sec, *options)

    monkeypatch.setattr("pipeline.video.DecoderProcess", Counting)

    def unlucky(stream):
        for j, _ in enumerate(stream):
            if len(given) == 1 and j == 1:
                stream._child._signal(9)
        return stream.num_sampled

    assert decode(path, unlucky, fps=None, limits=DecodeLimits(queue_bytes=1))[0] == 20
    assert given[0] == 0.0 < given[1]


def test_a_frame_may_last_but_not_for_days(tmp_path):
    def write(last: int) -> Path:
        path = tmp_path / f"{last}.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=10)  # takes pauses of any length
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for second in (0, 1, last):
                frame = av.VideoFrame.from_ndarray(np.zeros((72, 64), np.uint8), format="yuv420p")
                frame.pts = second * 10
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    frames, result = decode(write(60), lambda stream: sum(1 for _ in stream), fps=25)
    assert (frames, result.num_frames) == (1501, 3)
    with pytest.raises(VideoError, match="3 frames would be 21600001 at 25 fps") as error:
        decode(write(864_000), lambda stream: None, fps=25)
    assert error.value.reason == "bad_times"


def test_reasons_are_a_closed_list_that_the_documentation_explains():
    page = (Path(__file__).resolve().parents[2] / "docs" / "outputs.md").read_text()
    for reason, meaning in REASONS.items():
        assert f"| `{reason}` | {meaning} |" in page
