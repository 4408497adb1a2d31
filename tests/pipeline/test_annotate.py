"""Annotated videos: every frame with its own scores, at its own time; whole files or none."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from extractors.skeleton_input import Joints
from pipeline.annotate import render
from pipeline.annotate_mp4 import mp4_writer
from pipeline.annotate_panel import Panel, Strip, choose_rows, clock_text
from pipeline.annotate_people import People, PeoplePainter, Seen
from pipeline.annotate_picture import Painter, picture_size
from pipeline.annotate_source import Shown, named_in
from pipeline.cache import CacheError
from pipeline.cli import app
from pipeline.config import load_config
from pipeline.events import Event
from pipeline.labels import Interval
from pipeline.progress import Progress
from pipeline.request import request as make_request
from pipeline.synthetic import render_practice
from pipeline.timeline import Clock
from pipeline.tracks import JointTrack, ScoreTrack
from pipeline.video import open_video, probe

CLASSES = ("wave", "sit $down", "trinken 喝")


def scores(clock, classes=CLASSES):
    """Another row for every frame."""
    frame_F1 = np.arange(clock.num_frames)[:, None]
    values = (frame_F1 + 3 * np.arange(len(classes))) % 50 / 50
    return ScoreTrack(values.astype(np.float32), clock.sec_F + clock.start_sec, classes)


def shown(clock, people=None, events=(), truth=None):
    return Shown(scores(clock), clock, tuple(events), people, truth)


def annotated(video, of, path):
    render(video, of, path, config=load_config("tiny"), progress=Progress(quiet=True))
    return path


def read(path):
    """Every frame of a video, RGB, and when it is shown."""
    with open_video(path, fps=None) as stream:
        return [frame.copy() for frame in stream], stream.meta.clock.sec_F


def augrgb(*args, check):
    done = CliRunner().invoke(app, list(map(str, args)))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == check, done.output
    return done.output


@pytest.mark.parametrize(
    ("width", "height", "pts"),
    [(128, 96, None), (129, 97, [0, 1, 2, 5, 6, 10, 11, 12, 40, 41, 42, 43, 70])],
    ids=["constant rate", "odd size, varying rate"],
)
def test_every_frame_is_shown_once_with_its_own_scores_at_its_own_time(
    width, height, pts, write_video, paint_number, read_number, tmp_path
):
    numbered = [paint_number(i, width, height) for i in range(len(pts or range(15)))]
    options = {"pix_fmt": "yuv444p"} if width % 2 else {}
    video = write_video(tmp_path / "in.mp4", numbered, pts=pts, **options)
    clock = probe(video).clock
    frames, times = read(annotated(video, shown(clock), tmp_path / "out.mp4"))
    assert len(frames) == len(numbered)
    np.testing.assert_allclose(times, clock.sec_F, atol=1e-9)
    painter = Painter(shown(clock), (width, height), 6)
    panel = Panel(Strip(scores(clock), (0, 1, 2), (), None), painter.size[0])
    strips = np.stack([cv2.cvtColor(panel.at(i), cv2.COLOR_BGR2RGB) for i in range(len(frames))]).astype(int)
    for i, frame in enumerate(frames):
        assert read_number(frame[: -panel.height]) == i
        difference = np.abs(strips - frame[-panel.height :]).mean(axis=(1, 2, 3))
        assert difference.argmin() == i
        assert difference[i] < 4  # what H.264 makes of it


def test_a_rotated_video_is_upright_and_colours_stay(write_video, tmp_path):
    picture = np.full((96, 128, 3), (200, 60, 30), np.uint8)
    video = write_video(tmp_path / "in.mp4", [picture] * 5, rotation=90)
    clock = probe(video).clock
    path = annotated(video, shown(clock), tmp_path / "out.mp4")
    meta = probe(path)
    assert (meta.codec, meta.pix_fmt, meta.rotation) == ("h264", "yuv420p", 0)
    assert meta.color_matrix == "bt709"
    assert meta.width == 640
    assert meta.height > 640 * 128 / 96  # upright, and the strip
    (first, *_), _ = read(path)
    assert np.abs(first[400, 300].astype(int) - (200, 60, 30)).max() <= 6


def test_the_index_is_in_front_and_key_frames_are_near(tmp_path):
    clock = Clock.constant(150, Fraction(25))
    with mp4_writer(tmp_path / "out.mp4", (64, 48), clock) as writer:
        for i in range(150):
            writer.write(np.full((48, 64, 3), i, np.uint8))
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "out.mp4")) as container:
        keys = [i for i, packet in enumerate(container.demux(video=0)) if packet.size and packet.is_keyframe]
    assert max(np.diff([*keys, 150])) <= 60


@pytest.mark.parametrize(
    "clock",
    [
        Clock.constant(40, Fraction(30000, 1001)),
        Clock(np.array([0, 40, 80, 81, 1000], np.int64), Fraction(1, 1000)),
        Clock(np.array([0, 1, 2, 10_000_000], np.int64), Fraction(1, 10**9)),  # finer than MP4 counts
        Clock(np.zeros(1, np.int64), Fraction(1, 25)),
    ],
    ids=["NTSC", "milliseconds", "nanoseconds", "one frame"],
)
def test_times_are_kept(clock, tmp_path):
    with mp4_writer(tmp_path / "out.mp4", (64, 48), clock) as writer:
        for i in range(clock.num_frames):
            writer.write(np.full((48, 64, 3), i, np.uint8))
    found = probe(tmp_path / "out.mp4").clock
    assert found.num_frames == clock.num_frames
    exact = clock.time_base.denominator <= 90_000
    np.testing.assert_allclose(found.sec_F, clock.sec_F, atol=1e-9 if exact else 4 / 90_000)


def test_frames_that_are_not_those_that_were_scored_are_refused(write_video, tmp_path):
    video = write_video(tmp_path / "in.mp4", 10)
    with pytest.raises(CacheError, match="made of 9 frames, and now 10 come"):
        annotated(video, shown(Clock.constant(9, Fraction(25))), tmp_path / "out.mp4")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ((1280, 720), (1280, 720)),
        ((1279, 719), (1280, 720)),
        ((160, 120), (640, 480)),
        ((3840, 2160), (1920, 1080)),
        ((36, 1152), (60, 1920)),
    ],
)
def test_pictures_are_even_wide_enough_to_read_and_small_enough_to_play(source, expected):
    assert picture_size(*source) == expected


@pytest.mark.parametrize("size", [(60, 1920), (1920, 60), (50, 50)])
def test_any_shape_of_picture_can_be_drawn_on(size):
    clock = Clock.constant(3, Fraction(25))
    events = [Event(0.0, 0.2, label, 0.9) for label in CLASSES]
    painter = Painter(shown(clock, events=events), size, 6)
    picture = painter.draw(1, np.zeros((size[1], size[0], 3), np.uint8))
    assert picture.shape[1::-1] == painter.size
    assert not (np.array(painter.size) % 2).any()


def test_active_labels_are_those_of_the_events_of_the_frame():
    clock = Clock.constant(10, Fraction(10))
    painter = Painter(shown(clock, events=[Event(0.2, 0.5, "wave", 0.8)]), (640, 480), 6)
    black = np.zeros((480, 640, 3), np.uint8)
    labelled = [bool(painter.draw(i, black)[:480].any()) for i in range(10)]
    assert labelled == [0.2 <= i / 10 < 0.5 for i in range(10)]


def test_rows_are_what_labels_name_and_then_what_scores_highest():
    values = np.array([[0.1, 0.9, 0.2, 0.8, 0.0], [0.3, 0.0, 0.2, 0.0, 0.0]], np.float32)
    track = ScoreTrack(values, np.arange(2.0), ("a", "b", "c", "d", "e"))
    assert choose_rows(track, 3) == (0, 1, 3)
    assert choose_rows(track, 2, [Interval(0.0, 1.0, "e")]) == (1, 4)
    assert choose_rows(track, 9) == (0, 1, 2, 3, 4)


def test_one_frame_of_a_long_video_is_seen_in_its_strip():
    clock = Clock.constant(200_000, Fraction(25))
    values = np.zeros((200_000, 1), np.float32)
    empty = Panel(Strip(ScoreTrack(values.copy(), clock.sec_F, ("a",)), (0,), (), None), 640).at(0)
    values[100_000] = 1
    peak = Panel(Strip(ScoreTrack(values, clock.sec_F, ("a",)), (0,), (), None), 640).at(0)
    columns = np.flatnonzero((empty != peak).any(axis=(0, 2)))
    assert 1 <= len(columns) <= 4
    middle = 640 * (0.24 + (1 - 0.09)) / 2
    assert abs(columns.mean() - middle) < 3


@pytest.mark.parametrize(
    ("sec", "text"), [(0, "0:00.00"), (59.999, "1:00.00"), (3723.456, "1:02:03.46"), (-0.04, "-0:00.04")]
)
def test_clock_text(sec, text):
    assert clock_text(sec) == text


def joint_track(person_id_SM, clock):
    """Everybody's joints at 10 px times the sample, to the right of 100 px times the person."""
    num_sampled, rows = person_id_SM.shape
    joints = np.zeros((num_sampled, rows, 17, 3))
    joints[..., 0] = 100 * person_id_SM[..., None] + 10 * np.arange(num_sampled)[:, None, None]
    joints[..., 1:] = [50, 0.9]
    boxes = np.concatenate([joints[:, :, 0, :2], joints[:, :, 0, :2] + 40, joints[:, :, 0, 2:]], axis=2)
    return JointTrack(Joints(person_id_SM, joints, boxes, 640, 480), clock)


