"""One optimiser step, and all that outlives it: the same for all models and stages."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vos_zoo.errors import CheckpointError, DataError, SaveError
from vos_zoo.models.base import VOSModel
from vos_zoo.system.atomic import atomic_write
from vos_zoo.system.devices import choose_dtype
from vos_zoo.train.batch import Sample
from vos_zoo.train.optimizers import OPTIMIZERS
from vos_zoo.train.processes import Processes
from vos_zoo.train.recipe import Recipe, Stage
from vos_zoo.train.rollout import rollout, slots_in_use


class Trainer:
    """model, its moving average, the optimiser and the step: all that a checkpoint holds.

    Args:
        device: "auto", "cpu" or "cuda".
        low_precision: autocast to bfloat16. None: where the device computes in it.

    Raises:
        DataError: if a `frozen` prefix of the recipe fits no parameter.
    """

    def __init__(self, model: VOSModel, recipe: Recipe, device: str = "cpu", low_precision: bool | None = None):
        self.processes = Processes(device)
        self.device = self.processes.device
        for stage in recipe.stages:
            if stage.batch < self.processes.count:
                raise DataError(f"stage {stage.name}: a batch of {stage.batch} for {self.processes.count} processes; raise batch")
        self.model, self.recipe = model.to(self.device), recipe
        self.low_precision = choose_dtype("auto", self.device) == torch.bfloat16 if low_precision is None else low_precision
        self.model.to(memory_format=torch.channels_last)
        freeze(model, recipe.frozen)
        in_trunks = {id(p) for trunk in self.trunks() for p in trunk.parameters()}
        trainable = [p for p in model.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trainable if id(p) in in_trunks]},
            {"params": [p for p in trainable if id(p) not in in_trunks]},
        ]
        self.optimizer: torch.optim.Optimizer = OPTIMIZERS[recipe.optimizer](groups, lr=1e-3, weight_decay=recipe.weight_decay)  # type: ignore[call-arg]
        self.average: dict[str, Tensor] = {n: p.detach().clone() for n, p in model.state_dict().items()}
        self.encode: Callable[[Tensor], Any] | None = None  # in place of the model's own
        self.step = 0
        self.whole = True  # False amid an update: not the moment to save

    @property
    def precision(self) -> str:
        """Of the arithmetic: "bfloat16" or "float32"."""
        return "bfloat16" if self.low_precision else "float32"

    def trunks(self) -> list[nn.Module]:
        """What learns at the trunk's rate."""
        return self.model.trunks()

    def begin_from(self, weights: dict[str, Tensor]) -> None:
        """Go on from these weights, which the average takes too, with an optimiser that remembers nothing."""
        self.model.load_state_dict(weights)
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.optimizer.state.clear()

    def train_step(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """One optimiser step on this process's clips of a batch; (loss, IoU of the last frame), scalars, of these clips.

        The gradient is that of the whole batch, over all processes and all `accumulate` parts. FloatingPointError, with nothing
        changed, if it is not finite.
        """
        stage, within = self.recipe.stage_at(self.step)
        if within == 0 and stage.fresh_optimizer:
            self.optimizer.state.clear()
        rate = self.recipe.rate(self.step)
        for group, factor in zip(self.optimizer.param_groups, (self.recipe.trunk_lr, 1.0), strict=True):
            group["lr"] = rate * factor
            group["weight_decay"] = self.recipe.weight_decay if stage.weight_decay is None else stage.weight_decay
        self.optimizer.zero_grad(set_to_none=True)
        loss, iou = self.gradients(sample, stage)
        norm = nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.grad is not None], self.recipe.clip_norm or math.inf)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"step {self.step}: the gradient is {float(norm)}; lower the learning rate or look at the data")
        self.whole = False
        self.optimizer.step()
        self.step += 1
        self._follow()
        self.whole = True
        return loss, iou

    def gradients(self, sample: Sample, stage: Stage) -> tuple[Tensor, Tensor]:
        """Fill the parameters' gradients; (loss, IoU) of this process's clips: the mean of the losses over processes is the batch's."""
        self.model.train()
        sample = sample.to(self.device)
        loss_of = self.recipe.loss_of(stage)
        total = self.processes.total(loss_of.total(slots_in_use(self.model, sample.clip)).float())
        losses, ious, counts = [], [], []
        for part in parts(sample, stage.accumulate):
            low_precision = torch.autocast(self.device.type, torch.bfloat16, enabled=self.low_precision)
            with low_precision, with_args(self.model, stage):
                loss, iou = rollout(
                    self.model,
                    part.clip,
                    part.first,
                    own=part.own,
                    warm=stage.warm,
                    rehearsal=part.rehearsal,
                    detach=stage.detach,
                    loss=loss_of,
                    total=total,
                    encode=self.encode,
                )
            loss.backward()
            losses.append(loss.detach())
            ious.append(iou * len(part.first))
            counts.append(len(part.first))
        self.processes.sum_gradients(self.model.parameters())
        return torch.stack(losses).sum() * self.processes.count, torch.stack(ious).sum() / sum(counts)

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
        write(state, path)

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


@contextmanager
def with_args(model: VOSModel, stage: Stage) -> Iterator[None]:
    """Inside the block the model has the arguments that the stage gives it."""
    own: Any = model.config
    threshold = {} if stage.feedback_threshold is None else {"feedback_threshold": stage.feedback_threshold}
    model.config = replace(own, **stage.model_args, **threshold)
    try:
        yield
    finally:
        model.config = own


def scale_start(model: VOSModel, factors: Mapping[str, float]) -> None:
    """Multiply parameters whose names begin with these prefixes, once, before training. DataError if a prefix fits none."""
    check_prefixes("scaled", factors, model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            for prefix, factor in factors.items():
                if name.startswith(prefix):
                    parameter.mul_(factor)


def check_prefixes(what: str, prefixes: Iterable[str], model: VOSModel) -> None:
    """DataError, by the name of the recipe's entry, if a prefix fits no parameter."""
    names = [name for name, _ in model.named_parameters()]
    idle = [prefix for prefix in prefixes if not any(name.startswith(prefix) for name in names)]
    if idle:
        parts = sorted({".".join(name.split(".")[:3]) for name in names})
        raise DataError(f"{what}: no parameter's name begins with {', '.join(idle)}; names begin with {', '.join(parts)}")


def freeze(model: VOSModel, prefixes: tuple[str, ...]) -> None:
    """Parameters whose names begin with one of these do not learn, all others do. DataError if a prefix fits none, or all are frozen."""
    check_prefixes("frozen", prefixes, model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(prefixes) if prefixes else True)
    if not any(p.requires_grad for p in model.parameters()):
        raise DataError(f"frozen: {', '.join(prefixes)} leave nothing to train")


def parts(sample: Sample, count: int) -> Iterator[Sample]:
    """The sample in so many parts, as even as can be; fewer where there are fewer clips."""
    for rows in torch.arange(len(sample.first)).tensor_split(count):
        if len(rows):
            yield sample.rows(rows.to(sample.first.device))


def write(state: dict[str, Any], path: Path) -> None:
    """torch.save, whole or not at all."""
    with atomic_write(path) as temporary:
        try:
            torch.save(state, temporary)
        except RuntimeError as error:  # what torch makes of a failed write
            raise SaveError(f"can't save {path}: {error}. Is the disk full? Free some space; the checkpoint before is untouched") from error
