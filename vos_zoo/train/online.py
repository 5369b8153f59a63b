"""One model of a Segmenter adapted to annotated frames: what `Segmenter.finetune` does to each of its members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vos_zoo.engine.inputs import InputSpec
from vos_zoo.engine.members import Member
from vos_zoo.masks.read import ObjectMasks
from vos_zoo.system.host import undisturbed_building
from vos_zoo.system.progress import Progress
from vos_zoo.system.values import whole
from vos_zoo.train.adapt import adapted, pace
from vos_zoo.train.kept import ShowsMaps

if TYPE_CHECKING:
    from vos_zoo.checkpoints.config import ModelConfig


def adapted_member(
    member: Member,
    config: ModelConfig,
    spec: InputSpec,
    annotated: Sequence[tuple[np.ndarray, ObjectMasks]],
    *,
    steps: int | None,
    lr: float | None,
    seed: int,
    progress: Progress = None,
) -> Member:
    """A copy that is adapted to annotated frames (H, W, 3) uint8 RGB; its config says so.

    steps, lr: None takes what `adapt.pace` has. The copy keeps the device, the precision and whose features find lost objects again.

    Raises:
        VosZooError: the training diverges.
    """
    seed = whole(seed, "seed", -(2**63), 2**63 - 1)
    behind_trunk = isinstance(member.model, ShowsMaps) and "trunk" in (config.training.get("recipe") or {}).get("frozen", ())
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
