"""Shared objects that load without the libraries they were linked to."""

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
LOAD = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(open('/proc/self/maps').read())"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A copy of the smallest library of torch that CUDA's must be there for."""
    found = Path(torch.__file__).parent / "lib" / "libcaffe2_nvrtc.so"
    if not found.exists():
        pytest.skip("not a CUDA build of torch")
    return Path(shutil.copy(found, tmp_path))


def loads_alone(library: Path) -> bool:
    """Whether it can be loaded, and loads nothing of CUDA's."""
    done = subprocess.run([sys.executable, "-P", "-c", LOAD, library], capture_output=True, text=True)
    assert done.returncode == 0 or "OSError" in done.stderr
    return done.returncode == 0 and "libnvrtc." not in done.stdout and "libcuda." not in done.stdout


def test_a_library_loads_without_those_that_are_dropped(linked: Path) -> None:
    from scripts.drop_cuda import unlink

    size = linked.stat().st_size
    assert not loads_alone(linked)
    assert unlink(linked, {b"libcudnn.so.9"}) == 0  # nothing of it is used
    assert not loads_alone(linked)
    assert unlink(linked, {b"libnvrtc.so.13", b"libcuda.so.1", b"libcudnn.so.9"}) == 2
    assert loads_alone(linked)
    assert linked.stat().st_size == size


def test_what_only_a_gpu_needs_is_found_among_the_packages(linked: Path) -> None:
    from scripts.drop_cuda import unused_packages

    packages = unused_packages()
    assert "nvidia-cuda-runtime" not in packages
    assert "torch" not in packages
    assert b"libcudnn.so.9" in packages["nvidia-cudnn-cu13"]
    installed = {package.name.lower() for package in metadata.distributions()}
    assert packages.keys() < installed


def test_what_is_not_a_shared_object_is_said(tmp_path: Path) -> None:
    from scripts.drop_cuda import unlink

    (tmp_path / "libtorch.so").write_text("/* GNU ld script */")
    with pytest.raises(ValueError, match=r"libtorch\.so: expected a 64-bit little-endian ELF file"):
        unlink(tmp_path / "libtorch.so", {b"libcudnn.so.9"})
