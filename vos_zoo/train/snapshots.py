"""The averaged weights of steps on the way, each in a file of its own: for curves, for means, and for stages that start from them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from vos_zoo.errors import DataError
from vos_zoo.train.trainer import Trainer, write


def save_snapshot(run: Path, trainer: Trainer) -> None:
    """run/snapshots/STEP.pt."""
    (run / "snapshots").mkdir(exist_ok=True)
    write({"step": trainer.step, "average": trainer.average}, run / "snapshots" / f"{trainer.step:06}.pt")


def snapshot(run: Path, step: int) -> dict[str, Tensor]:
    """The averaged weights of a step that the recipe's `mean_with` or a stage's `starts_from` names. DataError if it was not kept."""
    file = run / "snapshots" / f"{step:06}.pt"
    if not file.is_file():
        raise DataError(f"there is no {file}, which the recipe asks for: the run passed step {step} before the recipe said so. Train again")
    average: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)["average"]
    return average


def mean_of(weights: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each tensor; the first's own where it is no floating-point one."""
    return {
        name: torch.stack([each[name].float() for each in weights]).mean(0) if value.is_floating_point() else value
        for name, value in weights[0].items()
    }
