"""What a training step is given, wherever it came from."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ClipBatch(NamedTuple):
    """B clips of T frames with K object slots."""

    frames: Tensor  # (B, T, 3, H, W) float in [0, 1]
    masks: Tensor  # (B, T, K, H, W) float 0 or 1
    active: Tensor  # (B, K) bool: slots that hold an object
