"""Several Segmenters that decide together (SCM 3.3). A member is a branch: its own model, size and memory; see `branches.py`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.engine.grid import Grid
from vos_zoo.engine.views import Branch
from vos_zoo.errors import SaveError, VosZooError
from vos_zoo.segmenter import Segmenter


def ensemble(segmenters: Iterable[Segmenter], *, weights: Sequence[float] | None = None) -> Segmenter:
    """A Segmenter whose masks are decided by all the given ones: any architectures, each at its own size inside.

    In every frame the members' probabilities of each object are averaged before objects compete, and each member goes on from the
    average. It is used like any Segmenter: propagate, propagate_many, stream, start, finetune (all members), tta.

    weights: of the members in the average, positive, in their order; default: all the same.
    Raises VosZooError if there is no member, one finds the objects itself (zero-shot), their devices differ, or weights don't fit.
    """
    return Ensemble(segmenters, weights)


class Ensemble(Segmenter):
    """What `ensemble` makes. `members` are its Segmenters, `weights` sum to 1, `model` holds their models."""

    def __init__(self, segmenters: Iterable[Segmenter], weights: Sequence[float] | None = None):
        if isinstance(segmenters, Segmenter):
            raise VosZooError("an ensemble is made of a list of Segmenters: ensemble([first, second])")
        self.members = tuple(segmenters)
        if not self.members:
            raise VosZooError("an ensemble needs at least one Segmenter: ensemble([vos_zoo.load('crvos'), ...])")
        for member in self.members:
            if not isinstance(member, Segmenter):
                raise VosZooError(f"the members of an ensemble are Segmenters, as vos_zoo.load makes them, not {member!r:.80}")
        if finders := [member.config.name for member in self.members if member.finds_objects]:
            raise VosZooError(
                f"{', '.join(finders)} finds the objects itself, and its object 1 need not be another's: leave it out of the ensemble"
            )
        devices = [torch.empty(0, device=member.device).device for member in self.members]
        if len(set(devices)) > 1:
            raise VosZooError(f"the members lie on {', '.join(map(str, devices))}: load them all with the same device=")
        self.weights = _shares(weights, len(self.members))
        self.device, self.dtype = devices[0], self.members[0].dtype
        self.model: Any = torch.nn.ModuleList([member.model for member in self.members])
        licences = sorted({member.config.licence for member in self.members if member.config.licence})
        self.config = ModelConfig(
            name="+".join(member.config.name for member in self.members),
            architecture="Ensemble",
            licence=" / ".join(licences) or None,
            description=f"an ensemble of {len(self.members)}",
        )

    @property
    def finds_objects(self) -> bool:
        return False

    @property
    def describer(self) -> Segmenter | None:
        """The first member's, if every member has one: a member that does not ask for it finds lost objects itself."""
        found = [member.describer for member in self.members]
        return found[0] if all(found) else None

    def branches_for(self, size: tuple[int, int], internal: Any = None, tta: Any = None) -> list[Branch]:
        return [
            replace(branch, weight=branch.weight * weight)
            for member, weight in zip(self.members, self.weights, strict=True)
            for branch in member.branches_for(size, internal, tta)
        ]

    def grid_for(self, size: tuple[int, int], internal: int | tuple[int, int] | str | None) -> Grid:
        """That of the first member; each has its own."""
        return self.members[0].grid_for(size, internal)

    def finetune(self, frame: Any, mask: Any, **options: Any) -> Segmenter:
        """An ensemble of adapted copies of the members; arguments and errors as of `Segmenter.finetune`."""
        return Ensemble([member.finetune(frame, mask, **options) for member in self.members], self.weights)

    def save_pretrained(self, folder: str | os.PathLike[str], **options: Any) -> Path:
        raise SaveError("an ensemble is several checkpoints: save its members one by one, `for member in ensemble.members: ...`")

    def info(self) -> dict[str, Any]:
        """As of any Segmenter; `members` has that of each, and its weight."""
        members = [{**member.info(), "weight": weight} for member, weight in zip(self.members, self.weights, strict=True)]
        dtypes = sorted({each["dtype"] for each in members})
        return {**super().info(), "dtype": " and ".join(dtypes), "members": members}


def _shares(weights: Sequence[float] | None, members: int) -> tuple[float, ...]:
    given = [1.0] * members if weights is None else list(weights)
    numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) and 0 < each < float("inf") for each in given)
    if len(given) != members or not numbers:
        raise VosZooError(f"weights are {members} positive numbers, one a member, not {weights!r}")
    return tuple(each / sum(given) for each in given)
