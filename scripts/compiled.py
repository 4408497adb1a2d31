"""Import all that the program imports, once, so that it is compiled: from then on commands start at once.

    PYTHONPATH=. python -P -m scripts.compiled

Python does so by itself when something is first imported, but not where PYTHONDONTWRITEBYTECODE is set,
as images and build machines like to have it: there `augrgb` would compile its libraries at every start,
which is 4 s of 5.
"""

import importlib
import logging
import pkgutil
import sys
import warnings

_OURS = ("pipeline", "extractors", "models")
# imported by what `pipeline` imports only where it is needed
_LATER = ("mmdet.apis", "mmpose.apis", "scipy.optimize", "sklearn.metrics", "torchvision.models.video")


def main() -> None:
    """A library that cannot be imported is left for whoever needs it: they say so."""
    sys.dont_write_bytecode = False
    warnings.simplefilter("ignore")
    logging.disable()
    for name in _OURS:
        for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)
    for name in _LATER:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


if __name__ == "__main__":
    main()
