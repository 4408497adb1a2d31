"""Which file is found, whether it is the right one, and what a wrong one says."""

import hashlib
import logging
import os
import pickle
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from extractors import weights
from extractors.weights import WeightsError, fetch_weights, file_digest, find_weights, load_weights

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


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    torch.save(STATE, path) if suffix == ".pt" else save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(WeightsError, match=rf"mine\{suffix} cannot be read as weights"):
        load_weights(str(path))


class _Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("sprung",))


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(_Trap(), protocol=2))
    torch.save({"a": _Trap()}, tmp_path / "zipped.pt")
    for name in ("plain.pt", "zipped.pt"):
        with pytest.raises(WeightsError, match=f"{name} cannot be read as weights"):
            load_weights(name)
    assert not (tmp_path / "sprung").exists()


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
        assert (entry.url is None) == name.startswith("augrgb-")
        if entry.url and entry.digest is None:
            assert "no digest" in entry.warning
        elif entry.url:
            kind, _, digits = entry.digest.partition(":")
            assert len(bytes.fromhex(digits)) in ({"git-blob": {20}, "sha256": {4, 32}}[kind])
    files = [entry.file for entry in weights.FILES.values()]
    assert len(set(files)) == len(files)
