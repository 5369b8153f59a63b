"""The training loop: checkpointed, resumable, interruptible."""

from __future__ import annotations

import json
import time
from pathlib import Path

from vos_zoo.train.batches import Batches
from vos_zoo.train.trainer import Trainer, learning_rate


def train(
    trainer: Trainer,
    data: Batches,
    out: Path,
    *,
    max_minutes: float = float("inf"),
    workers: int = 1,
    save_every: int = 200,
    log_every: int = 20,
    show: bool = True,
) -> bool:
    """Run to the recipe's end or to the time limit; True when the recipe is done.

    out/checkpoint.pt is written every save_every steps and at any stop, Ctrl-C included; out/log.jsonl gets a line every log_every
    steps. A run whose checkpoint is there goes on from it.
    """
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
    log = _Log(trainer, out / "log.jsonl", show)
    begun = time.monotonic()
    try:
        for clip, first in data.from_step(trainer.step, workers):
            loss, iou = trainer.train_step(clip, first)
            log.add(loss, iou, frames=clip.frames.shape[0] * (clip.frames.shape[1] - 1))
            if trainer.step % log_every == 0:
                log.write()
            if trainer.step % save_every == 0:
                trainer.save(checkpoint)
            if (time.monotonic() - begun) / 60 > max_minutes:
                break
    finally:
        trainer.save(checkpoint)
    return trainer.step >= trainer.recipe.steps


class _Log:
    """Means over the steps since the last line; speed and time left over the steps of this run."""

    def __init__(self, trainer: Trainer, path: Path, show: bool):
        self.trainer, self.path, self.show = trainer, path, show
        self.begun, self.first_step = time.monotonic(), trainer.step
        self.frames, self.losses, self.ious = 0, list[float](), list[float]()

    def add(self, loss: float, iou: float, frames: int) -> None:
        self.losses.append(loss)
        self.ious.append(iou)
        self.frames += frames

    def write(self) -> None:
        step, recipe = self.trainer.step, self.trainer.recipe
        stage, _ = recipe.stage_at(step - 1)
        minutes = (time.monotonic() - self.begun) / 60
        row = {
            "step": step,
            "stage": stage.name,
            "loss": sum(self.losses) / len(self.losses),
            "iou": sum(self.ious) / len(self.ious),
            "lr": learning_rate(recipe, step - 1),
            "minutes": minutes,
            "frames_per_second": self.frames / minutes / 60,
        }
        with self.path.open("a") as log:
            log.write(json.dumps(row) + "\n")
        if self.show:
            left = minutes / (step - self.first_step) * (recipe.steps - step)
            print(
                f"{stage.name} {step}/{recipe.steps}  loss {row['loss']:.3f}  IoU {row['iou']:.3f}  "
                f"{row['frames_per_second']:.1f} frames/s  {left:.0f} min left",
                flush=True,
            )
        self.losses, self.ious = [], []
