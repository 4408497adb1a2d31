"""`augrgb bench`: true ratios where the truth is known, and all of it on a small video."""

import json
import time

import pytest
import torch
from pydantic import TypeAdapter
from typer.testing import CliRunner

from extractors.base import Window
from models.tcn import TCN
from pipeline.cli import app
from pipeline.config import load_config
from pipeline.inputs import Source, UsageError
from pipeline.progress import Progress
from pipeline.recipe import Recipe
from pipeline.speed.arithmetic import work
from pipeline.speed.decoding import DecoderBench
from pipeline.speed.options import Options
from pipeline.speed.report import Report
from pipeline.speed.stand_in_weights import stand_in_weights
from pipeline.speed.summary import best_ratio, network_bound, stage_bound
from pipeline.speed.workbench import SCORE, Workbench
from pipeline.video import VideoError, VideoStream

CPU = torch.device("cpu")


class SlowExtractor:
    """Means of windows, each of which takes so many seconds."""

    name, dim, lookahead, device = "rgb", 3, 0, CPU
    window = grid = Window(16, 16)

    def __init__(self, clock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds

    def frames(self, rgb_NHWC):
        return rgb_NHWC

    def clips(self, x_NL):
        self._clock.now += self._seconds * len(x_NL)
        return x_NL.float().mean((1, 2, 3))

    def identity(self):
        return {"name": self.name, "version": 1}


class Clock:
    """Moves when it is told to, and a nanosecond at every look: how busy the machine is does not matter."""

    now = 0.0

    def look(self) -> float:
        self.now += 1e-9
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """What durations are measured by."""
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock.look)
    return clock


@pytest.fixture
def video(tmp_path, write_video):
    return Source(write_video(tmp_path / "a.mp4", 96), "a.mp4")


@pytest.fixture
def bench_with(tmp_path, video, monkeypatch):
    """A workbench with this extractor in place of the one of `tiny`."""

    def build(extractor):
        identities = {"rgb": {"extractor": extractor.identity(), "decode": {"fps": 25}}}

        def with_it(config, modalities, progress, device):
            recipe = Recipe(config, ("rgb",), device, identities, {"fps": 25})
            vars(recipe)["extractors"] = {"rgb": extractor}
            return recipe

        monkeypatch.setattr(Recipe, "build", with_it)
        config = load_config("tiny", None, ["fps=25"])
        return Workbench(config, ["rgb"], [video], CPU, tmp_path / "out", Progress(quiet=True))

    return build


def ratio(bench):
    bench.warm_up()
    bench.round()
    stage = bench.stages["rgb"]
    return stage.bare_sec[0] / stage.runs[0].seconds, stage.runs[0]


def test_a_slow_network_leaves_nothing_else_to_wait_for(bench_with, clock):
    found, run = ratio(bench_with(SlowExtractor(clock, 0.2)))
    assert run.seconds == pytest.approx(6 * 0.2)
    assert found == pytest.approx(1)
    assert run.idle_share == pytest.approx(0, abs=1e-6)


def test_a_slow_decoder_leaves_the_network_idle(bench_with, clock, monkeypatch):
    frames = VideoStream.__iter__

    def slowly(self):
        for frame in frames(self):
            clock.now += 0.01
            yield frame

    monkeypatch.setattr(VideoStream, "__iter__", slowly)
    found, run = ratio(bench_with(SlowExtractor(clock, 0.04)))
    assert run.seconds == pytest.approx(96 * 0.01 + 6 * 0.04)
    assert found == pytest.approx(0.2)
    assert run.idle_share == pytest.approx(0.8)


def test_scores_are_timed_beside_their_temporal_model(bench_with, clock, monkeypatch):
    encode = TCN.encode

    def slowly(self, x_BTD, mask_BT):
        clock.now += 0.3
        return encode(self, x_BTD, mask_BT)

    monkeypatch.setattr(TCN, "encode", slowly)
    bench = bench_with(SlowExtractor(clock, 0.2))
    bench.warm_up()
    bench.round()
    score = bench.stages[SCORE]
    assert (score.bare_sec[0], score.runs[0].seconds) == pytest.approx((0.3, 0.3))
    assert TCN.encode is slowly  # and no more


