"""Temporal models, and how they learn from one another: tensors in, tensors out."""

from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from models.base import TemporalModel
    from models.distillation import DistillationConfig
    from models.distiller import Distiller
    from models.rivals import RivalsConfig

MODELS = ("tcn", "pdan", "mstct", "linear")  # the settings of each are the group of its name
Method = Literal["augmented", "hinton", "mars", "crd", "graph", "ensemble"]
METHODS: tuple[Method, ...] = get_args(Method)


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
    if name == "linear":
        from models.linear import Linear

        return Linear(in_dim, num_classes, config)
    raise ValueError(f"unknown temporal model {name!r}; there is: {', '.join(MODELS)}")


def build_distiller(
    method: Method,
    *,
    student_dim: int,
    teacher_dim: int,
    distillation: "DistillationConfig",
    rivals: "RivalsConfig",
) -> "Distiller":
    """How a student of width C learns from a teacher of another, by name, with fresh weights.

    "augmented" is the method itself, by `distillation`; the others are its `rivals`.
    """
    if method == "augmented":
        from models.distillation import Distillation

        return Distillation(student_dim, teacher_dim, distillation)
    if method == "crd":
        from models.crd import CRD

        return CRD(student_dim, teacher_dim, rivals.crd)
    from models.rivals import MARS, Graph, Hinton

    if method == "hinton":
        return Hinton(rivals.hinton)
    if method == "mars":
        return MARS(student_dim, teacher_dim, rivals.mars)
    if method == "graph":
        return Graph(student_dim, teacher_dim, rivals.graph)
    if method == "ensemble":  # whose mean logits are the one teacher
        return Hinton(rivals.ensemble)
    raise ValueError(f"unknown method {method!r}; there is: {', '.join(METHODS)}")
