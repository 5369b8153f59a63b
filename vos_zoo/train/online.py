"""The models of a Segmenter adapted to annotated frames: what `Segmenter.finetune` does to its members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vos_zoo.engine.inputs import InputSpec
from vos_zoo.engine.members import Member
from vos_zoo.errors import VosZooError
from vos_zoo.masks.read import ObjectMasks
from vos_zoo.models.base import VOSModel
from vos_zoo.system.host import undisturbed_building
from vos_zoo.system.progress import Progress
from vos_zoo.system.values import whole
from vos_zoo.train.adapt import adapted, pace
from vos_zoo.train.kept import ShowsMaps

if TYPE_CHECKING:
    from vos_zoo.checkpoints.config import ModelConfig


def adapted_members(
    members: Sequence[Member],
    spec: InputSpec,
    annotated: Sequence[tuple[np.ndarray, ObjectMasks]],
    *,
    steps: int | None,
    lr: float | None,
    seed: int,
    progress: Progress = None,
) -> list[Member]:
    """Copies that are adapted to annotated frames (H, W, 3) uint8 RGB; their configs say so.

    steps, lr: None takes what `adapt.pace` has. A copy keeps the device, the precision and whose features find lost objects again.

    Raises:
        VosZooError: steps or lr are no such numbers, or the training diverges.
    """
    _check_pace(steps, lr)
    seed = whole(seed, "seed", -(2**63), 2**63 - 1)
    return [_adapted(member, spec, annotated, steps, lr, seed, progress) for member in members]


def _adapted(
    member: Member,
    spec: InputSpec,
    annotated: Sequence[tuple[np.ndarray, ObjectMasks]],
    steps: int | None,
    lr: float | None,
    seed: int,
    progress: Progress,
) -> Member:
    config = member.config
    behind_trunk = isinstance(member.model, ShowsMaps) and _trunk_was_still(member.model, config)
    steps, lr = pace(behind_trunk, steps, lr)
    examples = [(member.grid(frame.shape[:2], spec), (frame, masks)) for frame, masks in annotated]
    with undisturbed_building():
        model = adapted(
            member.model, examples, steps=steps, lr=lr, seed=seed, dtype=member.dtype, behind_trunk=behind_trunk, progress=progress
        )
    record = {"from": config.name, "frames": len(annotated), "steps": steps, "lr": lr, "seed": seed}
    config = config.replace(
        name=f"{config.name.removesuffix('-finetuned')[:86]}-finetuned",
        weights=None,
        metrics=[],
        training={**config.training, "finetuned": record},
    )
    return Member(model, config, device=member.device, dtype=member.dtype, describer=member.describer or False)


def _trunk_was_still(model: VOSModel, config: ModelConfig) -> bool:
    """Whether what `maps` asks did not learn when the checkpoint was trained."""
    kept = {id(trunk) for trunk in model.kept_trunks()}
    names = {name for name, module in model.named_modules() if id(module) in kept}
    return names <= set((config.training.get("recipe") or {}).get("frozen", ()))


def _check_pace(steps: object, lr: object) -> None:
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1):
        raise VosZooError(f"steps is a number of training steps, 1 or more, not {steps!r:.80}")
    if lr is not None and (isinstance(lr, bool) or not isinstance(lr, (int, float)) or not 0 < lr < 1):
        raise VosZooError(f"lr is a learning rate between 0 and 1, for instance 1e-4, not {lr!r:.80}")
