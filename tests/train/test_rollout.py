"""The rollout against a plain loop over frames, for features of any form; whose masks are fed back; zero-shot matching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import Toy
from training_data import tiny_crvos

from vos_zoo.errors import DataError
from vos_zoo.models.base import VOSModel
from vos_zoo.models.rvos import RVOS, RVOSConfig
from vos_zoo.models.scm import SCM, SCMConfig
from vos_zoo.train.batch import ClipBatch
from vos_zoo.train.losses import BceDice, SoftIou, mean_iou
from vos_zoo.train.matching import arrange, match_slots
from vos_zoo.train.rollout import rollout


def tiny_rvos(**arguments: Any) -> RVOS:
    return RVOS(RVOSConfig(backbone="resnet10t", backbone_stages=3, hidden=8, **arguments)).train()  # which freezes batch norms


@pytest.fixture
def clip() -> ClipBatch:
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(2, 4, 2, 32, 48)
    masks[:, :, 0, 8:24, 8:24], masks[:, :, 1, 4:28, 30:44] = 1, 1
    frames = torch.rand(2, 4, 3, 32, 48, generator=generator) * 0.5 + 0.5 * masks[:, :, :1]
    return ClipBatch(frames, masks, torch.ones(2, 2, dtype=torch.bool))


@pytest.mark.parametrize("warm", [0, 2])
@pytest.mark.parametrize("kind", [tiny_crvos, Toy, tiny_rvos], ids=["crvos", "toy", "rvos"])
def test_rollout_is_the_plain_loop(clip: ClipBatch, kind: Callable[[], VOSModel], warm: int) -> None:
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
            losses.append(BceDice()(prediction, clip.masks[:, t], clip.active) / 4)
    expected = sum(losses) / len(losses)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert float(iou) == float(mean_iou(prediction.logits, clip.masks[:, 3], clip.active))
    assert found, "something learns"
    for name, parameter in model.named_parameters():
        if name in found:
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-5)


def tiny_scm() -> SCM:
    return SCM(SCMConfig(backbone="resnet10t", key=8, value=16, decoder=8, refine_width=8, max_memory=3)).train()


@pytest.mark.parametrize(
    "kind", [tiny_crvos, tiny_rvos, lambda: tiny_rvos(zero_shot=True, slots=3), tiny_scm], ids=["crvos", "rvos", "zeroshot", "scm"]
)
@pytest.mark.parametrize("rehearsal", [1, 2, 7])
def test_a_rehearsal_is_the_clip_played_to_and_fro(clip: ClipBatch, kind: Callable[[], VOSModel], rehearsal: int) -> None:
    clip.masks[:, 1:] = clip.masks[:, 1:].roll(5, -2)
    torch.manual_seed(0)
    model = kind()
    loss, iou = rollout(model, clip, warm=1, rehearsal=rehearsal)
    loss.backward()
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    model.zero_grad()
    with pytest.raises(ValueError, match="own must be None"):
        rollout(model, clip, rehearsal=rehearsal, own=torch.ones(4, dtype=torch.bool))
    order = [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2][: 4 + rehearsal]
    played = clip._replace(frames=clip.frames[:, order], masks=clip.masks[:, order])
    expected, same = rollout(model, played, warm=1 + rehearsal)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5) and float(iou) == float(same)
    learnt = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert found and found.keys() == learnt.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, learnt[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("rehearsal", "steps"), [(0, 2), (3, 5)])
def test_the_last_frame_is_predicted_but_not_stepped_past(
    clip: ClipBatch, monkeypatch: pytest.MonkeyPatch, rehearsal: int, steps: int
) -> None:
    """What it would hand on costs a memory encoder and nobody asks for it."""
    model = tiny_scm()
    advanced = []
    advance = model.advance
    monkeypatch.setattr(model, "advance", lambda *arguments: (advanced.append(1), advance(*arguments))[1])
    rollout(model, clip, rehearsal=rehearsal)
    assert len(advanced) == steps


def test_what_the_model_is_told_of_the_first_frame_matters(clip: ClipBatch) -> None:
    torch.manual_seed(0)
    model = tiny_crvos()
    told = rollout(model, clip, first_masks=torch.zeros_like(clip.masks[:, 0]))[0]
    assert told.item() != rollout(model, clip)[0].item()


def fed(model: VOSModel, clip: ClipBatch, **options: Any) -> list[Tensor]:
    """State.masks that each prediction is made from."""
    seen: list[Tensor] = []
    predict = model.predict

    def spy(features: Any, state: Any) -> Any:
        seen.append(state.masks)
        return predict(features, state)

    model.predict = spy  # type: ignore[method-assign]
    rollout(model, clip, **options)
    return seen


def test_true_masks_are_fed_where_own_says_so(clip: ClipBatch) -> None:
    clip.masks[:, 2] = clip.masks[:, 1].roll(4, -1)
    model = Toy()
    masks = fed(model, clip, own=torch.tensor([False, False, True, False]))
    assert masks[0].equal(clip.masks[:, 0]), "frame 1 begins with what the model is told"
    assert not masks[1].equal(clip.masks[:, 1]), "frame 2: its own"
    assert masks[2].equal(clip.masks[:, 2]), "frame 3: the truth of frame 2"
    before = torch.rand_like(clip.masks)
    assert fed(Toy(), clip._replace(before=before), own=torch.zeros(4, dtype=torch.bool))[2].equal(before[:, 3])


def test_detach_cuts_the_gradient_through_masks_fed_back(clip: ClipBatch) -> None:
    for detach in (False, True):
        torch.manual_seed(0)
        assert [masks.requires_grad for masks in fed(tiny_crvos(), clip, detach=detach)] == [False, *([not detach] * 2)]


@pytest.mark.parametrize("unseen", [{"warm": 2}, {"rehearsal": 3}], ids=["warm", "rehearsal"])
def test_all_weights_learn_after_frames_without_gradient_in_low_precision(clip: ClipBatch, unseen: dict[str, int]) -> None:
    torch.manual_seed(0)
    model = tiny_crvos().requires_grad_(True)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = rollout(model, clip, **unseen)
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_slots_are_matched_to_the_objects_they_cover_best() -> None:
    truth = torch.zeros(2, 3, 4, 6)
    truth[:, 0, :2, :2], truth[:, 1, 2:, 2:] = 1, 1  # object 2 of the first clip is not seen, and not in use in the second
    active = torch.tensor([[True, True, True], [True, True, False]])
    probs = torch.full((2, 4, 4, 6), 0.05)
    probs[0, 3, :2, :2], probs[0, 1, 2:, 2:] = 0.9, 0.8
    probs[1, 0, 2:, 2:] = 0.9  # the second clip's other object is nobody's: any slot, but one of its own
    probs[1, 2, 0, 0] = 0.6
    owner = match_slots(probs, truth, active)
    assert owner.tolist() == [[-1, 1, -1, 0], [1, -1, 0, -1]]
    placed = arrange(truth, owner)
    assert placed.shape == (2, 4, 4, 6) and placed[0, 3].equal(truth[0, 0]) and placed[0, 1].equal(truth[0, 1])
    assert placed[0, 0].sum() == placed[1, 3].sum() == 0
    with pytest.raises(DataError, match="clips of up to 3 objects, but the model fills 2 slots; lower the recipe's slots"):
        match_slots(probs[:, :2], truth, active)


def test_zero_shot_keeps_the_first_frames_match_and_wants_the_rest_empty(clip: ClipBatch) -> None:
    torch.manual_seed(0)
    model = tiny_rvos(zero_shot=True, slots=3)
    seen: list[tuple[Tensor, Tensor]] = []
    plain = SoftIou()

    class Spy(SoftIou):
        def __call__(self, prediction: Any, truth: Tensor, active: Tensor) -> Tensor:
            seen.append((truth, active))
            return plain(prediction, truth, active)

    clip.masks[:, 3] = clip.masks[:, 3].flip(-1)
    loss, iou = rollout(model, clip, loss=Spy())
    assert len(seen) == 4, "frame 0 is predicted too"
    features = model.encode(clip.frames[:, 0])
    first = model.predict(features, model.start(features, None))
    owner = match_slots(first.logits.sigmoid(), clip.masks[:, 0], clip.active)
    for t, (truth, active) in enumerate(seen):
        assert truth.equal(arrange(clip.masks[:, t], owner)) and bool(active.all()) and active.shape == (2, 3)
    assert 0 <= float(iou) <= 1
    loss.backward()
    assert all(p.grad is not None for n, p in model.named_parameters() if n.startswith("levels"))
