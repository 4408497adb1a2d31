"""Which file is found, whether it is the right one, and what a wrong one says."""

import functools
import hashlib
import http.server
import json
import logging
import os
import pickle
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from extractors import weights
from extractors.weights import (
    WeightsError,
    fetch_weights,
    file_digest,
    find_weights,
    fit_state,
    load_weights,
)

STATE = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(2)}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache folder, nothing named by the user, and nobody at the published addresses."""
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


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Put these bytes at the address of a name."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def serve(name: str, content: bytes) -> None:
            entry = weights.FILES[name]
            (folder / entry.file).write_bytes(content)
            url = f"http://127.0.0.1:{server.server_port}/{entry.file}"
            monkeypatch.setitem(weights.FILES, name, replace(entry, url=url))

        yield serve
        server.shutdown()
        thread.join()


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], None]:
    """Make these bytes the published ones of a name."""

    def publish(name: str, content: bytes) -> None:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()[:8]
        monkeypatch.setitem(weights.FILES, name, replace(weights.FILES[name], digest=digest))

    return publish


def _torch_bytes(path: Path, **options: bool) -> bytes:
    torch.save(STATE, path, **options)
    return path.read_bytes()


def test_folders_of_the_user_come_before_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv("AUGRGB_WEIGHTS", os.pathsep.join([str(first), str(second)]))
    assert find_weights("i3d-rgb-kinetics") is None
    for folder in (cache, second, first):
        folder.mkdir(exist_ok=True)
        (folder / "rgb_imagenet.pt").touch()
        assert find_weights("i3d-rgb-kinetics") == folder / "rgb_imagenet.pt"
    assert find_weights(str(second / "rgb_imagenet.pt")) == second / "rgb_imagenet.pt"


def test_shipped_weights_are_found_in_the_package() -> None:
    path = find_weights("augrgb-tiny-rgb")
    assert path is not None
    assert path.parent == Path(weights.__file__).parent / "weights"


def test_what_is_missing_is_listed_in_one_error(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        fetch_weights(["i3d-rgb-kinetics", "augrgb-tiny-rgb", "i3d-flow-kinetics"])
    message = str(caught.value)
    for name in ("i3d-rgb-kinetics", "i3d-flow-kinetics"):
        assert weights.FILES[name].url in message
    assert "tiny_rgb" not in message
    assert "refused" in message
    assert str(cache) in message
    assert "AUGRGB_WEIGHTS" in message


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files_old_and_new_load(publish, cache: Path, tmp_path: Path, zipped: bool) -> None:
    content = _torch_bytes(tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    publish("i3d-rgb-kinetics", content)
    (cache / "rgb_imagenet.pt").write_bytes(content)
    loaded = load_weights("i3d-rgb-kinetics")
    assert loaded.path == cache / "rgb_imagenet.pt"
    assert loaded.sha256 == hashlib.sha256(content).hexdigest()
    assert all(torch.equal(loaded.state[key], STATE[key]) for key in STATE)


def test_a_state_inside_a_checkpoint_loads(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": STATE}, tmp_path / "x.pth")
    assert torch.equal(load_weights(str(tmp_path / "x.pth")).state["a"], STATE["a"])


def test_another_file_under_the_name_is_refused(publish, cache: Path, tmp_path: Path) -> None:
    content = _torch_bytes(tmp_path / "x.pt")
    publish("i3d-rgb-kinetics", content)
    (cache / "rgb_imagenet.pt").write_bytes(content[:-100])
    with pytest.raises(
        WeightsError, match=r"rgb_imagenet\.pt is not the published file: its sha256 is .*delete it"
    ):
        load_weights("i3d-rgb-kinetics")
    (cache / "rgb_imagenet.pt").write_bytes(content)  # the digest of the old content is not remembered
    assert load_weights("i3d-rgb-kinetics").state.keys() == STATE.keys()


@pytest.mark.parametrize("kind", ["zipped.pt", "plain.pt", "mine.safetensors"])
def test_a_file_cut_anywhere_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "mine.safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=kind == "zipped.pt")
    whole = path.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=f"{kind} cannot be read as weights: .*get it again"):
            load_weights(str(path))


class _Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("sprung",))


def test_code_in_a_file_is_named_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(_Trap(), protocol=2))
    torch.save({"a": _Trap()}, tmp_path / "zipped.pt")
    for name in ("plain.pt", "zipped.pt"):
        with pytest.raises(
            WeightsError, match=rf"{name} cannot be read .* posix\.mkdir, which is no tensor and was not run"
        ) as e:
            load_weights(name)
        assert "weights_only" not in str(e.value)  # torch's own words say how to run it after all
    assert not (tmp_path / "sprung").exists()


def test_weights_of_another_network_name_the_keys(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 2))
    state = {"0.weight": torch.zeros(2, 4), "0.bais": torch.zeros(2)}
    with pytest.raises(WeightsError) as caught:
        fit_state(network, state, "mine.pt")
    for text in ("mine.pt", "3 misfits", "0.bais is not of", "0.bias is missing", "(2, 4), expected (2, 3)"):
        assert text in str(caught.value)


def test_anything_but_tensors_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match=r"list\.pt holds list, not tensors by name"):
        load_weights(str(tmp_path / "list.pt"))


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(WeightsError, match=r"'i3d-rgb': no such file, and no known name .*i3d-rgb-kinetics"):
        load_weights("i3d-rgb")


def test_a_doubtful_file_warns(
    publish, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = _torch_bytes(tmp_path / "x.pt")
    publish("i3d-flow-charades", content)
    (cache / "flow_charades.pt").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        load_weights("i3d-flow-charades")
    assert "nearly constant outputs" in caplog.text


def test_a_doubtful_file_warns_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _torch_bytes(tmp_path / "renamed.pt")
    blob = "git-blob:" + file_digest(tmp_path / "renamed.pt", "git-blob")
    entry = weights.FILES["i3d-flow-charades"]
    monkeypatch.setitem(weights.FILES, entry.name, replace(entry, digest=blob))
    load_weights(str(tmp_path / "renamed.pt"))
    assert "nearly constant outputs" in caplog.text


def test_a_file_without_a_digest_is_known_by_its_first_use(
    serve, cache: Path, tmp_path: Path, caplog
) -> None:
    content = _torch_bytes(tmp_path / "x.pt")
    serve("aagcn-ntu60-joint", content)
    loaded = load_weights("aagcn-ntu60-joint")
    assert "no digest is published" in caplog.text
    pins = json.loads((cache / "pins.json").read_text())
    assert pins == {loaded.path.name: f"sha256:{hashlib.sha256(content).hexdigest()}"}
    torch.save({"a": torch.zeros(1)}, loaded.path)
    with pytest.raises(
        WeightsError, match=r"not the file that was first used .*take aagcn\S+ out of \S+pins\.json"
    ):
        load_weights("aagcn-ntu60-joint")
    (cache / "pins.json").unlink()
    assert load_weights("aagcn-ntu60-joint").state["a"].tolist() == [0]


def test_damaged_pins_are_named(serve, cache: Path, tmp_path: Path) -> None:
    serve("aagcn-ntu60-joint", _torch_bytes(tmp_path / "x.pt"))
    for content in ("{", "[]", '{"a": 1}'):
        (cache / "pins.json").write_text(content)
        with pytest.raises(WeightsError, match=r"pins\.json: .*delete it"):
            load_weights("aagcn-ntu60-joint")


def test_a_page_instead_of_a_file_without_a_digest_gets_no_name(serve, cache: Path) -> None:
    serve("aagcn-ntu60-joint", b"<html>sign in</html>")
    with pytest.raises(WeightsError, match=r"another file: .* cannot be read as weights"):
        load_weights("aagcn-ntu60-joint")
    assert [path for path in cache.iterdir() if path.suffix != ".lock"] == []


def test_a_fetched_file_is_what_was_published(serve, publish, cache: Path, tmp_path: Path) -> None:
    content = _torch_bytes(tmp_path / "x.pt")
    publish("i3d-rgb-kinetics", content)
    serve("i3d-rgb-kinetics", content[:-1] + b"!")
    with pytest.raises(WeightsError, match=r"rgb_imagenet\.pt .*\n.*another file: its sha256 is"):
        load_weights("i3d-rgb-kinetics")
    assert [path for path in cache.iterdir() if path.suffix != ".lock"] == []
    serve("i3d-rgb-kinetics", content)
    seen: list[tuple[str, int, int | None]] = []
    assert load_weights("i3d-rgb-kinetics", lambda *step: seen.append(step)).state.keys() == STATE.keys()
    assert seen == [("rgb_imagenet.pt", len(content), len(content))]


def test_shipped_files_that_are_not_there_are_listed_too(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights, "_SHIPPED", tmp_path)
    with pytest.raises(WeightsError) as caught:
        fetch_weights(["augrgb-tiny-rgb", "i3d-rgb-kinetics"])
    for text in ("(2)", "tiny_rgb.safetensors", "not in this package", "rgb_imagenet.pt", "refused"):
        assert text in str(caught.value)


def test_git_blob_digest_is_gits(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"some weights\n")
    want = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True).stdout
    assert file_digest(path, "git-blob") == want.strip()


def test_the_table_is_sound() -> None:
    for name, entry in weights.FILES.items():
        assert name == entry.name
        assert entry.licence
        assert entry.expects
        assert (entry.url is None) == (entry.megabytes is None)
        assert entry.megabytes is None or 1 < entry.megabytes < 1000
        assert (entry.url is None) == name.startswith("augrgb-")
        if entry.url and entry.digest is None:
            assert "no digest" in entry.warning
        elif entry.url:
            kind, _, digits = entry.digest.partition(":")
            assert len(bytes.fromhex(digits)) in ({"git-blob": {20}, "sha256": {4, 32}}[kind])
    files = [entry.file for entry in weights.FILES.values()]
    assert len(set(files)) == len(files)
