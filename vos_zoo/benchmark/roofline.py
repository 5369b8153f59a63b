"""The roofline: how fast a model could be on a device that did nothing but its arithmetic, or nothing but its memory traffic.

The device's ceilings are measured, not taken from a data sheet: a large matrix product and a large copy. The model's operations and bytes
are counted while one frame is encoded and stepped, eagerly: every operator reads its inputs and writes its outputs. A compiler that fuses
operators moves fewer bytes, so the memory bound is one of eager execution. (Williams, Waterman and Patterson, "Roofline", 2009.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vos_zoo.benchmark.baseline import timed, waiter
from vos_zoo.benchmark.stages import Measurable, started
from vos_zoo.benchmark.synthetic import SyntheticClip
from vos_zoo.engine.inputs import InputSize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    import torch
    from torch._ops import OpOverload

REPEATS = 5


@dataclass(frozen=True)
class Ceilings:
    """What a device does at best, by measurement."""

    dtype: str
    flops: float  # operations a second, a multiply-add is two
    bandwidth: float  # bytes a second, read and written


@dataclass(frozen=True)
class Work:
    """What a model does for one frame."""

    flops: int
    traffic: int  # bytes that operators read and write

    def bound(self, ceilings: Ceilings) -> float:
        """Seconds a frame that can't be undercut, eagerly: the larger of both."""
        return max(self.flops / ceilings.flops, self.traffic / ceilings.bandwidth)

    def limit(self, ceilings: Ceilings) -> str:
        """Which of both it is."""
        return "arithmetic" if self.flops / ceilings.flops >= self.traffic / ceilings.bandwidth else "memory"


def ceilings_of(device: torch.device, dtype: torch.dtype, *, side: int | None = None, megabytes: int | None = None) -> Ceilings:
    """Measured on the device: best of several. side: of the square matrices; megabytes: of the copied block."""
    import torch

    gpu = device.type != "cpu"
    side, megabytes = side or (8192 if gpu else 2048), megabytes or (1024 if gpu else 256)
    wait = waiter(device)
    with torch.inference_mode():
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in "ab")
        block = torch.zeros(megabytes << 20, dtype=torch.uint8, device=device)
        target = torch.empty_like(block)
        torch.mm(a, b)
        target.copy_(block)
        work = (lambda: torch.mm(a, b), lambda: target.copy_(block))
        product, copy = (min(timed(run, wait) for _ in range(REPEATS)) for run in work)
    return Ceilings(str(dtype).removeprefix("torch."), 2 * side**3 / product, 2 * block.numel() / copy)


def work_of(segmenter: Measurable, clip: SyntheticClip, inside: InputSize = None) -> Work:
    """Counted over one frame after the first."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import FlopCounterMode

    class Traffic(TorchDispatchMode):
        """Sums the bytes of the inputs and outputs of every operator that makes something new."""

        total = 0

        def __torch_dispatch__(
            self, func: OpOverload, types: Sequence[type], args: tuple[object, ...] = (), kwargs: Mapping[str, object] | None = None
        ) -> object:
            out = func(*args, **(kwargs or {}))
            if not any(each.alias_info is not None and not each.alias_info.is_write for each in func._schema.returns):  # a view
                self.total += _bytes(torch, args) + _bytes(torch, kwargs) + _bytes(torch, out)
            return out

    with torch.inference_mode():
        frames, state = started(segmenter, clip, inside)
        with Traffic() as traffic, FlopCounterMode(display=False) as counter:
            segmenter.inference_model.step(segmenter.inference_model.encode(frames[-1]), state)
    return Work(counter.get_total_flops(), traffic.total)


def _bytes(torch: ModuleType, value: object) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(_bytes(torch, each) for each in value.values())
    return sum(_bytes(torch, each) for each in value) if isinstance(value, (list, tuple)) else 0
