"""Extraction opens the next video and writes the last one meanwhile; what is made stays the same."""

import os
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from pipeline import extract
from pipeline.claims import Claims
from pipeline.video_work import VideoWork

NAMES = ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]


@pytest.fixture(scope="module")
def videos(write_video, tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for i, name in enumerate(NAMES):
        write_video(folder / name, 20 + i)
    return folder


@pytest.fixture
def ran(videos, tmp_path):
    """Extract RGB into a folder of its own."""

    def run(out="out"):
        return extract(videos, tmp_path / out, preset="tiny", device="cpu", quiet=True)["rgb"]

    return run


@pytest.fixture
def watched(monkeypatch):
    """`watched(step, before)`: have something done before a step of each video's work."""

    def watch(step, before):
        original = getattr(VideoWork, step)

        def stepped(self, *args):
            before(self)
            return original(self, *args)

        monkeypatch.setattr(VideoWork, step, stepped)

    return watch


def until(condition):
    for _ in range(3000):
        if condition():
            return True
        time.sleep(0.01)
    return False


def claimed(out):
    return {path.name for path in (out / "claims").glob("*.claim")}


def test_the_next_video_is_opened_but_not_claimed_while_one_is_computed(ran, watched, tmp_path):
    opened, seen = Counter(), []

    def compute(work):
        at = NAMES.index(work.source.name)
        assert until(lambda: opened.total() > at + 1 or at + 1 == len(NAMES))
        seen.append((work.source.name, sorted(opened), threading.current_thread() is threading.main_thread()))
        if at == 0:
            assert len(claimed(tmp_path / "out")) == 1

    watched("open", lambda work: opened.update([work.source.name]))
    watched("compute", compute)
    assert len(ran()) == 4
    assert seen == [(name, NAMES[: min(i + 2, 4)], True) for i, name in enumerate(NAMES)]
    assert set(opened.values()) == {1}
    assert not (tmp_path / "out" / "claims").exists()


def test_a_video_that_another_process_takes_meanwhile_is_done_by_nobody_twice(ran, watched, tmp_path):
    """b.mp4 is opened in vain: it is claimed elsewhere while a.mp4 is computed, and free after c.mp4."""
    others, held = Claims(tmp_path / "out"), []
    computed = []

    def compute(work):
        computed.append(work.source.name)
        if work.source.name == "a.mp4":
            held.append(others.held("extract", "b.mp4"))
            held[0].__enter__()
        if work.source.name == "c.mp4":
            held[0].__exit__(None, None, None)

    watched("compute", compute)
    made = ran()
    assert sorted(made) == NAMES
    assert computed == ["a.mp4", "c.mp4", "d.mp4", "b.mp4"]


def test_what_another_process_made_meanwhile_is_not_made_again(ran, watched, tmp_path):
    ran("there")
    computed = []

    def compute(work):
        if work.modalities:
            computed.append(work.source.name)
        if work.source.name == "a.mp4":  # b.mp4 is opened already
            for name in ("b.npy", "b.json", "b.mp4.npy", "b.mp4.json"):
                for path in (tmp_path / "there").rglob(name):
                    target = tmp_path / "out" / path.relative_to(tmp_path / "there")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(path.read_bytes())

    watched("compute", compute)
    assert sorted(ran()) == NAMES
    assert computed == ["a.mp4", "c.mp4", "d.mp4"]


def children():
    """Processes below this one that decode: those forked from its server."""
    of = Counter()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            of[int(fields[1])] += 1
    servers = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return sum(of[int(pid)] for pid in servers if "decoder_server" in command_line(pid))


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("step", ["compute", "keep"])
def test_an_end_in_the_middle_leaves_no_thread_no_decoder_and_no_claim(ran, watched, tmp_path, step, error):
    def fail(work):
        if work.source.name == "b.mp4":
            raise error

    watched(step, fail)
    with pytest.raises(error):
        ran()
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("guess", "behind", "ahead"))]
    assert until(lambda: children() == 0)
    assert not (tmp_path / "out" / "claims").exists()


def test_features_are_written_in_the_order_of_the_videos_and_found_again(ran, watched, tmp_path):
    kept = []
    watched("keep", lambda work: kept.append((work.source.name, threading.current_thread().name[:6])))
    first = ran()
    assert kept == [(name, "behind") for name in NAMES]
    again = ran()
    assert len(kept) == 4
    assert all((first[name].data_TD == again[name].data_TD).all() for name in NAMES)
