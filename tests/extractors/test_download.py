"""Fetching from a server of our own that cuts, stalls, refuses and lies."""

import hashlib
import http.server
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from extractors import download
from extractors.download import DownloadError, fetch

CONTENT = bytes(range(256)) * 2000


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT, rightly unless told otherwise."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.cut_after = list[int]()  # bytes after which each of the next answers ends
        self.stall_after = list[int]()  # bytes after which each of the next answers stands still
        self.errors = dict[int, int]()  # status by number of the request, the first being 1
        self.ranges = True  # whether a part may be asked for
        self.shifted = 0  # a part is sent from so many bytes later than it was asked for
        self.length_lie: int | None = 0  # added to what is promised; None: nothing is promised
        self.asked = list[str | None]()  # the Range of every request
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/weights.pt"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers["Range"]
        server.asked.append(asked)
        if self.path != "/weights.pt":
            return self.send_error(404)
        if status := server.errors.get(len(server.asked)):
            return self.send_error(status)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if start >= len(server.content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            start += server.shifted
            last = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{last - 1}/{last}")
        body = server.content[start:]
        if server.length_lie is not None:
            self.send_header("Content-Length", str(len(body) + server.length_lie))
        self.end_headers()
        return self._send(body)

    def _send(self, body: bytes) -> None:
        server = self.server
        if server.stall_after:
            self.wfile.write(body[: server.stall_after.pop(0)])
            self.wfile.flush()
            server.closing.wait(30)
            return
        self.wfile.write(body[: server.cut_after.pop(0) if server.cut_after else None])

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "_PAUSE_SEC", 0.0)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


def _problem(path: Path) -> str | None:
    right = hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(CONTENT).digest()
    return None if right else "its sha256 is another"


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    target, seen = tmp_path / "new" / "weights.pt", []
    for _ in range(2):
        fetch(server.url, target, problem=_problem, progress=lambda *step: seen.append(step))
    assert target.read_bytes() == CONTENT
    assert server.asked == [None]
    assert seen[-1] == ("weights.pt", len(CONTENT), len(CONTENT))
    assert _names(target.parent) == ["weights.pt"]


def test_a_cut_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.cut_after = [100_000, 50_000]
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_any_number_of_cuts_will_do_while_each_answer_brings_something(
    server: Server, tmp_path: Path
) -> None:
    server.cut_after = [20_000] * 6
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert len(server.asked) == 7


def test_a_later_call_goes_on_after_cuts_that_brought_nothing(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1000, 0, 0, 0]
    with pytest.raises(
        DownloadError,
        match=r"broke off, 3 times in a row; 1000 bytes are kept: run again .*weights\.pt\.part",
    ):
        fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert _names(tmp_path) == ["weights.pt.part"]
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=1000-"


