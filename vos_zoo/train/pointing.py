"""Training of the network behind a click: stills with objects, a simulated user, and several rounds on the network's own mask.

A batch is a few images with all their objects. An object is begun by a click, a box, a stroke or a bad mask; then it is corrected by clicks
on what the network got wrong. Rounds without gradient in between bring it to later clicks, as RITM trains (Sofiiuk et al. 2021, 3.4).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_zoo.models.base import VOSModel
from vos_zoo.pointing.marks import DISK, STROKE, add_box, add_disk, blank
from vos_zoo.pointing.simulated import box_of, next_click, stroke_in
from vos_zoo.train.batch import Sample
from vos_zoo.train.batches import Batches, Draft
from vos_zoo.train.corruption import corrupt
from vos_zoo.train.losses import mean_iou
from vos_zoo.train.recipe import Recipe, Stage
from vos_zoo.train.synthesis.from_stills import Scenes
from vos_zoo.train.trainer import Trainer

SMALLEST = 60  # pixels an object must show to be pointed at
MOST = 3  # objects of two images
ROUNDS = 3  # with gradient, each behind one more click
BEGIN = (("click", 0.62), ("box", 0.18), ("stroke", 0.12), ("mask", 0.08))
FURTHER = 4  # rounds without gradient before the last one, at most


class PointingBatches(Batches):
    """Single frames in place of clips."""

    def finish(self, draft: Draft, device: torch.device | str = "cpu") -> Sample:
        stage, _ = self.recipe.stage_at(draft.step)
        rng = torch.Generator()
        rng.set_state(draft.state)
        clip = draft.drawn
        if isinstance(clip, Scenes):
            clip = self._synthetic[stage.name].render(clip, 1, rng, device)
        clip = clip._replace(frames=clip.frames[:, :1], masks=clip.masks[:, :1])
        return Sample(clip, clip.masks[:, 0])


class PointingTrainer(Trainer):
    """The same step, with the gradients of a conversation instead of a clip's."""

    model: Any

    def __init__(self, model: Any, encoder: VOSModel, recipe: Recipe, device: str = "cpu"):
        super().__init__(model, recipe, device, low_precision=False)
        self.encoder = encoder.to(self.device).to(memory_format=torch.channels_last).requires_grad_(False).eval()

    def trunks(self) -> list[nn.Module]:
        return []

    def gradients(self, sample: Sample, stage: Stage) -> tuple[Tensor, Tensor]:
        """Fill the parameters' gradients; the loss and the mean IoU of all rounds."""
        self.model.train()
        talker = np.random.default_rng(self.recipe.seed * 1_000_003 + self.step)
        sample = sample.to(self.device)
        frames, masks = sample.clip.frames[:, 0], sample.clip.masks[:, 0]
        owner, slot = (sample.clip.active & (masks.sum((2, 3)) >= SMALLEST)).nonzero(as_tuple=True)
        chosen = torch.from_numpy(talker.permutation(len(owner))[: stage.batch * MOST // 2])
        owner, slot = owner[chosen], slot[chosen]
        truth = masks[owner, slot]
        with torch.no_grad():
            features = self.encoder.encode(frames.contiguous(memory_format=torch.channels_last))
        features = self.model.prepare(features)
        features = type(features)(*(each[owner] for each in features))
        talk = _Talk(truth, talker)
        losses, ious = [], []
        for n in range(ROUNDS):
            if n == ROUNDS - 1:
                for _ in range(int(talk.rng.integers(FURTHER + 1)) if talk.rng.random() < 0.55 else 0):
                    with torch.no_grad():
                        talk.answer(self.model(features, talk.marks)[0])
            logits, coarse = self.model(features, talk.marks)
            losses.append(loss_of(logits, coarse, truth))
            ious.append(mean_iou(_enlarged(logits.detach())[None], truth[None], truth.new_ones(1, len(truth), dtype=torch.bool)))
            if n < ROUNDS - 1:
                talk.answer(logits.detach())
        loss = torch.stack(losses).mean()
        loss.backward()
        self.processes.sum_gradients(self.model.parameters())
        return loss.detach(), torch.stack(ious).mean()


def loss_of(logits: Tensor, coarse: tuple[Tensor, ...], truth: Tensor) -> Tensor:
    """Binary likelihood and soft Dice of logits (S, H/2, W/2), a quarter of the likelihood of the coarse ones. truth (S, H, W)."""
    wanted = F.avg_pool2d(truth, 2)
    p = logits.sigmoid()
    overlap = (2 * (p * wanted).sum((1, 2)) + 1) / (p.sum((1, 2)) + wanted.sum((1, 2)) + 1)
    loss = F.binary_cross_entropy_with_logits(logits, wanted) + (1 - overlap).mean()
    for each in coarse:
        loss = loss + 0.25 * F.binary_cross_entropy_with_logits(each, F.avg_pool2d(truth, truth.shape[-1] // each.shape[-1]))
    return loss


class _Talk:
    """What was said of S objects so far, as maps, and a user who goes on. truth (S, H, W)."""

    def __init__(self, truth: Tensor, rng: np.random.Generator):
        self.truth, self.rng = truth, rng
        self.known = truth.bool().cpu().numpy()
        count, height, width = truth.shape
        self.marks = blank(count, height, width, like=truth)
        names, shares = [name for name, _ in BEGIN], [share for _, share in BEGIN]
        for n, known in enumerate(self.known):
            begin = rng.choice(names, p=shares)
            if begin == "click":
                self._click(n, np.zeros_like(known), exact=rng.random() < 0.4)
            elif begin == "box":
                add_box(self.marks[n], box_of(known, rng))
                if rng.random() < 0.3:
                    self._click(n, np.zeros_like(known), exact=False)
            elif begin == "stroke":
                for x, y in stroke_in(known, rng):
                    add_disk(self.marks[n], x, y, True, STROKE)
            else:
                wrong = corrupt(truth[None, n : n + 1], torch.Generator().manual_seed(int(rng.integers(1 << 31))))[0, 0]
                self.marks[n, 3] = wrong
                self._click(n, wrong.cpu().numpy() > 0.5, exact=rng.random() < 0.4)

    def answer(self, logits: Tensor) -> None:
        """The mask of the last round, (S, H/2, W/2), becomes the previous one, and what is wrong with it is clicked."""
        probs = _enlarged(logits).sigmoid()
        self.marks = self.marks.clone()
        self.marks[:, 3] = probs
        for n, predicted in enumerate((probs > 0.5).cpu().numpy()):
            draw = self.rng.random()
            if draw < 0.08:
                region = self.known[n] & ~predicted
                if region.sum() > SMALLEST:
                    for x, y in stroke_in(region, self.rng):
                        add_disk(self.marks[n], x, y, True, STROKE)
                    continue
            self._click(n, predicted, exact=draw > 0.55)

    def _click(self, n: int, predicted: np.ndarray, exact: bool) -> None:
        click = next_click(self.known[n][::2, ::2], predicted[::2, ::2], rng=None if exact else self.rng)
        if click is not None:
            add_disk(self.marks[n], 2 * click.x, 2 * click.y, click.positive, DISK)


def _enlarged(logits: Tensor) -> Tensor:
    return F.interpolate(logits[:, None], scale_factor=2.0, mode="bilinear", align_corners=False)[:, 0]
