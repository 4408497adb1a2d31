"""Losses over the real steps of padded sequences: pure functions of tensors.

Shapes: B videos, T steps (padded), K classes.
"""

import torch.nn.functional as F
from torch import Tensor

from models.masking import masked


def classification_loss(logits_BTK: Tensor, target_BTK: Tensor, mask_BT: Tensor) -> Tensor:
    """L_cls: multi-label binary cross-entropy of every step [paper], p the sigmoid of a logit, y its target:

        -1/N sum_{t,k} ( y log p + (1 - y) log(1 - p) )

    over the N real steps of the batch. That it is the mean over steps and the sum over classes is what
    the authors' public code does [kin]. Padding carries neither loss nor gradient.
    """
    # the inputs too: what is not finite in the padding would have a gradient that is not
    loss_BTK = F.binary_cross_entropy_with_logits(
        masked(logits_BTK, mask_BT), masked(target_BTK, mask_BT), reduction="none"
    )
    return masked(loss_BTK, mask_BT).sum() / mask_BT.sum().clamp(min=1)


def soft_target_loss(
    logits_BTK: Tensor, teacher_BTK: Tensor, mask_BT: Tensor, *, temperature: float
) -> Tensor:
    """Soft targets of Hinton et al. (arXiv:1503.02531), one Bernoulli per class [ours]: with q the teacher's
    probabilities at temperature T, p the student's, over the N real steps of the batch,

        T^2 1/N sum_{t,k} ( q log q/p + (1 - q) log (1 - q)/(1 - p) )

    T^2, so that the gradient's size does not depend on the temperature. No gradient to the teacher.
    """
    warm_BTK = teacher_BTK.detach() / temperature
    soft_BTK = warm_BTK.sigmoid()
    cross = classification_loss(logits_BTK / temperature, soft_BTK, mask_BT)
    return temperature**2 * (cross - classification_loss(warm_BTK, soft_BTK, mask_BT))
