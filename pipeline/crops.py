"""Random pieces of long videos, for models that are trained on a bounded number of steps.

Shapes: B videos, T steps (padded), W steps of a piece.
"""

import torch
from torch import Tensor

from models.base import Encoded
from pipeline.dataset import Batch, Taught


def random_crops(batch: Batch, steps: int) -> Batch:
    """At most `steps` consecutive real steps of every video, the same ones of features, targets and teachers.

    Starts are uniform and drawn from torch's own generator. What teachers make of them is what they made of
    the whole video.
    """
    if batch.x_BTD.shape[1] <= steps:
        return batch
    spare_B = ((batch.mask_BT > 0).sum(1) - steps).clamp(min=0)
    # drawn on the CPU: the same on every device
    start_B = (torch.rand(len(spare_B)).to(spare_B.device) * (spare_B + 1)).long().minimum(spare_B)
    index_BW = start_B[:, None] + torch.arange(steps, device=start_B.device)
    video_B1 = torch.arange(len(start_B), device=start_B.device)[:, None]

    def piece(whole: Tensor) -> Tensor:
        return whole[video_B1, index_BW]

    return Batch(
        piece(batch.x_BTD),
        piece(batch.target_BTK),
        piece(batch.mask_BT),
        piece(batch.labelled_BT),
        {name: Taught(Encoded(*map(piece, t.seen)), piece(t.mask_BT)) for name, t in batch.teachers.items()},
    )
