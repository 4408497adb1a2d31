"""Files that mean harm: labels, lists, settings, checkpoints, arrays. None is run, all are named."""

import csv
import io
import json
import os
import pickle
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib import format as npy
from typer.testing import CliRunner

from pipeline.cache import CacheError, FeatureFile
from pipeline.checkpoint import Checkpoint, CheckpointError
from pipeline.cli import app
from pipeline.config import ConfigError, load_config
from pipeline.datasets import load_annotations
from pipeline.events import Event, write_events
from pipeline.feature_folders import CompareError, _read
from pipeline.inputs import UsageError, find_videos
from pipeline.labels import LabelError, match_videos
from pipeline.score_files import ScoreFile, read_scores
from pipeline.tracks import ScoreTrack

MESSAGE = 6000  # characters that a message may have, whatever the file held
HEADER = "video,start,end,label\n"
RIGHT_TO_LEFT = "abc\u202egpj.4pm"
BIDI = ["\u202e", "\u2066", "\u200f"]


class Code:
    """Pickled, it runs a command when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (os.system, (f"touch {self.trace}",))


def snapshot(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


# ---- labels


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        "a/../../b",
        "~/x",
        "$(touch x)",
        "`touch x`",
        "; touch x",
        "file:///x",
    ],
)
def test_a_name_in_labels_leads_nowhere(tmp_path, monkeypatch, name):
    """It is compared with the names of the videos; nothing is opened, nothing run, nothing made."""
    path = tmp_path / "labels.csv"
    path.write_text(f"{HEADER}{name},0,1,wave\n")
    before = snapshot(tmp_path)
    opened = []
    monkeypatch.setattr(os, "system", opened.append)
    match = match_videos(load_annotations(path), ["a.mp4", "b/c.mp4"])
    assert match.absent == (name,)
    assert not match.labels
    assert snapshot(tmp_path) == before
    assert not opened


@pytest.mark.parametrize(
    "row",
    [
        "a\0b,0,1,wave",
        "a,0,1,wa\0ve",
        '"a\nb",0,1,wave',
        'a,0,1,"wa\r\nve"',
        "a,0,1,wa\x1b[2Jve",
        "a,0,1,\u2028x",
        "a,nan,1,wave",
        "a,0,nan,wave",
        "a,0,inf,wave",
        "a,-inf,1,wave",
        "a,0,1e999,wave",
        "a,-1e-9,1,wave",
        "a,0,0x10,wave",
        "a,0,1_0,wave",
        f"a,0,1,{'w' * 501}",
        f"{'v' * 4097},0,1,wave",
        "a,0,1," + "w" * (10 << 20),
        "v" * (10 << 20) + ",0,1,wave",
        "a" + ",b" * (1 << 20),
    ],
    ids=range(19),
)
def test_labels_that_cannot_be_are_named_in_a_short_message(tmp_path, row):
    path = tmp_path / "labels.csv"
    path.write_bytes((HEADER + row + "\n").encode())
    with pytest.raises(LabelError, match=r"labels\.csv, line") as error:
        load_annotations(path)
    assert len(str(error.value)) < MESSAGE
    assert str(error.value).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"database": ' * 50_000,
        '{"database": {"v": {"annotations": [{"segment": [NaN, 1], "label": "x"}]}}}',
        '{"database": {"v": {"annotations": [{"segment": [0, 1e999], "label": "x"}]}}}',
        '{"database": {"v": {"annotations": [{"segment": [0, ' + "9" * 6000 + '], "label": "x"}]}}}',
        '{"database": {"v": {"annotations": [{"segment": [0, 1], "label": "' + "x" * (10 << 20) + '"}]}}}',
        '{"database": {"' + "v" * (10 << 20) + '": {"annotations": [{"segment": [0, 1], "label": "x"}]}}}',
        '{"database": {"v": {"annotations": [{"segment": [0, 1], "label": {"__proto__": 1}}]}}}',
        '{"database": {"v": {"annotations": [{"segment": [0, 1], "label": "x\\u0000y"}]}}}',
        '{"database": {"v": 1, "v": 2}}',
    ],
    ids=range(10),
)
def test_hostile_json_is_named_in_a_short_message(tmp_path, text):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(LabelError, match=r"labels\.json") as error:
        load_annotations(path)
    assert len(str(error.value)) < MESSAGE


def test_huge_times_are_only_times(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(f"{HEADER}a,0,1e300,wave\na,1e-300,2,wave\n")
    (video,) = load_annotations(path).videos
    assert [i.end_sec for i in video.intervals] == [1e300, 2.0]


# ---- lists of videos


@pytest.mark.parametrize(
    "line",
    [
        "a\0b.mp4",
        "/dev/zero",
        "/dev/stdin",
        "../" * 1000 + "etc",
        "x" * (10 << 20),
        "pipe.mp4",
        "loop.mp4",
        "folder.mp4",
        "http://127.0.0.1/a.mp4",
        "a\x1b[2Jb.mp4",
    ],
    ids=range(10),
)
def test_a_line_of_a_list_that_is_no_video_fails_alone(tmp_path, line):
    (tmp_path / "good.mp4").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "videos.txt").write_text(f"good.mp4\n{line}\n")
    found = find_videos([tmp_path / "videos.txt"])
    assert [source.name for source in found.sources] == ["good.mp4"]
    (rejected,) = found.rejected
    assert len(rejected.video) + len(rejected.message) < MESSAGE
    assert (rejected.video + rejected.message).isprintable()


def test_a_list_may_name_videos_elsewhere_but_products_stay_below_out(tmp_path):
    """Where a video lies never says where its products go."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "far.mp4").touch()
    (tmp_path / "lists" / "videos.txt").write_text(f"../far.mp4\n{tmp_path}/far.mp4\n")
    found = find_videos([tmp_path / "lists" / "videos.txt"])
    assert [source.name for source in found.sources] == ["far.mp4"]


