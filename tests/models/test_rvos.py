"""RVOS against a plain reference in float64, and what its two recurrences mean for whoever uses it."""

from __future__ import annotations

import math

import convlstm_reference as reference
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vos_zoo.models.parts.ops import compete, mask_pyramid, one_claim
from vos_zoo.models.rvos import RVOS, STRIDES, ConvLSTM, Features, State

Config = RVOS.Config
TINY = Config("resnet18", 3, "folded", hidden=8)
FOUR = Config("resnet18", 4, "frozen", hidden=16)
SPATIAL = Config("resnet18", 3, "folded", hidden=8, recurrence="spatial")
TEMPORAL = Config("resnet18", 3, "folded", hidden=8, recurrence="temporal")
ZERO = Config("resnet18", 3, "folded", hidden=8, zero_shot=True, slots=3)
ZERO_WHOLE = Config("resnet18", 3, "folded", hidden=8, zero_shot=True, slots=3, overlap="object")
ZERO_SPATIAL = Config("resnet18", 3, "folded", hidden=8, recurrence="spatial", zero_shot=True, slots=2)


def build(config: Config, seed: int = 0) -> RVOS:
    return reference.randomise(RVOS(config), seed)


def reference_skips(model: RVOS, frame: torch.Tensor) -> list[torch.Tensor]:
    """The four skip features of a (3, H, W) frame, deepest first."""
    mean = torch.tensor([0.485, 0.456, 0.406]).double().view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).double().view(3, 1, 1)
    stages = model.trunk(((frame - mean) / std)[None])
    if len(stages) == 3:
        stages.append(stages[2])
    return [reference.skip_convolution(skip, x) for skip, x in zip(model.skips, reversed(stages), strict=True)]


# ---- the model against the reference


@pytest.mark.parametrize("objects", [1, 3])
@pytest.mark.parametrize("config", [TINY, FOUR, SPATIAL, TEMPORAL], ids=["3 stages", "4 stages", "spatial", "temporal"])
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
            torch.testing.assert_close(state.masks[0].double(), torch.stack(masks), atol=1e-5, rtol=0)
            for n, hidden in enumerate(state[2:]):
                torch.testing.assert_close(hidden[0], torch.cat([each[n] for each in before]), atol=1e-6, rtol=0)
    assert 0.05 < state.masks.std() < 0.5  # the masks that were compared say something


@pytest.mark.parametrize("config", [ZERO, ZERO_SPATIAL, ZERO_WHOLE], ids=["spatio-temporal", "spatial", "left to one"])
def test_zero_shot_equals_the_reference(config):
    model = build(config)
    frames = torch.rand(2, 3, 50, 75).double()
    with torch.no_grad():
        state = model.start(model.encode(frames[:1]), None)
        assert state.masks.shape == (1, config.slots, 50, 75) and state.active.all()
        before = [[torch.zeros(1, *h.shape[2:]).double() for h in state[2:]] for _ in range(config.slots)]
        shared = 0
        for frame in frames:
            probs, state = model.step(model.encode(frame[None]), state)
            before = reference.decode(model, reference_skips(model, frame), STRIDES, None, before)
            masks = reference.masks_of(model, before, 50, 75)
            torch.testing.assert_close(state.masks[0].double(), torch.stack(masks), atol=1e-5, rtol=0)  # each slot goes on with its own
            left = reference.left_to_one(masks) if config is ZERO_WHOLE else masks
            shared += sum(bool((a != b).any()) for a, b in zip(masks, left, strict=True))
            torch.testing.assert_close(probs[0].double(), reference.competing(left), atol=1e-5, rtol=0)
    assert bool(shared) == (config is ZERO_WHOLE)  # slots that found the same place were compared


@pytest.mark.parametrize("size", [(100, 150), (240, 427), (31, 33), (7, 5), (1, 1)])
def test_any_frame_size_is_taken_as_it_is(size):
    model = RVOS(TINY).eval()
    features = model.encode(torch.rand(1, 3, *size))
    expected = [tuple(math.ceil(n / stride) for n in size) for stride in STRIDES]
    assert [tuple(x.shape[-2:]) for x in features[:4]] == expected
    probs, _ = model.step(features, model.start(features, torch.ones(1, 2, *size)))
    assert probs.shape == (1, 3, *size) and torch.isfinite(probs).all()


