"""Every changed byte of a sealed archive is noticed; others read it as the archive it is."""

import io
import zipfile

import numpy as np
import pytest
import torch

from pipeline.sealed import SealError, check_seal, is_sealed, write_sealed


@pytest.fixture
def sealed(tmp_path):
    write_sealed(tmp_path / "a.npz", lambda file: np.savez(file, x=np.arange(7), y=np.array("é")))
    return tmp_path / "a.npz"


def test_any_flipped_byte_breaks_the_seal(sealed):
    data = sealed.read_bytes()
    check_seal(data)
    for position in range(len(data)):
        with pytest.raises(SealError):
            check_seal(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :])


def test_a_missing_or_added_byte_breaks_the_seal(sealed):
    data = sealed.read_bytes()
    for changed in (data[:-1], data[1:], data + b"\0", b"", data[:100]):
        with pytest.raises(SealError):
            check_seal(changed)


def test_others_read_sealed_archives(sealed, tmp_path):
    assert zipfile.ZipFile(sealed).testzip() is None
    with np.load(sealed) as arrays:
        assert arrays["x"].tolist() == list(range(7))
    write_sealed(tmp_path / "a.ckpt", lambda file: torch.save({"w": torch.arange(5)}, file))
    assert torch.load(tmp_path / "a.ckpt", weights_only=True)["w"].tolist() == list(range(5))


def test_an_archive_of_others_has_no_seal():
    buffer = io.BytesIO()
    torch.save([1], buffer)
    assert not is_sealed(buffer.getvalue())
