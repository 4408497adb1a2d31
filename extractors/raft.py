import torch
from torch import Tensor
from torchvision.models.optical_flow.raft import CorrBlock


class Correlation(CorrBlock):
    """torchvision's, in float32 whatever the rest runs in: coordinates need more than eight bits."""

    def build_pyramid(self, fmap1: Tensor, fmap2: Tensor) -> None:
        """Correlation of all pairs of feature vectors, and its averages over 2, 4 and 8 pixels."""
        with torch.autocast(fmap1.device.type, enabled=False):
            super().build_pyramid(fmap1.float(), fmap2.float())

    def index_pyramid(self, centroids_coords: Tensor) -> Tensor:
        """Correlations around the given coordinates (B, 2, H, W)."""
        with torch.autocast(centroids_coords.device.type, enabled=False):
            return super().index_pyramid(centroids_coords.float())
