"""Unroll a model over a clip as in use, with its own masks fed back or with the true ones, and put the loss on what it predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vos_zoo.models.base import Features, VOSModel
from vos_zoo.train.batch import ClipBatch
from vos_zoo.train.losses import BceDice, Loss, mean_iou
from vos_zoo.train.matching import arrange, match_slots


def rollout(
    model: VOSModel,
    clip: ClipBatch,
    first_masks: Tensor | None = None,
    *,
    own: Tensor | None = None,
    warm: int = 0,
    rehearsal: int = 0,
    detach: bool = False,
    loss: Loss | None = None,
    total: Tensor | None = None,
    encode: Callable[[Tensor], Any] | None = None,
) -> tuple[Tensor, Tensor]:
    """(loss, IoU of the last frame): scalars, the loss a mean over the frames that carry one.

    first_masks (B, K, H, W): what the model is told of frame 0; default its truth. A model that finds objects is told nothing: it
    predicts frame 0 too, is matched to the objects there and keeps that match; its other slots are to stay empty.
    own (T,) bool: frames that are predicted from the model's own masks; the others from the truth of the frame before (clip.before).
    Default: all. Where the clip has masks to be `remembered`, the memory of the frame in front of such a frame holds these, not the
    model's own.

    Args:
        warm: the first `warm` predicted frames are run without gradient and without loss, so that a long history of own mistakes costs
            little; fewer than the frames predicted.
        rehearsal: so many frames more are run like that in front of them, the clip played to and fro, so that a short clip has a history of
            any length; then the frames that learn are where the play has come to, and `own` must be None.
        detach: no gradient through the masks fed back.
        encode: in place of the model's own.
        total: what the loss's sums are divided by, default that of this batch; see `losses`.
    """
    if rehearsal and own is not None:
        raise ValueError("a rehearsal is played with the model's own masks: own must be None")
    loss, encode = loss or BceDice(), encode or model.encode
    b, t = clip.frames.shape[:2]
    finds = model.finds_objects
    begin = 0 if finds else 1
    unseen = warm + rehearsal  # predicted frames without gradient
    together = 0 if rehearsal else max(1, begin + warm)  # frames from here on are encoded at once
    encoded: Any = _encoded(encode, clip, 0) if rehearsal else None
    features = None
    if model.needs_first_frame or finds:
        features = encode(clip.frames[:, 0]) if encoded is None else _rows(encoded, 0, b)
    if finds:
        state = model.start(features, None)
    else:
        state = model.start(features, clip.masks[:, 0] if first_masks is None else first_masks, clip.active)
    truth, matched, active = _Truth(clip), clip.active, slots_in_use(model, clip)
    losses = []
    for played in range(begin, t + rehearsal):
        i = _to_and_fro(played, t)
        learns = played >= begin + unseen
        if unseen and played == begin + unseen:
            torch.clear_autocast_cache()  # older torch keeps the low-precision weights made without gradient, which would get none here
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            if i >= together and encoded is None:
                encoded = _encoded(encode, clip, together)
            if i >= together:
                seen = _rows(encoded, (i - together) * b, (i - together + 1) * b)
            else:
                seen = features if i == 0 else encode(clip.frames[:, i])
            fed = played > begin or (played > 0 and clip.remembered is not None)  # a memory holds the first frame's mask beside the one fed
            if fed and own is not None and not own[i]:
                state = model.replace_masks(state, truth.before(i))
            prediction = model.predict(seen, state)
            if played == 0:
                owner = match_slots(prediction.logits.sigmoid(), clip.masks[:, 0], clip.active)
                truth, matched = truth.by_slot(owner), owner >= 0
            if learns:
                losses.append(loss(prediction, truth.at(i), active))
            if played + 1 == t + rehearsal:
                break  # nobody asks what the last frame would hand on
            if clip.remembered is not None and own is not None and i + 1 < t and not own[i + 1]:
                prediction = prediction._replace(logits=truth.remembered(i).float().logit(eps=1e-4))
            _, state = model.advance(seen, prediction, state)
            if detach:
                state = state._replace(masks=state.masks.detach())
    divisor = (loss.total(active) if total is None else total).clamp(min=1)
    return torch.stack(losses).mean() / divisor, mean_iou(prediction.logits.detach(), truth.at(i), matched)


def slots_in_use(model: VOSModel, clip: ClipBatch) -> Tensor:
    """(B, P) bool: the slots that the loss counts; all of a model that finds objects."""
    if not model.finds_objects:
        return clip.active
    config: Any = model.config
    return clip.active.new_ones(len(clip.active), config.slots)


def _to_and_fro(played: int, frames: int) -> int:
    """The frame that is shown at `played` when so many frames, at least 2, are played forwards, backwards, forwards ..."""
    at = played % (2 * (frames - 1))
    return min(at, 2 * (frames - 1) - at)


def _encoded(encode: Callable[[Tensor], Any], clip: ClipBatch, first: int) -> Any:
    """Features of all frames from `first` on, the frames first."""
    return encode(clip.frames[:, first:].transpose(0, 1).flatten(0, 1))


class _Truth:
    """The true masks of a clip, slot by slot."""

    def __init__(self, clip: ClipBatch, owner: Tensor | None = None):
        self.clip, self.owner = clip, owner

    def by_slot(self, owner: Tensor) -> _Truth:
        return _Truth(self.clip, owner)

    def at(self, i: int) -> Tensor:
        return self._slots(self.clip.masks[:, i])

    def before(self, i: int) -> Tensor:
        """What frame i's previous frame, of the window or of the video, should have handed on."""
        return self.at(i - 1) if self.clip.before is None else self._slots(self.clip.before[:, i])

    def remembered(self, i: int) -> Tensor:
        """What frame i is remembered with, where that is given."""
        assert self.clip.remembered is not None
        return self._slots(self.clip.remembered[:, i])

    def _slots(self, masks: Tensor) -> Tensor:
        return masks if self.owner is None else arrange(masks, self.owner)


def _rows(features: Features, start: int, stop: int) -> Any:
    if isinstance(features, Tensor):
        return features[start:stop]
    return type(features)(*(each[start:stop] for each in features))
