"""Runs command lines of augrgb, one after the other, without the seconds that its imports take.

A process that has imported everything and computed nothing forks one child per line of its standard input:
JSON with `args` and `log` (where what it prints goes). It answers with the child's process id, and with its
exit code once it has ended.
"""

import json
import os
import sys
from pathlib import Path


def child(order: dict) -> None:
    """Become the command."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["augrgb", *order["args"]]
    from pipeline.__main__ import main

    main()


def serve() -> None:
    """Take orders until there are no more."""
    import lightning.pytorch  # noqa: F401
    import torchvision  # noqa: F401

    import pipeline.commands
    import pipeline.fit
    import pipeline.page  # noqa: F401

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                child(order)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else bool(end.code)
            finally:
                end_child(code)
        print(pid, file=answers, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers, flush=True)


def end_child(code: int) -> None:
    """As the interpreter would, but never back into the loop of the parent."""
    import atexit

    sys.stdout.flush()
    sys.stderr.flush()
    atexit._run_exitfuncs()
    os._exit(code)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    serve()
