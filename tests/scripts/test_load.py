"""The harness of benchmarks/load.md measures what it says."""

import importlib
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def scripts_at_hand(monkeypatch):
    """They are no part of the package."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2]))


def script(name):
    return importlib.import_module(f"scripts.{name}")


def test_a_repeated_clip_goes_on_without_a_gap(tmp_path):
    script("many_videos").write_videos(tmp_path, 1)  # 8 frames at 25 fps
    seconds = script("long_video").repeat(tmp_path / "00000.mp4", tmp_path / "long.mp4", 5)
    assert seconds == pytest.approx(5 * 8 / 25)
    with av.open(str(tmp_path / "long.mp4")) as container:
        frames = list(container.decode(video=0))
    np.testing.assert_allclose(np.diff([frame.time for frame in frames]), 1 / 25, atol=1e-6)
    assert len(frames) == 40
    assert (frames[0].to_ndarray() == frames[32].to_ndarray()).all()


def test_videos_differ_and_can_be_decoded(tmp_path):
    script("many_videos").write_videos(tmp_path, 12)
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 12
    with av.open(str(tmp_path / "00011.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 8


def test_memory_and_time_are_those_of_all_processes(tmp_path):
    child = (
        "import time; x = bytearray(120 << 20); x[::4096] = x[::4096]; sum(range(3_000_000)); time.sleep(2)"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print('done')"
    command, printed = [sys.executable, "-c", parent], tmp_path / "printed.txt"
    code, samples = script("watched").run_watched(command, printed, every_sec=0.1)
    assert code == 0
    assert printed.read_text() == "done\n"
    assert 120 < max(sample.memory_mb for sample in samples) < 400
    assert samples[-1].cpu_sec > samples[0].cpu_sec
    assert samples[-1].at <= time.time()


def test_growth_and_halves_are_of_places_in_the_video(tmp_path):
    """20 minutes; one costs 1 s of processor time in the first half and 2 s in the second."""
    began = 1_700_000_000.0
    lines = ['{"event": "start", "time": "2023-11-14T22:13:20+00:00"}']
    for minute in range(1, 20):
        at = f"2023-11-14T22:{13 + minute:02d}:20+00:00"
        lines.append(f'{{"event": "position", "time": "{at}", "frames": {10 * minute}, "of": 200}}')
    lines.append('{"event": "extracted", "time": "2023-11-14T22:33:20+00:00"}')
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    sample = script("watched").Sample
    samples = [
        sample(began + sec, 150.0 if sec > 800 else 100.0, sec / 60 + max(0, sec - 600) / 60)
        for sec in range(1201)
    ]
    found = script("long_video").measure(tmp_path, samples, 20.0)
    assert found["growth"] == pytest.approx(0.5)
    assert found["second_half"] == pytest.approx(1.0, abs=0.01)
    assert found["second_half_on_the_clock"] == pytest.approx(0.0, abs=0.01)
    assert found["peak_mb"] == 150


def test_what_was_said_on_the_way_is_held_against_what_came():
    said = "extract  250/1000  0:00:10 gone, 0:00:30 left\nextract  900/1000  0:00:45 gone, 0:00:05 left\n"
    assert script("many_videos").worst_guess(said, 1000) == pytest.approx(0.2)
    assert script("many_videos").worst_guess("", 1000) == 0.0
