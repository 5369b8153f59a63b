"""The training loop: checkpointed, resumable, interruptible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from vos_zoo.models.base import VOSModel
from vos_zoo.train.batches import Batches
from vos_zoo.train.interrupts import Interrupts
from vos_zoo.train.log import Log
from vos_zoo.train.sheet import save_sheet
from vos_zoo.train.snapshots import mean_of, save_snapshot, snapshot
from vos_zoo.train.trainer import Trainer, write


@dataclass(frozen=True)
class Every:
    """After how many steps something is done; 0: never."""

    log: int = 20
    save: int = 200
    sheet: int = 0  # a picture of what the averaged weights predict
    validate: int = 0
    snapshot: int = 0  # averaged weights in a file of their own, for curves


def train(
    trainer: Trainer,
    data: Batches,
    out: Path,
    *,
    max_minutes: float = float("inf"),
    workers: int = 1,
    every: Every | None = None,
    validate: Callable[[VOSModel], float] | None = None,
    show: bool = True,
    board: str = "",
) -> bool:
    """Run to the recipe's end or to the time limit; True when the recipe is done.

    out/checkpoint.pt is written at any stop too: the time limit, Ctrl-C, SIGTERM (these take effect after the step is done and saved).
    A run whose checkpoint is there goes on from it. validate: a score of the averaged weights, larger is better; the best are kept in
    out/best.pt. Snapshots, those that the recipe asks for too, go to out/snapshots/STEP.pt. DataError if one that a stage starts from is
    not there. out/log.jsonl, out/tensorboard and out/sheets: see `log` and `sheet`. board: what draws curves, "tensorboard" or "trackio".
    """
    every = every or Every()
    processes = trainer.processes
    if processes.main:
        out.mkdir(parents=True, exist_ok=True)
    processes.wait()
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
    processes.wait()
    log = Log(trainer, out, show, board)
    best = _Best(out / "best.pt")
    saved = -1

    def save() -> None:
        nonlocal saved
        if processes.main and trainer.whole and saved != trainer.step:
            trainer.save(checkpoint)
        saved = trainer.step

    with Interrupts() as interrupts:
        try:
            for sample in data.from_step(trainer.step, workers, device=trainer.device, rank=processes.rank, of=processes.count):
                stage, within = trainer.recipe.stage_at(trainer.step)
                if stage.starts_from and within == 0:
                    trainer.begin_from(mean_of([snapshot(out, step) for step in trainer.recipe.starts_of(stage)]))
                loss, iou = trainer.train_step(sample)
                b, t = sample.clip.frames.shape[:2]
                log.add(loss, iou, frames=b * (t - 1))
                if _due(trainer.step, every.log):
                    log.write()
                if _due(trainer.step, every.sheet) and processes.main:
                    with averaged(trainer):
                        save_sheet(trainer.model, sample, out / "sheets" / f"{trainer.step:06}.png")
                if validate is not None and (
                    _due(trainer.step, every.validate) or (every.validate and trainer.step == trainer.recipe.steps)
                ):
                    if processes.main:
                        with averaged(trainer):
                            score = validate(trainer.model)
                        log.validated(score, best.keep(score, trainer))
                    processes.wait()
                if _due(trainer.step, every.snapshot) or trainer.step in trainer.recipe.kept:
                    if processes.main:
                        save_snapshot(out, trainer)
                    processes.wait()
                if _due(trainer.step, every.save):
                    save()
                if processes.anyone(interrupts.asked is not None or log.minutes > max_minutes):
                    break
        except Exception:
            save()
            raise
        finally:
            log.close()
        save()
        interrupts.deliver()
    return trainer.step >= trainer.recipe.steps


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


class averaged:
    """Inside the block the model has the averaged weights and is in evaluation mode."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer

    def __enter__(self) -> None:
        self._own = {name: value.clone() for name, value in self.trainer.model.state_dict().items()}
        self.trainer.model.load_state_dict(self.trainer.average)
        self.trainer.model.eval()

    def __exit__(self, *error: object) -> None:
        self.trainer.model.load_state_dict(self._own)


class _Best:
    """The averaged weights with the highest score, in a file that outlives the process."""

    def __init__(self, path: Path):
        self.path = path
        self.score = float(torch.load(path, weights_only=True)["score"]) if path.exists() else float("-inf")

    def keep(self, score: float, trainer: Trainer) -> bool:
        if score <= self.score:
            return False
        self.score = score
        write({"step": trainer.step, "score": score, "average": trainer.average}, self.path)
        return True
