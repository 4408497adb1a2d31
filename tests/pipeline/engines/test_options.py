"""What engines are asked for, and how much room there is."""

import pytest
import torch
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.engines import EngineOptions
from pipeline.engines.options import Seat, seats, workers_in
from pipeline.inputs import UsageError
from pipeline.request import request


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"name": "spark"}, "--engine spark: there is: local, processes, ray"),
        ({"workers": 2}, "need --engine processes or --engine ray"),
        ({"gpus_per_worker": 1.0}, "need --engine processes or --engine ray"),
        ({"name": "ray", "workers": 0}, "--workers 0: expected 1 or more"),
        ({"name": "ray", "gpus_per_worker": 2.0}, "a worker uses one GPU, or a part of it"),
        ({"name": "ray", "gpus_per_worker": 0.5, "device": "cpu"}, "leave one of them out"),
    ],
)
def test_what_makes_no_sense_is_said(asked, says):
    with pytest.raises(UsageError, match=says):
        EngineOptions(**asked)


def test_a_missing_ray_is_named_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"Ray is not installed; .*pip install 'augrgb\[ray\]'"):
        EngineOptions("ray")


def test_the_device_is_checked_against_the_engine(tmp_path, videos):
    engine = EngineOptions("processes", gpus_per_worker=1)
    with pytest.raises(UsageError, match="--device cpu"):
        request(videos, tmp_path / "out", preset="tiny", device="cpu", engine=engine)
    assert not (tmp_path / "out").exists()


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.get_num_threads", lambda: 7)
    assert seats(EngineOptions("processes", workers=3)) == [Seat(2)] * 3
    assert seats(EngineOptions("processes", workers=9)) == [Seat(1)] * 9
    with pytest.raises(UsageError, match="no CUDA device"):
        seats(EngineOptions("processes", gpus_per_worker=1))


def test_without_a_number_there_is_a_worker_per_core_that_memory_suffices_for(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    monkeypatch.setattr("pipeline.engines.options._memory_bytes", lambda: 10 << 30)
    assert seats(EngineOptions("processes", device="cpu")) == [Seat(2)] * 3
    monkeypatch.setattr("pipeline.engines.options._memory_bytes", lambda: 1 << 30)
    assert seats(EngineOptions("processes", device="cpu")) == [Seat(8)]


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("two_gpus")
def test_workers_share_the_gpus(monkeypatch):
    def gpus(**asked):
        return [seat.gpu for seat in seats(EngineOptions("processes", **asked))]

    assert gpus() == ["0", "1"]
    assert gpus(gpus_per_worker=0.5) == ["0", "1", "0", "1"]
    assert gpus(gpus_per_worker=0.5, workers=3) == ["0", "1", "0"]
    assert gpus(device="cuda:1") == ["1"]
    assert gpus(gpus_per_worker=0, workers=2) == [None, None]
    assert gpus(device="cpu", workers=2) == [None, None]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,3")
    assert gpus() == ["5", "3"]
    with pytest.raises(UsageError, match="room for 2 workers of 1 each"):
        gpus(workers=3)


@pytest.mark.parametrize(("share", "workers"), [(1.0, 1), (0.5, 2), (1 / 3, 3), (0.1, 10), (0.7, 1)])
def test_shares_add_up(share, workers):
    assert workers_in(1, share) == workers


def test_this_machine_has_room():
    assert all(seat.threads <= torch.get_num_threads() for seat in seats(EngineOptions("processes")))


@pytest.mark.parametrize("command", ["run", "extract"])
def test_the_command_line_says_what_makes_no_sense(command, videos, tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(app, [command, str(videos), "--out", str(out), "--workers", "2"])
    assert done.exit_code == 2
    assert "augrgb: --workers and --gpus-per-worker need --engine processes" in done.stderr
    assert not out.exists()
