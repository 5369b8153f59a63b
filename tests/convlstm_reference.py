"""RVOS's decoder in float64, one object and one level after another, nothing split and nothing shared: written from the formulas.

ACCLVOS has the same decoder on other skip features. A frame's result is a list of objects, each a list of four hidden maps.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def bilinear(x: Tensor, height: int, width: int) -> Tensor:
    """(1, C, h, w) -> (1, C, height, width): the corners' centres stay where they are."""

    def weights(size: int, wanted: int) -> Tensor:
        table = torch.zeros(wanted, size).double()
        for i in range(wanted):
            at = i * (size - 1) / (wanted - 1) if wanted > 1 else 0.0
            low = min(math.floor(at), size - 1)
            table[i, low] += 1 - (at - low)
            if at > low:
                table[i, min(low + 1, size - 1)] += at - low
        return table

    return torch.einsum("ih,bchw,jw->bcij", weights(x.shape[2], height), x, weights(x.shape[3], width))


def halve(mask: Tensor) -> Tensor:
    """(h, w) -> the maximum of every 2x2 block; blocks that stick out hold what there is."""
    rows = [torch.stack([mask[i : i + 2, j : j + 2].max() for j in range(0, mask.shape[1], 2)]) for i in range(0, mask.shape[0], 2)]
    return torch.stack(rows)


def pyramid(mask: Tensor) -> dict[int, Tensor]:
    maps = {1: mask}
    for stride in (2, 4, 8, 16, 32):
        maps[stride] = halve(maps[stride // 2])
    return maps


def skip_convolution(skip: Any, x: Tensor) -> Tensor:
    """3x3 convolution, then batch norm by its stored statistics."""
    return batch_norm(skip.norm, F.conv2d(x, skip.conv.weight, skip.conv.bias, skip.conv.stride, padding=1))


def batch_norm(norm: Any, x: Tensor) -> Tensor:
    mean, var, scale, shift = (t.view(-1, 1, 1) for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
    return (x - mean) / (var + norm.eps).sqrt() * scale + shift


def cell(gates: Any, inputs: list[Tensor], memory: Tensor) -> tuple[Tensor, Tensor]:
    """(hidden, cell) of one ConvLSTM: gates in the order input, forget, output, candidate."""
    out = F.conv2d(torch.cat(inputs, 1), gates.weight, gates.bias, padding=1)
    n = out.shape[1] // 4
    i, f, o = (1 / (1 + torch.exp(-out[:, k * n : (k + 1) * n])) for k in range(3))
    memory = f * memory + i * torch.tanh(out[:, 3 * n :])
    return o * torch.tanh(memory), memory


def decode(model: Any, skips: list[Tensor], strides: tuple[int, ...], masks: list[Tensor] | None, before: list[list[Tensor]] | None) -> Any:
    """skips: four (1, C, h, w), deepest first. masks: an (H, W) an object, None without masks. before: hidden maps of the frame before."""
    spatial, temporal = (model.config.recurrence in ("spatio-temporal", name) for name in ("spatial", "temporal"))
    objects: list[list[Tensor]] = []
    cells: list[Tensor] = []
    for k in range(len(masks if masks is not None else before or ())):
        hidden: list[Tensor] = []
        new_cells: list[Tensor] = []
        for n, (level, skip) in enumerate(zip(model.levels, skips, strict=True)):
            zero = torch.zeros(1, level.gates.weight.shape[0] // 4, *skip.shape[2:]).double()
            inputs = [bilinear(hidden[-1], *skip.shape[2:])] if n else []
            inputs.append(skip)
            if masks is not None:
                inputs.append(pyramid(masks[k])[strides[n]][None, None])
            neighbour = k > 0 and spatial
            inputs.append(objects[-1][n] if neighbour else zero)
            inputs.append(before[k][n] if before is not None and temporal else zero)
            h, c = cell(level.gates, inputs, cells[n] if neighbour else zero)
            hidden.append(h)
            new_cells.append(c)
        objects.append(hidden)
        cells = new_cells
    return objects


def masks_of(model: Any, objects: list[list[Tensor]], height: int, width: int) -> list[Tensor]:
    """(H, W) probabilities of every object by itself."""
    masks = []
    for hidden in objects:
        x = bilinear(hidden[3], 2 * hidden[3].shape[2], 2 * hidden[3].shape[3])
        x = F.conv2d(x, model.predictor.weight, model.predictor.bias, padding=1)
        masks.append(torch.sigmoid(bilinear(x, height, width)[0, 0]))
    return masks


def competing(masks: list[Tensor]) -> Tensor:
    """(1 + K, H, W): the background has what the best object leaves; then shares."""
    stack = torch.stack(masks)
    stack = torch.cat([1 - stack.max(0).values[None], stack])
    return stack / stack.sum(0)


def left_to_one(masks: list[Tensor]) -> list[Tensor]:
    """Where several of the masks (H, W) exceed 0.5, only that with the most squares in all does."""
    most = sorted(range(len(masks)), key=lambda k: -float((masks[k] ** 2).sum()))
    left = [mask.clone() for mask in masks]
    for k in most[1:]:
        for better in most[: most.index(k)]:
            both = (masks[k] > 0.5) & (masks[better] > 0.5)
            left[k][both] = 1 - masks[k][both]
    return left


def randomise(model: Any, seed: int = 0) -> Any:
    """The model in float64 with batch norms that do something and a prediction far from 0.5."""
    torch.manual_seed(seed)
    model = model.double().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    for skip, level in zip(model.skips, model.levels, strict=True):
        for conv in (m for m in skip.modules() if isinstance(m, torch.nn.Conv2d)):
            torch.nn.init.normal_(conv.weight, 0, 0.2)
        torch.nn.init.normal_(level.gates.weight, 0, 0.3)
    torch.nn.init.normal_(model.predictor.weight, 0, 4)
    return model
