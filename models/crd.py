"""CRD: contrastive representation distillation.

Y. Tian, D. Krishnan, P. Isola, "Contrastive Representation Distillation", ICLR 2020 (arXiv:1910.10699).

As published: a linear embedding of either side, 128-d, of unit length; noise-contrastive estimation at tau
0.07, with student and with teacher as the anchor, summed; negatives from a memory bank of embeddings as
they were; a normalisation constant that the first contrast fixes; weight 0.8. With N negatives n of anchor t,

    h(n) = exp(z_t . z_n / tau) / ( exp(z_t . z_n / tau) + N Z ),    -log h(positive) - sum_n log(1 - h(n))

where Z is the mean of exp(z_t . z_n / tau) at the first contrast (in the public code, Z times the number of
training images is the constant, and that number cancels).

Ours: an instance is a snippet, not an image. The bank holds the last labelled snippets of earlier batches,
the oldest leave first; there it has a place for every image, brought up to date with momentum 0.5. The
positive is the other side's embedding of the same snippet now; there the one in the bank. Negatives are all
snippets in the bank that share no label with the anchor; there 16,384 drawn from images of other classes.
With an empty bank the term is 0.

Shapes: B videos, T steps (padded), C feature size, K classes, P size of the embedding, N real snippets of
the batch, M snippets in the bank.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.bank import SnippetBank, Snippets
from models.base import Encoded
from models.distiller import Distiller, Terms


@dataclass(frozen=True, kw_only=True)
class CRDConfig:
    """Of CRD's term: the settings of its public code, apart from the size of the bank [ours]."""

    weight: float = 0.8
    dim: int = 128  # P
    tau: float = 0.07
    bank: int = 2048  # snippets of either side

    def __post_init__(self) -> None:
        if self.weight < 0 or not self.tau > 0 or min(self.dim, self.bank) < 1:
            raise ValueError(f"need weight >= 0, tau > 0, dim >= 1 and bank >= 1, got {self}")


class CRD(Distiller):
    """See the head of this file."""

    def __init__(self, student_dim: int, teacher_dim: int, config: CRDConfig) -> None:
        super().__init__()
        self.weights = {"crd": config.weight}
        self.student = _Side(student_dim, config)
        self.teacher = _Side(teacher_dim, config)

    def terms(self, student: Encoded, teacher: Encoded, target_BTK: Tensor, mask_BT: Tensor) -> Terms:
        """See Distiller; then the batch joins the bank."""
        real_BT = mask_BT > 0
        target_NK = target_BTK[real_BT]
        student_NP = self.student.embed(student.h_BTC[real_BT])
        teacher_NP = self.teacher.embed(teacher.h_BTC[real_BT])
        loss = self.student.contrast(student_NP, teacher_NP, target_NK, self.teacher.bank)
        loss = loss + self.teacher.contrast(teacher_NP, student_NP, target_NK, self.student.bank)
        if self.training:
            self.student.bank.add(student_NP, target_NK)
            self.teacher.bank.add(teacher_NP, target_NK)
        return {"crd": loss}


class _Side(nn.Module):
    """Student or teacher: its embedding, the bank of it, and the contrast that it is the anchor of."""

    log_z: Tensor

    def __init__(self, in_dim: int, config: CRDConfig) -> None:
        super().__init__()
        self.tau = config.tau
        self.linear = nn.Linear(in_dim, config.dim)
        self.bank = SnippetBank(config.bank)
        self.register_buffer("log_z", torch.tensor(torch.nan))  # until the first contrast

    def embed(self, x_NC: Tensor) -> Tensor:
        """(N, C) -> (N, P), of unit length."""
        return F.normalize(self.linear(x_NC), dim=-1)

    def contrast(
        self, anchor_NP: Tensor, positive_NP: Tensor, target_NK: Tensor, bank: SnippetBank
    ) -> Tensor:
        """Its loss against the other side and that side's bank."""
        held = bank.held(anchor_NP.device)
        if held is None:
            return anchor_NP.sum() * 0.0
        if self.log_z.isnan():
            self.log_z = log_normaliser(anchor_NP.detach(), held, tau=self.tau)
        return nce_loss(anchor_NP, positive_NP, target_NK, held, tau=self.tau, log_z=self.log_z)


def nce_loss(
    anchor_NP: Tensor, positive_NP: Tensor, target_NK: Tensor, bank: Snippets, *, tau: float, log_z: Tensor
) -> Tensor:
    """-log h(positive) - sum over negatives of log(1 - h), the mean over anchors; see the head of this file.

    All of unit length. A target of at least 0.5 is a label. An anchor without negatives counts 0.
    """
    label_NK, label_MK = ((target >= 0.5).float() for target in (target_NK, bank.target_MK))
    negative_NM = label_NK @ label_MK.T == 0
    count_N1 = negative_NM.sum(1, keepdim=True)
    # h = sigmoid(similarity / tau - log(N Z))
    offset_N1 = count_N1.clamp(min=1).log() + log_z
    hit_N1 = F.logsigmoid((anchor_NP * positive_NP).sum(-1, keepdim=True) / tau - offset_N1)
    miss_NM = F.logsigmoid(offset_N1 - anchor_NP @ bank.features_MC.T / tau)
    loss_N = -(hit_N1[:, 0] + (miss_NM * negative_NM).sum(1)) * (count_N1[:, 0] > 0)
    return loss_N.sum() / max(len(loss_N), 1)


def log_normaliser(anchor_NP: Tensor, bank: Snippets, *, tau: float) -> Tensor:
    """log Z: of the mean of exp(similarity / tau) over all anchors and the whole bank."""
    similarity_NM = anchor_NP @ bank.features_MC.T / tau
    return (similarity_NM.flatten().logsumexp(0) - torch.tensor(similarity_NM.numel()).log()).detach()
