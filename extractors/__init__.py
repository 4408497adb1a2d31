"""Frames in, vectors out: one file per network, and what they all promise in `base`.

`rgb` and `flow` make features of frames. `skeleton` makes them of joints, which `pose` finds in frames.
"""

import torch

from extractors.base import Extractor, Window

__all__ = ["Extractor", "Window", "build_extractor"]


def build_extractor(name: str, config: object, device: torch.device) -> Extractor:
    """The extractor of frames `name`, its weights found and loaded, on `device`.

    Imports are local: an extractor that is not asked for needs none of its libraries. ValueError
    for an unknown name and for weights that do not fit; its subclass WeightsError where they are
    missing or damaged.
    """
    if name == "rgb":
        from extractors.i3d import I3DConfig
        from extractors.rgb import I3DRGB

        assert isinstance(config, I3DConfig)
        return I3DRGB(config, device)
    if name == "flow":
        from extractors.flow import I3DFlow
        from extractors.flow_config import FlowConfig

        assert isinstance(config, FlowConfig)
        return I3DFlow(config, device)
    raise ValueError(f"unknown extractor {name!r}; there is: rgb, flow")
