"""A model that can learn learns one clip by heart: each of the four, and the one that is told no mask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training_data import bank_of, recipe, tiny_crvos, write_stills

from vos_zoo.models.acclvos import ACCLVOS, ACCLVOSConfig
from vos_zoo.models.base import VOSModel
from vos_zoo.models.rvos import RVOS, RVOSConfig
from vos_zoo.models.scm import SCM, SCMConfig
from vos_zoo.train.batch import Sample
from vos_zoo.train.recipe import Stage
from vos_zoo.train.sheet import predicted
from vos_zoo.train.synthesis.from_stills import Synthesizer
from vos_zoo.train.trainer import Trainer, scale_start

TRUNK: dict[str, Any] = {"backbone": "resnet18", "batch_norm": "folded"}
RECURRENT: dict[str, Any] = {**TRUNK, "backbone_stages": 3, "hidden": 32}
SOFT_IOU: dict[str, Any] = {"loss": {"kind": "soft_iou", "present": 1.0}, "scaled": {"predictor.weight": 12.0}}
MODELS: dict[str, tuple[Callable[[], VOSModel], dict[str, Any]]] = {
    "crvos": (lambda: tiny_crvos(reduced=[16, 16, 16], blended=[16, 16, 16]), {}),
    "rvos": (lambda: RVOS(RVOSConfig(**RECURRENT)), SOFT_IOU),
    "rvos-zeroshot": (lambda: RVOS(RVOSConfig(**RECURRENT, zero_shot=True, slots=2)), SOFT_IOU),
    "acclvos": (lambda: ACCLVOS(ACCLVOSConfig(**RECURRENT)), SOFT_IOU),
    "scm": (lambda: SCM(SCMConfig(**TRUNK, key=8, value=16, decoder=16, refine_width=8)), {"loss": {"kind": "scm"}}),
}


@pytest.mark.parametrize("name", MODELS)
def test_each_model_learns_one_synthetic_clip(name: str, tmp_path: Path) -> None:
    build, entries = MODELS[name]
    torch.manual_seed(0)
    model = build()
    steps, size = (100, (64, 96)) if model.finds_objects else (70, (48, 80))
    bank = bank_of(write_stills(tmp_path / "stills"), cache=tmp_path / "cache", size=96)
    clip = Synthesizer(bank, *size, slots=1).batch(1, 3, torch.Generator().manual_seed(0))
    sample = Sample(clip, clip.masks[:, 0])
    stage = Stage("fit", steps=steps, size=size, batch=1, frames=3, lr=2e-3, lr_end=1e-4)
    run = recipe(stages=[stage], frozen=(), warmup=10, trunk_lr=1.0, **entries)
    scale_start(model, run.scaled)
    trainer = Trainer(model, run, low_precision=False)
    _, before = trainer.train_step(sample)
    for _ in range(stage.steps - 1):
        trainer.train_step(sample)
    assert float(before) < 0.7
    for t, labels in enumerate(predicted(model.eval(), sample)[0]):
        found, truth = labels > 0, clip.masks[0, t, 0] > 0
        iou = float((found & truth).sum() / (found | truth).sum())
        assert iou > 0.9, f"frame {t}: {iou:.2f}"