# ---- its parts


@pytest.mark.parametrize("size", [(100, 150), (60, 107), (33, 7), (1, 1)])
def test_mask_pyramid_rounds_up_and_keeps_the_maximum(size):
    masks = torch.rand(1, 2, *size).double()
    maps = mask_pyramid(masks, (32, 16, 8, 4))
    for k in range(2):
        expected = reference.pyramid(masks[0, k])
        for stride, found in zip((32, 16, 8, 4), maps, strict=True):
            assert torch.equal(found[0, k], expected[stride])


def test_cell_by_hand():
    level = ConvLSTM(above=0, skip=1, mask=0, hidden=1)
    torch.nn.init.zeros_(level.gates.weight)
    level.gates.bias.data = torch.tensor([1.0, 2.0, 3.0, 0.5])  # input, forget, output, candidate
    known = level.of_skip(torch.zeros(1, 1, 1, 1))
    hidden, cell = level(known, level.of_present(), None, (torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), -2.0)))
    expected = 0.880797 * -2.0 + 0.731059 * 0.462117  # sigmoid(2) cell + sigmoid(1) tanh(0.5)
    assert cell.item() == pytest.approx(expected, abs=1e-5)
    assert hidden.item() == pytest.approx(0.952574 * math.tanh(expected), abs=1e-5)  # sigmoid(3) tanh(cell)


def test_the_split_convolution_equals_the_unsplit_one():
    torch.manual_seed(0)
    level = ConvLSTM(above=5, skip=6, mask=1, hidden=3).double()
    above, skip, mask, neighbour, before = (torch.randn(2, c, 7, 9).double() for c in (5, 6, 1, 3, 3))
    memory = torch.randn(2, 3, 7, 9).double()
    known = level.of_skip(skip) + level.of_past(mask, before)
    found = level(known, level.of_present(), above, (neighbour, memory))
    expected = reference.cell(level.gates, [above, skip, mask, neighbour, before], memory)
    torch.testing.assert_close(found, expected)


def test_scores_compete_and_the_background_wins_under_a_half():
    scores = torch.tensor([[0.7, 0.4, 0.9], [0.2, 0.3, 0.8]]).view(1, 2, 1, 3)
    probs = compete(scores)
    torch.testing.assert_close(probs.sum(1), torch.ones(1, 1, 3))
    assert probs.argmax(1).flatten().tolist() == [1, 0, 1]
    torch.testing.assert_close(compete(scores[:, :1])[:, 1], scores[:, 0])  # one object alone is copied
    assert compete(scores, torch.tensor([[False, True]]))[0, 1].max() == 0


def test_what_two_slots_find_is_left_whole_to_the_one_that_claims_more():
    """The first is surer of the middle, the second claims more in all: the middle is the second's, and no pixel is lost or shared."""
    scores = torch.tensor([[0.2, 0.9, 0.1, 0.1], [0.8, 0.7, 0.8, 0.3]]).view(1, 2, 1, 4)
    apart = one_claim(scores, torch.tensor([[True, True]]))
    assert compete(apart).argmax(1).flatten().tolist() == [2, 2, 2, 0]
    torch.testing.assert_close(apart[0, 0].flatten(), torch.tensor([0.2, 0.1, 0.1, 0.1]))
    torch.testing.assert_close(apart[:, 1], scores[:, 1])
    assert compete(scores).argmax(1).flatten().tolist() == [2, 1, 2, 0]
    only_first = torch.tensor([[True, False]])
    assert compete(one_claim(scores, only_first), only_first).argmax(1).flatten().tolist() == [0, 1, 0, 0]


# ---- slots


