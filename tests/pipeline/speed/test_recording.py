"""Networks watched and run again: the same calls, in the same batches, under the same precision."""

import time

import pytest
import torch

from extractors.i3d import Unit3D
from pipeline.speed.arithmetic import work
from pipeline.speed.recording import Recorder, covered_sec, replay

CPU = torch.device("cpu")


def test_covered_counts_what_overlaps_once():
    assert covered_sec([]) == 0
    assert covered_sec([(4.0, 5.0), (0.0, 2.0), (1.0, 3.0), (1.5, 1.6)]) == 4


def test_calls_are_kept_in_order_with_one_example_for_each_shape():
    recorder, seen = Recorder(CPU, recording=True), []
    network = recorder.watched("net", lambda x, *, twice: seen.append((x.shape, twice)))
    for size in (4, 4, 3):
        network(torch.zeros(size, 2), twice=True)
    calls = recorder.calls["net"]
    assert [call.batch for call in calls] == [4, 4, 3]
    assert calls[0].args[0] is calls[1].args[0]
    made, seen[:] = list(seen), []
    assert replay(calls, CPU) > 0
    assert seen == made


def test_nothing_is_kept_unless_recording():
    recorder = Recorder(CPU)
    assert recorder.watched("net", lambda x: x + 1)(torch.zeros(2)).tolist() == [1, 1]
    assert recorder.calls == {}
    assert recorder.take()[0] > 0
    assert recorder.take() == (0.0, 0.0)


def test_calls_are_made_again_under_the_autocast_they_came_under():
    recorder = Recorder(CPU, recording=True)
    network = recorder.watched("net", torch.nn.Linear(2, 2))
    network(torch.zeros(1, 2))
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.zeros(2, 2))
    assert [call.again().dtype for call in recorder.calls["net"]] == [torch.float32, torch.bfloat16]


def test_tensors_are_cast_beforehand():
    recorder = Recorder(CPU, recording=True)
    recorder.watched("net", lambda x: x, torch.bfloat16)(torch.zeros(2))
    assert recorder.calls["net"][0].args[0].dtype == torch.bfloat16


def test_it_is_known_when_and_at_what_cost_networks_computed(monkeypatch):
    times, costs = iter([1.0, 3.0, 4.0, 4.5]), iter([0.0, 1.5, 2.0, 2.25])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    monkeypatch.setattr(time, "process_time", lambda: next(costs))
    recorder = Recorder(CPU)
    network = recorder.watched("net", lambda: None)
    network()
    network()
    assert recorder.take() == (2.5, 1.75)


@pytest.mark.parametrize("batch", [1, 5])
def test_work_of_a_convolution(batch):
    """2 * 27 * 4 * 8 operations for each of 6 * 6 places; weights and bias are read once a call."""
    recorder = Recorder(CPU, recording=True)
    network = recorder.watched("net", torch.nn.Conv3d(4, 8, 3, padding=1))
    for _ in range(3):
        network(torch.zeros(batch, 4, 1, 6, 6))
    counted = work(recorder.calls["net"])
    assert counted.flops == 3 * batch * 36 * 2 * 27 * 4 * 8
    numbers = batch * 36 * (4 + 8) + 27 * 4 * 8 + 8
    assert counted.num_bytes == 3 * 4 * numbers


@pytest.mark.parametrize("batch", [1, 5])
def test_work_of_a_clip_is_the_same_alone_and_among_others(batch):
    """Alone, it goes another way through the library."""
    recorder = Recorder(CPU, recording=True)
    recorder.watched("net", Unit3D(4, 8, kernel=3))(torch.zeros(batch, 4, 2, 6, 6))
    assert work(recorder.calls["net"]).flops == batch * 72 * 2 * 27 * 4 * 8


def test_views_move_nothing():
    recorder = Recorder(CPU, recording=True)
    recorder.watched("net", lambda x: x.permute(1, 0)[1:].unsqueeze(0))(torch.zeros(4, 5))
    assert work(recorder.calls["net"]).num_bytes == 0