def test_people_move_on_a_line_between_samples():
    clock = Clock.constant(7, Fraction(20))
    ids = np.array([[0, 1], [1, 0], [0, -1], [0, 2]])  # at 10 fps: frames 0, 2, 4, 6
    people = People.of(joint_track(ids, clock), 10.0)

    def seen(frame):
        found = people.at(frame)
        return dict(zip(found.person_id_P.tolist(), found.joints_PJ3[:, 3, 0].tolist(), strict=True))

    assert seen(0) == {0: 0.0, 1: 100.0}
    assert seen(1) == {0: 5.0, 1: 105.0}  # whatever rows they are in
    assert seen(2) == {0: 10.0, 1: 110.0}
    assert seen(3) == {0: 15.0}  # person 1 is gone by the next sample
    assert seen(6) == {0: 30.0, 2: 230.0}
    with pytest.raises(CacheError, match="joints of 4 frames, but 7"):
        People.of(joint_track(ids, clock), None)


def test_people_are_drawn_where_they_are_and_weak_joints_are_not():
    joints = np.zeros((1, 17, 3))
    joints[0, :, :2] = (20, 30)
    joints[0, 5:7] = [[40, 50, 0.9], [80, 50, 0.9]]  # shoulders: one edge
    picture = np.zeros((240, 320, 3), np.uint8)
    painter = PeoplePainter(320)
    painter.draw(picture, Seen(np.array([3]), joints, np.array([[5.0, 5.0, 100.0, 90.0]])), (2.0, 2.0))
    assert picture[100, 90:150].any(axis=1).all()  # between the shoulders, at twice the size
    assert not picture[55:66, 35:46].any()  # joints that were not found
    assert picture[10, 10:14].any()  # corner of the box
    nobody = Seen(np.zeros(0, int), np.zeros((0, 17, 3)), np.zeros((0, 4)))
    before = picture.copy()
    painter.draw(picture, nobody, (2.0, 2.0))
    np.testing.assert_array_equal(picture, before)