def test_later_slots_do_not_exist_for_earlier_ones():
    model = build(TINY)
    frames, masks = torch.rand(2, 3, 33, 48).double(), torch.rand(1, 10, 33, 48)
    with torch.no_grad():
        first, second = model.encode(frames[:1]), model.encode(frames[1:])
        ten = model.predict(second, model.start(first, masks)).logits
        four = model.predict(second, model.start(first, masks[:, :4])).logits
        active = torch.arange(10)[None] < 4
        some, _ = model.step(second, model.start(first, masks, active))
        only, _ = model.step(second, model.start(first, masks[:, :4]))
    torch.testing.assert_close(ten[:, :4], four, atol=1e-6, rtol=0)
    assert (ten[:, 4:].std(1) > 0).any()
    torch.testing.assert_close(some[:, :5], only, atol=1e-6, rtol=0)
    assert not some[:, 5:].any()


def test_a_batch_of_clips_equals_single_clips():
    model = build(TINY)
    frames, masks = torch.rand(2, 2, 3, 32, 48).double(), torch.rand(2, 3, 32, 48)
    active = torch.tensor([[True, True, True], [True, True, False]])

    def run(clips: slice, count: int) -> torch.Tensor:
        features = model.encode(frames[:, clips].flatten(0, 1))
        n = len(frames[0, clips])
        first, second = (Features(*(each[t * n : (t + 1) * n] for each in features)) for t in range(2))
        state = model.start(first, masks[clips, :count], active[clips, :count])
        return model.step(second, state)[0]

    with torch.no_grad():
        both, one, two = run(slice(0, 2), 3), run(slice(0, 1), 3), run(slice(1, 2), 2)
    torch.testing.assert_close(both[:1], one, atol=1e-6, rtol=0)
    torch.testing.assert_close(both[1:, :3], two, atol=1e-6, rtol=0)
    assert not both[1, 3].any()


def test_keep_drops_slots():
    model = build(TINY)
    state = model.start(model.encode(torch.rand(1, 3, 32, 48).double()), torch.rand(1, 3, 32, 48))
    kept = model.keep(state, torch.tensor([2, 0]))
    assert all(torch.equal(new, old[:, [2, 0]]) for new, old in zip(kept, state, strict=True))


# ---- recurrences


def test_the_spatial_recurrence_alone_remembers_only_the_mask():
    model = build(SPATIAL)
    features = model.encode(torch.rand(1, 3, 32, 48).double())
    state = model.start(features, torch.rand(1, 2, 32, 48))
    other = state._replace(**{f"hidden{n}": torch.randn_like(state[2 + n]) for n in range(4)})
    assert torch.equal(model.predict(features, state).logits, model.predict(features, other).logits)
    changed = model.replace_masks(state, torch.stack([1 - state.masks[:, 0], state.masks[:, 1]], 1))
    assert not torch.equal(model.predict(features, state).logits[:, 1], model.predict(features, changed).logits[:, 1])


def test_the_temporal_recurrence_alone_keeps_objects_apart():
    model = build(TEMPORAL)
    features = model.encode(torch.rand(1, 3, 32, 48).double())
    state = model.start(features, torch.rand(1, 2, 32, 48))
    alone = model.predict(features, model.keep(state, torch.tensor([1]))).logits
    torch.testing.assert_close(model.predict(features, state).logits[:, 1:], alone, atol=1e-6, rtol=0)
    forgotten = state._replace(hidden3=torch.zeros_like(state.hidden3))
    assert not torch.equal(model.predict(features, state).logits, model.predict(features, forgotten).logits)


def test_nothing_but_masks_and_hidden_maps_goes_on_and_its_size_stays():
    model = build(TINY).float()
    assert State._fields == ("masks", "active", "hidden0", "hidden1", "hidden2", "hidden3")  # no cell
    with torch.inference_mode():
        features = model.encode(torch.rand(1, 3, 32, 48))
        state = model.start(features, torch.rand(1, 2, 32, 48))
        shapes = [each.shape for each in state]
        for _ in range(5):
            _, state = model.step(features, state)
    assert [each.shape for each in state] == shapes
    assert [tuple(h.shape[2:]) for h in state[2:]] == [(8, 1, 2), (4, 2, 3), (2, 4, 6), (1, 8, 12)]


