"""One worker, in this process: what it answers."""

import os
from pathlib import Path

import pytest

from pipeline.claims import Claims
from pipeline.engines.messages import Order, Outcome, Place, Ready, Trouble
from pipeline.engines.worker import Worker
from pipeline.inputs import Source
from pipeline.request import request


@pytest.fixture
def job(tmp_path, videos):
    out = tmp_path / "out"
    out.mkdir()
    return request(videos, out, preset="tiny", device="cpu", quiet=True).job


@pytest.fixture
def order(job, videos, monkeypatch):
    """What a driver gives, while it lives."""
    monkeypatch.chdir(Path.cwd())  # workers go where the driver is
    with job.claims.held("engine", "token"):
        yield Order.of(job, ("rgb",), "token", videos / "a.mp4")


@pytest.fixture
def worker(order):
    worker = Worker(order, Place("cpu", threads=1))
    ready = worker.begin()
    assert isinstance(ready, Ready), ready
    assert (ready.pid, ready.device) == (os.getpid(), "cpu (x86_64)")
    return worker


def test_a_video_is_made_once_and_then_found(worker, job, videos):
    batch = [Source(videos / name, name) for name in ("a.mp4", "f.mp4")]
    made = worker.do(batch)
    assert isinstance(made, Outcome), made
    assert (made.made, made.cached, made.failed, made.busy) == (2, 0, {}, ())
    assert [(what, fields["video"]) for what, fields in made.events] == [
        ("extracted", "a.mp4"),
        ("extracted", "f.mp4"),
    ]
    again = worker.do(batch)
    assert (again.made, again.cached, again.events) == (0, 2, ())


def test_a_broken_video_is_a_failure_with_its_reason(worker, videos):
    names = ("broken.mp4", "gone.mp4", "a.mp4")
    found = worker.do([Source(videos / name, name) for name in names])
    assert {name: failed.reason for name, failed in found.failed.items()} == {
        "broken.mp4": "truncated",
        "gone.mp4": "unreadable",
    }
    assert "broken.mp4" in found.failed["broken.mp4"].message
    assert (found.made, found.busy) == (1, ())


def test_what_another_process_has_claimed_is_not_waited_for(worker, job, videos):
    batch = [Source(videos / name, name) for name in ("a.mp4", "f.mp4")]
    with Claims(job.out).held("extract", "a.mp4"):
        found = worker.do(batch)
    assert (found.made, found.busy) == (1, ("a.mp4",))
    found = worker.do(batch)
    assert (found.made, found.cached, found.busy) == (1, 1, ())


def test_a_full_disk_ends_it_all(worker, videos, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.files.os.fsync", full)
    trouble = worker.do([Source(videos / "a.mp4", "a.mp4")])
    assert isinstance(trouble, Trouble)
    assert trouble.kind == "outside"
    assert "No space left on device" in trouble.message


def test_our_own_errors_come_with_a_traceback(worker, videos, monkeypatch):
    def fail(job, recipe):
        raise KeyError("clip")

    monkeypatch.setattr("pipeline.engines.worker.extract", fail)
    trouble = worker.do([Source(videos / "a.mp4", "a.mp4")])
    assert trouble.kind == "bug"
    assert "Traceback" in trouble.message


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"out": Path("/nowhere")}, "/nowhere: a worker on .* does not find there"),
        ({"example": Path("/nowhere/a.mp4")}, "/nowhere/a.mp4: a worker on .* does not see it"),
    ],
)
def test_storage_that_is_not_shared_is_said(order, changed, says, monkeypatch):
    monkeypatch.setattr("pipeline.engines.worker._SEEN_SEC", 0.0)
    trouble = Worker(Order(**{**vars(order), **changed}), Place("cpu", threads=1)).begin()
    assert trouble.kind == "wrong"
    with pytest.raises(ValueError, match=says):
        raise ValueError(trouble.message)


def test_missing_weights_are_the_users_to_mend(order):
    settings = {**order.settings, "rgb": {**order.settings["rgb"], "weights": "nowhere.pt"}}
    trouble = Worker(Order(**{**vars(order), "settings": settings}), Place("cpu", threads=1)).begin()
    assert trouble.kind == "wrong"
    assert "nowhere.pt" in trouble.message