def test_a_file_name_with_a_newline_is_refused_and_shown_escaped(tmp_path):
    (tmp_path / "a\nb.mp4").touch()
    (tmp_path / "good.mp4").touch()
    (rejected,) = find_videos([tmp_path]).rejected
    assert "a\\nb.mp4" in rejected.video


def test_a_binary_list_is_wrong_usage(tmp_path):
    (tmp_path / "videos.csv").write_bytes(b"\xff\xfe\x00video")
    with pytest.raises(UsageError, match="UTF-8"):
        find_videos([tmp_path / "videos.csv"])


# ---- what is written for others


def test_formulas_in_a_csv_are_text(tmp_path):
    labels = [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2",
        "@SUM(A1)",
        "\t=1",
        "'=1",
        '=HYPERLINK("http://x")',
        "plain",
    ]
    printable = [label for label in labels if label.isprintable()]
    events = {"=video.mp4": [Event(0.0, 1.0, label, 0.5) for label in printable]}
    write_events(tmp_path / "events.csv", tmp_path / "events.json", events)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "events.csv").read_text())))
    for row in rows:
        assert row["label"][0] not in "=+-@\t"
        assert row["video"] == "'=video.mp4"
    assert [row["label"].removeprefix("'") for row in rows] == printable
    assert [
        row["label"] for row in json.loads((tmp_path / "events.json").read_text())["=video.mp4"]
    ] == printable


def test_formulas_are_text_in_the_table_of_scores_too(tmp_path):
    classes = ("=cmd|' /C calc'!A0", "@SUM(A1)", "plain")
    track = ScoreTrack(np.full((2, 3), 0.5, np.float32), np.array([0.0, 0.04]), classes)
    ScoreFile(tmp_path / "a.mp4.npz", "key").save(track)
    with (tmp_path / "a.mp4.csv").open(newline="") as file:
        header = next(csv.reader(file))
    assert header == ["frame", "time", "'=cmd|' /C calc'!A0", "'@SUM(A1)", "plain"]
    assert read_scores(tmp_path / "a.mp4.npz")[0].classes == classes


