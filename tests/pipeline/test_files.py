"""Files are whole or not there."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.files import (
    ContentHashes,
    damage_of_hashes,
    digest,
    file_sha256,
    read_json,
    sweep_temporary,
    write_atomic,
    write_json,
)


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.bin"
    write_atomic(path, lambda file: file.write(b"old"))

    def half(file):
        file.write(b"ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_atomic(path, half)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_the_longest_name_a_file_system_takes_can_be_written(tmp_path):
    path = tmp_path / ("n" * 255)
    write_atomic(path, lambda file: file.write(b"x"))
    assert path.read_bytes() == b"x"


def test_sweep_removes_what_the_dead_left_and_nothing_else(tmp_path):
    dead = tmp_path / "deep" / ".augrgb-tmp-ab"
    dead.parent.mkdir()
    for path in (dead, tmp_path / "kept.npy"):
        path.touch()

    def swept_while_it_is_written(file):
        file.write(b"half")
        assert sweep_temporary(tmp_path) == 1
        file.write(b" and half")

    write_atomic(tmp_path / "alive.bin", swept_while_it_is_written)
    assert (tmp_path / "alive.bin").read_bytes() == b"half and half"
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["alive.bin", "kept.npy"]


def test_json_round_trip_and_nothing_where_there_is_none(tmp_path):
    write_json(tmp_path / "a.json", {"é": [1, None]})
    assert read_json(tmp_path / "a.json") == {"é": [1, None]}
    (tmp_path / "b.json").write_text("{ half")
    assert read_json(tmp_path / "b.json") == {} == read_json(tmp_path / "none.json")
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "c.json", {"x": float("nan")})


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})


def test_hashes_are_remembered_until_the_file_changes(tmp_path, monkeypatch):
    video = tmp_path / "v.mp4"
    video.write_bytes(b"one")
    hashes = ContentHashes(tmp_path / "hashes.sqlite")
    first = hashes.sha256(video)
    assert first == file_sha256(video)
    read = []
    monkeypatch.setattr("pipeline.files.file_sha256", lambda path: read.append(path) or "again")
    assert ContentHashes(tmp_path / "hashes.sqlite").sha256(video) == first
    assert not read
    os.utime(video, ns=(1, 1))  # a touched file is read again
    assert hashes.sha256(video) == "again"
    assert read == [video]
    assert ContentHashes(None).sha256(video) == "again"


@pytest.mark.parametrize(("position", "times_said"), [(3, 1), (60, 0), (5000, 0)], ids=str)
def test_a_damaged_memory_of_hashes_is_made_anew(tmp_path, position, times_said):
    """Byte 60 is of a version number that nobody uses, byte 5000 lies between rows: there any will do."""
    video, database = tmp_path / "v.mp4", tmp_path / "hashes.sqlite"
    video.write_bytes(b"one")
    expected = ContentHashes(database).sha256(video)
    data = bytearray(database.read_bytes())
    data[position] ^= 0xFF
    database.write_bytes(data)
    said = []
    assert ContentHashes(database, said.append).sha256(video) == expected
    assert ContentHashes(database, said.append).sha256(video) == expected
    assert len(said) == times_said


def test_a_changed_hash_in_memory_is_not_believed(tmp_path):
    video, database = tmp_path / "v.mp4", tmp_path / "hashes.sqlite"
    video.write_bytes(b"one")
    expected = ContentHashes(database).sha256(video)
    digits = expected[:20].encode()
    data = database.read_bytes()
    database.write_bytes(data.replace(digits, bytes([digits[0] ^ 1]) + digits[1:]))
    assert data != database.read_bytes()
    assert damage_of_hashes(database) == f"what it says of {video} changed since it was written"
    said = []
    assert ContentHashes(database, said.append).sha256(video) == expected
    assert said == [f"  made again: the remembered hash of {video}: it changed since it was written"]
    assert ContentHashes(database, said.append).known(video) == expected
    assert len(said) == 1
    assert damage_of_hashes(database) is None


def test_what_is_no_memory_of_hashes_is_damaged_and_none_is_not(tmp_path):
    assert damage_of_hashes(tmp_path / "hashes.sqlite") is None
    (tmp_path / "hashes.sqlite").write_bytes(b"SQLite format 3\0 and then nothing of it" * 20)
    assert damage_of_hashes(tmp_path / "hashes.sqlite") == "file is not a database"


def test_hashes_may_be_asked_for_from_any_thread(tmp_path):
    videos = [tmp_path / f"{number}.mp4" for number in range(40)]
    for number, video in enumerate(videos):
        video.write_bytes(bytes([number]))
    hashes = ContentHashes(tmp_path / "hashes.sqlite")
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(hashes.sha256, videos)) == [file_sha256(video) for video in videos]
        assert list(threads.map(hashes.known, videos)) == [file_sha256(video) for video in videos]
    hashes.save()
    assert ContentHashes(tmp_path / "hashes.sqlite").known(videos[39]) == file_sha256(videos[39])
