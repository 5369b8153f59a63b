"""ACCLVOS against a plain reference in float64: its encoder's own parts, and RVOS's decoder on them."""

from __future__ import annotations

import math
from typing import Any

import convlstm_reference as reference
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from vos_zoo.models.acclvos import ACCLVOS, STRIDES, ConvLSTM, Features, State

Config = ACCLVOS.Config
TINY = Config("resnet18", 3, "folded", hidden=8)
DILATED = Config("resnet18", 4, "frozen", hidden=16, aspp_rates=(1, 3))
PLAIN = Config("resnet18", 4, "frozen", hidden=8, aspp=False)
SPATIAL = Config("resnet18", 3, "folded", hidden=8, recurrence="spatial")
TEMPORAL = Config("resnet18", 3, "folded", hidden=8, recurrence="temporal")


def build(config: Config, seed: int = 0) -> ACCLVOS:
    return reference.randomise(ACCLVOS(config), seed)


def reference_aspp(aspp: Any, x: torch.Tensor, rates: tuple[int, ...]) -> torch.Tensor:
    def branch(parts: Any, x: torch.Tensor, rate: int = 0) -> torch.Tensor:
        conv, norm, _ = parts
        return reference.batch_norm(norm, F.conv2d(x, conv.weight, padding=rate, dilation=max(rate, 1))).clamp(min=0)

    mean = torch.stack([channel.sum() / channel.numel() for channel in x[0]]).view(1, -1, 1, 1)
    branches = [branch(aspp.point, x), *(branch(parts, x, rate) for parts, rate in zip(aspp.atrous, rates, strict=True))]
    branches.append(branch(aspp.image, mean) * torch.ones_like(x[:, :1]))
    return branch(aspp.fuse, torch.cat(branches, 1))


def reference_skips(model: ACCLVOS, frame: torch.Tensor) -> list[torch.Tensor]:
    """The four skip features of a (3, H, W) frame, deepest first."""
    mean = torch.tensor([0.485, 0.456, 0.406]).double().view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).double().view(3, 1, 1)
    stages = model.trunk(((frame - mean) / std)[None])
    deepest = stages[-1]
    first, *rest = model.skips
    deep = reference_aspp(first, deepest, model.config.aspp_rates) if model.config.aspp else reference.skip_convolution(first, deepest)
    return [deep, *(reference.skip_convolution(skip, x) for skip, x in zip(rest, reversed(stages[:3]), strict=True))]


def rows(features: Features, t: int) -> Features:
    return Features(*(each[t : t + 1] for each in features))


# ---- the model against the reference


@pytest.mark.parametrize(
    ("config", "objects"),
    [(TINY, 1), (TINY, 3), (DILATED, 2), (PLAIN, 2), (SPATIAL, 2), (TEMPORAL, 2)],
    ids=["one", "three", "dilated", "no aspp", "spatial", "temporal"],
)
def test_three_frames_equal_the_reference(config, objects):
    model = build(config)
    frames = torch.rand(3, 3, 50, 75).double()
    masks = [(torch.rand(50, 75) > 0.5).double() for _ in range(objects)]
    with torch.no_grad():
        state = model.start(model.encode(frames[:1]), torch.stack(masks)[None])
        before = reference.decode(model, reference_skips(model, frames[0]), STRIDES, masks, None)
        for frame in frames[1:]:
            probs, state = model.step(model.encode(frame[None]), state)
            before = reference.decode(model, reference_skips(model, frame), STRIDES, masks, before)
            masks = reference.masks_of(model, before, 50, 75)
            torch.testing.assert_close(probs[0].double(), reference.competing(masks), atol=1e-5, rtol=0)
            for n, hidden in enumerate(state[2:]):
                torch.testing.assert_close(hidden[0], torch.cat([each[n] for each in before]), atol=1e-6, rtol=0)
    assert 0.05 < state.masks.std() < 0.5  # the masks that were compared say something


@pytest.mark.parametrize("config", [TINY, DILATED], ids=["3 stages", "4 stages"])
@pytest.mark.parametrize("size", [(100, 150), (31, 33), (1, 1)])
def test_any_frame_size_is_taken_as_it_is(config, size):
    model = ACCLVOS(config).eval()
    features = model.encode(torch.rand(1, 3, *size))
    assert [tuple(x.shape[-2:]) for x in features] == [tuple(math.ceil(n / stride) for n in size) for stride in (16, 16, 8, 4)]
    probs, _ = model.step(features, model.start(features, torch.ones(1, 2, *size)))
    assert probs.shape == (1, 3, *size) and torch.isfinite(probs).all()


