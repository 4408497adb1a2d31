"""The stages of MS-TCT: steps merged, then attention over the whole video and convolution around each step.

Shapes: B videos, S steps of the stage (padded), V width before, W width of the stage, H heads.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from models.masking import masked


class Stage(nn.Module):
    """(B, S * stride, V), zero at padded steps, and the mask of its own S steps, to (B, S, W), as before."""

    def __init__(self, in_dim: int, width: int, stride: int, blocks: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.merge = Merge(in_dim, width, stride)
        self.blocks = nn.ModuleList(Block(width, heads, expansion) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask_BS: Tensor) -> Tensor:
        x_BSW = self.merge(x)
        for block in self.blocks:
            x_BSW = block(x_BSW, mask_BS)
        return masked(self.norm(x_BSW), mask_BS)


class Merge(nn.Module):
    """Convolution over three steps, every `stride` of them; step k of the result is centred at k * stride."""

    def __init__(self, in_dim: int, width: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv1d(in_dim, width, 3, stride, padding=1)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x.transpose(1, 2)).transpose(1, 2))


class Block(nn.Module):
    """Global relations, then local ones, each added to its input; (B, S, W), whatever at padded steps."""

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.local = Local(width, expansion)

    def forward(self, x_BSW: Tensor, mask_BS: Tensor) -> Tensor:
        x_BSW = x_BSW + self.attention(self.norm1(x_BSW), mask_BS)
        return x_BSW + self.local(self.norm2(x_BSW), mask_BS)


class Attention(nn.Module):
    """Every step attends to all real steps of its video."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_BSW: Tensor, mask_BS: Tensor) -> Tensor:
        q, k, v = (self._split(part) for part in (self.q(x_BSW), *self.kv(x_BSW).chunk(2, dim=-1)))
        real_BS = mask_BS > 0
        seen_BS = real_BS | ~real_BS.any(1, keepdim=True)  # a video of padding alone sees itself: no 0 / 0
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=seen_BS[:, None, None, :])
        return self.proj(found.transpose(1, 2).flatten(2))

    def _split(self, x_BSW: Tensor) -> Tensor:
        """(B, H, S, W / H)."""
        return x_BSW.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Local(nn.Module):
    """Channels expanded, each convolved over three steps, and projected back."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, width * expansion)
        self.conv = nn.Conv1d(width * expansion, width * expansion, 3, padding=1, groups=width * expansion)
        self.project = nn.Linear(width * expansion, width)

    def forward(self, x_BSW: Tensor, mask_BS: Tensor) -> Tensor:
        inner = masked(self.expand(x_BSW), mask_BS)
        return self.project(F.gelu(self.conv(inner.transpose(1, 2)).transpose(1, 2)))


def init_weights(module: nn.Module) -> None:
    """Fresh weights as the reference draws them: truncated normal of 0.02, He by fan-out for convolutions."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv1d):
        fan_out = module.kernel_size[0] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2.0 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
