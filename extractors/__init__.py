"""Frames in, vectors out: one file per network, and what they all promise in `base`.

`rgb` and `flow` make features of frames. `skeleton` makes them of joints, which `pose` finds in frames.
"""

import torch

from extractors.base import Extractor, NetworkError, Window

__all__ = ["Extractor", "NetworkError", "Window", "build_extractor"]


def build_extractor(name: str, config: object, device: torch.device) -> Extractor:
    """The extractor of frames `name`, its weights found and loaded, on `device`.

    Imports are local: an extractor that is not asked for needs none of its libraries. NetworkError
    for an unknown name; WeightsError where weights are missing, damaged or another network's.
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
    raise NetworkError(f"unknown extractor {name!r}; there is: rgb, flow")
