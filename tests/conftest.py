"""Fixtures every test may use."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

settings.register_profile("shared-machine", deadline=None)  # times on a busy machine say nothing
settings.load_profile("shared-machine")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def fixed_rng() -> Iterator[None]:
    """Every test starts from the same random state and leaves none behind."""
    state = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        np.random.seed(0)
        yield
    np.random.set_state(state)


@pytest.fixture(autouse=True)
def no_error_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An error in the log that no test expects is a failure."""
    yield
    errors = [r for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not errors, [r.getMessage() for r in errors]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real videos, annotation files and reference outputs, where it is at hand."""
    folder = ROOT.parent / "shared"
    if not (folder / "data" / "videos").is_dir():
        pytest.skip("the real videos are not on this machine")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """Reference outputs kept in the repository."""
    return ROOT / "tests" / "golden"