# ---- settings


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "preset: tiny\ntrain: &t\n  epochs: *t\n",
        "[" * 5_000,
        '{"train":' * 5_000,
        "preset: !!python/object/apply:os.system ['touch x']\n",
        "preset: !!python/name:os.system\n",
        "preset: tiny\nseed: 2001-99-99\n",
        f"preset: tiny\nseed: {'9' * 6000}\n",
        f"{'x' * 100_000}: 1\n",
        f"preset: {'x' * 100_000}\n",
        "preset: tiny\ntrain: [1, 2]\n",
        "preset: tiny\ntrain: {epochs: many}\n",
        "preset: tiny\ntrain: {epochs: {deep: {er: 1}}}\n",
        "preset: tiny\ntrain: {lr: .nan}\n",
        "preset: tiny\ntrain: {lr: .inf}\n",
        "preset: tiny\nlabels: {test_share: .nan}\n",
        '{"preset": "tiny", "events": {"threshold": NaN}}',
        '{"preset": "tiny", "fps": 1e999}',
        "preset: tiny\nseed: null\n",
        "preset: tiny\n1: 2\n",
        "preset: tiny\nteachers: {flow: 1}\n",
        f"preset: tiny\nmodel: {'x' * 100_000}\n",
        "- a\n- b\n",
        "\0",
    ],
    ids=range(24),
)
def test_hostile_settings_are_named_in_a_short_message(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(ConfigError) as error:
        load_config(None, path)
    assert time.process_time() - began < 20
    assert len(str(error.value)) < MESSAGE
    assert snapshot(tmp_path) == {path}


@pytest.mark.parametrize(
    "text",
    [
        "seed=&a [*a]",
        "train.lr=.nan",
        "seed=!!python/object/apply:os.system [x]",
        "x" * 100_000 + "=1",
        "seed=[[" * 9999,
    ],
    ids=range(5),
)
def test_hostile_settings_on_the_command_line(text):
    with pytest.raises(ConfigError) as error:
        load_config("tiny", overrides=[text])
    assert len(str(error.value)) < MESSAGE


def test_settings_are_read_from_regular_files_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe", tmp_path):
        with pytest.raises(ConfigError, match="regular file"):
            load_config(None, path)


# ---- checkpoints and arrays


def checkpoint_of(**changes) -> dict:
    """What a checkpoint holds, as it is in its file."""
    config = {"preset": "tiny", "tcn": {"hidden": 8}}
    plain = {
        "name": "vanilla",
        "classes": ["a", "b"],
        "config": config,
        "features": {},
        "in_dim": 4,
        "state": {},
    }
    return {**plain, "key": "k", "best": {}, "history": [], "format": 1, **changes}


@pytest.mark.parametrize(
    "values",
    [
        checkpoint_of(in_dim=10**12),
        checkpoint_of(in_dim=-1),
        checkpoint_of(in_dim="4"),
        checkpoint_of(config={"preset": "tiny", "tcn": {"hidden": 10**9}}),
        checkpoint_of(config={"preset": "x" * 100_000}),
        checkpoint_of(config=[1]),
        checkpoint_of(classes="ab"),
        checkpoint_of(classes=[1, 2]),
        checkpoint_of(classes=[]),
        checkpoint_of(classes=["a", "a"]),
        checkpoint_of(classes=["a", "b\nc"]),
        checkpoint_of(features=[1]),
        checkpoint_of(state={"x": "y"}),
        checkpoint_of(name="../../../tmp/x"),
        {**checkpoint_of(), "__class__": "x"},
        [1, 2],
        None,
    ],
    ids=range(17),
)
def test_a_checkpoint_that_means_harm_is_refused(tmp_path, values):
    path = tmp_path / "x.ckpt"
    torch.save(values, path)
    with pytest.raises(CheckpointError, match=r"x\.ckpt") as error:
        Checkpoint.load(path)
    assert len(str(error.value)) < MESSAGE


def test_no_code_of_a_checkpoint_is_run_however_it_is_packed(tmp_path):
    trace, path = tmp_path / "trace", tmp_path / "x.ckpt"
    packed = {
        "torch": lambda: torch.save(checkpoint_of(state=Code(trace)), path),
        "old torch": lambda: torch.save(Code(trace), path, _use_new_zipfile_serialization=False),
        "pickle": lambda: path.write_bytes(pickle.dumps(Code(trace))),
        "zip": lambda: zip_of(
            path, {"archive/data.pkl": pickle.dumps(Code(trace), 2), "archive/version": b"3"}
        ),
    }
    for pack in packed.values():
        pack()
        with pytest.raises(CheckpointError, match=r"x\.ckpt"):
            Checkpoint.load(path)
    assert not trace.exists()


def zip_of(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def test_a_checkpoint_with_flipped_bits_loads_or_is_refused(tmp_path):
    """Never another error, never a crash."""
    rng, path = np.random.default_rng(0), tmp_path / "x.ckpt"
    torch.save(checkpoint_of(state={"a": torch.zeros(3)}), path)
    whole = path.read_bytes()
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 3):
            data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data))
        try:
            Checkpoint.load(path)
        except CheckpointError:
            refused += 1
    assert refused > 100


