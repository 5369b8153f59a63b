"""What a model costs: floating-point operations a frame and an object, and bytes of state, counted on tensors without memory.

A multiply-add counts as two operations. Convolutions and matrix products count; what is done once per value (ReLU, softmax,
resizing) does not, which is how papers count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from vos_zoo.models.base import Features, State, VOSModel


@dataclass(frozen=True)
class Cost:
    """Of one frame after the first, at a video's start."""

    size: tuple[int, int]  # (H, W) of the model grid that it was counted at
    encode: int  # operations that the objects of a frame share
    per_object: int  # operations that each further object adds; the first may need fewer, where it has no neighbour to look at
    state_bytes: int  # of one object, in float32
    parameters: int


def cost(architecture: type[VOSModel], config: object, size: tuple[int, int]) -> Cost:
    """Count the model that `architecture` builds of its `config` at frames of `size` (H, W), a multiple of its stride.

    A model whose state grows with the video is counted with what it holds after the first frame; one with a fixed memory, where that
    has places for all frames from the start, with all of them.
    """
    with torch.device("meta"):
        model = architecture(config).eval()
        frame = torch.zeros(1, 3, *size)
    with torch.no_grad(), _ValuesAreZero():
        encoding, features = _count(lambda: model.encode(frame))
        one, state = _count_step(model, features, size, 1)
        two, _ = _count_step(model, features, size, 2)
    return Cost(
        size=size,
        encode=encoding,
        per_object=two - one,
        state_bytes=sum(field.numel() * field.element_size() for field in state),
        parameters=sum(each.numel() for each in model.parameters()),
    )


def _count_step(model: VOSModel, features: Features, size: tuple[int, int], objects: int) -> tuple[int, State]:
    """Operations of one step with so many objects, and the state after it."""
    if model.finds_objects:
        state = model.start(features, None, torch.ones(1, objects, dtype=torch.bool, device="meta"))
    else:
        state = model.start(features, torch.zeros(1, objects, *size, device="meta"))
    operations, (_, state) = _count(lambda: model.step(features, state))
    return operations, state


def _count(run: Callable[[], Any]) -> tuple[int, Any]:
    with FlopCounterMode(display=False) as counter:
        result = run()
    return counter.get_total_flops(), result


class _ValuesAreZero(TorchDispatchMode):
    """A model that looks at a number in its state finds zero: tensors on "meta" have none."""

    def __torch_dispatch__(
        self, func: Callable[..., object], types: Sequence[type], args: tuple[object, ...] = (), kwargs: Mapping[str, object] | None = None
    ) -> object:
        if func is torch.ops.aten._local_scalar_dense.default and isinstance(args[0], Tensor) and args[0].is_meta:
            return 0
        return func(*args, **(kwargs or {}))
