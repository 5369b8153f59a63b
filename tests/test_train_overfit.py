"""A model that can learn learns one clip by heart."""

from __future__ import annotations

from pathlib import Path

import torch
from training_data import recipe, tiny_crvos, write_stills

from vos_zoo.train.recipe import Stage
from vos_zoo.train.stills import load_stills
from vos_zoo.train.synthesis import Synthesizer
from vos_zoo.train.trainer import Trainer


def test_tiny_crvos_learns_one_synthetic_clip(tmp_path: Path) -> None:
    bank = load_stills([write_stills(tmp_path / "stills")], tmp_path / "cache", size=96)
    clip = Synthesizer(bank, 64, 96, slots=1).batch(1, 3, torch.Generator().manual_seed(0))
    stage = Stage("fit", steps=80, size=(64, 96), batch=1, frames=3, lr=2e-3, lr_end=1e-4)
    torch.manual_seed(0)
    model = tiny_crvos(reduced=[16, 16, 16], blended=[16, 16, 16])
    trainer = Trainer(model, recipe(stages=[stage], frozen=(), warmup=10, trunk_lr=1.0), amp=False)
    _, before = trainer.train_step(clip, clip.masks[:, 0])
    for _ in range(79):
        trainer.train_step(clip, clip.masks[:, 0])

    model.eval()
    ious = []
    with torch.no_grad():
        state = model.start(None, clip.masks[:, 0], clip.active)
        for t in (1, 2):
            probs, state = model.step(model.encode(clip.frames[:, t]), state)
            found, truth = probs[0, 1] > 0.5, clip.masks[0, t, 0] > 0
            ious.append(float((found & truth).sum() / (found | truth).sum()))
    assert before < 0.5
    assert min(ious) > 0.9, ious
