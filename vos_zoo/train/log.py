"""What a run tells: log.jsonl, a line on the terminal, and curves for TensorBoard or trackio."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vos_zoo.errors import DataError
from vos_zoo.system.atomic import atomic_write
from vos_zoo.train.trainer import Trainer


class Log:
    """Means over the steps since the last line; speed and time left over the steps since this process began.

    Only the main process writes. A run that goes on drops the lines behind its checkpoint: they will be written again.
    """

    def __init__(self, trainer: Trainer, out: Path, show: bool = True, board: str = ""):
        self.trainer, self.path = trainer, out / "log.jsonl"
        self.writes = trainer.processes.main
        self.show = show and self.writes
        kept = keep_lines(self.path, trainer.step) if self.writes else []
        self.minutes_before = max((row.get("minutes", 0.0) for row in kept), default=0.0)
        self.begun, self.first_step = time.monotonic(), trainer.step
        self.frames = 0
        self.losses: list[Tensor] = []
        self.ious: list[Tensor] = []
        self._board = board_of(board, out, trainer.step) if self.writes and board else None

    @property
    def minutes(self) -> float:
        """Of this process."""
        return (time.monotonic() - self.begun) / 60

    def add(self, loss: Tensor, iou: Tensor, frames: int) -> None:
        self.losses.append(loss)
        self.ious.append(iou)
        self.frames += frames

    def write(self) -> None:
        """A line on the steps since the last one. All processes call this: their means are averaged."""
        processes = self.trainer.processes
        means = processes.total(torch.stack([torch.stack(self.losses).mean(), torch.stack(self.ious).mean()]).float()) / processes.count
        self.losses, self.ious = [], []
        if not self.writes:
            return
        step, recipe = self.trainer.step, self.trainer.recipe
        stage, _ = recipe.stage_at(step - 1)
        minutes = self.minutes
        row = {
            "step": step,
            "stage": stage.name,
            "loss": float(means[0]),
            "iou": float(means[1]),
            "lr": recipe.rate(step - 1),
            "minutes": self.minutes_before + minutes,
            "frames_per_second": self.frames * processes.count / minutes / 60,
        }
        self._append(row)
        if self.show:
            left = minutes / (step - self.first_step) * (recipe.steps - step)
            print(
                f"{stage.name} {step}/{recipe.steps}  loss {row['loss']:.3f}  IoU {row['iou']:.3f}  "
                f"{row['frames_per_second']:.1f} frames/s  {in_words(left)} left",
                flush=True,
            )

    def validated(self, score: float, best: bool) -> None:
        """A line on a validation."""
        if not self.writes:
            return
        self._append({"step": self.trainer.step, "validation": score, "best": best, "minutes": self.minutes_before + self.minutes})
        if self.show:
            print(
                f"validation {self.trainer.step}/{self.trainer.recipe.steps}  J&F {score:.1f}{'  best so far' if best else ''}", flush=True
            )

    def _append(self, row: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(row) + "\n")
        if self._board is not None:
            for name, value in row.items():
                if isinstance(value, float) and math.isfinite(value):
                    self._board.add_scalar(name, value, row["step"])

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


def keep_lines(path: Path, step: int) -> list[dict[str, Any]]:
    """The rows of a log up to a step; the file is cut to them, and to whole lines, if it holds more."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            break
        if row["step"] > step:
            break
        rows.append(row)
    if len(rows) < len(lines):
        with atomic_write(path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return rows


def in_words(minutes: float) -> str:
    """1 h 05 min, 12 min, 40 s."""
    if minutes < 1:
        return f"{max(minutes, 0) * 60:.0f} s"
    whole = round(minutes)
    return f"{whole} min" if whole < 60 else f"{whole // 60} h {whole % 60:02} min"


def board_of(name: str, out: Path, step: int) -> Any:
    """What draws the curves of a run: "tensorboard", None where it is not installed, or "trackio".

    DataError if trackio is not installed.
    """
    if name == "trackio":
        return _Trackio(out)
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(out / "tensorboard"), purge_step=step)


class _Trackio:
    """Curves in trackio: the project is the folder that holds the run, the run's name is its own. `trackio show` draws them."""

    def __init__(self, out: Path):
        try:
            import trackio
        except ImportError as error:
            raise DataError("--log-with trackio needs the package trackio: pip install trackio") from error
        self._trackio, folder = trackio, out.resolve()
        trackio.init(project=folder.parent.name or "vos_zoo", name=folder.name, resume="allow")

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self._trackio.log({name: value}, step=step)

    def close(self) -> None:
        self._trackio.finish()
