"""Unroll a model over a clip with its own fed-back masks, exactly as in use, and put the loss on what it predicts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vos_zoo.models.base import VOSModel
from vos_zoo.train.batch import ClipBatch
from vos_zoo.train.losses import mean_iou, segmentation_loss


def rollout(
    model: VOSModel, clip: ClipBatch, first_masks: Tensor | None = None, warm: int = 0, **loss_options: float
) -> tuple[Tensor, Tensor]:
    """(loss, IoU of the last frame): scalars, the loss a mean over the frames that carry one.

    first_masks (B, K, H, W): what the model is told of frame 0; default its truth. warm: the first `warm` predicted frames are run
    without gradient and without loss, so that a long history of own mistakes costs little; fewer than the T - 1 predicted.
    loss_options: of segmentation_loss. The model's features are a tensor, or a NamedTuple of tensors, with the frames first.
    """
    b, t = clip.frames.shape[:2]
    masks = clip.masks[:, 0] if first_masks is None else first_masks
    features = model.encode(clip.frames[:, 0]) if model.needs_first_frame else None
    state = model.start(features, masks, clip.active)
    if warm:
        with torch.no_grad():
            for i in range(1, 1 + warm):
                _, state = model.step(model.encode(clip.frames[:, i]), state)
        torch.clear_autocast_cache()  # older torch keeps the low-precision weights made without gradient, which would get none below
    encoded = model.encode(clip.frames[:, 1 + warm :].transpose(0, 1).flatten(0, 1))
    losses = []
    for n, i in enumerate(range(1 + warm, t)):
        features = _rows(encoded, n * b, (n + 1) * b)
        prediction = model.predict(features, state)
        losses.append(segmentation_loss(prediction, clip.masks[:, i], clip.active, **loss_options))
        _, state = model.advance(features, prediction, state)
    return torch.stack(losses).mean(), mean_iou(prediction.logits.detach(), clip.masks[:, -1], clip.active)


def _rows(features: Any, start: int, stop: int) -> Any:
    if isinstance(features, Tensor):
        return features[start:stop]
    return type(features)(*(each[start:stop] for each in features))
