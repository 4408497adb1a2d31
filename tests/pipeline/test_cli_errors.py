"""Exit codes that a script can rely on."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli_errors import errors
from pipeline.inputs import UsageError
from pipeline.job import WorkStopped


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UsageError("say what"), 2, "augrgb: say what\n"),
        (FileNotFoundError(errno.ENOENT, "Not there", "a.csv"), 2, "augrgb: [Errno 2] Not there: 'a.csv'\n"),
        (
            OSError(errno.ENOSPC, "Full", "out"),
            3,
            "stopped: [Errno 28] Full: 'out'; run the same command again",
        ),
        (
            WorkStopped("stopped: too little memory"),
            3,
            "too little memory; run the same command again to go on",
        ),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to go on"),
    ],
)
def test_errors_of_users_and_of_the_world_are_a_message_and_a_code(capsys, error, code, message):
    with pytest.raises(SystemExit) as end, errors():
        raise error
    assert end.value.code == code
    assert message in capsys.readouterr().err


def test_bugs_of_ours_go_through():
    with pytest.raises(KeyError), errors():
        raise KeyError("x")


def test_a_bug_of_ours_leaves_with_a_traceback_and_a_code_of_its_own():
    code = "import pipeline.cli, pipeline.__main__ as m; pipeline.cli.app = lambda: {}['x']; m.main()"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 70
    assert "KeyError: 'x'" in done.stderr


def test_the_documentation_has_every_code():
    page = (Path(__file__).resolve().parents[2] / "docs" / "outputs.md").read_text()
    for row in ("| 0 |", "| 1 |", "| 2 |", "| 3 |", "| 70 |", "| 130, 143 |"):
        assert row in page
