"""Rivals of the method: other ways to learn from a teacher, under the same schedule.

All are [kin] to the method in what they see: one vector and one row of logits per snippet, of student and
teacher; means are over real snippets. Weights and temperatures are those of the authors' public code unless
marked [ours]; that they stand beside our classification loss at these weights is [ours].

Shapes: B videos, T steps (padded), C feature size, K classes, N real snippets of the batch.
"""

from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor

from models.base import Encoded
from models.crd import CRDConfig
from models.distiller import Distiller, Terms, matching
from models.losses import soft_target_loss
from models.masking import masked


@dataclass(frozen=True, kw_only=True)
class HintonConfig:
    """Of Hinton's term; that its weight is 1 beside a classification loss at full weight is [ours]."""

    weight: float = 1.0
    temperature: float = 4.0

    def __post_init__(self) -> None:
        if self.weight < 0 or not self.temperature > 0:
            raise ValueError(f"need weight >= 0 and temperature > 0, got {self}")


@dataclass(frozen=True, kw_only=True)
class MARSConfig:
    """Of MARS' term: the weight with which its authors train."""

    weight: float = 50.0

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"need weight >= 0, got {self}")


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """Of Graph Distillation's two terms: the weights of its public code."""

    logits: float = 10.0
    features: float = 1.0

    def __post_init__(self) -> None:
        if min(self.logits, self.features) < 0:
            raise ValueError(f"weights of the terms cannot be negative, got {self}")


@dataclass(frozen=True, kw_only=True)
class RivalsConfig:
    """Settings of each, by its name.

    "ensemble" is Hinton's term with one teacher: the mean of the logits of all teachers and of vanilla RGB
    (two-stream), as they are (T = 1) [ours]. Where most videos have no labels it did best of all.
    """

    hinton: HintonConfig = field(default_factory=HintonConfig)
    mars: MARSConfig = field(default_factory=MARSConfig)
    crd: CRDConfig = field(default_factory=CRDConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)
    ensemble: HintonConfig = field(default_factory=lambda: HintonConfig(temperature=1.0))


class Hinton(Distiller):
    """The teacher's softened probabilities as targets.

    G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv:1503.02531):
    temperature and factor T^2. One Bernoulli per class in place of the softmax [ours]: actions overlap.
    """

    def __init__(self, config: HintonConfig) -> None:
        super().__init__()
        self.temperature, self.weights = config.temperature, {"hinton": config.weight}

    def terms(self, student: Encoded, teacher: Encoded, target_BTK: Tensor, mask_BT: Tensor) -> Terms:  # noqa: ARG002
        """See Distiller."""
        loss = soft_target_loss(student.logits_BTK, teacher.logits_BTK, mask_BT, temperature=self.temperature)
        return {"hinton": loss}


class MARS(Distiller):
    """The student's features are the teacher's: mean squared error before the classifier.

    N. Crasto, P. Weinzaepfel, K. Alahari, C. Schmid, "MARS: Motion-Augmented RGB Stream for Action
    Recognition", CVPR 2019. There the features are those of whole clips; here of snippets [ours], with a
    projection of the student's where widths differ [ours].
    """

    def __init__(self, student_dim: int, teacher_dim: int, config: MARSConfig) -> None:
        super().__init__()
        self.match, self.weights = matching(student_dim, teacher_dim), {"mars": config.weight}

    def terms(self, student: Encoded, teacher: Encoded, target_BTK: Tensor, mask_BT: Tensor) -> Terms:  # noqa: ARG002
        """See Distiller."""
        error_BTC = masked((self.match(student.h_BTC) - teacher.h_BTC).square(), mask_BT)
        return {"mars": error_BTC.mean(-1).sum() / mask_BT.sum().clamp(min=1)}


class Graph(Distiller):
    """Logits and features that point where the teacher's do: 1 - cosine of each.

    After Z. Luo, J.-T. Hsieh, L. Jiang, J. C. Niebles, L. Fei-Fei, "Graph Distillation for Action Detection
    with Privileged Modalities", ECCV 2018: its imitation losses, metric and weights. Not as there: the
    graph. Edges between modalities are not learned, every teacher counts 1 [ours], as with two teachers and
    even edges there. A projection of the student's features where widths differ [ours].
    """

    def __init__(self, student_dim: int, teacher_dim: int, config: GraphConfig) -> None:
        super().__init__()
        self.match = matching(student_dim, teacher_dim)
        self.weights = {"graph_logits": config.logits, "graph_features": config.features}

    def terms(self, student: Encoded, teacher: Encoded, target_BTK: Tensor, mask_BT: Tensor) -> Terms:  # noqa: ARG002
        """See Distiller."""
        return {
            "graph_logits": _away(student.logits_BTK, teacher.logits_BTK, mask_BT),
            "graph_features": _away(self.match(student.h_BTC), teacher.h_BTC, mask_BT),
        }


def _away(student_BTC: Tensor, teacher_BTC: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean of 1 - cosine over real steps."""
    real_BT = mask_BT > 0
    cosine_N = F.cosine_similarity(student_BTC[real_BT], teacher_BTC[real_BT], dim=-1)
    return (1 - cosine_N).sum() / mask_BT.sum().clamp(min=1)
