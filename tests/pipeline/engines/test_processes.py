"""Workers as processes of this machine."""

import os
import signal
import subprocess
import sys
import time

import pytest

from pipeline.engines import EngineOptions
from pipeline.files import read_json_lines


@pytest.mark.slow
def test_the_longest_are_begun_first_and_a_second_run_starts_nobody(
    tmp_path, extract, same_as_local, longest_first, log
):
    job = extract(tmp_path / "out", EngineOptions("processes", workers=1))
    assert [row["video"] for row in log(tmp_path / "out", "extracted")] == longest_first
    same_as_local(tmp_path / "out")
    (result,) = job.results
    assert (result.done, result.cached, len(result.failures)) == (5, 0, 1)

    job = extract(tmp_path / "out", EngineOptions("processes", workers=1))
    (result,) = job.results
    assert (result.done, result.cached, len(result.failures)) == (0, 5, 1)
    same_as_local(tmp_path / "out")


def test_the_video_of_a_killed_worker_is_made_by_another(
    tmp_path, extract, same_as_local, claimed, meanwhile, extracted, longest_first, log
):
    out, longest = tmp_path / "out", longest_first[0]
    meanwhile(lambda: os.kill(claimed(out, longest), signal.SIGKILL))
    extract(out, EngineOptions("processes", workers=2))
    (lost,) = log(out, "lost")
    assert (lost["videos"], lost["why"]) == ([longest], "killed by SIGKILL")
    assert extracted(out) == dict.fromkeys(longest_first, 1)
    same_as_local(out)


@pytest.fixture
def command(videos):
    """`command(out)`: the command line on its way, in a session of its own, as from a terminal."""
    started = []

    def start(out):
        words = [
            "extract",
            videos,
            "--out",
            out,
            "--preset",
            "tiny",
            "--engine",
            "processes",
            "--workers",
            "2",
        ]
        started.append(
            subprocess.Popen(
                [sys.executable, "-P", "-m", "pipeline", *map(str, words)],
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_an_end_of_the_driver_is_the_end_of_its_workers(
    tmp_path, command, claimed, ended, extract, same_as_local, longest_first, number, code
):
    out = tmp_path / "out"
    driver = command(out)
    claimed(out, longest_first[0])
    began = time.monotonic()
    os.killpg(driver.pid, number)  # as a terminal sends Ctrl-C
    assert driver.wait(timeout=30) == code
    workers = [row["pid"] for row in read_json_lines(out / "log.jsonl") if row["event"] == "worker"]
    assert workers
    ended(workers, within_sec=30 - (time.monotonic() - began))
    if number != signal.SIGKILL:
        assert not (out / "claims").exists()
        assert not list(out.rglob(".augrgb-tmp-*"))
    extract(out, EngineOptions())
    same_as_local(out)
