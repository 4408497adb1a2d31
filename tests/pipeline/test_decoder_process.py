"""Decoder processes: what they run, how much they hold, and that none is left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.decoder_client import _SERVER, ChildHung, DecoderProcess
from pipeline.video import DecodeLimits, DecodePolicy, VideoError, decode, open_video, probe

ROOT = Path(__file__).resolve().parents[2]


def children_of(pid: int) -> list[int]:
    """Process ids whose parent is `pid`, zombies too."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def state_of(pid: int) -> str:
    """One letter: R running, S sleeping, T stopped, Z zombie; empty when gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def peak_mb(pid: int) -> float:
    """Largest resident memory so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def eventually(condition, timeout_sec: float = 10.0) -> bool:
    end = time.monotonic() + timeout_sec
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def server_pid() -> int:
    assert _SERVER._process is not None
    return _SERVER._process.pid


@pytest.fixture(scope="module")
def video(write_video, tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "a.mp4", 200)


@pytest.fixture
def python(tmp_path):
    """Run a script in a folder full of modules that must not be imported."""
    for name in ("models", "pipeline", "extractors", "av", "decord", "ctypes"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py of the current folder was run')")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*arguments: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", *arguments]
        return subprocess.run(
            command, input=script, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
        )

    return run


def test_importing_loads_no_decoder_and_no_torch(python):
    heavy = "[m for m in ('av', 'decord', 'torch') if m in sys.modules]"
    done = python("-c", f"import sys, pipeline.video; print({heavy})")
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("how", ["command", "stdin", "file", "thread"])
def test_the_callers_script_is_run_once(python, video, tmp_path, how):
    """No guard around the main code, as people write it; and nothing of the current folder is run."""
    call = f"print(probe({str(video)!r}).clock.num_frames)"
    if how == "thread":
        call = f"import threading; t = threading.Thread(target=lambda: {call}); t.start(); t.join()"
    script = f"print('once')\nfrom pipeline.video import probe\n{call}\n"
    (tmp_path / "script.py").write_text(script)
    arguments = {"command": ["-c", script], "file": ["script.py"]}.get(how, ["-"])
    done = python(*arguments, script=script)
    assert (done.stdout, done.stderr, done.returncode) == ("once\n200\n", "", 0)


def test_the_server_has_no_networks_loaded(video):
    probe(video)
    maps = Path(f"/proc/{server_pid()}/maps").read_text()
    assert "libtorch" not in maps
    assert "libavcodec" in maps


def test_the_server_has_a_single_thread(video):
    """What a fork needs: a lock held by another thread would stay locked in the child."""
    probe(video)
    assert len(list(Path(f"/proc/{server_pid()}/task").iterdir())) == 1


def test_streams_that_are_closed_at_once_do_not_harm_the_server(video):
    probe(video)
    server = server_pid()
    for _ in range(20):
        DecoderProcess(video, DecodeLimits(hang_sec=5)).close()
    assert probe(video).clock.num_frames == 200
    assert server_pid() == server


def test_the_callers_folder_is_not_on_the_servers_path(video):
    probe(video)
    environment = Path(f"/proc/{server_pid()}/environ").read_bytes().split(b"\0")
    assert b"PYTHONSAFEPATH=1" in environment


def read_some(path: Path, how: str) -> None:
    with open_video(path, fps=None, limits=DecodeLimits(queue_bytes=1)) as stream:
        for _ in stream if how != "unread" else ():
            if how == "early":
                break
            if how == "error":
                raise KeyboardInterrupt
    stream.close()  # again: nothing happens


def test_a_frame_of_which_nothing_was_said_is_taken(video):
    """What the decoder says and what its reader takes may cross."""
    with open_video(video, fps=None, limits=DecodeLimits(queue_bytes=1)) as stream:
        stream.start()
        assert stream._child.receive() == {"is": "frame"}  # as if it had never come
        assert sum(1 for _ in stream) == 200


@pytest.mark.parametrize("how", ["end", "early", "error", "unread"])
def test_no_process_and_no_descriptor_is_left(video, how):
    probe(video)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with contextlib.suppress(KeyboardInterrupt):
            read_some(video, how)
        assert children_of(server_pid()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_stream_that_is_only_forgotten_ends_too(video):
    stream = open_video(video, fps=None, limits=DecodeLimits(queue_bytes=1))
    next(iter(stream))
    assert children_of(server_pid()) != []
    with pytest.warns(ResourceWarning):
        del stream
    assert eventually(lambda: children_of(server_pid()) == [])


def test_a_child_stops_while_its_reader_is_busy(video, read_number):
    with open_video(video, fps=None, limits=DecodeLimits(queue_bytes=1)) as stream:
        (child,) = children_of(server_pid())
        numbers = []
        for frame in stream:
            numbers.append(read_number(frame))
            if len(numbers) in (1, 100):
                assert eventually(lambda: state_of(child) == "T")
        assert numbers == list(range(200))


def test_a_wake_up_that_comes_too_early_is_repeated(video):
    """The child may stop itself just after its reader took the last frame and woke it."""
    with open_video(video, fps=None, limits=DecodeLimits(queue_bytes=1, hang_sec=5)) as stream:
        child = stream._child
        for j, _ in enumerate(stream):
            if j == 10:
                child._signal(signal.SIGSTOP)
                child.resume = lambda: delattr(child, "resume")  # once, nothing happens
        assert stream.result.num_frames == 200


def test_being_stopped_is_not_hanging(video):
    with open_video(video, fps=None, limits=DecodeLimits(queue_bytes=1, hang_sec=0.3)) as stream:
        for j, _ in enumerate(stream):
            if j == 10:
                time.sleep(1.0)
        assert stream.result.num_frames == 200


def test_a_silent_child_is_noticed(video):
    child = DecoderProcess(video, DecodeLimits(hang_sec=0.3))
    try:
        assert child.receive()["is"] == "scan"
        child.receive_bytes()
        began = time.monotonic()
        with pytest.raises(ChildHung, match=r"nothing came for 0\.3 s"):
            child.receive()  # it waits for a plan
        assert time.monotonic() - began < 3
    finally:
        child.close()


SLOW_READER = """
import sys, time
from pipeline.video import DecodeLimits, open_video
with open_video(sys.argv[1], fps=None, limits=DecodeLimits(queue_bytes=1)) as stream:
    for frame in stream:
        print("ready", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_caller_leaves_nothing_behind(video, number):
    with subprocess.Popen(
        [sys.executable, "-P", "-c", SLOW_READER, str(video)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"ready\n"
        (server,) = children_of(caller.pid)
        (child,) = children_of(server)
        assert eventually(lambda: state_of(child) == "T")
        caller.send_signal(number)
        caller.wait(timeout=20)
    assert eventually(lambda: state_of(child) == "" and state_of(server) == "")


def test_a_killed_server_is_named_and_replaced(video):
    with open_video(video, fps=None, limits=DecodeLimits(queue_bytes=1, hang_sec=5)) as stream:
        os.kill(server_pid(), signal.SIGKILL)
        assert eventually(lambda: state_of(server_pid()) == "Z")
        with pytest.raises(Exception, match="server was killed"):
            list(stream)
    assert probe(video).clock.num_frames == 200


def test_many_threads_at_once(video, read_number):
    found = {}

    def work(i):
        found[i], _ = decode(video, lambda stream: [read_number(frame) for frame in stream], fps=None)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: list(range(200)) for i in range(4)}


def test_a_forked_caller_gets_a_server_of_its_own(python, video):
    script = f"""
import os
from pipeline.video import probe, open_video
with open_video({str(video)!r}, fps=None) as stream:
    frames = iter(stream)
    next(frames)
    pid = os.fork()
    if pid == 0:
        print("child", probe({str(video)!r}).clock.num_frames, flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    print("parent", 1 + sum(1 for _ in frames))
"""
    done = python("-", script=script)
    assert (done.stdout, done.stderr) == ("child 200\nparent 200\n", "")


def write_long_video(write_video, path: Path, num_frames: int) -> Path:
    """720p, by writing the packets of a few frames again and again."""
    height, width = 720, 1280
    moving = [np.full((height, width, 3), i % 250, dtype=np.uint8) for i in range(30)]
    for i, frame in enumerate(moving):
        frame[100:400, i * 20 : i * 20 + 300] = 255 - i
    short = write_video(path.with_name("short.mp4"), moving, options={"preset": "ultrafast", "bf": "0"})
    with av.open(str(short)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [(bytes(p), p.is_keyframe) for p in source.demux(video=0) if p.size]
        for i in range(num_frames):
            data, is_keyframe = packets[i % 30]
            packet = av.Packet(data)
            packet.stream, packet.is_keyframe = stream, is_keyframe
            packet.pts = packet.dts = i * 512
            packet.duration = 512
            packet.time_base = source.streams.video[0].time_base
            target.mux(packet)
    return path


@pytest.mark.parametrize("num_frames", [600, pytest.param(30_000, marks=pytest.mark.slow, id="20 minutes")])
@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_memory_does_not_grow_with_the_length(write_video, tmp_path, num_frames, decoder):
    """600 frames are 1.7 GB, 30,000 are 83 GB; decord alone decodes them all while its reader is busy.

    Usual are 140 to 250 MB. The limit is where decord is given up: on a machine with many more
    processes than cores, it gets ahead while the thread that reads from it waits for a core.
    """
    path = write_long_video(write_video, tmp_path / "a.mp4", num_frames)
    peaks = []

    def read_slowly(stream):
        (child,) = children_of(server_pid())
        for j, _ in enumerate(stream):
            if j in (0, 30, 300):
                time.sleep(0.7)
            if j == num_frames - 100:
                peaks.append(peak_mb(child))

    _, result = decode(path, read_slowly, fps=None, policy=DecodePolicy(decoder=decoder))
    assert result.num_frames == num_frames
    assert peaks[-1] < (300 if result.decoder == "pyav" else 700)


def test_an_unreadable_file_leaves_no_process(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"not a video" * 100)
    with pytest.raises(VideoError):
        probe(path)
    assert children_of(server_pid()) == []
