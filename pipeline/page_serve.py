"""`augrgb report --serve`: the page over HTTP, on this machine alone.

The page needs no server; a browser on another machine does, through a tunnel (ssh -L 8000:localhost:8000).
Python's own server knows no byte ranges, without which a browser cannot seek: that is what is added.
"""

import re
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

ADDRESS = "127.0.0.1"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_CHUNK_BYTES = 1 << 20


class PageServer(ThreadingHTTPServer):
    """Serves `folder` at `url`; port 0 takes any that is free. OSError where the port is taken."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__((ADDRESS, port), partial(_Handler, directory=str(folder)))

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_address[1]}/"

    def serve_until_interrupted(self) -> None:
        """Until Ctrl-C; then the port is free again."""
        with self, suppress(KeyboardInterrupt):
            self.serve_forever()


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder, whole or a range of their bytes (RFC 9110, 14.2)."""

    protocol_version = "HTTP/1.1"
    _left: int | None = None  # bytes of a range still to be sent

    def do_GET(self) -> None:
        """One request; refused where it is addressed to another name than this machine's."""
        if self._is_for_us():
            super().do_GET()

    def do_HEAD(self) -> None:
        """The same without content."""
        if self._is_for_us():
            super().do_HEAD()

    def _is_for_us(self) -> bool:
        """A page elsewhere may have its name point here (DNS rebinding), and would read what is served."""
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        if host in ("localhost", ADDRESS):
            return True
        self.send_error(HTTPStatus.FORBIDDEN, "served to this machine alone")
        return False

    def list_directory(self, path: object) -> None:  # noqa: ARG002 the library's
        """Folders are not listed."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def send_head(self) -> BinaryIO | None:
        """Headers; of a range, the file at its beginning."""
        self._left = None
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if asked is None or not path.is_file():
            return super().send_head()
        size = path.stat().st_size
        first, last = _bounds(asked[1], asked[2], size)
        if not 0 <= first <= last < size:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        file = path.open("rb")
        file.seek(first)
        self._left = last - first + 1
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(self._left))
        self.end_headers()
        return file

    def copyfile(self, source: BinaryIO, outputfile: BinaryIO) -> None:  # type: ignore[override]
        """To the browser, which may have left for another place in the file."""
        left = self._left
        try:
            while left is None or left > 0:
                chunk = source.read(_CHUNK_BYTES if left is None else min(_CHUNK_BYTES, left))
                if not chunk:
                    return
                outputfile.write(chunk)
                left = None if left is None else left - len(chunk)
        except ConnectionError:
            self.close_connection = True

    def end_headers(self) -> None:
        """What every answer says."""
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the name is the library's
        """Nothing: a player asks hundreds of times."""


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """First and last byte of "10-19", "10-" or, the last ten, "-10"; beyond the file where there are none."""
    if not first:
        return (max(0, size - int(last)), size - 1) if last and int(last) else (size, size)
    return int(first), min(int(last), size - 1) if last else size - 1
