"""The network behind a click: interactive segmentation of one image, as a head on a propagation model's features.

    features         of an encoded frame at strides 16, 8, 4: CRVOS's, kept as they are
    reduce           one 1x1 convolution a stride, shared by all objects and all clicks of the image
    marks            what the user said, as maps: positive and negative disks, the box, the previous mask
    relate (16)      self-attention among the cells of the image: what looks like the marked cells, and what does not
    refine (8, 4)    residual blocks, each with the image's features and the marks of its stride
    predict          log odds at stride 2

Lineage: RITM (Sofiiuk et al. 2021, arXiv 2102.06583) for disks of a fixed radius and the previous mask as input; SimpleClick (Liu et al.
2023, arXiv 2210.11006) for plain attention over the image; FocalClick (Chen et al. 2022, arXiv 2204.02574) for the second look at a crop,
which `pointer.py` takes. Deviations:
- The marks enter behind the trunk, not before it (RITM 3.3 adds them to the first convolution), so that an image is encoded once, for
  pointing at its objects and for following them.
- How near a cell is to a mark, over two distances, is told to the attention as four more maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    pass

MARKS = 4  # maps: positive disks and strokes, negative ones, inside of the box, previous mask
NEAR = (1.5, 5.0)  # cells of stride 16 over which nearness to a mark falls to 1/e


@dataclass(frozen=True)
class PointingConfig:
    features: tuple[int, int, int, int] = (1024, 128, 128, 128)  # channels of the encoder's maps: its trunk's at stride 16, then 16, 8, 4
    widths: tuple[int, int, int] = (192, 80, 40)  # channels at strides 16, 8, 4
    relations: int = 2  # attention blocks at stride 16
    blocks: tuple[int, int] = (1, 1)  # residual blocks at strides 8, 4

    def __post_init__(self) -> None:
        for name, count in (("features", 4), ("widths", 3), ("blocks", 2)):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if len(values) != count or not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
                raise ValueError(f"{name} must be {count} whole numbers, not {values}")
        if not all(8 <= w <= 4096 for w in self.features) or not all(8 <= w <= 1024 and w % 8 == 0 for w in self.widths):
            raise ValueError(f"features and widths are channel counts, widths multiples of 8, not {self.features} and {self.widths}")
        if not all(0 <= n <= 8 for n in (*self.blocks, self.relations)):
            raise ValueError(f"relations and blocks must lie between 0 and 8, not {self.relations} and {self.blocks}")


class Reduced(NamedTuple):
    """What the head sees of an image."""

    s16: Tensor  # (B, widths[0], H/16, W/16)
    s8: Tensor  # (B, widths[1], H/8, W/8)
    s4: Tensor  # (B, widths[2], H/4, W/4)


class PointingNetwork(nn.Module):
    Config = PointingConfig

    def __init__(self, config: PointingConfig | None = None):
        super().__init__()
        self.config = config or PointingConfig()
        trunk, f16, f8, f4 = self.config.features
        w16, w8, w4 = self.config.widths
        self.reduce = nn.ModuleList(_Reduce(wide, narrow) for wide, narrow in ((trunk + f16, w16), (f8, w8), (f4, w4)))
        near = 2 * len(NEAR)
        self.marks = nn.ModuleList(nn.Conv2d(told, width, 3, padding=1) for told, width in ((MARKS + near, w16), (MARKS, w8), (MARKS, w4)))
        self.relate = nn.ModuleList(_Relate(w16) for _ in range(self.config.relations))
        self.lift = nn.ModuleList(nn.Conv2d(deep, shallow, 1) for deep, shallow in ((w16, w8), (w8, w4)))
        self.refine = nn.ModuleList(
            nn.Sequential(*(_Block(width) for _ in range(count))) for width, count in zip((w8, w4), self.config.blocks, strict=True)
        )
        self.coarse = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in (w16, w8))
        self.predict = nn.Conv2d(w4, 4, 3, padding=1)

    def prepare(self, features: Any) -> Reduced:
        """What every click on this image needs of its features, those of CRVOS."""
        s16 = torch.cat([features.trunk, F.relu(features.s16)], 1)
        maps = (s16, F.relu(features.s8), F.relu(features.s4))
        return Reduced(*(reduce(each) for reduce, each in zip(self.reduce, maps, strict=True)))

    def forward(self, image: Reduced, marks: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """marks (B, 4, H, W) in [0, 1] -> log odds (B, H/2, W/2), and coarser ones at strides 16 and 8 for training."""
        at4 = _halved(_halved(marks))
        at8 = _halved(at4)
        at16 = _halved(at8)
        near = torch.cat([nearness(at16[:, :2], reach) for reach in NEAR], 1)
        x = image.s16 + self.marks[0](torch.cat([at16, near], 1))
        for relate in self.relate:
            x = relate(x)
        coarse = [self.coarse[0](x)[:, 0].float()]
        for n, (feature, told) in enumerate(((image.s8, at8), (image.s4, at4))):
            x = F.interpolate(self.lift[n](x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.refine[n](x + feature + self.marks[n + 1](told))
            if n == 0:
                coarse.append(self.coarse[1](x)[:, 0].float())
        return F.pixel_shuffle(self.predict(F.relu(x)), 2)[:, 0].float(), (coarse[0], coarse[1])


class _Reduce(nn.Module):
    """A map of many channels to a few of one scale: 1x1 convolution and group normalisation."""

    def __init__(self, wide: int, narrow: int):
        super().__init__()
        self.conv = nn.Conv2d(wide, narrow, 1)
        self.norm = nn.GroupNorm(8, narrow)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class _Relate(nn.Module):
    """Every cell looks at all others, then at its neighbours: attention, and a 3x3 depthwise convolution between two linear layers."""

    def __init__(self, width: int, per_head: int = 32):
        super().__init__()
        self.heads = max(1, width // per_head)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.around = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        cells = x.flatten(2).transpose(1, 2)  # (B, HW, C)
        q, k, v = self.qkv(self.norm1(cells)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        cells = cells + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        wide = self.widen(self.norm2(cells)).transpose(1, 2).unflatten(2, (h, w))
        wide = F.gelu(wide + self.around(wide)).flatten(2).transpose(1, 2)
        return (cells + self.narrow(wide)).transpose(1, 2).unflatten(2, (h, w))


class _Block(nn.Module):
    """Residual block of two 3x3 convolutions; an identity when training begins."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_uniform_(self.first.weight, nonlinearity="relu")
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


