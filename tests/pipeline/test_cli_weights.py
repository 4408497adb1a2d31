"""`augrgb weights`: what there is, fetched and checked; nobody is at the published addresses."""

import functools
import hashlib
import http.server
import socket
import threading
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from extractors import weights
from pipeline.cli import app


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("AUGRGB_WEIGHTS", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/"
    for name, entry in weights.FILES.items():
        if entry.url:
            monkeypatch.setitem(weights.FILES, name, replace(entry, url=nobody + entry.file))
    folder = tmp_path / "cache" / "augrgb"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def published(monkeypatch, tmp_path):
    """A file of weights at the address of i3d-rgb-kinetics, with its digest in the table."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            """Nothing."""

    entry = weights.FILES["i3d-rgb-kinetics"]
    file = tmp_path / "served" / entry.file
    file.parent.mkdir()
    torch.save({"a": torch.ones(3), "b": torch.zeros(2)}, file)
    digest = "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
    handler = functools.partial(Quiet, directory=str(file.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/{entry.file}"
        monkeypatch.setitem(weights.FILES, entry.name, replace(entry, url=url, digest=digest))
        yield file
        server.shutdown()
        thread.join()


def augrgb(*args, check):
    done = CliRunner().invoke(app, ["weights", *map(str, args)])
    assert done.exit_code == check, done.output
    return done.output


def test_all_weights_are_listed_with_size_and_place():
    lines = {line.split()[0]: line for line in augrgb("list", check=0).splitlines()}
    assert lines.keys() == weights.FILES.keys()
    assert "50.9 MB  not here" in lines["i3d-rgb-kinetics"]
    assert "tiny_rgb.safetensors" in lines["augrgb-tiny-rgb"]
    assert "warning: users report nearly constant outputs" in lines["i3d-flow-charades"]
    assert "warning: no digest is published" in lines["aagcn-ntu60-joint"]
    assert sum("warning" in line for line in lines.values()) == 5


def test_all_that_is_known_of_one_is_shown_on_request():
    output = augrgb("list", "i3d-flow-charades", check=0)
    for text in ("flow_charades.pt", "git blob SHA-1 e609545f", "+-20 px", "non-commercial", "wrong file"):
        assert text in output
    assert "i3d-rgb" not in output
    assert "no weights 'i3d-rgb'; there is: " in augrgb("list", "i3d-rgb", check=2)


def test_what_is_fetched_is_found_again(published, cache):
    output = augrgb("fetch", "i3d-rgb-kinetics", check=0)
    assert "fetching rgb_imagenet.pt" in output
    assert str(cache / "rgb_imagenet.pt") in output
    assert "Apache-2.0" in output
    published.unlink()  # a second time needs no server
    assert "fetching" not in augrgb("fetch", "i3d-rgb-kinetics", check=0)
    assert str(cache / "rgb_imagenet.pt") in augrgb("list", check=0)
    assert "ok       i3d-rgb-kinetics" in augrgb("verify", check=0)


def test_without_a_network_one_error_lists_everything(cache):
    output = augrgb("fetch", "--preset", "kinetics", "--features", "rgb,flow", check=2)
    for name in ("i3d-rgb-kinetics", "i3d-flow-kinetics", "raft-large-C_T_SKHT_V2"):
        assert weights.FILES[name].url in output
    assert f"Put the files into {cache}" in output
    assert "AUGRGB_WEIGHTS" in output


def test_fetching_needs_to_know_what():
    assert "give names" in augrgb("fetch", check=2)
    assert "no features 'sound'" in augrgb("fetch", "--preset", "kinetics", "--features", "sound", check=2)
    assert "did you mean 'kinetics'" in augrgb("fetch", "--preset", "kinetcs", check=2)


def test_wrong_files_are_named_and_do_not_hide_the_others(published, cache):
    (cache / "flow_imagenet.pt").write_bytes(b"<html>sign in</html>")
    augrgb("fetch", "i3d-rgb-kinetics", check=0)
    output = augrgb("verify", check=1)
    assert f"wrong    i3d-flow-kinetics: {cache / 'flow_imagenet.pt'} is not the published file" in output
    assert "ok       i3d-rgb-kinetics" in output
    assert "2 tensors" in output


def test_a_file_that_is_not_there_is_no_success():
    assert "missing  i3d-rgb-kinetics: http" in augrgb("verify", "i3d-rgb-kinetics", check=1)
    assert "i3d-rgb-kinetics" not in augrgb("verify", check=0)
