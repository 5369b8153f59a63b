"""Whether the loader keeps up: clips' frames a second that it offers, against those that the model can learn from."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

import torch

from vos_zoo.models.base import VOSModel
from vos_zoo.train.batches import Batches
from vos_zoo.train.recipe import Recipe
from vos_zoo.train.trainer import Trainer


@dataclass(frozen=True)
class Throughput:
    """Frames a second of one stage, those predicted counted."""

    stage: str
    workers: int
    offered: float  # by the loader, alone
    wanted: float  # by the model, from batches that are there already

    @property
    def share(self) -> float:
        """Of the model's appetite that the loader covers: below 1 the model waits."""
        return self.offered / self.wanted


def measure(model: VOSModel, recipe: Recipe, data: Batches, *, workers: int = 1, device: str = "auto", steps: int = 4) -> list[Throughput]:
    """Loader and model of every stage, each by itself: `steps` batches after two that are not counted (workers start, caches fill).

    The model is trained meanwhile: hand over one that nobody needs. On a GPU the loader's time is that of drawing there too.
    """
    trainer = Trainer(model, recipe, device)
    found, begin = [], 0
    for stage in recipe.stages:
        frames = stage.batch * (stage.frames - 1) * steps
        stage.steps = max(stage.steps, 2 + steps)
        batches = []
        stream = data.from_step(begin, workers, device=trainer.device)
        for sample in itertools.islice(stream, 2):
            batches.append(sample)
        _wait(trainer.device)
        started = time.perf_counter()
        for sample in itertools.islice(stream, steps):
            batches.append(sample)
        _wait(trainer.device)
        offered = frames / (time.perf_counter() - started)
        stream.close()
        for n, sample in enumerate(batches):
            if n == 2:
                _wait(trainer.device)
                started = time.perf_counter()
            trainer.step = begin
            trainer.train_step(sample)
        _wait(trainer.device)
        found.append(Throughput(stage.name, workers, offered, frames / (time.perf_counter() - started)))
        begin += stage.steps
    return found


def table(measured: list[Throughput]) -> str:
    """A line a stage."""
    width = max(5, *(len(one.stage) for one in measured))
    lines = [f"{'stage':<{width}}  workers  loader  model  frames/s"]
    for one in measured:
        verdict = "keeps up" if one.share >= 1 else f"the model waits: {one.share:.0%}"
        lines.append(f"{one.stage:<{width}}  {one.workers:>7}  {one.offered:>6.1f}  {one.wanted:>5.1f}  {verdict}")
    return "\n".join(lines)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
