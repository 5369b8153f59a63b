"""SCM with `matched`: what its mix is told, what its memory holds, and that a query trunk which does not learn is enough for it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from vos_zoo.models.parts.memory import PREVIOUS
from vos_zoo.models.scm import SCM

SMALL = {
    "backbone": "resnet10t", "memory_backbone": "resnet18", "value": 6, "decoder": 7, "refine_width": 4, "matched": 8, "shared_keys": True,
    "similarity": "cosine", "temperature": 0.05, "memory_every": 2, "max_memory": 3,
}  # fmt: skip
Config = SCM.Config


def build(**changes: object) -> SCM:
    torch.manual_seed(0)
    model = SCM(Config(**{**SMALL, **changes})).double().eval()
    torch.nn.init.normal_(model.predictor.weight, std=1.0)
    if model.mix.told is not None:
        torch.nn.init.normal_(model.mix.told.weight, std=0.5)
    return model


def clip(frames: int, objects: int = 2) -> tuple[Tensor, Tensor]:
    """Frames (T, 1, 3, 32, 48) and masks (1, K, 32, 48) that do not overlap."""
    torch.manual_seed(1)
    owner = torch.randint(0, objects + 1, (8, 12)).repeat_interleave(4, 0).repeat_interleave(4, 1)
    return torch.rand(frames, 1, 3, 32, 48).double() * 0.9 + 0.05, torch.stack([owner == k + 1 for k in range(objects)])[None].double()


def cells(model: SCM, deep: Tensor) -> Tensor:
    """(N, C): the keys of (1, C, h, w), each of length one."""
    seen = deep[0].flatten(1).T
    keys = (seen - seen.mean(0)) @ model.keys.project.weight[:, :, 0, 0].T
    return keys / keys.norm(dim=1, keepdim=True)


def shares(masks: Tensor) -> Tensor:
    """(K, N): each object's share of each 16 x 16 cell."""
    return masks[0].double().unflatten(1, (2, 16)).unflatten(3, (3, 16)).mean((2, 4)).flatten(1)


@torch.no_grad()
def test_the_mix_is_told_what_memory_and_previous_frame_say_of_shares_and_the_previous_mask():
    model = build()
    frames, masks = clip(6)
    told: list[Tensor] = []
    model.mix.told.register_forward_pre_hook(lambda _, inputs: told.append(inputs[0]))
    seen = [model.encode(frame) for frame in frames]
    state = model.start(seen[0], masks)
    keys, owned = [cells(model, each.trunk) for each in seen], [shares(masks)]
    place = torch.tensor([(n // 3, n % 3) for n in range(6)]).double()
    far = (place[:, None] - place).square().sum(-1) / 32
    for n in range(1, 6):
        _, state = model.step(seen[n], state)
        remembered = [n - 1, *(t for t in (0, 2, 4) if t < n)]
        scores = torch.cat([keys[n] @ keys[t].T / 0.05 for t in remembered], 1)
        alike = torch.cat([owned[t] for t in remembered], 1) @ scores.softmax(1).T
        near = owned[n - 1] @ (keys[n] @ keys[n - 1].T / 0.02 - far).softmax(1).T
        expected = torch.stack([alike, near, owned[n - 1]], 1)
        torch.testing.assert_close(told[-1].flatten(2), expected, atol=1e-5, rtol=1e-4)
        owned.append(shares(state.masks))


@torch.no_grad()
def test_the_frame_before_is_always_in_memory_and_masks_in_its_place_are_told():
    model = build()
    frames, masks = clip(5)
    state = model.start(model.encode(frames[0]), masks)
    for frame in frames[1:]:
        seen = model.encode(frame)
        _, state = model.step(seen, state)
        assert bool(state.valid[:, :, PREVIOUS].all())
        torch.testing.assert_close(state.keys[:, :, PREVIOUS], cells(model, seen.trunk).expand(1, 2, -1, -1), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(state.values[0, :, PREVIOUS, :, -1], shares(state.masks), atol=1e-6, rtol=0)
    other = model.replace_masks(state, 1 - masks)
    torch.testing.assert_close(other.values[0, :, PREVIOUS, :, -1], shares(1 - masks))
    assert torch.equal(other.values[..., :-1], state.values[..., :-1]) and torch.equal(other.keys, state.keys)
    changed = [not torch.equal(a, b) for a, b in zip(other, state, strict=True)]
    assert changed == [name in ("masks", "values") for name in state._fields]


def test_all_but_the_query_trunk_and_its_keys_learns():
    model = build()
    frames, masks = clip(4)
    for part in (model.query_trunk, model.keys):
        part.requires_grad_(False)
    state = model.start(model.encode(frames[0]), masks)
    for frame in frames[1:]:
        prediction = model.predict(seen := model.encode(frame), state)
        _, state = model.advance(seen, prediction, state)
    (prediction.logits.square().mean() + prediction.auxiliary[0].square().mean()).backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not torch.isfinite(p.grad).all())]
    assert not without
    assert model.memory_trunk.outline["model_name"] == "resnet18" and model.kept_trunks() == [model.query_trunk]


@torch.no_grad()
def test_it_describes_by_its_query_trunk_and_only_then():
    frames, _ = clip(1)
    model, plain = build(), build(matched=0)
    seen = model.encode(frames[0])
    assert model.describes and torch.equal(model.describe(seen), model.query_trunk(model.query_trunk.normalised(frames[0]))[-1])
    assert not plain.describes and plain.encode(frames[0]).trunk.shape[1] == 0 and plain.keys is None and plain.mix.told is None


@torch.no_grad()
def test_what_is_told_counts_for_nothing_before_it_is_learned():
    frames, masks = clip(3)
    model = build(spatial_constraint=False)
    torch.nn.init.zeros_(model.mix.told.weight)
    state = model.start(model.encode(frames[0]), masks)
    seen = model.encode(frames[1])
    expected = model.predict(seen, state).logits
    assert torch.equal(model.predict(seen, model.replace_masks(state, 1 - masks)).logits, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"matched": 5000}, "matched is 0 to 4096 channels"),
        ({"shared_keys": False}, "say shared_keys: true and similarity: .cosine., or matched: 0"),
        ({"similarity": "dot"}, "say shared_keys: true and similarity: .cosine., or matched: 0"),
        ({"memory_backbone": "resnet19"}, "backbone 'resnet19' is no model of timm"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Config(**SMALL), **changes)