def array_header(shape: str, dtype: str = "'<f4'") -> bytes:
    """A .npy file whose header says so, and nothing behind it."""
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return npy.magic(1, 0) + struct.pack("<H", len(header)) + header


def hostile_arrays(trace: Path) -> dict[str, bytes]:
    objects = io.BytesIO()
    np.save(objects, np.array([Code(trace)], dtype=object), allow_pickle=True)
    return {
        "objects": objects.getvalue(),
        "pickle": pickle.dumps(Code(trace)),
        "giant": array_header(f"({2**40}, 8)"),
        "overflow": array_header(f"({2**62}, {2**62})"),
        "negative": array_header("(-1, 8)"),
        "call": array_header("(__import__('os').system('true'),)"),
        "deep": array_header("(" * 90 + ")" * 90),
        "strings": array_header("(4, 4)", "'<U4'"),
        "empty": b"",
    }


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_arrays_that_mean_harm_are_refused(tmp_path):
    trace = tmp_path / "trace"
    for name, data in hostile_arrays(trace).items():
        path = tmp_path / f"{name}.npy"
        path.write_bytes(data)
        with pytest.raises(CompareError, match=f"{name}.npy"):
            _read(path)
    assert not trace.exists()


def test_a_cached_product_that_was_replaced_by_another_is_refused(tmp_path):
    """Even with a record that was made to fit it."""
    trace, file = tmp_path / "trace", FeatureFile(tmp_path / "a.npy", "key")
    for data in hostile_arrays(trace).values():
        file._write(data, {"shape": [2**40, 8], "centers_sec": [], "clock": {}})
        with pytest.raises(CacheError, match=r"a\.npy"):
            file.load()
    assert not trace.exists()


# ---- the command line


@pytest.mark.parametrize(
    "arguments",
    [
        ["--annotations", "{bad}/labels.csv"],
        ["--annotations", "{bad}"],
        ["--annotations", "/dev/zero"],
        ["--config", "{bad}/bomb.yaml", "--annotations", "{bad}/labels.csv"],
        ["--checkpoint", "{bad}/code.ckpt"],
        ["--set", "train.epochs=many", "--annotations", "{bad}/labels.csv"],
    ],
)
def test_nothing_is_done_before_everything_is_found_in_order(tmp_path, arguments):
    bad, out, videos = tmp_path / "bad", tmp_path / "out", tmp_path / "videos"
    bad.mkdir()
    videos.mkdir()
    (videos / "a.mp4").write_bytes(b"no video")
    (bad / "labels.csv").write_bytes(HEADER.encode() + b"a,0,nan,<script>\n")
    (bad / "bomb.yaml").write_text(BOMB)
    (bad / "code.ckpt").write_bytes(pickle.dumps(Code(tmp_path / "trace")))
    before = snapshot(tmp_path)
    words = ["run", str(videos), "--out", str(out), *(word.format(bad=bad) for word in arguments)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    assert snapshot(tmp_path) == before
