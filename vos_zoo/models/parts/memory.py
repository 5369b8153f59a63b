"""What is remembered of frames, and what a frame reads there: the space-time memory of STM (Oh et al., ICCV 2019, arXiv 1904.00607, 3.2).

Every position of a query compares its key with those of all memorised positions; the softmax of these affinities weighs their values.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 1 << 22  # affinities at once, where the read goes by chunks of queries
FIRST, PREVIOUS = 0, 1  # slots of the memory; kept frames follow


class MemoryState(NamedTuple):
    """What a model with a space-time memory knows of its objects. C and V are its own channels of keys and values."""

    masks: Tensor  # (B, K, H, W) in [0, 1]: the previous frame's masks, after aggregation
    active: Tensor  # (B, K) bool: slots in use
    keys: Tensor  # (B, K, M, H/16 * W/16, C): memory slots: the first frame, the previous one, the others kept
    values: Tensor  # (B, K, M, H/16 * W/16, V)
    valid: Tensor  # (B, K, M) bool: memory slots in use
    age: Tensor  # (B, K) int64: frames since the object's first


def written(slots: Tensor, here: Tensor, new: Tensor) -> Tensor:
    """Keys or values of the memory (B, K, M, N, C) with new ones (B, K, N, C) in the slots where `here` (B, K, M) is True."""
    return torch.where(here[..., None, None], new[:, :, None].to(slots.dtype), slots)


def annotated(state: MemoryState, masks: Tensor, given: Tensor) -> MemoryState:
    """With the masks (B, K', H, W) of the objects `given` (B, K'), old ones or new behind them; what these cover is no other object's.

    Nothing is written to the memory yet.
    """
    new = masks.shape[1] - state.masks.shape[1]
    given_here = given[:, :, None, None]
    taken = (masks.float() * given_here).sum(1, keepdim=True).clamp(max=1)
    return MemoryState(
        masks=torch.where(given_here, masks.float(), F.pad(state.masks, (0, 0, 0, 0, 0, new)) * (1 - taken)),
        active=F.pad(state.active, (0, new)) | given,
        keys=F.pad(state.keys, (0, 0, 0, 0, 0, 0, 0, new)),
        values=F.pad(state.values, (0, 0, 0, 0, 0, 0, 0, new)),
        valid=F.pad(state.valid, (0, 0, 0, new)),
        age=F.pad(state.age, (0, new)),
    )


def read_memory(query: Tensor, keys: Tensor, values: Tensor, valid: Tensor) -> Tensor:
    """STM eq. 1, for every object: softmax over all memorised positions of key . query / sqrt(channels), times their values.

    query (B, C, h, w); keys (B, K, M, h*w, C), values (B, K, M, h*w, V), valid (B, K, M) -> (B*K, V, h, w).
    """
    b, k, _, positions, _ = keys.shape
    masked = True
    # a look at `valid` costs nothing on a CPU, and spares what no object uses; a graph for any memory can't look
    if keys.device.type == "cpu" and not torch.compiler.is_compiling():
        used = valid.flatten(0, 1).any(0).nonzero().flatten()
        if len(used) < valid.shape[2]:
            keys, values, valid = keys.index_select(2, used), values.index_select(2, used), valid.index_select(2, used)
        masked = not bool(valid.all())
    mask = of_cells(valid, positions)[:, :, None] if masked else None
    asked = query.flatten(2).transpose(1, 2)[:, None]
    read = read_fused if keys.is_cuda else read_in_chunks
    found = read(asked, keys.flatten(2, 3), values.flatten(2, 3), mask)
    return found.reshape(b * k, *query.shape[-2:], -1).permute(0, 3, 1, 2)


def of_cells(valid: Tensor, positions: int) -> Tensor:
    """(B, K, M) of memory slots -> (B, K, M * positions) of their positions; repeat_interleave becomes a wrong graph of ONNX."""
    return valid[..., None].expand(-1, -1, -1, positions).flatten(2)


def of_objects(key: Tensor, k: int) -> Tensor:
    """(B, C, h, w) of frames -> (B*K, C, h, w), the same for the K objects of a frame."""
    return key[:, None].expand(-1, k, -1, -1, -1).flatten(0, 1)


def read_fused(asked: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """asked (B, 1, N, C), keys (B, K, P, C), values (B, K, P, V), mask (B, K, 1, P) -> (B, K, N, V), by a GPU's own kernel."""
    return F.scaled_dot_product_attention(asked.expand(-1, keys.shape[1], -1, -1), keys, values, mask)


def read_in_chunks(asked: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """The same by chunks of queries, so that the affinity is never held whole. The softmax is in float32 at least.

    CPUs have no fused kernel for keys and values of different widths; with equal ones it is no faster than this.
    """
    asked = asked * asked.shape[-1] ** -0.5
    parts = []
    # a graph for any size can't count its chunks
    for part in (asked,) if torch.compiler.is_compiling() else asked.split(max(16, BLOCK // keys.shape[:-1].numel()), 2):
        affinity = part @ keys.transpose(-1, -2)
        if mask is not None:
            affinity = affinity.masked_fill(~mask, -torch.inf)
        weights = affinity.softmax(-1, dtype=torch.promote_types(affinity.dtype, torch.float32))
        parts.append(weights.to(values.dtype) @ values)
    return torch.cat(parts, 2)


def unit(key: Tensor) -> Tensor:
    """(B, C, h, w), each pixel's C channels over their length, which float32 at least adds up."""
    return F.normalize(key, dim=1) if key.dtype == torch.float64 else F.normalize(key.float(), dim=1).to(key.dtype)


def start_alike(*convolutions: nn.Conv2d | None) -> None:
    """First weights of key convolutions: the same rotation of a pixel's features onto fewer channels.

    What looks alike to the trunk is then found before anything is learned. With random weights of their own a query's and a memory's
    keys have nothing in common: the read is near the mean of all that is remembered, and a small training goes on without it.
    """
    keys = [conv for conv in convolutions if conv is not None]
    middle = torch.empty_like(keys[0].weight[:, :, 1, 1])
    nn.init.orthogonal_(middle)
    for conv in keys:
        with torch.no_grad():
            conv.weight.zero_()
            conv.weight[:, :, 1, 1] = middle
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
