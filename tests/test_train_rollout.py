"""The rollout against a plain loop over frames, for features of any form."""

from __future__ import annotations

import pytest
import torch
from toy import Toy
from training_data import tiny_crvos

from vos_zoo.train.batch import ClipBatch
from vos_zoo.train.losses import mean_iou, segmentation_loss
from vos_zoo.train.rollout import rollout


@pytest.fixture
def clip() -> ClipBatch:
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(2, 4, 2, 32, 48)
    masks[:, :, 0, 8:24, 8:24], masks[:, :, 1, 4:28, 30:44] = 1, 1
    frames = torch.rand(2, 4, 3, 32, 48, generator=generator) * 0.5 + 0.5 * masks[:, :, :1]
    return ClipBatch(frames, masks, torch.ones(2, 2, dtype=torch.bool))


@pytest.mark.parametrize("warm", [0, 2])
@pytest.mark.parametrize("kind", [tiny_crvos, Toy], ids=["crvos", "toy"])
def test_rollout_is_the_plain_loop(clip: ClipBatch, kind: type, warm: int) -> None:
    torch.manual_seed(0)
    model = kind()
    loss, iou = rollout(model, clip, warm=warm)
    loss.backward()
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    model.zero_grad()
    state, losses = model.start(model.encode(clip.frames[:, 0]), clip.masks[:, 0], clip.active), []
    for t in range(1, 4):
        with torch.set_grad_enabled(t > warm):
            features = model.encode(clip.frames[:, t])
            prediction = model.predict(features, state)
            _, state = model.advance(features, prediction, state)
        if t > warm:
            losses.append(segmentation_loss(prediction, clip.masks[:, t], clip.active))
    expected = sum(losses) / len(losses)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert float(iou) == float(mean_iou(prediction.logits, clip.masks[:, 3], clip.active))
    assert found, "something learns"
    for name, parameter in model.named_parameters():
        if name in found:
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-5)


def test_what_the_model_is_told_of_the_first_frame_matters(clip: ClipBatch) -> None:
    torch.manual_seed(0)
    model = tiny_crvos()
    told = rollout(model, clip, first_masks=torch.zeros_like(clip.masks[:, 0]))[0]
    assert told.item() != rollout(model, clip)[0].item()


def test_all_weights_learn_after_warm_frames_in_low_precision(clip: ClipBatch) -> None:
    torch.manual_seed(0)
    model = tiny_crvos().requires_grad_(True)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = rollout(model, clip, warm=2)
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