@pytest.mark.parametrize(("config", "flows"), [(TINY, True), (TEMPORAL, True), (SPATIAL, False)], ids=["both", "temporal", "spatial"])
def test_gradient_flows_through_time_by_the_hidden_maps_only(config, flows):
    model = build(config)
    frames = torch.rand(3, 3, 32, 48).double().requires_grad_()
    features = model.encode(frames)
    rows = [Features(*(each[t : t + 1] for each in features)) for t in range(3)]
    state = model.start(rows[0], torch.rand(1, 2, 32, 48))
    _, state = model.step(rows[1], state)
    assert not state.masks.requires_grad
    model.predict(rows[2], state).logits.sum().backward()
    reached = frames.grad.abs().amax((1, 2, 3)) > 0
    assert reached.tolist() == [flows, flows, True]


def test_batch_norm_stays_frozen_in_training():
    model = build(FOUR)
    frames = torch.rand(2, 3, 32, 32).double()
    before, expected = {n: b.clone() for n, b in model.named_buffers()}, model.encode(frames)
    model.train()
    for one, other in zip(model.encode(frames), expected, strict=True):
        assert torch.equal(one, other)
    assert all(torch.equal(before[n], b) for n, b in model.named_buffers())


# ---- masks given on the way


def test_frame_one_sees_the_given_masks():
    model = build(TINY)
    masks = torch.rand(1, 2, 32, 48)
    features = model.encode(torch.rand(1, 3, 32, 48).double())
    state = model.start(features, masks)
    assert torch.equal(state.masks, masks)
    assert state.hidden3.abs().sum() > 0
    assert torch.equal(model.replace_masks(state, 1 - masks).masks, 1 - masks)


def test_annotate_adds_corrects_and_takes_pixels():
    model = build(TEMPORAL)
    features = model.encode(torch.rand(2, 3, 32, 32).double())
    first, second = (Features(*(each[t : t + 1] for each in features)) for t in range(2))
    state = model.start(first, torch.ones(1, 1, 32, 32))
    _, state = model.step(second, state)
    masks = torch.zeros(1, 2, 32, 32)
    masks[0, 1, :, :16] = 1
    with torch.no_grad():
        added = model.annotate(second, masks, torch.tensor([[False, True]]), state)
        fresh = model.start(second, masks)
    assert torch.equal(added.masks[0, 1], masks[0, 1]) and added.active.all()
    assert not added.masks[0, 0, :, :16].any()
    assert torch.equal(added.masks[0, 0, :, 16:], state.masks[0, 0, :, 16:])
    for new, old, begun in zip(added[2:], state[2:], fresh[2:], strict=True):
        assert torch.equal(new[:, :1], old)  # the other object's hidden maps are untouched
        torch.testing.assert_close(new[:, 1:], begun[:, 1:])  # with objects apart, a new one begins as it would at the start
    corrected = model.annotate(second, masks.flip(1), torch.tensor([[True, False]]), added)
    assert torch.equal(corrected.masks[0, 0], masks[0, 1]) and not corrected.masks[0, 1].any()
    assert not torch.equal(corrected.hidden3[:, 0], added.hidden3[:, 0]) and torch.equal(corrected.hidden3[:, 1], added.hidden3[:, 1])


def test_a_new_object_sees_those_before_it():
    model = build(TINY)
    features = model.encode(torch.rand(1, 3, 32, 32).double())
    masks = torch.zeros(1, 2, 32, 32)
    masks[0, 1, :, :16] = 1
    added = [
        model.annotate(features, masks, torch.tensor([[False, True]]), model.start(features, torch.full((1, 1, 32, 32), value)))
        for value in (0.0, 1.0)
    ]
    assert torch.equal(added[0].masks[:, 1], added[1].masks[:, 1])
    assert not torch.equal(added[0].hidden3[:, 1], added[1].hidden3[:, 1])