def _halved(marks: Tensor) -> Tensor:
    """Half the resolution: the most of the disks, so that none fades; the mean of box and mask."""
    return torch.cat([F.max_pool2d(marks[:, :2], 2), F.avg_pool2d(marks[:, 2:], 2)], 1)


def nearness(marks: Tensor, reach: float) -> Tensor:
    """(B, C, h, w) in [0, 1] -> the same shape: exp(-distance / reach) to the nearest mark, weighted by how much it is one."""
    b, c, h, w = marks.shape
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    places = torch.stack([y, x], -1).reshape(-1, 2).to(marks.device, torch.float32)
    if torch.compiler.is_compiling():  # a graph can't look where marks are: all cells are compared, with the same result
        fall = (-torch.cdist(places, places) / reach).exp().to(marks.dtype)
        return (fall * marks.reshape(b * c, 1, h * w)).amax(2).view(b, c, h, w)
    near = torch.zeros(b * c, h * w, dtype=marks.dtype, device=marks.device)
    for n, cells in enumerate(marks.reshape(b * c, h * w)):
        where = cells.nonzero()[:, 0]
        if len(where):
            fall = (-torch.cdist(places[where], places) / reach).exp().to(marks.dtype)
            near[n] = (fall * cells[where, None]).amax(0)
    return near.view(b, c, h, w)
