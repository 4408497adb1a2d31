"""docs/extending.md, followed: its files and edits, made in a copy of the project, which then runs."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text()
PACKAGES = ("extractors", "models", "pipeline")


@dataclass(frozen=True)
class Edit:
    """A diff of the page: lines that have to be there, and what stands in their place."""

    file: str
    before: str
    after: str

    def apply(self, text: str) -> str:
        assert text.count(self.before) == 1, f"{self.file}: {text.count(self.before)} times {self.before!r}"
        return text.replace(self.before, self.after)


def new_files():
    return dict(re.findall(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def edits():
    for file, body in re.findall(r"^```diff\n--- (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        lines = body.splitlines(keepends=True)
        before, after = ("".join(line[1:] for line in lines if line[0] in keep) for keep in (" -", " +"))
        yield Edit(file, before, after)


@pytest.fixture
def tree(tmp_path):
    """The three packages with everything of the page added."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in new_files().items():
        assert not (tmp_path / file).exists()
        (tmp_path / file).write_text(text)
    for edit in edits():
        path = tmp_path / edit.file
        path.write_text(edit.apply(path.read_text()))
    return tmp_path


def example(file, tmp_path):
    path = tmp_path / Path(file).name
    path.write_text(new_files()[file])
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_edits_fit_the_code_and_leave_it_python(tree):
    assert len(new_files()) == 3
    for edit in edits():
        compile((tree / edit.file).read_text(), edit.file, "exec")


def test_the_extractor_keeps_its_contract(tmp_path):
    module = example("extractors/color.py", tmp_path)
    extractor = module.Color(module.ColorConfig(), torch.device("cpu"))
    frames = torch.randint(0, 256, (16, 6, 8, 3), dtype=torch.uint8)
    products = extractor.frames(frames)
    assert torch.equal(torch.cat([extractor.frames(frames[:5]), extractor.frames(frames[5:])]), products)
    features = extractor.clips(products[None])
    assert (features.shape, features.dtype) == ((1, extractor.dim), torch.float32)
    torch.testing.assert_close(features[0], frames.float().mean((0, 1, 2)) / 255)


def test_the_model_keeps_its_contract(tmp_path):
    module = example("models/average.py", tmp_path)
    model = module.Average(4, 3, module.AverageConfig(reach=1)).eval()
    x, mask = torch.randn(2, 9, 4), torch.ones(2, 9)
    with torch.inference_mode():
        logits = model(x, mask)
        padded = model(F.pad(x, (0, 0, 0, 5), value=torch.nan), F.pad(mask, (0, 5)))
        middle = model.encode(x, mask)[:, 4]
    torch.testing.assert_close(padded[:, :9], logits)
    torch.testing.assert_close(middle, model.standardise(x)[:, 3:6].mean(dim=1))


def test_the_reader_reads_and_says_what_is_wrong(tmp_path):
    from pipeline.datasets.text_file import TextFile
    from pipeline.labels import LabelError

    module = example("pipeline/datasets/table.py", tmp_path)
    path = tmp_path / "labels.tsv"
    path.write_text("file\tbegin\tend\taction\na.mp4\t0.5\t2\tpour\na.mp4\t1\t3\tcut\n")
    labels = module.read_table(TextFile.read(path))
    assert labels.classes == ("cut", "pour")
    assert [len(video.intervals) for video in labels.videos] == [2]
    path.write_text("file\tbegin\tend\taction\na.mp4\tsoon\t2\tpour\n")
    with pytest.raises(LabelError, match=r"labels.tsv, line 2: could not convert .*soon"):
        module.read_table(TextFile.read(path))


@pytest.mark.slow
def test_what_was_added_runs(tree, tmp_path):
    from pipeline.synthetic import render_practice

    render_practice(tmp_path / "made", train_videos=3, test_videos=1, seconds=4.0, workers=1)
    rows = [f"{video.name}\t0.5\t3.0\twave" for video in sorted((tmp_path / "made" / "videos").iterdir())]
    (tmp_path / "labels.tsv").write_text("\n".join(["file\tbegin\tend\taction", *rows, ""]))
    words = [sys.executable, "-P", "-m", "pipeline"]
    env = {**os.environ, "PYTHONPATH": str(tree)}

    def augrgb(*more):
        done = subprocess.run([*words, *more], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    augrgb("extract", "made/videos", "--out", "out", "--preset", "tiny", "--features", "rgb,color")
    arrays = [np.load(path, allow_pickle=False) for path in tmp_path.glob("out/features/color-*/*.npy")]
    assert [array.shape[1] for array in arrays] == [3] * 4
    assert all(array.min() > 0 and array.max() < 1 for array in arrays)
    chosen = ["--set", "model=average", "--set", "average.reach=4", "--set", "train.epochs=2"]
    augrgb("run", "made/videos", "--annotations", "labels.tsv", "--out", "out", "--preset", "tiny", *chosen)
    assert (tmp_path / "out" / "scores" / "test_000.mp4.npz").is_file()
