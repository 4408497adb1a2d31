"""Videos of several lengths and a broken one, what one process makes of them, and somebody who kills."""

import hashlib
import json
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

from pipeline import commands
from pipeline.engines import EngineOptions
from pipeline.files import read_json_lines
from pipeline.request import request

FRAMES = {"a.mp4": 30, "b.mp4": 200, "c/d.mp4": 60, "e.mp4": 120, "f.mp4": 15}
BROKEN = "broken.mp4"


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """As every worker has: bytes are the same for the same number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def videos(tmp_path_factory, write_video):
    """A folder of five good videos and a broken one."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "c").mkdir()
    for name, frames in FRAMES.items():
        write_video(folder / name, frames)
    (folder / BROKEN).write_bytes((folder / "b.mp4").read_bytes()[:300])
    return folder


@pytest.fixture(scope="session")
def extract(videos):
    """`extract(out, engine)`: all videos on that engine; the job, ended."""

    def run(out, engine, folder=videos, **settings):
        asked = request(folder, out, preset="tiny", device="cpu", quiet=True, engine=engine, **settings)
        commands.extract(asked)
        return asked.job

    return run


@pytest.fixture(scope="module")
def local(tmp_path_factory, extract):
    """OUT of a run in one process."""
    out = tmp_path_factory.mktemp("local") / "out"
    extract(out, EngineOptions())
    return out


@pytest.fixture(scope="module")
def same_as_local(local):
    """`same_as_local(out)`: the same bytes under the same keys, the same failures, nothing left behind."""

    def check(out):
        assert _products(out) == _products(local)
        assert len(_products(out)) == len(FRAMES)
        assert sorted((out / "failures.jsonl").read_text().splitlines()) == sorted(
            (local / "failures.jsonl").read_text().splitlines()
        )
        assert not list(out.rglob(".augrgb-tmp-*"))
        assert not (out / "claims").exists()

    return check


@pytest.fixture(scope="session")
def extracted():
    """`extracted(out)`: how often each video was, by the log."""

    def count(out):
        return Counter(event["video"] for event in events(out, "extracted"))

    return count


@pytest.fixture(scope="session")
def log():
    """`log(out, event)`: rows of the log."""
    return events


@pytest.fixture(scope="session")
def longest_first():
    """Names of all good videos, in the order in which they are to be begun."""
    return sorted(FRAMES, key=FRAMES.__getitem__, reverse=True)


@pytest.fixture
def claimed():
    """`claimed(out, video)`: waits until a process works on it; its id."""
    return _claimed


@pytest.fixture
def meanwhile():
    """`meanwhile(act)`: in a thread; its errors are the test's."""
    threads, errors = [], []

    def start(act):
        def run():
            try:
                act()
            except BaseException as error:  # of a thread, nobody would hear
                errors.append(error)

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert errors == []


@pytest.fixture
def ended():
    """`ended(pids)`: soon none of these processes is there."""

    def check(pids, within_sec=30.0):
        deadline = time.monotonic() + within_sec
        while left := [pid for pid in pids if _is_alive(pid)]:
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.05)

    return check


def _claimed(out, video, within_sec=300.0):
    deadline = time.monotonic() + within_sec
    while time.monotonic() < deadline:
        for path in (out / "claims").glob("*.claim"):
            try:
                claim = json.loads(path.read_text())
            except (OSError, ValueError):  # let go, or not written yet
                continue
            if (claim["kind"], claim["name"]) == ("extract", video):
                return claim["pid"]
        time.sleep(0.005)
    raise TimeoutError(f"nobody works on {video}")


def _is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def events(out, what):
    return [row for row in read_json_lines(out / "log.jsonl") if row["event"] == what]


def _products(out):
    """By path: digest of the bytes, and both digests of the record."""
    products = {}
    for path in sorted(out.glob("features/*/**/*.npy")):
        record = json.loads(path.with_suffix(".json").read_text())
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        products[str(path.relative_to(out))] = found, record["key"], record["data_sha256"]
    return products
