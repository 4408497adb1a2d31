"""Fetching from a server of our own that cuts, refuses and lies."""

import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from extractors.download import DownloadError, fetch

CONTENT = bytes(range(256)) * 2000


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT; `cut_after` ends an answer early, `ranges` says whether a part may be asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cut_after, self.ranges = CONTENT, list[int](), True
        self.asked: list[str | None] = []  # the Range of every request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/weights.pt"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.asked.append(asked)
        if self.path != "/weights.pt":
            return self.send_error(404)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start >= len(self.server.content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.server.content) - start))
        self.end_headers()
        end = self.server.cut_after.pop(0) if self.server.cut_after else None
        self.wfile.write(self.server.content[start:][:end])
        return None

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _problem(path: Path) -> str | None:
    right = hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(CONTENT).digest()
    return None if right else "its sha256 is another"


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    target, seen = tmp_path / "new" / "weights.pt", []
    for _ in range(2):
        fetch(server.url, target, problem=_problem, progress=lambda *step: seen.append(step))
    assert target.read_bytes() == CONTENT
    assert server.asked == [None]
    assert seen[-1] == ("weights.pt", len(CONTENT), len(CONTENT))
    assert not target.with_name("weights.pt.part").exists()


def test_a_cut_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.cut_after = [100_000, 50_000]
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_call_goes_on_after_too_many_cuts(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1000, 1000, 1000]
    with pytest.raises(
        DownloadError, match=r"broke off 3 times; run again to go on from .*weights\.pt\.part"
    ):
        fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert not (tmp_path / "weights.pt").exists()
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=3000-"


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.ranges = [1000], False
    fetch(server.url, tmp_path / "weights.pt", problem=_problem)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


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
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_a_missing_page_says_so(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="Not Found"):
        fetch(server.url.replace("weights", "nothing"), tmp_path / "weights.pt", problem=_problem)


def test_no_network_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match="refused"):
        fetch(f"http://127.0.0.1:{port}/weights.pt", tmp_path / "weights.pt", problem=_problem)


def test_only_http_is_asked(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="not an http address"):
        fetch("file:///etc/hostname", tmp_path / "weights.pt", problem=_problem)


def test_two_at_once_fetch_it_once(server: Server, tmp_path: Path) -> None:
    def go() -> None:
        fetch(server.url, tmp_path / "weights.pt", problem=_problem)

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert server.asked == [None]
