"""A contact sheet: what a model predicts on a batch, to be looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vos_zoo.masks.overlay import draw_overlay
from vos_zoo.models.base import VOSModel
from vos_zoo.system.atomic import atomic_write
from vos_zoo.train.batch import Sample

GAP = 4  # pixels between the pictures
ROWS, COLUMNS = 6, 8  # at most


def save_sheet(model: VOSModel, sample: Sample, path: Path) -> Path:
    """Write a PNG: a row a clip, its frames side by side, with what the model makes of them by itself.

    The first picture of a row shows what the model is told; a model that finds objects is told nothing, and it shows its first find.
    """
    labels = predicted(model, sample)
    b, t = labels.shape[:2]
    columns = torch.linspace(0, t - 1, min(t, COLUMNS)).round().int().tolist()
    height, width = labels.shape[2:]
    sheet = np.full((min(b, ROWS) * (height + GAP) - GAP, len(columns) * (width + GAP) - GAP, 3), 255, np.uint8)
    frames = (sample.clip.frames.clamp(0, 1) * 255).byte().permute(0, 1, 3, 4, 2).cpu().numpy()
    for row in range(min(b, ROWS)):
        for column, i in enumerate(columns):
            y, x = row * (height + GAP), column * (width + GAP)
            sheet[y : y + height, x : x + width] = draw_overlay(frames[row, i], labels[row, i].cpu().numpy())
    with atomic_write(path) as temporary:
        Image.fromarray(sheet).save(temporary)
    return path


@torch.no_grad()
def predicted(model: VOSModel, sample: Sample) -> torch.Tensor:
    """(B, T, H, W) slot numbers from 1, 0 for background: the clips of a sample, propagated with the model's own masks."""
    clip = sample.to(next(model.parameters()).device).clip
    finds = model.finds_objects
    features = model.encode(clip.frames[:, 0]) if model.needs_first_frame or finds else None
    labels = []
    if finds:
        state = model.start(features, None)
    else:
        told = sample.first.to(clip.frames.device)
        state = model.start(features, told, clip.active)
        labels.append((told.amax(1) > 0.5) * (told.argmax(1) + 1))
    for i in range(0 if finds else 1, clip.frames.shape[1]):
        probs, state = model.step(model.encode(clip.frames[:, i]), state)
        labels.append(probs.argmax(1))
    return torch.stack(labels, 1).int()