def test_the_split_convolution_equals_the_unsplit_one():
    torch.manual_seed(0)
    level = ConvLSTM(above=5, skip=6, hidden=3).double()
    above, skip, mask, neighbour, before = (torch.randn(2, c, 7, 9).double() for c in (5, 6, 1, 3, 3))
    memory = torch.randn(2, 3, 7, 9).double()
    known = level.of_skip(skip) + level.of_past(mask, before)
    found = level(known, level.of_present(), above, (neighbour, memory))
    torch.testing.assert_close(found, reference.cell(level.gates, [above, skip, mask, neighbour, before], memory))


# ---- slots and recurrences


def test_later_slots_do_not_exist_for_earlier_ones():
    model = build(TINY)
    frames, masks = torch.rand(2, 3, 33, 48).double(), torch.rand(1, 10, 33, 48)
    with torch.no_grad():
        features = model.encode(frames)
        ten, _ = model.step(rows(features, 1), model.start(rows(features, 0), masks, torch.arange(10)[None] < 4))
        four, _ = model.step(rows(features, 1), model.start(rows(features, 0), masks[:, :4]))
    torch.testing.assert_close(ten[:, :5], four, atol=1e-6, rtol=0)
    assert not ten[:, 5:].any()


def test_a_batch_of_clips_equals_single_clips():
    model = build(DILATED)
    frames, masks = torch.rand(2, 3, 32, 48).double(), torch.rand(2, 3, 32, 48)
    active = torch.tensor([[True, True, True], [True, True, False]])
    with torch.no_grad():
        features = model.encode(frames)
        both, state = model.step(features, model.start(features, masks, active))
        one, _ = model.step(rows(features, 0), model.start(model.encode(frames[:1]), masks[:1]))
        two, _ = model.step(rows(features, 1), model.start(model.encode(frames[1:]), masks[1:, :2]))
    torch.testing.assert_close(both[:1], one, atol=1e-6, rtol=0)
    torch.testing.assert_close(both[1:, :3], two, atol=1e-6, rtol=0)
    assert not both[1, 3].any()
    kept = model.keep(state, torch.tensor([2, 0]))
    assert all(torch.equal(new, old[:, [2, 0]]) for new, old in zip(kept, state, strict=True))


def test_nothing_but_masks_and_hidden_maps_goes_on_and_its_size_stays():
    model = build(TINY).float()
    assert State._fields == ("masks", "active", "hidden0", "hidden1", "hidden2", "hidden3")  # no cell
    with torch.inference_mode():
        features = model.encode(torch.rand(1, 3, 32, 48))
        state = model.start(features, torch.rand(1, 2, 32, 48))
        shapes = [each.shape for each in state]
        for _ in range(4):
            _, state = model.step(features, state)
    assert [each.shape for each in state] == shapes
    assert [tuple(h.shape[2:]) for h in state[2:]] == [(8, 2, 3), (4, 2, 3), (2, 4, 6), (1, 8, 12)]


@pytest.mark.parametrize(("config", "flows"), [(TINY, True), (TEMPORAL, True), (SPATIAL, False)], ids=["both", "temporal", "spatial"])
def test_gradient_flows_through_time_by_the_hidden_maps_only(config, flows):
    model = build(config)
    frames = torch.rand(3, 3, 32, 48).double().requires_grad_()
    features = model.encode(frames)
    state = model.start(rows(features, 0), torch.rand(1, 2, 32, 48))
    _, state = model.step(rows(features, 1), state)
    assert not state.masks.requires_grad
    model.predict(rows(features, 2), state).logits.sum().backward()
    assert (frames.grad.abs().amax((1, 2, 3)) > 0).tolist() == [flows, flows, True]


def test_batch_norm_stays_frozen_in_training():
    model = build(DILATED)
    frames = torch.rand(2, 3, 32, 32).double()
    before, expected = {n: b.clone() for n, b in model.named_buffers()}, model.encode(frames)
    model.train()
    for one, other in zip(model.encode(frames), expected, strict=True):
        assert torch.equal(one, other)
    assert all(torch.equal(before[n], b) for n, b in model.named_buffers())


