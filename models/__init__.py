"""Temporal models and their losses: tensors in, tensors out."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.base import TemporalModel

MODELS = ("tcn", "pdan", "mstct")  # the settings of each are the group of its name


def build_model(name: str, *, in_dim: int, num_classes: int, config: Any) -> "TemporalModel":
    """A temporal model by name, with fresh weights."""
    if name == "tcn":
        from models.tcn import TCN

        return TCN(in_dim, num_classes, config)
    if name == "pdan":
        from models.pdan import PDAN

        return PDAN(in_dim, num_classes, config)
    if name == "mstct":
        from models.mstct import MSTCT

        return MSTCT(in_dim, num_classes, config)
    raise ValueError(f"unknown temporal model {name!r}; there is: {', '.join(MODELS)}")
