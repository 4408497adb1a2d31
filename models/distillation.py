"""What the student learns from a teacher: Atomic, Global Contextual Relations, Action Boundary Saliency.

R. Dai, S. Das, F. Bremond, "Learning an Augmented RGB Representation with Cross-Modal Knowledge Distillation
for Action Detection", ICCV 2021 (arXiv:2108.03619). The three terms, their names and their ideas are the
paper's [paper]; every formula and every number here is our reading of them [ours], so every number is a
setting. They compare features after the temporal encoder, before the classifier [paper: feature-level
distillation beats logit-level].

Padding, and whole videos without a teacher (a mask of zeros), carry neither loss nor gradient, whatever is
written there, NaN included. With nothing to compare a term is 0. Beside the three there may be Hinton's term
on logits [ours]: where videos without labels are learned from, it says what is in them.

Shapes: B videos, T steps (padded), C feature size, K classes, P size of the projections; N real snippets of
the whole batch, R of them that serve as negatives.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.bank import SnippetBank, Snippets
from models.base import Encoded
from models.distiller import Distiller, Terms, matching
from models.losses import soft_target_loss
from models.masking import masked

Relations = Literal["correlation", "layer-norm", "none"]
Saliency = Literal["zscore", "raw"]
_EPS = 1e-6  # of variances: a channel or a saliency that never changes counts as zero


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """Weights of the three terms (0: the term is off) and what they depend on.

    All [ours]; the defaults are those that did best on simulated features.
    """

    atomic: float = 1.0
    global_relations: float = 3.0
    boundary: float = 0.5
    tau: float = 0.07  # temperature of the contrast
    dim: int = 128  # P
    max_negatives: int = 4096  # R at most: snippets taken evenly from the batch beyond that
    bank: int | None = None  # so many labelled snippets of earlier batches are negatives, too; none: no bank
    relations: Relations = "correlation"  # raw covariance ("none") grows with the teacher's scale
    saliency: Saliency = "zscore"  # raw saliency forces the teacher's scale on the student
    logits: float = 0.0  # of Hinton's term, beside the three
    logits_temperature: float = 4.0

    def __post_init__(self) -> None:
        if min(self.atomic, self.global_relations, self.boundary, self.logits) < 0:
            raise ValueError(f"weights of the terms cannot be negative, got {self}")
        if not min(self.tau, self.logits_temperature) > 0 or min(self.dim, self.max_negatives) < 1:
            raise ValueError(
                f"need tau > 0, logits_temperature > 0, dim >= 1 and max_negatives >= 1, got {self}"
            )
        if self.bank is not None and self.bank < 1:
            raise ValueError(f"need bank >= 1 or none, got {self}")
        if self.relations not in ("correlation", "layer-norm", "none"):
            raise ValueError(f"relations is correlation, layer-norm or none, got {self.relations!r}")
        if self.saliency not in ("zscore", "raw"):
            raise ValueError(f"saliency is zscore or raw, got {self.saliency!r}")


def atomic_loss(
    student_BTP: Tensor,
    teacher_BTP: Tensor,
    target_BTK: Tensor,
    mask_BT: Tensor,
    *,
    tau: float = 0.07,
    max_negatives: int = 4096,
    bank: Snippets | None = None,
) -> Tensor:
    """L_Atomic: each snippet of the student is like the teacher's same snippet and unlike others [paper].

    InfoNCE on projections of the features, brought to unit length as z [ours], n over t and its negatives:

        mean_t  -log( exp(z^S_t . z^T_t / tau) / sum_n exp(z^S_t . z^T_n / tau) )

    Negatives are the other real snippets of the batch, of whatever video, that share no label with t; two
    snippets without any label share none. A target of at least 0.5 is a label, so that for unlabelled videos
    it may be the teacher's own probabilities. `bank` holds further snippets, projected as the teacher's are,
    under the same rule. Gradient goes to both inputs, since both are projections to be learned.
    """
    real_BT = mask_BT > 0
    student_NP, teacher_NP = (F.normalize(x[real_BT], dim=-1) for x in (student_BTP, teacher_BTP))
    if not len(student_NP):
        return _zero(student_BTP, mask_BT)
    label_NK = _labels(target_BTK[real_BT], student_NP)
    index_N = torch.arange(len(student_NP), device=student_NP.device)
    index_R = index_N[:: -(-len(index_N) // max_negatives)]
    shared_NR = (label_NK @ label_NK[index_R].T > 0) | (index_N[:, None] == index_R)
    other_RP = teacher_NP[index_R]
    if bank is not None:
        shared_NM = label_NK @ _labels(bank.target_MK, student_NP).T > 0
        shared_NR = torch.cat([shared_NR, shared_NM], dim=1)
        other_RP = torch.cat([other_RP, F.normalize(bank.features_MC, dim=-1)])
    positive_N1 = (student_NP * teacher_NP).sum(-1, keepdim=True) / tau
    negative_NR = (student_NP @ other_RP.T / tau).masked_fill(shared_NR, -torch.inf)
    return (torch.cat([positive_N1, negative_NR], dim=1).logsumexp(1) - positive_N1[:, 0]).mean()


def global_relations_loss(
    student_BTC: Tensor, teacher_BTC: Tensor, mask_BT: Tensor, *, relations: Relations = "correlation"
) -> Tensor:
    """L_Global: how channels vary together over the whole sequence is the same as in the teacher [paper].

    Per video, over its T real snippets, and then the mean over videos of at least two [ours]:

        cov(F) = 1 / (T - 1) sum_t (F_t - mu)(F_t - mu)^T,    | cov(F^S) - cov(F^T) |_F^2 / C^2

    of the features as they are ("none"), of each snippet normalised over channels ("layer-norm"), or as a
    correlation matrix ("correlation"). The order of snippets plays no part. No gradient to the teacher.
    """
    student_BCC = _covariance(student_BTC, mask_BT, relations)
    teacher_BCC = _covariance(teacher_BTC.detach(), mask_BT, relations)
    enough_B = (mask_BT > 0).sum(1) > 1
    distance_B = (student_BCC - teacher_BCC).square().mean((1, 2)) * enough_B
    return distance_B.sum() / enough_B.sum().clamp(min=1)


def boundary_loss(
    student_BTC: Tensor, teacher_BTC: Tensor, mask_BT: Tensor, *, saliency: Saliency = "zscore"
) -> Tensor:
    """L_Boundary: the student changes where the teacher does, most of all where actions start or end [paper].

    Saliency is the L1 distance of consecutive snippets [paper], compared over all pairs of real ones [ours]:

        s_t = mean_c | F_{t+1,c} - F_{t,c} |,    mean_t | s^S_t - s^T_t |

    of the saliency as it is ("raw") or its shape: zero mean and unit variance over each video ("zscore").
    No gradient to the teacher.
    """
    pair_BT = (mask_BT[:, 1:] > 0) & (mask_BT[:, :-1] > 0)
    student_BT = _saliency(student_BTC, mask_BT, pair_BT, saliency)
    teacher_BT = _saliency(teacher_BTC.detach(), mask_BT, pair_BT, saliency)
    return ((student_BT - teacher_BT).abs() * pair_BT).sum() / pair_BT.sum().clamp(min=1)


class AtomicProjector(nn.Module):
    """Features to the space in which L_Atomic compares them: (B, T, C) -> (B, T, P)."""

    def __init__(self, in_dim: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_dim, dim)

    def forward(self, x_BTC: Tensor) -> Tensor:
        return self.linear(x_BTC)


class Distillation(Distiller):
    """The three terms between a student and one frozen teacher; of several teachers, the sum [paper].

    Learned for the comparison: a projection of either side for L_Atomic, and, where widths differ, one of
    the student's features to the teacher's width for Global and Boundary [ours]; and the memory bank, if
    there is one. It holds features as the teacher made them, to be projected when they are used: however long
    ago it was, they are what the teacher would give today.
    """

    def __init__(self, student_dim: int, teacher_dim: int, config: DistillationConfig) -> None:
        super().__init__()
        self.config = config
        weights = {
            "atomic": config.atomic,
            "global": config.global_relations,
            "boundary": config.boundary,
            "logits": config.logits,
        }
        self.weights = {name: weight for name, weight in weights.items() if weight > 0}
        if "atomic" in self.weights:
            self.student_head = AtomicProjector(student_dim, config.dim)
            self.teacher_head = AtomicProjector(teacher_dim, config.dim)
        matched = self.weights.keys() & {"global", "boundary"}
        self.match = matching(student_dim, teacher_dim) if matched else nn.Identity()
        self.bank = SnippetBank(config.bank) if config.bank is not None else None

    def terms(self, student: Encoded, teacher: Encoded, target_BTK: Tensor, mask_BT: Tensor) -> Terms:
        """Those of "atomic", "global", "boundary" and "logits" that are on; see Distiller."""
        config, teacher_BTC = self.config, teacher.h_BTC
        matched_BTC = self.match(student.h_BTC)
        terms: Terms = {}
        if "atomic" in self.weights:
            terms["atomic"] = self._atomic(student.h_BTC, teacher_BTC, target_BTK, mask_BT)
        if "global" in self.weights:
            terms["global"] = global_relations_loss(
                matched_BTC, teacher_BTC, mask_BT, relations=config.relations
            )
        if "boundary" in self.weights:
            terms["boundary"] = boundary_loss(matched_BTC, teacher_BTC, mask_BT, saliency=config.saliency)
        if "logits" in self.weights:
            terms["logits"] = soft_target_loss(
                student.logits_BTK, teacher.logits_BTK, mask_BT, temperature=config.logits_temperature
            )
        return terms

    def _atomic(
        self, student_BTC: Tensor, teacher_BTC: Tensor, target_BTK: Tensor, mask_BT: Tensor
    ) -> Tensor:
        """L_Atomic of the projections; then the batch joins the bank."""
        held = self.bank.held(teacher_BTC.device) if self.bank is not None else None
        loss = atomic_loss(
            self.student_head(student_BTC),
            self.teacher_head(teacher_BTC),
            target_BTK,
            mask_BT,
            tau=self.config.tau,
            max_negatives=self.config.max_negatives,
            bank=held and Snippets(self.teacher_head(held.features_MC), held.target_MK),
        )
        if self.bank is not None and self.training:
            real_BT = mask_BT > 0
            self.bank.add(teacher_BTC[real_BT], target_BTK[real_BT])
        return loss


def _labels(target_NK: Tensor, like: Tensor) -> Tensor:
    """1 where a target counts as a label."""
    return (target_NK >= 0.5).to(like.dtype)


def _covariance(x_BTC: Tensor, mask_BT: Tensor, relations: Relations) -> Tensor:
    """Of channels, over each video's real steps: (B, C, C); zero for fewer than two."""
    x_BTC = masked(x_BTC, mask_BT)
    if relations == "layer-norm":
        x_BTC = F.layer_norm(x_BTC, x_BTC.shape[-1:])
    count_B11 = (mask_BT > 0).sum(1)[:, None, None]
    mean_B1C = x_BTC.sum(1, keepdim=True) / count_B11.clamp(min=1)
    centred_BTC = masked(x_BTC - mean_B1C, mask_BT)
    cov_BCC = centred_BTC.transpose(1, 2) @ centred_BTC / (count_B11 - 1).clamp(min=1)
    if relations != "correlation":
        return cov_BCC
    scale_BC = (cov_BCC.diagonal(dim1=1, dim2=2) + _EPS).rsqrt()
    return cov_BCC * scale_BC.unsqueeze(1) * scale_BC.unsqueeze(2)


def _saliency(x_BTC: Tensor, mask_BT: Tensor, pair_BT: Tensor, saliency: Saliency) -> Tensor:
    """How much each step differs from the next: (B, T - 1), zero where either is padding."""
    x_BTC = masked(x_BTC, mask_BT)
    s_BT = (x_BTC[:, 1:] - x_BTC[:, :-1]).abs().mean(-1) * pair_BT
    if saliency == "raw":
        return s_BT
    count_B1 = pair_BT.sum(1, keepdim=True).clamp(min=1)
    centred_BT = (s_BT - s_BT.sum(1, keepdim=True) / count_B1) * pair_BT
    variance_B1 = centred_BT.square().sum(1, keepdim=True) / count_B1
    return centred_BT * (variance_B1 + _EPS).rsqrt()


def _zero(x_BTC: Tensor, mask_BT: Tensor) -> Tensor:
    """0 with a gradient of zeros."""
    return masked(x_BTC, mask_BT).sum() * 0.0
