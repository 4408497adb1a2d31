"""What ends a command: errors to one message and an exit code, signals to a clean stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer


@contextmanager
def errors() -> Iterator[None]:
    """Errors that a user can mend, as one message; a signal as a clean stop."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except (ValueError, OSError) as error:
        if not _users(error):
            raise
        stop(2, str(error))
    except KeyboardInterrupt:
        stop(130, "interrupted; run the same command again to go on")


def stop(code: int, message: str) -> NoReturn:
    """Leave with a message on stderr."""
    typer.echo(f"augrgb: {message}", err=True)
    raise SystemExit(code)


def _users(error: BaseException) -> bool:
    """Whether an error is one of the messages we wrote; anything else is our bug and shows where."""
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in (
        "pipeline",
        "extractors",
        "models",
    )


def _terminate(*_: object) -> None:
    stop(143, "terminated; run the same command again to go on")