def test_annotate_adds_corrects_and_takes_pixels():
    model = build(TEMPORAL)
    features = model.encode(torch.rand(2, 3, 32, 32).double())
    first, second = rows(features, 0), rows(features, 1)
    _, state = model.step(second, model.start(first, torch.ones(1, 1, 32, 32)))
    masks = torch.zeros(1, 2, 32, 32)
    masks[0, 1, :, :16] = 1
    with torch.no_grad():
        added = model.annotate(second, masks, torch.tensor([[False, True]]), state)
        fresh = model.start(second, masks)
    assert torch.equal(fresh.masks, masks)
    assert torch.equal(added.masks[0, 1], masks[0, 1]) and added.active.all()
    assert not added.masks[0, 0, :, :16].any()
    assert torch.equal(added.masks[0, 0, :, 16:], state.masks[0, 0, :, 16:])
    for new, old, begun in zip(added[2:], state[2:], fresh[2:], strict=True):
        assert torch.equal(new[:, :1], old)
        torch.testing.assert_close(new[:, 1:], begun[:, 1:])
    corrected = model.annotate(second, masks.flip(1), torch.tensor([[True, False]]), added)
    assert torch.equal(corrected.masks[0, 0], masks[0, 1]) and not corrected.masks[0, 1].any()
    assert torch.equal(model.replace_masks(corrected, masks).masks, masks)


# ---- sizes and precision


def flops(call) -> tuple[int, Any]:
    with FlopCounterMode(display=False) as counter:
        result = call()
    return counter.get_total_flops(), result


def test_levels_see_two_channels_of_the_level_before_to_one_of_the_skip_feature():
    with torch.device("meta"):
        model = ACCLVOS()
    assert [level.inputs for level in model.levels] == [
        (0, 128, 1, 128, 128),
        (128, 64, 1, 64, 64),
        (64, 32, 1, 32, 32),
        (32, 16, 1, 16, 16),
    ]
    assert [tuple(conv[0].dilation) for conv in model.skips[0].atrous] == [(2, 2), (4, 4), (8, 8)]
    assert model.trunk.strides == [4, 8, 16, 16] and model.trunk.channels == [256, 512, 1024, 2048]


def test_operations_of_the_papers_model():
    """At 256x448 the dilated trunk lifts RVOS's encoder from 39.4 to 50.6 GFLOP, a multiplication and an addition counted as two.

    That is with RVOS's skip convolutions (128, 128, 64, 32 channels); this model's have half the width, but for the deepest. Ten
    objects with ASPP then cost 1.33 times RVOS's 67.3 GFLOP; the paper's speeds, 23 and 17 frames a second, say 1.35. The skip
    features' share of the gates is computed once a frame; it is counted for every object here, as RVOS's authors compute it.
    """
    with torch.device("meta"), torch.no_grad():
        model, plain = ACCLVOS(), ACCLVOS(Config(aspp=False))
        frame = torch.zeros(1, 3, 256, 448)
        encoder, features = flops(lambda: model.encode(frame))
        plain_encoder, _ = flops(lambda: plain.encode(frame))
        steps = [flops(lambda k=k: model.start(features, torch.zeros(1, k, 256, 448)))[0] for k in (2, 3)]
        predictor = flops(lambda: model.predictor(torch.zeros(1, 16, 128, 224)))[0]
    moved = sum(2 * 9 * level.inputs[1] * x[0].numel() for level, x in zip(model.levels, features, strict=True))
    halved = sum(
        2 * 9 * skip.conv.weight.shape[0] * skip.conv.weight.shape[1] * x[0, 0].numel()
        for skip, x in zip(plain.skips[1:], features[1:], strict=True)
    )
    assert round((plain_encoder - moved + halved) / 1e9, 1) == 50.6
    ten_objects = encoder - moved + 10 * (steps[1] - steps[0] + predictor + moved)
    assert round(ten_objects / 67.3e9, 2) == 1.33


def test_half_precision_stays_near():
    model = build(TINY).float()
    frames, masks = torch.rand(2, 3, 48, 80), (torch.rand(1, 2, 6, 10) > 0.5).float().repeat_interleave(8, 2).repeat_interleave(8, 3)

    def run() -> torch.Tensor:
        with torch.inference_mode():
            return model.step(model.encode(frames[1:]), model.start(model.encode(frames[:1]), masks))[0]

    expected = run()
    model.to(torch.bfloat16)
    found = run()
    assert found.dtype == torch.float32
    assert (found - expected).abs().mean() < 0.03


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet19"}, r"'resnet19' is no model of timm"),
        ({"backbone_stages": 2}, r"backbone_stages is 3 or 4, not 2"),
        ({"batch_norm": "live"}, r"batch_norm is one of"),
        ({"hidden": 12}, r"hidden must be a multiple of 8 between 8 and 4096, not 12"),
        ({"recurrence": "none"}, r"recurrence is one of .*'spatial'.* not 'none'"),
        ({"aspp_rates": ()}, r"aspp_rates must be one to eight dilations between 1 and 64, not \(\); aspp=False leaves ASPP out"),
        ({"aspp_rates": (2, 0)}, r"aspp_rates must be one to eight dilations"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Config(**arguments)
