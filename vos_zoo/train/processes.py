"""The processes of a run, one or many, on one machine or several: the only place that knows accelerate.

Started alone a program is one process; under torchrun or `accelerate launch` it is one of many, each with a device of its own.
A model is called by several methods, not by one forward pass, so nothing wraps it: the gradients are summed once a step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from vos_zoo.errors import DataError


class Processes:
    """device: "auto" (a GPU where there is one) or "cpu". rank 0 ... count - 1; rank 0 is `main` and writes the files."""

    def __init__(self, device: str = "auto"):
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise DataError("training needs accelerate: pip install accelerate") from error
        self._accelerator: Any = Accelerator(cpu=torch.device(device).type == "cpu" if device != "auto" else False)
        self.device: torch.device = self._accelerator.device
        self.rank: int = self._accelerator.process_index
        self.count: int = self._accelerator.num_processes
        if device != "auto" and torch.device(device).type != self.device.type:
            raise DataError(f"there is no device {device} here; accelerate found {self.device}. Say --device auto or cpu")

    @property
    def main(self) -> bool:
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        return values if self.count == 1 else self._accelerator.reduce(values.to(self.device), "sum")

    def anyone(self, flag: bool) -> bool:
        """Whether the flag is set in some process."""
        return flag if self.count == 1 else bool(self.total(torch.tensor(float(flag))) > 0)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every process's gradients become the sum over all; a parameter without one counts as zero."""
        if self.count == 1:
            return
        learning = [p for p in parameters if p.requires_grad]
        for p in learning:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        flat = self.total(torch.cat([p.grad.flatten() for p in learning]))  # type: ignore[union-attr]
        for p, part in zip(learning, flat.split([p.numel() for p in learning]), strict=True):
            p.grad = part.view_as(p)

    def wait(self) -> None:
        """Until all have come here."""
        self._accelerator.wait_for_everyone()
