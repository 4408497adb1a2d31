"""Checksums beside results."""

import shutil
import subprocess

import pytest

from pipeline.sums import changed, problem_of, read_sums, summed


@pytest.fixture
def sums(tmp_path):
    """Sums of two files that were written."""
    sums = tmp_path / "events.sha256"
    with summed(sums, ["events.csv", "events.json"]):
        (tmp_path / "events.csv").write_text("a,b\n")
        (tmp_path / "events.json").write_text("{}\n")
    return sums


def test_a_changed_and_a_lost_file_are_named(sums):
    assert changed(sums) == []
    sums.with_name("events.csv").write_text("a,c\n")
    assert changed(sums) == ["events.csv"]
    sums.with_name("events.json").unlink()
    assert changed(sums) == ["events.csv", "events.json"]
    assert problem_of(sums.with_name("events.json"), "0" * 64) == "is gone"


def test_others_can_read_them(sums):
    if (program := shutil.which("sha256sum")) is None:
        pytest.skip("no sha256sum on this machine")
    subprocess.run([program, "--check", "--strict", sums.name], cwd=sums.parent, check=True)


def test_where_writing_is_cut_short_nobody_claims_to_know(sums):
    with pytest.raises(FileNotFoundError), summed(sums, ["events.csv", "events.json"]):
        sums.with_name("events.json").unlink()
    assert not sums.exists()
    assert changed(sums) == []


@pytest.mark.parametrize("damage", [b"\xff", b"x  events.csv", b"0" * 64 + b"  ../../etc/passwd", b"\n"])
def test_sums_that_cannot_be_read_are_themselves_what_changed(sums, damage):
    sums.write_bytes(damage)
    assert changed(sums) == ["events.sha256"]
    assert read_sums(sums) == {"events.sha256": ""}