def test_a_video_that_fails_is_a_clear_error(bench_with, clock, video):
    bench = bench_with(SlowExtractor(clock, 0.0))
    video.path.write_bytes(b"no video")
    with pytest.raises(UsageError, match=r"a\.mp4 cannot be measured.*leave it out"):
        bench.warm_up()


def test_networks_that_take_a_video_in_pieces_start_anew(video, tmp_path):
    """96 frames at 12.5 fps are 48, in pieces of 16; bare, they go through as often as one likes."""
    config = load_config("tiny", None, ["rgb.mode=dense", "rgb.resize=32", "work.dense_frames=16"])
    bench = Workbench(config, ["rgb"], [video], CPU, tmp_path / "out", Progress(quiet=True))
    bench.warm_up()
    bench.round()
    bench.round()
    stage = bench.stages["rgb"]
    calls = stage.recorder.calls["I3D RGB"]
    assert [call.batch for call in calls] == [0, 16, 16, 16]  # frames
    assert min(stage.bare_sec) > 0
    assert work(calls) == work(calls)
    first, rest = work(calls[:2]), work(calls)
    assert rest.flops > 2.5 * first.flops  # the first piece completes less than the others


def test_the_decoder_alone(video):
    decoder = DecoderBench.start(load_config("tiny"), [video])
    assert (decoder.material.decoded_frames, decoder.material.frames) == (96, 48)
    assert decoder.material.seconds == pytest.approx(3.84)
    decoder.round()
    row = decoder.row()
    assert row.frames_per_sec.median > 0
    assert row.direct_frames_per_sec.median > 0
    assert 0 < row.cpu_sec_per_frame < 1


def test_what_cannot_be_decoded_is_a_clear_error(video):
    video.path.write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"a\.mp4"):
        DecoderBench.start(load_config("tiny"), [video])


def run_bench(video, tmp_path, *words):
    """The report that the command leaves, and what it prints."""
    json_file = tmp_path / "speed.json"
    options = ["--preset", "tiny", "--set", "rgb.resize=32", "--device", "cpu", "--json", str(json_file)]
    done = CliRunner().invoke(app, ["bench", str(video.path), *options, *words])
    assert done.exit_code == 0, done.output
    report = TypeAdapter(Report).validate_json(json_file.read_bytes())
    assert report.schema == 1
    assert json.loads(json_file.read_bytes()) == json.loads(json.dumps(report.to_json()))
    return report, done.output


def check_figures(report):
    """What cannot be otherwise, whatever else the machine does meanwhile."""
    for one in report.precisions:
        for row in one.stages:
            assert 0 < row.ratio.low <= row.ratio.median <= row.ratio.high, row
            assert 0 <= row.idle.median < 1
            assert row.host_peak_bytes > 100 << 20
        for row in one.networks:
            assert row.flops_per_frame > 0
            assert row.bytes_per_frame > 0
            assert row.share_of_arithmetic > 0


def test_rgb_alone(video, tmp_path):
    plot = tmp_path / "speed.html"
    words = ["--features", "rgb", "--quick", "--repeats", "1"]
    report, printed = run_bench(video, tmp_path, *words, "--plot", str(plot))
    check_figures(report)
    (one,) = report.precisions
    assert [row.stage for row in one.stages] == ["rgb", "score"]
    assert [row.network for row in one.networks] == ["I3D RGB", "temporal"]
    assert [row.path for row in one.paths] == ["student: decode, rgb, score"]
    assert one.separate_by_together is None
    assert [row.videos for row in one.counts] == [1, 2, 4]
    assert one.counts[2].frames == 4 * one.counts[0].frames
    assert one.lengths[0].frames < one.lengths[1].frames < one.lengths[2].frames
    assert "<svg" in plot.read_text()
    assert "pipeline beside bare networks, precision auto" in printed


@pytest.mark.slow
def test_all_modalities_in_two_precisions(video, tmp_path):
    words = ["--quick", "--set", "flow.raft.updates=1", "--precision", "32,bf16"]
    report, _ = run_bench(video, tmp_path, *words)
    check_figures(report)
    assert [one.precision for one in report.precisions] == ["32", "bf16"]
    stages = ["rgb", "score", "flow", "skeleton", "skeleton, joints there", "all at once"]
    networks = ["I3D RGB", "temporal", "RAFT", "I3D flow", "detector", "pose", "graph", "graph"]
    for one in report.precisions:
        assert [row.stage for row in one.stages] == stages
        assert [row.network for row in one.networks] == networks
        assert len(one.separate_by_together.rounds) == 2
        assert len(one.paths) == 2


