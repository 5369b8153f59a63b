"""A recipe for a published checkpoint and a user's own clips, with defaults that do not wreck it on ten clips.

What protects the checkpoint: the trunk is frozen, the rate is a tenth of training's, the run is short, and what is kept is the mean of
the weights before and after (`keep`): along that line a network keeps what it knew and has most of what it learnt (Wortsman et al.,
"Robust fine-tuning of zero-shot models", CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vos_zoo.errors import DataError
from vos_zoo.models.base import VOSModel
from vos_zoo.train.recipe import GRID, Recipe, Stage

LONG_SIDE = 448  # of the crops, at most


def finetune_recipe(
    model: VOSModel, architecture: str, model_args: dict[str, Any], clips_size: tuple[int, int], before: Mapping[str, Any] | None = None
) -> Recipe:
    """One stage on real clips alone, with the loss of the recipe that the checkpoint was made by, if that is known (`before`).

    Args:
        clips_size: height and width of a frame of the clips.
    """
    height, width = clips_size
    scale = min(1.0, LONG_SIDE / max(height, width))
    size = (max(GRID, round(height * scale / GRID) * GRID), max(GRID, round(width * scale / GRID) * GRID))
    stage = Stage("fine-tuning", steps=300, size=size, batch=4, frames=4, corrupt=0.4, real=1.0, lr=6e-5, lr_end=6e-6, max_skip=2)
    return Recipe(
        architecture=architecture,
        model_args=model_args,
        stages=[stage],
        slots=2,
        shuffle_slots=True,
        frozen=trunk_prefixes(model),
        ema=0.99,
        warmup=20,
        loss=dict((before or {}).get("loss") or {}),
    )


def trunk_prefixes(model: VOSModel) -> tuple[str, ...]:
    """Names that all parameters of the image trunks begin with."""
    trunks = {id(trunk) for trunk in model.trunks()}
    return tuple(f"{name}." for name, module in model.named_modules() if id(module) in trunks)


def between(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    """Weights that lie `share` of the way from those before to those after."""
    check_share(share)
    return {name: old.lerp(after[name].to(old), share) if old.is_floating_point() else after[name] for name, old in before.items()}


def check_share(share: float) -> None:
    """DataError if it is no share that `between` takes."""
    if not 0 < share <= 1:
        raise DataError(f"keep {share} is the share of the way from the old weights to the new ones, above 0 and at most 1")


def size_of_clips(folder: Path) -> tuple[int, int]:
    """Height and width of the first frame of the first clip."""
    from PIL import Image

    from vos_zoo.train.sources.layouts import find_clips
    from vos_zoo.train.sources.problems import Problems

    for clip in find_clips("folder", folder, Problems()):
        for frame, _ in clip.pairs:
            with Image.open(frame) as image:
                return image.height, image.width
    raise DataError(f"{folder} holds no annotated frame: expected {folder}/<clip>/frames/*.jpg and {folder}/<clip>/masks/*.png")
