"""Batch normalisation merged into the convolution before it: the same function, fewer passes over memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Module = TypeVar("Module", bound=nn.Module)


def fold_batch_norm(module: nn.Module) -> None:
    """Merge every batch norm into the convolution that stands right before it, in place; the batch norm becomes an identity.

    Computed in float32, whatever the precision.
    """
    for (holder, place), (parent, name) in list(_pairs(module)):
        conv, norm = holder._modules[place], parent._modules[name]
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        dtype = conv.weight.dtype
        holder._modules[place] = fuse_conv_bn_eval(conv.float().eval(), norm.float().eval()).to(dtype)
        parent._modules[name] = nn.Identity()


def folded(model: Module) -> Module:
    """The model if it has no batch norm to merge; else a copy for inference with all of them merged, in the model's own precision.

    The copy holds tensors of its own only where something was merged.
    """
    pairs = [(holder._modules[place], parent._modules[name]) for (holder, place), (parent, name) in _pairs(model)]
    if not pairs:
        return model
    merged = {id(parameter) for pair in pairs for module in pair if module is not None for parameter in module.parameters()}
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers()) if id(tensor) not in merged}
    twin = copy.deepcopy(model, shared)
    fold_batch_norm(twin)
    return twin


Place = tuple[nn.Module, str]  # a module, and the name of a child


def _pairs(module: nn.Module) -> Iterator[tuple[Place, Place]]:
    """Where every convolution lies that a batch norm follows, and where that lies."""
    before: Place | None = None
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d) and before is not None:
            yield before, (module, name)
        else:
            yield from _pairs(child)
        before = _last_convolution(module, name)


def _last_convolution(parent: nn.Module, name: str) -> Place | None:
    """Of this child: itself, or of a Sequential what it ends with."""
    child = parent._modules[name]
    if isinstance(child, nn.Sequential) and len(child):
        return _last_convolution(child, list(child._modules)[-1])
    return (parent, name) if isinstance(child, nn.Conv2d) else None
