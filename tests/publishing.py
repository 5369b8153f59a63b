"""A real model, small, as a checkpoint that may be published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vos_zoo.checkpoints.config import ModelConfig

TINY = {"backbone": "resnet10t", "backbone_stages": 3, "batch_norm": "folded", "reduced": [8, 8, 8], "blended": [8, 8, 8]}
LARGER = {**TINY, "reduced": [640, 8, 8], "blended": [256, 8, 8]}  # over 10 MB in float32
DATA = "Two drawings; public domain."
# The card of a Space.
FRONT = """---
title: Video object segmentation
emoji: 🎬
colorFrom: blue
colorTo: green
sdk: gradio
sdk_version: "6.31.0"
python_version: "3.11"
app_file: app.py
license: mit
short_description: Mark an object, get its masks
models: [me/crvos]
tags: [video]
---

# A Space
"""


def tiny_config(**changes: Any) -> ModelConfig:
    data = {
        "library": "vos_zoo",
        "format_version": 1,
        "name": "crvos-tiny",
        "architecture": "CRVOS",
        "model_args": TINY,
        "preprocess": {"short_side": 48},
        "licence": "MIT",
        "description": "a CRVOS for tests",
        "paper": {"title": "CRVOS: Clue Refining Network for Video Object Segmentation", "authors": "Cho, Cho", "venue": "ICIP 2020"},
        "training": {"data": DATA},
        "metrics": [{"dataset": "drawings", "split": "val", "command": "vos-zoo evaluate", "J&F": 50.5, "J": 50.0, "F": 51.0}],
    }
    return ModelConfig.from_dict({**data, **changes})


def tiny_checkpoint(folder: Path, *, seed: int = 0, dtype: str | None = "float16", max_shard_bytes: int = 10**9, **changes: Any) -> Path:
    """Saved by the library itself; the same seed gives the same bytes."""
    import torch

    from vos_zoo.zoo import create

    torch.manual_seed(seed)
    config = tiny_config(**changes)
    segmenter = create(config, device="cpu", dtype="float32")
    segmenter.config = config
    return segmenter.save_pretrained(folder, dtype=dtype, max_shard_bytes=max_shard_bytes)


def edit(folder: Path, **changes: Any) -> None:
    """Changes fields of a saved config.json; ... takes a field out."""
    path = folder / "config.json"
    data = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not ...}))
