"""LightSCM: what looks alike is found, memory keeps what it says, and DINOv2's matrices in eight bits are what the file holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from vos_zoo.models.lightscm import MASKS, LightSCM
from vos_zoo.models.parts.dinov2 import DinoV2, Int8Linear
from vos_zoo.models.parts.memory import FIRST, PREVIOUS


def build(**changes: object) -> LightSCM:
    torch.manual_seed(0)
    model = LightSCM(LightSCM.Config(**{**LightSCM.debug, **changes})).eval()
    for show in model.shows:
        torch.nn.init.orthogonal_(show.weight[:, :, 0, 0])
    return model


def noise(size: tuple[int, int] = (64, 96), seed: int = 1) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.rand(1, 3, *size)


@torch.no_grad()
def test_an_untrained_model_carries_a_mask_over_to_where_things_look_the_same():
    model = build(temperature=0.002)
    frame = noise()
    mask = torch.zeros(1, 1, 64, 96)
    mask[..., 16:48, 32:64] = 1
    features = model.encode(frame)
    probs, _ = model.step(features, model.start(features, mask))
    assert ((probs[:, 1:] > 0.5) == (mask > 0.5)).float().mean() > 0.97


@torch.no_grad()
def test_memory_holds_the_first_frame_the_previous_one_and_each_nth():
    model = build(memory_every=2, max_memory=3)
    masks = (torch.rand(1, 1, 64, 96) > 0.5).float()
    features = [model.encode(noise(seed=n)) for n in range(8)]
    keys = [each.key.flatten(2).transpose(1, 2) for each in features]
    state = model.start(features[0], masks)
    held = []
    for each in features[1:]:
        _, state = model.step(each, state)
        of = [next(n for n, key in enumerate(keys) if torch.equal(state.keys[0, :, m], key)) for m in range(4) if state.valid[0, 0, m]]
        held.append(of)
    assert held == [[0, 1], [0, 2, 2], [0, 3, 2], [0, 4, 2, 4], [0, 5, 2, 4], [0, 6, 6, 4], [0, 7, 6, 4]]


@torch.no_grad()
def test_replaced_masks_are_remembered_too():
    model = build()
    features, masks = model.encode(noise()), (torch.rand(1, 2, 64, 96) > 0.5).float()
    state = model.start(features, masks)
    other = model.replace_masks(state, 1 - masks)
    assert torch.equal(other.values[:, :, FIRST], state.values[:, :, FIRST])
    own = slice(0, MASKS - 1)
    torch.testing.assert_close(other.values[:, :, PREVIOUS, :, own], 1 - state.values[:, :, PREVIOUS, :, own])
    assert torch.equal(other.values[..., MASKS:], state.values[..., MASKS:])


@torch.no_grad()
def test_reading_in_parts_is_reading_at_once(monkeypatch: pytest.MonkeyPatch):
    model = build()
    features = model.encode(noise())
    state = model.start(features, (torch.rand(1, 2, 64, 96) > 0.5).float())
    whole = model.read(features.key, state)
    monkeypatch.setattr("vos_zoo.models.lightscm.BLOCK", 1)
    for one, other in zip(whole, model.read(features.key, state), strict=True):
        torch.testing.assert_close(one, other)


def test_trunks_do_not_learn_by_themselves_and_wrong_arguments_are_told():
    with pytest.raises(ValueError, match="skips are two channel counts and widths three"):
        LightSCM.Config(skips=(1,))
    with pytest.raises(ValueError, match="blocks of DINOv2 are 1 to 12, not 0"):
        LightSCM.Config(blocks=0)
    with pytest.raises(ValueError, match="memory_every and max_memory are 1 or more"):
        LightSCM.Config(max_memory=0)
    with pytest.raises(ValueError, match="temperature is 0.001 to 10"):
        LightSCM.Config(temperature=0)


# ---- DINOv2


@torch.no_grad()
def test_eight_bits_are_close_and_exact_where_the_file_has_them(tmp_path: Path):
    torch.manual_seed(0)
    linear = torch.nn.Linear(20, 6)
    x = torch.randn(5, 20)
    assert (Int8Linear(linear)(x) - linear(x)).abs().max() < 0.02
    trunk, other = DinoV2(2, 16), DinoV2(2, 16)
    stored = {}
    for name, value in trunk.net.state_dict().items():
        stored[name.replace(".scale", ".weight.scale")] = value.half() if value.is_floating_point() else value
    save_file(stored, tmp_path / "int8.safetensors")
    other.load_dinov2(tmp_path / "int8.safetensors")
    frame = noise((32, 48))
    torch.testing.assert_close(other(frame, (2, 3)), trunk(frame, (2, 3)), atol=2e-2, rtol=2e-2)
    del stored["blocks.1.norm1.weight"]
    save_file(stored, tmp_path / "cut.safetensors")
    with pytest.raises(ValueError, match=r"1 tensors are missing, the first is blocks\.1\.norm1\.weight"):
        other.load_dinov2(tmp_path / "cut.safetensors")


@torch.no_grad()
def test_tokens_are_timms(tmp_path: Path):
    torch.manual_seed(0)
    small = {"embed_dim": 16, "num_heads": 2, "img_size": 112, "depth": 2, "num_classes": 0, "dynamic_img_size": True}
    plain = timm.create_model("vit_small_patch14_dinov2", pretrained=False, **small).eval()
    save_file({name: value.contiguous() for name, value in plain.state_dict().items()}, tmp_path / "whole.safetensors")
    trunk = DinoV2(2, 16)
    trunk.load_dinov2(tmp_path / "whole.safetensors")
    frame = noise((32, 48))
    seen = F.interpolate(frame, (28, 42), mode="bilinear", align_corners=False, antialias=True)
    plain.norm = torch.nn.Identity()
    expected = plain.forward_features(seen)[:, 1:].transpose(1, 2).unflatten(2, (2, 3))
    torch.testing.assert_close(trunk(frame, (2, 3)), expected, atol=0.05, rtol=0.05)
