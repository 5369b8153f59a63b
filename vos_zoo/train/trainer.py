"""One optimiser step, and all that outlives it: the same for all models and stages."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from vos_zoo.errors import CheckpointError, DataError, SaveError
from vos_zoo.io.atomic import atomic_write
from vos_zoo.models.base import VOSModel
from vos_zoo.train.batch import ClipBatch
from vos_zoo.train.interrupts import uninterrupted
from vos_zoo.train.recipe import Recipe
from vos_zoo.train.rollout import rollout


def learning_rate(recipe: Recipe, step: int) -> float:
    """Rate of the head at a step: warm-up over the run's first steps, then the stage's own constant or cosine."""
    stage, within = recipe.stage_at(step)
    rate = stage.lr
    if stage.lr_end is not None:
        done = torch.tensor(within / max(stage.steps, 1))
        rate = stage.lr_end + (stage.lr - stage.lr_end) * float(0.5 * (1 + torch.cos(done * torch.pi)))
    return rate * min(1.0, (step + 1) / max(recipe.warmup, 1))


class Trainer:
    """model, its moving average, the optimiser and the step: all that a checkpoint holds.

    amp: bfloat16 where autocast takes it. DataError if a `frozen` prefix of the recipe fits no parameter.
    """

    def __init__(self, model: VOSModel, recipe: Recipe, device: str = "cpu", amp: bool = True):
        self.model, self.recipe, self.device, self.amp = model.to(device), recipe, torch.device(device), amp
        self.model.to(memory_format=torch.channels_last)
        names = [name for name, _ in model.named_parameters()]
        idle = [prefix for prefix in recipe.frozen if not any(name.startswith(prefix) for name in names)]
        if idle:
            parts = sorted({".".join(name.split(".")[:3]) for name in names})
            raise DataError(f"frozen: no parameter's name begins with {', '.join(idle)}; names begin with {', '.join(parts)}")
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not name.startswith(recipe.frozen) if recipe.frozen else True)
        in_trunks = {id(p) for trunk in model.trunks() for p in trunk.parameters()}
        trainable = [p for p in model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trainable if id(p) in in_trunks], "factor": recipe.trunk_lr},
            {"params": [p for p in trainable if id(p) not in in_trunks], "factor": 1.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, weight_decay=recipe.weight_decay)
        self.average: dict[str, Tensor] = {n: p.detach().clone() for n, p in model.state_dict().items()}
        self.step = 0

    def train_step(self, clip: ClipBatch, first: Tensor) -> tuple[float, float]:
        """One optimiser step; (loss, IoU of the last frame). first (B, K, H, W): what the model is told of frame 0.

        A Ctrl-C takes effect before the update or after it. FloatingPointError, with nothing changed, if the gradient is not finite.
        """
        rate = learning_rate(self.recipe, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        clip = ClipBatch(*(t.to(self.device, non_blocking=True) for t in clip))
        self.model.train()
        stage, _ = self.recipe.stage_at(self.step)
        options = {"dice": self.recipe.dice, "auxiliary": self.recipe.auxiliary}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            loss, iou = rollout(self.model, clip, first.to(self.device), warm=stage.warm, **options)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.grad is not None], self.recipe.clip_norm)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"step {self.step}: the gradient is {float(norm)}; lower the learning rate or look at the data")
        with uninterrupted():
            self.optimizer.step()
            self.step += 1
            self._follow()
        return float(loss.detach()), float(iou)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average towards the weights; faster at the run's start."""
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1 - decay)

    def save(self, path: Path) -> None:
        """Whole or not at all, whatever happens meanwhile. SaveError if it can't be written; the file before it is kept."""
        state = {"step": self.step, "model": self.model.state_dict(), "average": self.average, "optimizer": self.optimizer.state_dict()}
        with uninterrupted(), atomic_write(path) as temporary:
            try:
                torch.save(state, temporary)
            except RuntimeError as error:  # what torch makes of a failed write
                raise SaveError(
                    f"can't save {path}: {error}. Is the disk full? Free some space; the checkpoint before is untouched"
                ) from error

    def load(self, path: Path) -> None:
        """Go on from a file that `save` wrote. CheckpointError if it is none, or belongs to another model or recipe."""
        try:
            saved = torch.load(path, map_location=self.device, weights_only=True)
            state = saved["step"], saved["model"], saved["average"], saved["optimizer"]
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path} can't be read as a checkpoint of a training run ({error}); move it away to begin anew"
            ) from error
        try:
            step, model, self.average, optimizer = state
            self.model.load_state_dict(model)
            self.optimizer.load_state_dict(optimizer)
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{path} belongs to another model or recipe ({error}); go on with the recipe it was made by, or choose another folder"
            ) from error
        self.step = step
