"""Workers as actors of a Ray cluster: several nodes on this machine, each with one CPU."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.engines import EngineOptions
from pipeline.inputs import UsageError

ray = pytest.importorskip("ray")
_NODE = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
RAY = EngineOptions("ray")


@pytest.fixture
def cluster(monkeypatch):
    """`cluster(nodes)`: a head without CPUs, where the driver is, and so many nodes: both."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # a busy machine would leave them nothing
    started = []

    def start(nodes):
        made = Cluster(initialize_head=True, head_node_args={**_NODE, "num_cpus": 0})
        started.append(made)
        monkeypatch.setenv("RAY_ADDRESS", made.address)
        return made, [made.add_node(**_NODE) for _ in range(nodes)]

    yield start
    for made in started:
        made.shutdown()


def raylet(node):
    return node.all_processes["raylet"][0].process.pid


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_node_makes_what_one_process_makes(cluster, videos, tmp_path, extract, local, log):
    cluster(1)
    extract(tmp_path / "out", RAY, folder=[videos / "a.mp4", videos / "f.mp4", videos / "broken.mp4"])
    assert [row["video"] for row in log(tmp_path / "out", "extracted")] == ["a.mp4", "f.mp4"]
    assert [row["reason"] for row in log(tmp_path / "out", "failure")] == ["truncated"]
    paths = list((tmp_path / "out").glob("features/*/*.npy"))
    assert len(paths) == 2
    for path in paths:
        assert path.read_bytes() == (local / path.relative_to(tmp_path / "out")).read_bytes()


@pytest.mark.slow
def test_a_node_that_dies_in_the_middle_loses_nothing(
    cluster, tmp_path, extract, same_as_local, claimed, meanwhile, extracted, longest_first, log
):
    out, longest = tmp_path / "out", longest_first[0]
    made, nodes = cluster(2)

    def lose_a_node():
        on = parent(claimed(out, longest))
        (node,) = (node for node in nodes if raylet(node) == on)
        made.remove_node(node, allow_graceful=False)

    meanwhile(lose_a_node)
    job = extract(out, RAY)
    assert [longest] in [row["videos"] for row in log(out, "lost")]
    assert extracted(out) == dict.fromkeys(longest_first, 1)
    (result,) = job.results
    assert (result.done, [failure.video for failure in result.failures]) == (5, ["broken.mp4"])
    same_as_local(out)


@pytest.mark.slow
def test_several_nodes_make_what_one_process_makes(
    cluster, tmp_path, extract, same_as_local, extracted, longest_first, log
):
    cluster(3)
    out = tmp_path / "out"
    extract(out, RAY)
    assert len({row["pid"] for row in log(out, "worker")}) == 3
    assert {row["video"] for row in log(out, "extracted")[:3]} <= set(longest_first[:4])
    assert extracted(out) == dict.fromkeys(longest_first, 1)
    same_as_local(out)


@pytest.mark.slow
def test_workers_wait_for_nodes_that_are_still_to_come(cluster, tmp_path, extract, same_as_local):
    made, _ = cluster(0)
    with pytest.raises(UsageError, match=r"none of the 1 nodes .* has room for a worker of 1 CPU and 0 GPUs"):
        extract(tmp_path / "out", RAY)
    made.add_node(**_NODE)
    extract(tmp_path / "out", EngineOptions("ray", workers=2))
    same_as_local(tmp_path / "out")


def test_a_cluster_that_is_not_there_is_said_at_once(tmp_path, extract, monkeypatch):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with pytest.raises(UsageError, match=f"RAY_ADDRESS=127.0.0.1:{port}: nobody answers there"):
        extract(tmp_path / "out", RAY)


@pytest.mark.slow
def test_without_an_address_ray_is_started_here_and_leaves_nothing(
    videos, tmp_path, same_as_local, extracted, longest_first, ended, log
):
    out, home = tmp_path / "out", tmp_path / "home"
    home.mkdir()
    (tmp_path / "models.py").write_text("raise SystemExit('the module of the current folder')")
    words = ["extract", videos, "--out", out, "--preset", "tiny", "--engine", "ray", "--workers", "2"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(home)}
    env.pop("RAY_ADDRESS", None)
    before = set(Path("/tmp").glob("ray-*"))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pipeline", *map(str, words)],
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr  # a video failed
    assert "no RAY_ADDRESS: Ray is started on this machine, with room for 2 workers" in done.stdout
    assert extracted(out) == dict.fromkeys(longest_first, 1)
    ended([row["pid"] for row in log(out, "worker")])
    same_as_local(out)
    assert set(Path("/tmp").glob("ray-*")) == before
    assert not (home / ".ray").exists()