@pytest.mark.parametrize(
    "detector",
    ["augrgb-tiny-detector", pytest.param("fasterrcnn_mobilenet_v3_large_fpn", marks=pytest.mark.slow)],
)
def test_stand_in_weights_let_public_presets_run_without_files(tmp_path, detector):
    """Persons are found everywhere, as many as may be."""
    small = ["rgb.width=0.0625", "skeleton.base=8", "skeleton.blocks=[1,1]", "pose.max_persons=2"]
    config = load_config(
        "kinetics", None, [*small, "pose.pose=augrgb-tiny-pose", f"pose.detector={detector}"]
    )
    config = stand_in_weights(config, ("rgb", "skeleton"), tmp_path / "weights")
    recipe = Recipe.build(config, ("rgb", "skeleton"), Progress(quiet=True), CPU)
    assert recipe.extractors["rgb"].clips(torch.zeros(1, 16, 32, 32, 3)).shape[0] == 1
    frames = torch.randint(0, 256, (1, 96, 128, 3), dtype=torch.uint8)
    assert [len(boxes_P5) for boxes_P5 in recipe.skeletons.pose.find(frames)] == [2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": ("flow",)}, "--features flow: expected rgb"),
        ({"features": ("rgb", "sound")}, "no features 'sound'"),
        ({"repeats": 0}, "--repeats 0: expected 1 or more"),
        ({"minutes": (1.0, -1.0)}, r"--lengths 1\.0,-1\.0: expected minutes above 0"),
        ({"minutes": (float("nan"),)}, "--lengths nan"),
        ({"counts": (0,)}, "--counts 0: expected numbers of videos"),
        ({"precisions": ("bf17",)}, "--precision bf17: there is auto, 32"),
        ({"plot": "speed.gif"}, r"--plot speed\.gif: its suffix is one of"),
    ],
)
def test_wrong_options_are_clear_errors(tmp_path, change, message):
    if "plot" in change:
        change = {"plot": type(tmp_path)(change["plot"])}
    with pytest.raises(UsageError, match=message):
        Options(videos=[tmp_path], **change)


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--lengths", "one"], "--lengths one: expected numbers"), (["--counts", "1.5"], "--counts 1.5:")],
)
def test_words_that_are_no_numbers(words, message):
    done = CliRunner().invoke(app, ["bench", "a.mp4", *words])
    assert done.exit_code == 2
    assert message in done.output


def test_what_half_precision_asks_of_a_cpu(video):
    words = ["bench", str(video.path), "--preset", "tiny", "--precision", "16-mixed", "--device", "cpu"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "16-mixed is for GPUs" in done.output


def test_best_ratio_shares_the_cores_of_a_cpu(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert best_ratio(1.0, 0.5, 0.5, on_cpu=True) == pytest.approx(1 / 1.25)
    assert best_ratio(1.0, 0.5, 0.5, on_cpu=False) == 1
    assert best_ratio(1.0, 4.0, 4.0, on_cpu=False) == 0.25
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert best_ratio(1.0, 0.5, 0.5, on_cpu=True) == 1


def test_bounds():
    assert stage_bound(0.95, 1.0, frames_late=True) == "network"
    assert stage_bound(0.5, 1.0, frames_late=False) == "driver"
    assert stage_bound(0.5, 0.52, frames_late=True) == "decoder"
    assert stage_bound(0.8, 0.85, frames_late=False) == "shared cores"
    assert network_bound(0.6, 0.5) == "arithmetic"
    assert network_bound(0.4, 0.5) == "memory"
    assert network_bound(0.1, 0.2) == "neither"


def test_taps_leave_no_trace(bench_with, clock):
    extractor = SlowExtractor(clock, 0.0)
    bench = bench_with(extractor)
    bench.warm_up()
    bench.round()
    assert set(vars(extractor)) == {"_clock", "_seconds"}
