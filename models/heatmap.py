"""Where actions have their centres: the heat-map branch of MS-TCT, its targets and its loss.

Dai et al., CVPR 2022; the numbers are those of their public code [kin]. Differences [ours]: an action is a
maximal run of labelled steps, since steps are all a temporal model knows; each video's map is held against
its own targets alone (there, by broadcasting, against those of the whole batch); padding carries nothing.

Shapes: B videos, T steps (padded), K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.masking import masked


def centre_heatmap(target_BTK: Tensor, mask_BT: Tensor) -> Tensor:
    """What the branch should show (B, T, K): 1 at the centre of each action, falling off with its length.

    An action of d steps from step s has its centre at c = s + d // 2; around it, 2 d steps either way,

        G_t = exp(-(t - c)^2 / sigma^2),    sigma = d + 1/4

    and where actions of a class overlap so, the larger counts. Targets are 0 or 1; padding is 0.
    """
    on_BKT = (masked(target_BTK, mask_BT) > 0).transpose(1, 2)
    previous = F.pad(on_BKT, (1, 0))[..., :-1]
    following = F.pad(on_BKT, (0, 1))[..., 1:]
    # in the same order on both sides: by video, class, time
    first, last = (on_BKT & ~previous).nonzero(), (on_BKT & ~following).nonzero()
    length_A = last[:, 2] - first[:, 2] + 1
    centre_A = first[:, 2] + length_A // 2
    distance_AT = torch.arange(on_BKT.shape[2], device=on_BKT.device) - centre_A[:, None]
    heat_AT = (-(distance_AT / (length_A[:, None] + 0.25)).square()).exp()
    heat_AT = heat_AT * (distance_AT.abs() <= 2 * length_A[:, None])
    heat = torch.zeros(on_BKT.shape[:2].numel(), on_BKT.shape[2], device=on_BKT.device)
    row_A = first[:, 0] * on_BKT.shape[1] + first[:, 1]
    heat.scatter_reduce_(0, row_A[:, None].expand_as(heat_AT), heat_AT, "amax")
    return masked(heat.view(on_BKT.shape).transpose(1, 2), mask_BT)


def heatmap_loss(logits_BTK: Tensor, heatmap_BTK: Tensor, mask_BT: Tensor) -> Tensor:
    """Focal loss of centres [kin]: with p the sigmoid of the logits, clamped to [1e-4, 1 - 1e-4],

        -1/A sum_{t,k} { (1 - p)^2 log p            where G = 1
                       { (1 - G)^4 p^2 log(1 - p)   elsewhere

    over real steps; A is the number of centres in the batch, at least 1. Padding has no gradient.
    """
    p_BTK = masked(logits_BTK.float(), mask_BT).sigmoid().clamp(1e-4, 1 - 1e-4)
    centre_BTK = heatmap_BTK == 1
    hit = (1 - p_BTK).square() * p_BTK.log()
    miss = (1 - heatmap_BTK) ** 4 * p_BTK.square() * (1 - p_BTK).log()
    loss_BTK = masked(torch.where(centre_BTK, hit, miss), mask_BT)
    return -loss_BTK.sum() / centre_BTK.sum().clamp(min=1)
