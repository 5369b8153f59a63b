"""RVOS and ACCLVOS with `matched`: what their levels are told, what the state holds, and that nothing else changes."""

from __future__ import annotations

import dataclasses
from typing import Any

import convlstm_reference as reference
import pytest
import torch
import torch.nn.functional as F

from vos_zoo.models import acclvos, rvos
from vos_zoo.models.acclvos import ACCLVOS
from vos_zoo.models.parts import matching
from vos_zoo.models.parts.matching import MatchedState
from vos_zoo.models.parts.ops import mask_pyramid
from vos_zoo.models.rvos import RVOS

KINDS = [RVOS, ACCLVOS]
STRIDES = {RVOS: rvos.STRIDES, ACCLVOS: acclvos.STRIDES}


def config(kind: Any, **changes: Any) -> Any:
    return kind.Config(**{"backbone": "resnet18", "backbone_stages": 3, "hidden": 8, "matched": 6, "lasting": 3, **changes})


def build(kind: Any, **changes: Any) -> Any:
    return reference.randomise(kind(config(kind, **changes)))


def cells(masks: torch.Tensor) -> torch.Tensor:
    """The mean of each 16 x 16 pixels, of those that stick out the mean of what there is."""
    rows = [
        [masks[..., i : i + 16, j : j + 16].mean((-1, -2)) for j in range(0, masks.shape[-1], 16)] for i in range(0, masks.shape[-2], 16)
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stages", [3, 4])
@pytest.mark.parametrize("size", [(97, 131), (31, 33), (7, 5), (1, 1), (64, 96)])
@torch.no_grad()
def test_cells_are_the_trunks_for_any_frame_size(kind: Any, stages: int, size: tuple[int, int]) -> None:
    model = kind(config(kind, backbone_stages=stages)).eval()
    features, masks = model.encode(torch.rand(1, 3, *size)), torch.rand(1, 2, *size)
    state = model.start(features, masks)
    assert isinstance(state, MatchedState) and state.masks.shape == masks.shape
    torch.testing.assert_close(state.matching.masks, cells(masks))
    assert state.matching.masks.shape[-2:] == features.trunk.shape[-2:] == features.key.shape[-2:]
    told = matching.told(features.key, state, STRIDES[kind])
    assert [each.shape for each in told] == [each.shape for each in mask_pyramid(masks, STRIDES[kind])]
    probs, after = model.step(features, state)
    assert probs.shape == (1, 3, *size) and torch.isfinite(probs).all() and [f.shape for f in after] == [f.shape for f in state]


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_levels_are_told_what_matching_finds_and_of_given_masks_the_masks(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(kind)
    frames, masks = torch.rand(3, 1, 3, 48, 80).double(), (torch.rand(1, 2, 48, 80) > 0.5).double()
    seen = [model.encode(frame) for frame in frames]
    told: list[Any] = []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda features, state, told_here: (told.append(told_here), decode(features, state, told_here))[1])
    state = model.start(seen[0], masks)
    _, after = model.step(seen[1], state)
    model.annotate(seen[1], masks, torch.tensor([[True, True]]), after)
    given = mask_pyramid(masks, STRIDES[kind])
    for n in (0, 2):
        assert all(torch.equal(one.to(other), other) for one, other in zip(told[n], given, strict=True))
    found = matching.found(seen[1].key, state.matching)
    for stride, here in zip(STRIDES[kind], told[1], strict=True):
        if stride == 16:
            assert torch.equal(here, found)
        elif stride == 32:
            torch.testing.assert_close(here, F.avg_pool2d(found, 2, ceil_mode=True))
        else:
            size = [side * 16 // stride for side in found.shape[-2:]]
            torch.testing.assert_close(here, F.interpolate(found, size, mode="bilinear", align_corners=False))
    monkeypatch.setattr(matching, "FINE", "masks")
    coarse, fine = matching.told(seen[1].key, state, STRIDES[kind])[1], matching.told(seen[1].key, state, STRIDES[kind])[3]
    assert torch.equal(coarse, found) and torch.equal(fine, given[3].to(fine))


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_thing_that_jumps_is_found_where_it_lies_now(kind: Any) -> None:
    """Left half and right half change places: the previous mask is wrong everywhere, what matching finds is right."""
    torch.manual_seed(0)
    model = kind(config(kind, matched=32)).double().eval()
    left, right = torch.rand(1, 3, 32, 1).expand(-1, -1, -1, 64).double() * 0.1, torch.rand(1, 3, 32, 1).expand(-1, -1, -1, 64).double()
    masks = torch.zeros(1, 1, 32, 128).double()
    masks[..., :64] = 1
    state = model.start(model.encode(torch.cat([left, right], 3)), masks)
    swapped = model.encode(torch.cat([right, left], 3))
    for stride, told in zip(STRIDES[kind], matching.told(swapped.key, state, STRIDES[kind]), strict=True):
        quarter = told.shape[-1] // 4
        assert told[..., 3 * quarter :].min() > 0.7 and told[..., :quarter].max() < 0.3, stride


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_what_lasts_is_the_first_frame_and_the_latest_of_each_fifth(kind: Any) -> None:
    model = build(kind)
    frames, masks = torch.rand(18, 1, 3, 33, 47).double(), (torch.rand(1, 2, 33, 47) > 0.5).double()
    seen = [model.encode(frame) for frame in frames]
    state = model.start(seen[0], masks)
    shapes = [field.shape for field in state]
    handed_on = [state.masks]
    for n in range(1, 18):
        _, state = model.step(seen[n], state)
        handed_on.append(state.masks)
    assert [field.shape for field in state] == shapes
    assert state.valid.all() and state.age.tolist() == [[17, 17]]
    for slot, frame in enumerate([0, 15, 10]):
        for k in range(2):
            torch.testing.assert_close(state.keys[0, k, slot].T.unflatten(1, (3, 3)), seen[frame].key[0])
            torch.testing.assert_close(
                state.owners[0, k, slot, :, 0].view(3, 3).double(), cells(handed_on[frame].double())[0, k], atol=1e-6, rtol=0
            )
    new = torch.ones(1, 3, 33, 47).double()
    after = model.annotate(seen[17], new, torch.tensor([[False, True, True]]), state)
    assert after.age.tolist() == [[17, 17, 0]] and after.valid[0, 2].tolist() == [True, False, False]
    torch.testing.assert_close(after.keys[0, 2, 0].T.unflatten(1, (3, 3)), seen[17].key[0])  # a new object's first frame
    torch.testing.assert_close(after.keys[0, :2], state.keys[0])  # a correction is no frame that lasts
    assert after.masks[0, 1].min() == 1
    assert all(torch.equal(a[:, :1], b[:, :1]) for a, b in zip(after[2:6], state[2:6], strict=True))  # hidden maps of the other object
    kept = model.keep(after, torch.tensor([2, 0]))
    assert isinstance(kept, MatchedState) and all(torch.equal(a, b[:, [2, 0]]) for a, b in zip(kept, after, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_keys_that_are_not_used_change_nothing(kind: Any) -> None:
    model = build(kind)
    plain, off = kind(config(kind, matched=0)).double().eval(), kind(config(kind, matching=False)).double().eval()
    off.load_state_dict(model.state_dict())
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if not name.startswith("keys.")})
    again = kind(model.config).double().eval()
    assert again.load_state_dict(plain.state_dict(), strict=False).missing_keys == ["keys.project.weight"]
    frame, masks = torch.rand(1, 3, 33, 47).double(), (torch.rand(1, 2, 33, 47) > 0.5).double()
    one, other = (each.step(each.encode(frame), each.start(each.encode(frame), masks)) for each in (plain, off))
    assert torch.equal(one[0], other[0]) and type(one[1]) is type(other[1]) is not MatchedState
    assert not plain.describes and off.describes and model.describes and model.cell == 16
    assert "trunk" not in plain.encode(frame)._fields
    for each in (off, model):
        torch.testing.assert_close(each.describe(each.encode(frame)), model.trunk(model.trunk.normalised(frame))[2])


@pytest.mark.parametrize("kind", KINDS)
def test_weights_begin_as_those_of_a_model_without_keys(kind: Any) -> None:
    made = []
    for matched in (0, 6):
        torch.manual_seed(4)
        made.append(kind(config(kind, matched=matched)).state_dict())
    assert all(torch.equal(made[1][name], value) for name, value in made[0].items())


def test_bad_arguments_are_named() -> None:
    for kind in KINDS:
        with pytest.raises(ValueError, match="matched is 0 to 4096 channels and lasting 1 to 64 frames, not 8 and 0"):
            dataclasses.replace(config(kind), matched=8, lasting=0)
    with pytest.raises(ValueError, match="matched has nothing to replace where zero_shot is true: set matched to 0"):
        config(RVOS, zero_shot=True)
