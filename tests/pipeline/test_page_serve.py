"""The server of the page: byte ranges, for this machine alone, and nothing but the folder."""

import http.client
import threading
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.page_serve import PageServer

CONTENT = bytes(range(256)) * 20


@pytest.fixture
def server(tmp_path) -> Iterator[PageServer]:
    folder = tmp_path / "report"
    (folder / "media").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>page</h1>")
    (folder / "media" / "a.mp4").write_bytes(CONTENT)
    (tmp_path / "secret.txt").write_text("secret")
    with PageServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(
    server: PageServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-", 0, 5119),
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=5000-9999", 5000, 5119),
        ("bytes=-20", 5100, 5119),
        ("bytes=-99999", 0, 5119),
    ],
)
def test_ranges(server, asked, first, last):
    status, headers, body = get(server, "/media/a.mp4", Range=asked)
    assert status == 206
    assert body == CONTENT[first : last + 1]
    assert headers["content-range"] == f"bytes {first}-{last}/5120"
    assert headers["content-length"] == str(len(body))
    assert headers["content-type"] == "video/mp4"


@pytest.mark.parametrize("asked", ["bytes=5120-", "bytes=9-3", "bytes=-0", "bytes=-"])
def test_ranges_that_are_none(server, asked):
    status, headers, body = get(server, "/media/a.mp4", Range=asked)
    assert (status, headers["content-range"], body) == (416, "bytes */5120", b"")


def test_whole_files_and_what_is_not_understood(server):
    for headers in ({}, {"Range": "bytes=0-1,5-6"}, {"Range": "lines=1-2"}):
        status, found, body = get(server, "/media/a.mp4", **headers)
        assert (status, body) == (200, CONTENT)
        assert found["accept-ranges"] == "bytes"
    assert get(server, "/")[2] == b"<h1>page</h1>"
    assert get(server, "/media/a.mp4", method="HEAD")[2] == b""


@pytest.mark.parametrize(
    "path", ["/media/", "/../secret.txt", "/%2e%2e/secret.txt", "/media/../../secret.txt", "/b"]
)
def test_nothing_but_the_folder(server, path):
    status, _, body = get(server, path)
    assert status == 404
    assert b"secret" not in body.replace(path.encode(), b"")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", ""])
def test_a_page_elsewhere_cannot_read_it_through_a_name_of_its_own(server, host):
    assert get(server, "/", Host=host)[0] == 403
    assert get(server, "/", method="HEAD", Host=host)[0] == 403
    assert get(server, "/", Host="localhost:9000")[0] == 200  # through a tunnel


def test_it_listens_to_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.url.startswith("http://127.0.0.1:")


def test_a_port_that_is_taken_is_said_before_any_work(server, tmp_path):
    port = server.server_address[1]
    done = CliRunner().invoke(app, ["report", str(tmp_path), "--serve", "--port", str(port)])
    assert done.exit_code == 2
    assert f"--port {port}: Address already in use; take another" in done.output


def test_out_is_given_once():
    for arguments in (["report"], ["report", "a", "--out", "b"]):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 2
        assert "give the folder of results once" in done.output