def test_zero_shot_models_take_no_masks_and_the_others_need_them():
    model, told = RVOS(ZERO).eval(), RVOS(TINY).eval()
    assert model.finds_objects and not told.finds_objects
    frames, masks = torch.rand(2, 3, 32, 48), torch.zeros(2, 3, 32, 48)
    features = model.encode(frames)
    state = model.start(features, None)
    assert state.masks.shape == (2, 3, 32, 48) and not any(h.any() for h in state[2:])
    assert model.start(features, None, torch.ones(2, 5, dtype=torch.bool)).hidden0.shape[1] == 5
    with pytest.raises(ValueError, match="finds the objects itself and takes no masks"):
        model.start(features, masks)
    with pytest.raises(ValueError, match="finds the objects itself and takes no masks: load a model that is not zero-shot"):
        model.annotate(features, masks, torch.ones(2, 3, dtype=torch.bool), state)
    with pytest.raises(ValueError, match="must be told the objects: give the masks of one frame"):
        told.start(told.encode(frames), None)


# ---- sizes and precision


def flops(call) -> tuple[int, object]:
    with FlopCounterMode(display=False) as counter:
        result = call()
    return counter.get_total_flops(), result


def test_sizes_of_the_papers_model():
    with torch.device("meta"):
        model, zero_shot = RVOS(), RVOS(Config(zero_shot=True))
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters() if not name.startswith("trunk")}
    assert [shapes[f"levels.{n}.gates.weight"] for n in range(4)] == [(512, 385, 3, 3), (256, 385, 3, 3), (128, 193, 3, 3), (64, 97, 3, 3)]
    widths = [(128, 2048), (128, 1024), (64, 512), (32, 256)]
    assert [shapes[f"skips.{n}.conv.weight"] for n in range(4)] == [(*each, 3, 3) for each in widths]
    assert shapes["predictor.weight"] == (1, 16, 3, 3)
    decoders = [sum(p.numel() for n, p in each.named_parameters() if n.startswith(("levels", "predictor"))) for each in (model, zero_shot)]
    assert [round(n / 1e6, 3) for n in decoders] == [2.940, 2.932]
    encoder = sum(p.numel() for p in model.parameters()) - decoders[0]
    assert round((encoder + 2048 * 1000 + 1000) / 1e6, 2) == 48.46  # the published file holds an unused classifier


def test_operations_of_the_papers_model():
    """At 256x448: 39.4 GFLOP for the authors' encoder and 2.80 for each object, a multiplication and an addition counted as two.

    Here the skip features' share of the gates is computed once a frame, in the encoder; it is moved back for the comparison. The
    authors' every object costs the same; here the first one saves its empty neighbour, so the difference of three and two counts.
    """
    with torch.device("meta"), torch.no_grad():
        model = RVOS()
        encoder, features = flops(lambda: model.encode(torch.zeros(1, 3, 256, 448)))
        steps = [flops(lambda k=k: model.start(features, torch.zeros(1, k, 256, 448)))[0] for k in (2, 3)]
        predictor = flops(lambda: model.predictor(torch.zeros(1, 16, 128, 224)))[0]
    moved = sum(2 * 9 * level.inputs[1] * x[0].numel() for level, x in zip(model.levels, features[:4], strict=True))
    assert round((encoder - moved) / 1e9, 1) == 39.4
    assert round((steps[1] - steps[0] + predictor + moved) / 1e9, 2) == 2.80


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near(dtype):
    model = build(TINY).float()
    frames, masks = torch.rand(2, 3, 48, 80), (torch.rand(1, 2, 6, 10) > 0.5).float().repeat_interleave(8, 2).repeat_interleave(8, 3)

    def run() -> torch.Tensor:
        with torch.inference_mode():
            return model.step(model.encode(frames[1:]), model.start(model.encode(frames[:1]), masks))[0]

    expected = run()
    model.to(dtype)
    found = run()
    assert found.dtype == torch.float32
    assert (found - expected).abs().mean() < 0.02


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet19"}, r"'resnet19' is no model of timm"),
        ({"backbone_stages": 2}, r"backbone_stages is 3 or 4, not 2"),
        ({"batch_norm": "live"}, r"batch_norm is one of"),
        ({"hidden": 12}, r"hidden must be a multiple of 8 between 8 and 4096, not 12"),
        ({"hidden": 10**6}, r"hidden must be a multiple of 8 between 8 and 4096"),
        ({"recurrence": "none"}, r"recurrence is one of .*'spatial'.* not 'none'"),
        ({"slots": 0}, r"slots must lie between 1 and 255, not 0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Config(**arguments)
