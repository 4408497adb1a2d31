"""Claims: each video to one process, none lost, and what the dead had claimed is free again."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from pipeline.claims import BEAT_SEC, STALE_SEC, Claims, someone_works, sweep

_HOLD = """
import sys, time
from pathlib import Path
from pipeline.claims import Claims
with Claims(Path(sys.argv[1])).held("extract", "a.mp4"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """A process that has claimed a.mp4."""
    with subprocess.Popen(
        [sys.executable, "-P", "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def claim_files(out):
    return list((out / "claims").glob("*")) if (out / "claims").exists() else []


def test_claims_are_gone_when_the_work_is_done(tmp_path):
    claims = Claims(tmp_path)
    for name in claims.each("extract", ["a.mp4", "b.mp4"]):
        (found,) = claim_files(tmp_path)
        assert json.loads(found.read_text())["name"] == name
        assert json.loads(found.read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_works_on_comes_last_and_when_it_is_dead_at_once(tmp_path, other):
    said = []

    def say(text):
        said.append(text)
        other.kill()

    assert someone_works(tmp_path)
    order = list(Claims(tmp_path).each("extract", ["a.mp4", "b.mp4"], say))
    assert order == ["b.mp4", "a.mp4"]
    assert said == ["  extract: waiting for another process, which works on a.mp4"]
    assert not someone_works(tmp_path)
    assert claim_files(tmp_path) == []


def test_sweeping_takes_claims_of_the_dead_and_of_nobody_else(tmp_path, other):
    sweep(tmp_path)
    assert len(claim_files(tmp_path)) == 1
    other.kill()
    other.wait()
    of_another_machine = tmp_path / "claims" / "x.claim"
    of_another_machine.write_text('{"machine": "another"}')
    sweep(tmp_path)
    assert claim_files(tmp_path) == [of_another_machine]


def test_other_kinds_of_work_on_a_video_are_other_claims(tmp_path, other):
    with Claims(tmp_path).held("score", "a.mp4"):
        pass


def test_a_signal_between_any_two_lines_leaves_nothing(tmp_path):
    """Ctrl-C comes where it likes: before the first line of claims.py that runs, the second, and so on."""

    def interrupted(at):
        lines = iter(range(at))

        def trace(frame, event, _):
            if not frame.f_code.co_filename.endswith("claims.py"):
                return None
            if event == "line" and next(lines, None) is None:
                raise KeyboardInterrupt
            return trace

        claims, before = Claims(tmp_path), sys.gettrace()
        sys.settrace(trace)
        try:
            with claims.held("extract", "a.mp4"):
                pass
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
            claims.let_go()
        return False

    count = 0
    while interrupted(count):
        assert [path.name for path in tmp_path.rglob("*") if path.suffix == ".claim"] == []
        count += 1
    assert count > 40
    sweep(tmp_path)  # of a temporary file that was not yet written when the signal came


def test_a_claim_is_given_back_where_the_work_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), Claims(tmp_path).held("train", "student"):
        raise ZeroDivisionError
    assert claim_files(tmp_path) == []


def elsewhere(out, **options):
    """Claims of a machine whose locks do not reach here."""
    return Claims(out, machine="another", **options)


def leave_claim_of_another_machine(out):
    """A claim whose lock nobody has here, as another machine's looks."""
    each = elsewhere(out).each("extract", ["a.mp4"])
    next(each)
    (path,) = claim_files(out)
    content = path.read_bytes()
    each.close()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_claim_of_another_machine_is_left_alone_while_it_is_touched_and_taken_over_when_it_is_not(tmp_path):
    path = leave_claim_of_another_machine(tmp_path)
    claims, started = Claims(tmp_path, stale_sec=0.6), time.monotonic()
    beats = iter(range(4))

    def beat(handle, name):
        if next(beats, None) is not None:
            os.utime(path)

    taken = None
    while taken is None:
        beat(None, None)
        with claims._attempt("extract", "a.mp4") as ours:
            if ours:
                taken = time.monotonic() - started
        time.sleep(0.3)
    assert 0.9 + 0.6 <= taken < 60  # not before the last of four beats, 0.3 s apart, was old enough
    assert claim_files(tmp_path) == []


def test_the_dead_of_another_machine_are_followed_within_a_minute():
    """A claim must not be lost by two missed beats, nor kept for a minute."""
    assert 3 * BEAT_SEC < STALE_SEC < 60 - BEAT_SEC


def test_a_heartbeat_keeps_a_claim_from_another_machine(tmp_path):
    with Claims(tmp_path, beat_sec=0.05).held("extract", "a.mp4"):
        (path,) = claim_files(tmp_path)
        before, deadline = path.stat().st_mtime_ns, time.monotonic() + 60
        while path.stat().st_mtime_ns == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_an_owner_that_lost_its_claim_leaves_that_of_the_next_alone(tmp_path):
    each = Claims(tmp_path).each("extract", ["a.mp4"])
    next(each)
    (path,) = claim_files(tmp_path)
    path.unlink()
    path.write_text("{}")
    each.close()
    assert path.read_text() == "{}"


def _work(out, barrier, pause_sec):
    barrier.wait()
    for name in Claims(out).each("extract", [f"{i}.mp4" for i in range(12)]):
        if not (out / name).exists():  # as `extract` looks, once it has the claim
            time.sleep(pause_sec)
            with (out / name).open("x"):  # fails where two make the same
                pass


def start(count, out, pause_sec):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count)
    workers = [context.Process(target=_work, args=(out, barrier, pause_sec)) for _ in range(count)]
    for worker in workers:
        worker.start()
    return workers


def all_done(out):
    return sorted(p.name for p in out.glob("*.mp4")) == sorted(f"{i}.mp4" for i in range(12))


@pytest.mark.parametrize("pause_sec", [0.0, 0.02])
def test_processes_that_start_at_the_same_instant_do_each_video_once(tmp_path, pause_sec):
    workers = start(4, tmp_path, pause_sec)
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert all_done(tmp_path)
    assert claim_files(tmp_path) == []


def test_none_is_lost_where_a_worker_is_killed(tmp_path):
    workers = start(3, tmp_path, 0.1)
    while not list(tmp_path.glob("*.mp4")):
        time.sleep(0.01)
    os.kill(workers[0].pid, signal.SIGKILL)
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [-signal.SIGKILL, 0, 0]
    assert all_done(tmp_path)
    sweep(tmp_path)
    assert claim_files(tmp_path) == []
