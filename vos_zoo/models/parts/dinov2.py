"""DINOv2's ViT-S/14 (Oquab et al., 2023, arXiv 2304.07193) as a trunk that is never trained: one token for each 16 x 16 pixels.

Self-supervised features tell apart what ImageNet's classes do not. Matrices are whole numbers of eight bits with a scale for each row:
a quarter of the bytes, and matching is as good as with all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

MODEL = "vit_small_patch14_dinov2"
PATCH = 14  # pixels of a token's side
SUFFIX = ".scale"  # of a matrix' scales in a file


class Int8Linear(nn.Module):
    """A linear layer whose matrix is kept in eight bits, with a scale for each row. It does not learn."""

    weight: Tensor
    scale: Tensor

    def __init__(self, plain: nn.Linear):
        super().__init__()
        self.register_buffer("weight", torch.empty_like(plain.weight, dtype=torch.int8))
        self.register_buffer("scale", torch.empty_like(plain.weight[:, :1]))
        self.bias = plain.bias
        self.store(plain.weight.detach())

    def store(self, weight: Tensor) -> None:
        scale = weight.abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
        self.weight.copy_((weight / scale).round())
        self.scale.copy_(scale)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype) * self.scale.to(x.dtype), self.bias)


class DinoV2(nn.Module):
    """(B, 3, H, W) normalised RGB -> (B, width, H/16, W/16): the tokens after so many blocks, without the final norm.

    The frame is reduced to 14 pixels a cell of 16, so that tokens and cells of stride 16 are the same.
    """

    def __init__(self, blocks: int, width: int = 384):
        super().__init__()
        self.channels = width
        small: dict[str, Any] = {} if width == 384 else {"embed_dim": width, "num_heads": 2, "img_size": 8 * PATCH}
        self.net: Any = timm.create_model(MODEL, pretrained=False, num_classes=0, dynamic_img_size=True, depth=blocks, **small)
        self.net.norm = nn.Identity()
        layers: Any = self.net.blocks
        for module in list(layers.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(module, name, Int8Linear(child))

    def forward(self, frames: Tensor, cells: tuple[int, int]) -> Tensor:
        size = [PATCH * side for side in cells]
        seen = F.interpolate(frames.float(), size, mode="bilinear", align_corners=False, antialias=True)
        tokens = self.net.forward_features(seen.to(self.net.pos_embed.dtype))[:, self.net.num_prefix_tokens :]
        return tokens.transpose(1, 2).unflatten(2, cells)

    def load_dinov2(self, path: str | Path) -> None:
        """Start from a file with timm's names: matrices in eight bits beside their scales, or whole. ValueError if it does not fit."""
        from safetensors.torch import load_file

        stored = load_file(path)
        own = self.net.state_dict()
        missing = []
        for name, value in own.items():
            if name.endswith(SUFFIX):
                continue
            if name not in stored:
                missing.append(name)
            elif value.dtype == torch.int8:
                _store(self.net.get_submodule(name.rpartition(".")[0]), stored[name], stored.get(name + SUFFIX))
            else:
                value.copy_(stored[name])
        if missing:
            raise ValueError(f"{path} is no {MODEL} of so many blocks: {len(missing)} tensors are missing, the first is {missing[0]}")


def _store(layer: Int8Linear, weight: Tensor, scale: Tensor | None) -> None:
    if scale is None:
        layer.store(weight.float())
    else:
        layer.weight.copy_(weight)
        layer.scale.copy_(scale)
