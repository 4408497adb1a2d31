import io
import zipfile

import numpy as np
import pytest

from pipeline.interchange.foreign_arrays import ForeignArray
from pipeline.interchange.names import InterchangeError

X = np.arange(21, dtype=np.float32).reshape(7, 3)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_precision_and_order(tmp_path, dtype, order):
    np.save(tmp_path / "a.npy", np.asarray(X, dtype=dtype, order=order))
    found = ForeignArray.open(tmp_path / "a.npy")
    assert found.shape == (7, 3)
    assert np.array_equal(found.load(), X)


def test_npy_is_mapped_not_read(tmp_path):
    np.save(tmp_path / "a.npy", X)
    assert isinstance(ForeignArray.open(tmp_path / "a.npy").load(), np.memmap)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_with_one_array_or_one_called_feats(tmp_path, save):
    save(tmp_path / "one.npz", anything=X)
    save(tmp_path / "two.npz", feats=X, times=np.zeros(7))
    save(tmp_path / "unclear.npz", rgb=X, flow=X)
    for name in ("one.npz", "two.npz"):
        found = ForeignArray.open(tmp_path / name)
        assert found.shape == (7, 3)
        assert np.array_equal(found.load(), X)
    with pytest.raises(InterchangeError, match=r"unclear\.npz: .*2 arrays in it \(rgb, flow\); expected one"):
        ForeignArray.open(tmp_path / "unclear.npz")


def bytes_of(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes_of(np.array([{"a": 1}], dtype=object), allow_pickle=True), "holds Python objects"),
        (bytes_of(np.zeros((7, 3), dtype=np.int64)), "holds int64"),
        (bytes_of(np.zeros((0, 3), dtype=np.float32)), r"empty, an array \(0, 3\)"),
        (bytes_of(X)[:-5], "79 of 84 bytes"),
        (
            bytes_of(X).replace(b"(7, 3)", b"(7000000000000000, 3)").replace(b" " * 15 + b"\n", b"\n"),
            "cut off",
        ),
        (b"\x80\x04K\x01.", "cannot be read as features"),
        (b"", "cannot be read as features"),
        (b"<html>not found</html>", "cannot be read as features"),
    ],
)
@pytest.mark.parametrize("form", ["npy", "npz"])
def test_what_is_no_array_of_numbers_is_refused_by_its_header(tmp_path, content, message, form):
    path = tmp_path / f"video.{form}"
    if form == "npy":
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", content)
    with pytest.raises(InterchangeError, match=message) as caught:
        ForeignArray.open(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_archives(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    with pytest.raises(InterchangeError, match="cannot be read"):
        ForeignArray.open(tmp_path / "a.npz")
    with pytest.raises(InterchangeError, match="cannot be read"):
        ForeignArray.open(tmp_path / "absent.npy")


def test_archives_that_unpack_to_too_much_are_not_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((1000, 10), dtype=np.float32))
    monkeypatch.setattr("pipeline.interchange.foreign_arrays.MAX_UNPACKED_BYTES", 10_000)
    with pytest.raises(InterchangeError, match=r"x\.npy unpacks to 40128 bytes"):
        ForeignArray.open(tmp_path / "a.npz")
