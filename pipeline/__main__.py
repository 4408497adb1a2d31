"""The entry point: `augrgb`, or `python -P -m pipeline`."""

import os
import sys
import traceback


def main() -> None:
    """Run the command line. Child processes never import from the current folder."""
    os.environ["PYTHONSAFEPATH"] = "1"
    from pipeline.cli import app
    from pipeline.cli_errors import STOPPED

    try:
        sys.exit(app())
    except SystemExit as end:
        if isinstance(end.code, int) and end.code in STOPPED:
            # Files are whole; the interpreter's own end, with such large libraries, takes seconds more.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code)
        raise
    except Exception:
        traceback.print_exc()
        sys.exit(70)  # not 1, which says that a video failed; see `cli_errors`


if __name__ == "__main__":
    main()