def test_a_server_that_stands_still_is_left_and_asked_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_TIMEOUT_SEC", 0.2)
    server.stall_after = [70_000]
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_a_server_that_stands_still_for_good_is_an_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_TIMEOUT_SEC", 0.2)
    server.stall_after = [0] * 4
    with pytest.raises(DownloadError, match="nothing came for 0 s, 3 times in a row"):
        fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert "weights.pt" not in _names(tmp_path)


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.ranges = [1000], False
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_a_server_without_ranges_that_always_cuts_is_given_up(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.ranges = [1000] * 10, False
    with pytest.raises(DownloadError, match="3 times in a row"):
        fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert len(server.asked) == 4


def test_another_part_than_was_asked_for_is_not_appended(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.shifted = [1000], 7
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", None]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_promise_of_more_than_there_is_does_no_harm(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.length_lie, server.ranges = 1000, ranges
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_a_promise_of_less_is_another_file(server: Server, tmp_path: Path) -> None:
    server.length_lie = -1000
    with pytest.raises(DownloadError, match="another file: its sha256 is another"):
        fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert _names(tmp_path) == []


def test_no_promise_at_all_will_do(server: Server, tmp_path: Path) -> None:
    server.length_lie = None
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_a_cut_without_a_promise_is_another_file(server: Server, tmp_path: Path) -> None:
    server.length_lie, server.cut_after = None, [1000]
    with pytest.raises(DownloadError, match="another file"):
        fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert _names(tmp_path) == []


def test_a_whole_part_needs_no_more_bytes(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pt.part").write_bytes(CONTENT)
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_a_part_of_something_else_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pt.part").write_bytes(b"something else")
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert server.asked == ["bytes=14-", None]


def test_wrong_bytes_never_get_the_good_name(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>sign in</html>"
    with pytest.raises(DownloadError, match="another file: its sha256 is another"):
        fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert _names(tmp_path) == []


def test_a_missing_page_says_so_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="Not Found"):
        fetch(server.url.replace("weights", "nothing"), tmp_path / "weights.pt", problem=_problem)
    assert len(server.asked) == 1


def test_a_server_that_is_busy_for_a_moment_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.errors = [1000], {2: 503}
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", "bytes=1000-"]


def test_a_server_that_says_no_half_way_is_not_asked_again(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.errors = [1000], {2: 403}
    with pytest.raises(DownloadError, match="Forbidden"):
        fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert len(server.asked) == 2


def test_no_network_says_so_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match="refused"):
        fetch(f"http://127.0.0.1:{port}/weights.pt", tmp_path / "weights.pt", problem=_problem)


def test_only_http_is_asked(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="not an http address"):
        fetch("file:///etc/hostname", tmp_path / "weights.pt", problem=_problem)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_disk_that_fills_up_on_the_way_says_so(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pt.part").symlink_to("/dev/full")  # every write to it fails as on a full disk
    with pytest.raises(DownloadError, match=r"No space left on device; make room, or .*XDG_CACHE_HOME"):
        fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert not (tmp_path / "weights.pt").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB, half the size of CONTENT, where this user may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk of a chosen size can be made here ({error})")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("told", [True, False])
def test_a_real_disk_that_is_too_small_is_named(server: Server, small_disk: Path, told: bool) -> None:
    """Whether the server says how much there is to come, or the disk is full in the middle of it."""
    server.length_lie = 0 if told else None
    message = r"disk: 0\.5 MB are to come, 0\.3 MB are free" if told else "disk: No space left on device"
    with pytest.raises(DownloadError, match=rf"{message}; make room, or .*XDG_CACHE_HOME"):
        fetch(server.url, small_disk / "weights.pt", problem=_problem)
    assert not (small_disk / "weights.pt").exists()
    server.content = CONTENT[:100_000]  # with what it left behind, there is room for a smaller file
    with pytest.raises(DownloadError, match="another file"):  # of which it is no part
        fetch(server.url, small_disk / "weights.pt", problem=_problem)
    assert _names(small_disk) == []


def test_a_disk_without_room_is_not_filled(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=len(CONTENT) - 1))
    with pytest.raises(DownloadError, match=r"0\.5 MB are to come, 0\.5 MB are free; make room"):
        fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert _names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="file"):
        fetch(server.url, tmp_path / "file" / "weights.pt", problem=_problem)


_FETCH = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("download", sys.argv[1])  # alone: its package imports torch
download = importlib.util.module_from_spec(spec)
spec.loader.exec_module(download)
print("ready", flush=True)
sys.stdin.readline()
download.fetch(sys.argv[2], Path(sys.argv[3]), problem=lambda part: None)
"""


def test_two_processes_at_once_fetch_it_once(server: Server, tmp_path: Path) -> None:
    server.cut_after = [100_000]
    command = [
        sys.executable,
        "-P",
        "-c",
        _FETCH,
        download.__file__,
        server.url,
        str(tmp_path / "weights.pt"),
    ]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.communicate("go\n", timeout=120)
    assert [process.returncode for process in both] == [0, 0]
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]
    assert _names(tmp_path) == ["weights.pt"]
