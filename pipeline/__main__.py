"""The entry point: `augrgb`, or `python -P -m pipeline`."""

import os
import sys
import traceback


def main() -> None:
    """Run the command line. Child processes never import from the current folder."""
    os.environ["PYTHONSAFEPATH"] = "1"
    from pipeline.cli import app

    try:
        sys.exit(app())
    except Exception:
        traceback.print_exc()
        sys.exit(70)  # not 1, which says that a video failed; see `cli_errors`


if __name__ == "__main__":
    main()