@pytest.fixture(scope="module")
def practice(tmp_path_factory):
    folder = tmp_path_factory.mktemp("practice")
    render_practice(folder, train_videos=2, test_videos=1, seconds=4.0, workers=1)
    return folder


@pytest.fixture(scope="module")
def run_out(practice, tmp_path_factory):
    """A folder with a model that finds events everywhere."""
    from pipeline import extract, train

    out = tmp_path_factory.mktemp("run") / "out"
    quick = ["train.epochs=1", "tcn.hidden=8", "events.threshold=0.01"]
    settings = {"preset": "tiny", "overrides": quick, "device": "cpu", "quiet": True}
    extract(practice, out, **settings)
    train(practice, out, annotations=practice / "labels.csv", **settings)
    return out


def contents(out):
    """Of what a run left, by file; the log grows."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name != "log.jsonl"]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_video_of_a_run_is_annotated_and_the_run_stays_as_it_is(run_out, practice, read_number):
    before = contents(run_out)
    said = augrgb("annotate", practice / "videos" / "test_000.mp4", "--out", run_out, check=0)
    path = run_out / "annotated" / "videos" / "test_000.mp4"
    assert f"written: {path}" in said
    assert "sound is left out" in said
    assert "extract" not in said
    source = probe(practice / "videos" / "test_000.mp4")
    np.testing.assert_allclose(probe(path).clock.sec_F, source.clock.sec_F)
    after = contents(run_out)
    after.pop("annotated/videos/test_000.mp4")
    assert after == before


def test_a_video_goes_by_its_content(run_out, practice, tmp_path):
    copy = tmp_path / "renamed.mp4"
    copy.write_bytes((practice / "videos" / "test_000.mp4").read_bytes())
    target = tmp_path / "new" / "a.mp4"
    said = augrgb("annotate", copy, "--out", run_out, "--to", target, "--top", 2, check=0)
    assert "labels are the white bars" in said
    assert "extract" not in said
    assert probe(target).width == 640


def test_another_video_of_the_same_name_leaves_the_runs_alone(run_out, practice, tmp_path):
    """As someone who annotates another camera's test_000.mp4."""
    out = tmp_path / "out"
    shutil.copytree(run_out, out)
    saved = json.loads((out / "run.json").read_text())
    first = saved["inputs"][0]["name"]
    saved["inputs"] = [{**one, "name": Path(one["name"]).name} for one in saved["inputs"]]
    (out / "run.json").write_text(json.dumps(saved))
    other = tmp_path / Path(first).name
    other.write_bytes((practice / first).read_bytes() + b"more")
    request = make_request([other], out, remember=True, quiet=True, device="cpu")
    assert named_in(out, other, request.job).name.endswith(f"-{other.name}")
    same = practice / first
    assert named_in(out, same, request.job).name == same.name


