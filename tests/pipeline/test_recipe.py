"""Extractors are made ready before any work, and what they lack is named at once."""

import http.server
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from extractors import weight_files
from extractors.i3d import I3D
from extractors.weights import WeightsError
from pipeline.config import load_config
from pipeline.progress import Progress
from pipeline.recipe import Recipe

CPU = torch.device("cpu")
SHIPPED = Path(weight_files.__file__).parent / "weights"


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """Weights are looked for in an empty folder, and fetched from an address that answers nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("AUGRGB_WEIGHTS", raising=False)
    for name, entry in weight_files.FILES.items():
        if entry.url:
            moved = type(entry)(**{**vars(entry), "url": f"http://127.0.0.1:9/{entry.file}"})
            monkeypatch.setitem(weight_files.FILES, name, moved)
    return tmp_path / "cache" / "augrgb"


def test_one_error_lists_all_files_that_are_missing_and_where_to_put_them(nowhere):
    with pytest.raises(WeightsError) as failure:
        Recipe.build(load_config("kinetics"), ("rgb", "flow"), Progress(quiet=True), CPU)
    message = str(failure.value)
    for file in ("rgb_imagenet.pt", "flow_imagenet.pt", "raft_large_C_T_SKHT_V2"):
        assert file in message
    assert message.count("http://127.0.0.1:9/") == 3
    assert str(nowhere) in message
    assert "AUGRGB_WEIGHTS" in message


def test_weights_missing_from_the_package_are_named(nowhere, monkeypatch, tmp_path):
    monkeypatch.setattr("extractors.weights._SHIPPED", tmp_path)
    with pytest.raises(WeightsError, match=r"augrgb-tiny-raft.*not in this package"):
        Recipe.build(load_config("tiny"), ("rgb", "flow"), Progress(quiet=True), CPU)


def test_tiny_has_all_its_weights_in_the_package(nowhere):
    recipe = Recipe.build(load_config("tiny"), ("rgb", "flow", "skeleton"), Progress(quiet=True), CPU)
    assert recipe.modalities == ("rgb", "flow", "skeleton")
    shipped = list(SHIPPED.glob("*.safetensors"))
    assert len(shipped) == 6
    assert sum(path.stat().st_size for path in shipped) < 12e6
    assert all(path.with_suffix(".md").is_file() for path in shipped)


def test_weights_are_fetched_on_first_use_and_the_user_sees_it(nowhere, tmp_path, monkeypatch, capsys):
    served = tmp_path / "served"
    served.mkdir()
    save_file(I3D(3, None, 1 / 16).state_dict(), served / "rgb_imagenet.pt")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(served))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        entry = weight_files.FILES["i3d-rgb-kinetics"]
        url = f"http://127.0.0.1:{server.server_address[1]}/rgb_imagenet.pt"
        moved = type(entry)(**{**vars(entry), "url": url, "digest": None, "file": "rgb.safetensors"})
        monkeypatch.setitem(weight_files.FILES, "i3d-rgb-kinetics", moved)
        config = load_config("kinetics", overrides=["rgb.width=0.0625"])
        recipe = Recipe.build(config, ("rgb",), Progress(), CPU)
        server.shutdown()
    assert recipe.extractors["rgb"].dim == 64
    assert (nowhere / "rgb.safetensors").is_file()
    assert "fetching rgb.safetensors" in capsys.readouterr().out


def test_identities_hold_what_changes_numbers_and_not_what_does_not():
    def identity(*overrides):
        return Recipe.build(
            load_config("tiny", overrides=overrides), ("rgb",), Progress(quiet=True), CPU
        ).identities

    plain = identity()
    for same in (
        "work.clips=3",
        "work.frames=7",
        "decode.partial=keep",
        "train.lr=1",
        "seed=5",
        "work.hang_sec=9",
    ):
        assert identity(same) == plain
    for other in (
        "fps=10",
        "rgb.window.stride=4",
        "rgb.resize=96",
        "decode.decoder=pyav",
        "rgb.precision=bfloat16",
    ):
        assert identity(other) != plain


def test_what_is_made_how_is_known_without_a_network():
    """So that what is in a cache is found without the seconds that they take to import."""
    code = """
import sys, torch
from pipeline.config import load_config
from pipeline.progress import Progress
from pipeline.recipe import Recipe
modalities = ("rgb", "flow", "skeleton")
recipe = Recipe.build(load_config("tiny"), modalities, Progress(quiet=True), torch.device("cpu"))
assert tuple(recipe.identities) == modalities
print([name for name in ("mmpose", "mmcv", "mmdet", "torchvision", "lightning") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_networks_are_what_is_said_without_them(monkeypatch):
    recipe = Recipe.build(load_config("tiny"), ("rgb", "flow", "skeleton"), Progress(quiet=True), CPU)
    recipe.load()
    assert recipe.identities["rgb"]["extractor"] == recipe.extractors["rgb"].identity()
    monkeypatch.setattr(recipe.extractors["flow"], "weights_sha256", "other")
    with pytest.raises(WeightsError, match=r"weights of flow changed while they were read; run again"):
        recipe.load()
