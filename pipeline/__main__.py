"""The entry point: `augrgb`, or `python -P -m pipeline`."""

import os
import sys


def main() -> None:
    """Run the command line. Child processes never import from the current folder."""
    os.environ["PYTHONSAFEPATH"] = "1"
    from pipeline.cli import app

    sys.exit(app())


if __name__ == "__main__":
    main()