def test_a_checkpoint_alone_leaves_nothing_but_the_file(run_out, practice, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = run_out / "checkpoints" / "vanilla.ckpt"
    said = augrgb("annotate", practice / "videos/train_000.mp4", "--checkpoint", checkpoint, check=0)
    assert "no labels are known" in said
    assert [path.name for path in tmp_path.iterdir()] == ["train_000-annotated.mp4"]


def test_joints_of_the_run_are_drawn(run_out, practice, random_networks, tmp_path):
    """`random_networks` find persons everywhere."""
    video, out = practice / "videos" / "test_000.mp4", tmp_path / "out"
    from pipeline import extract

    extract(video, out, features=["skeleton"], preset="tiny", overrides=random_networks, quiet=True)
    words = ["annotate", video, "--checkpoint", run_out / "checkpoints" / "vanilla.ckpt", "--out", out]
    words += ["--threshold", 1]
    augrgb(*words, "--to", tmp_path / "with.mp4", check=0)
    augrgb(*words, "--to", tmp_path / "without.mp4", "--no-skeletons", check=0)
    with_people, without = (read(tmp_path / name)[0][10] for name in ("with.mp4", "without.mp4"))
    changed = np.abs(with_people.astype(int) - without).max(axis=2)[:480] > 60
    assert 0.001 < changed.mean() < 0.5
    record = json.loads(next(out.glob("joints/*/*.json")).read_text())
    assert record["video"]["name"] == "test_000.mp4"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{videos}", "--out", "{out}"], "is a folder; expected one video"),
        (["nothing.mp4", "--out", "{out}"], "does not exist; expected one video"),
        (["{video}"], "give --out, the folder of a run, or --checkpoint"),
        (["{video}", "--out", "{tmp}/empty"], "no run has left anything there"),
        (["{video}", "--out", "{out}", "--to", "{tmp}/a.avi"], "expected a name that ends in .mp4"),
        (["{video}", "--out", "{out}", "--to", "{video}"], "is the video itself"),
    ],
)
def test_wrong_usage_is_said_before_any_work(words, message, run_out, practice, tmp_path):
    places = {"videos": practice / "videos", "video": practice / "videos" / "test_000.mp4", "out": run_out}
    words = [word.format(**places, tmp=tmp_path) for word in words]
    said = augrgb("annotate", *words, check=2)
    assert message in " ".join(said.split())
    assert list(tmp_path.iterdir()) == []


def test_a_broken_video_is_said_and_leaves_no_file(run_out, practice, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes((practice / "videos" / "test_000.mp4").read_bytes()[:20_000])
    said = augrgb("annotate", broken, "--out", run_out, "--to", tmp_path / "a.mp4", check=1)
    assert "the file was cut" in said
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]


@pytest.mark.slow
def test_an_interrupt_leaves_no_file(run_out, write_video, tmp_path):
    video = write_video(tmp_path / "long.mp4", [np.zeros((240, 320, 3), np.uint8)] * 3000)
    command = [str(Path(sys.executable).with_name("augrgb")), "annotate", str(video), "--out", str(run_out)]
    target = tmp_path / "to" / "a.mp4"
    deadline = time.monotonic() + 300
    with subprocess.Popen([*command, "--to", str(target)], stderr=subprocess.PIPE) as process:
        while not (target.parent.is_dir() and any(target.parent.iterdir())):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert list(target.parent.iterdir()) == []


@pytest.mark.slow
def test_memory_does_not_grow_with_length(write_video, tmp_path):
    code = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_annotate import annotated, shown
from pipeline.video import probe
video = Path(sys.argv[1])
annotated(video, shown(probe(video).clock), video.with_suffix(".out.mp4"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (8, 360, 640, 3), np.uint8)
    peak = {}
    for length in (150, 1500):
        frames = (pictures[i % 8] for i in range(length))
        video = write_video(tmp_path / f"{length}.mp4", frames, options={"preset": "ultrafast"})
        words = [sys.executable, "-c", code, str(video), str(Path(__file__).parent)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        peak[length] = float(done.stdout)
    assert peak[1500] < peak[150] + 60, peak  # MB; 1,350 frames are 900 MB
