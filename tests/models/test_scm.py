"""SCM, and STM inside it: equal to the plain reference, of the published sizes, with a memory that does what it says."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from scm_reference import reference_video
from torch.utils.flop_counter import FlopCounterMode

from vos_zoo.checkpoints import catalogue
from vos_zoo.checkpoints.arguments import checked_args
from vos_zoo.engine.grid import make_grid
from vos_zoo.models import scm
from vos_zoo.models.base import Prediction
from vos_zoo.models.parts.folding import fold_batch_norm
from vos_zoo.models.parts.memory import FIRST, PREVIOUS, MemoryState, read_memory, start_alike
from vos_zoo.models.scm import SCM
from vos_zoo.train.batch import ClipBatch
from vos_zoo.train.rollout import rollout

Config = SCM.Config
OFF = {"spatial_constraint": False, "aspp": False, "refine": False}
ROWS = [OFF, {**OFF, "aspp": True}, {**OFF, "spatial_constraint": True}, {**OFF, "refine": True}, {}]
ROW_NAMES = ["STM", "ASPP", "constraint", "refine", "SCM"]
COSINE = {"similarity": "cosine", "temperature": 0.1}


def build(seed: int = 0, **changes: object) -> SCM:
    """A tiny SCM in float64 whose masks depend on everything in it."""
    torch.manual_seed(seed)
    small = {"backbone": "resnet10t", "key": 5, "value": 6, "decoder": 7, "refine_width": 4, **changes}
    model = SCM(Config(**small)).double().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    for conv in filter(None, (model.query_key, model.memory_key)):
        torch.nn.init.normal_(conv.weight, std=0.05)
    torch.nn.init.normal_(model.predictor.weight, std=1.0)
    if model.refine is not None:
        torch.nn.init.normal_(model.refine.leave.weight, std=1.0)
    return model


def clip(frames: int, objects: int, size: tuple[int, int] = (32, 48), seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames (T, 1, 3, H, W) without a black pixel and masks (1, K, H, W) that do not overlap."""
    torch.manual_seed(seed)
    owner = torch.randint(0, objects + 1, (size[0] // 4 + 1, size[1] // 4 + 1)).repeat_interleave(4, 0).repeat_interleave(4, 1)
    owner = owner[: size[0], : size[1]]
    return torch.rand(frames, 1, 3, *size).double() * 0.9 + 0.05, torch.stack([owner == k + 1 for k in range(objects)])[None].double()


def run(model: SCM, frames: torch.Tensor, masks: torch.Tensor) -> tuple[list[torch.Tensor], MemoryState]:
    with torch.no_grad():
        state = model.start(model.encode(frames[0]), masks)
        results = []
        for frame in frames[1:]:
            probs, state = model.step(model.encode(frame), state)
            results.append(probs)
    return results, state


# ---- the model


@pytest.mark.parametrize(
    "row", [*ROWS, COSINE, {"shared_keys": True}, {"shared_keys": True, **COSINE}], ids=[*ROW_NAMES, "cosine", "shared", "both"]
)
def test_a_video_equals_the_reference(row):
    """41 x 53 pads by 3 + 4 and 5 + 6; eight frames with every third kept exercise each case of the schedule."""
    model = build(**row, backbone="resnet18", memory_every=3)
    frames, masks = clip(8, 3, (41, 53))
    grid = make_grid((41, 53), short_side=None, stride=16, padding=SCM.padding)
    assert grid.pads == (5, 6, 3, 4)
    with torch.no_grad():
        expected = reference_video(model, frames[:, 0], masks[0], 3)
        results, state = run(model, F.pad(frames, grid.pads), F.pad(masks, grid.pads))
    for probs, other in zip(results, expected, strict=True):
        torch.testing.assert_close(grid.unpadded(probs)[0].double(), other, atol=1e-5, rtol=1e-4)
    assert float(expected[-1][1:].std()) > 0.02, "the weights must make masks that differ, or nothing is compared"
    assert not state.masks[..., :3, :].any() and not state.masks[..., -6:].any()


def test_folding_batch_norm_changes_nothing():
    frozen, folded = build(), build(batch_norm="folded")
    frames, masks = clip(3, 2)
    expected = run(frozen, frames, masks)[0]
    for trunk in frozen.trunks():
        fold_batch_norm(trunk.net)
    folded.load_state_dict(frozen.state_dict())
    for one, other in zip(expected, run(folded, frames, masks)[0], strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


# ---- sizes


def flops(work) -> tuple[object, float]:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        result = work()
    return result, counter.get_total_flops() / 1e9


def test_sizes_of_the_official_stm():
    """38.93 M parameters; 558 tensors there, of which 4 hold mean and std and 2 are the first convolution's own halves."""
    with torch.device("meta"):
        model = SCM(Config(**OFF, max_memory=14)).eval()
        assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == 38.93
        assert len(model.state_dict()) == 558 - 4 - 2
        features, encoding = flops(lambda: model.encode(torch.rand(1, 3, 480, 864)))
        state, memorising = flops(lambda: model.start(features, torch.rand(1, 1, 480, 864)))
        fifteen = flops(lambda: model.predict(features, state))[1]
        memory = {name: getattr(state, name)[:, :, :1] for name in ("keys", "values", "valid")}
        one = flops(lambda: model.predict(features, state._replace(**memory)))[1]
    assert [round(memorising), round(encoding + one), round(encoding + fifteen)] == [75, 287, 334]


def test_shared_keys_cost_one_convolution_less():
    shared, own = build(shared_keys=True), build()
    assert own.memory_key.weight.numel() + 5 == sum(p.numel() for p in own.parameters()) - sum(p.numel() for p in shared.parameters())
    frames, masks = clip(1, 2)
    seen = shared.encode(frames[0])
    keys, _ = shared.encode_memory(seen, masks)
    assert torch.equal(keys[0, 0], seen.key[0].flatten(1).T) and torch.equal(keys[0, 0], keys[0, 1])


def test_what_each_module_adds():
    def cost(**row: bool) -> tuple[int, float]:
        with torch.device("meta"):
            model = SCM(Config("resnet10t", **row, max_memory=1)).eval()
            features, encoding = flops(lambda: model.encode(torch.rand(1, 3, 480, 864)))
            state = model.start(features, torch.rand(1, 1, 480, 864))
            return sum(p.numel() for p in model.parameters()), encoding + flops(lambda: model.predict(features, state))[1]

    (stm, stm_flops), (aspp, aspp_flops), (constraint, _), (refine, refine_flops), (scm, _) = [cost(**row) for row in ROWS]
    assert constraint - stm == 257 * 9 + 1
    assert round((aspp - stm) / 1e6, 1) == 7.3 - 2.4 and round(aspp_flops - stm_flops) == 16  # 23.6 in place of 7.6
    assert refine - stm == (256 * 9 + 1) * 64 + 3 * (64 * 9 + 1) * 64 + 3 * (128 * 9 + 1) * 64 + 2 * (64 * 9 + 1)
    assert 13 < refine_flops - stm_flops < 15
    assert scm - stm == (constraint - stm) + (aspp - stm) + (refine - stm)


@pytest.mark.parametrize("name", [n for n in catalogue.names() if catalogue.read(n).architecture == "SCM"])
def test_configs_state_their_size(name):
    config = catalogue.read(name)
    with torch.device("meta"):
        model = SCM(Config(**checked_args(Config, config.model_args, source=name)))
    assert sum(p.numel() for p in model.parameters()) == config.parameters
    assert (model.memory_trunk.net.state_dict()["conv1.0.weight" if "resnest" in name else "conv1.weight"]).shape[1] == 5


# ---- the memory


def counted(model: SCM, monkeypatch: pytest.MonkeyPatch) -> SCM:
    """A model whose memory values are the number of the memorised frame."""
    calls = iter(range(10**6))

    def numbered(features: scm.Features, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        b, k, h, w = masks.shape
        shape = (b, k, h * w // 256)
        return torch.zeros(*shape, model.config.key), torch.full((*shape, model.config.value), float(next(calls)))

    monkeypatch.setattr(model, "encode_memory", numbered)
    return model


def held(state: MemoryState, k: int = 0) -> list[int]:
    """Numbers of the frames in object k's memory, with repetitions if there were any."""
    return sorted(int(v) for v, used in zip(state.values[0, k, :, 0, 0], state.valid[0, k], strict=True) if used)


@pytest.mark.parametrize("cap", [None, 1, 2, 4])
@pytest.mark.parametrize("every", [1, 5])
def test_which_frames_the_memory_holds(cap, every, monkeypatch):
    model = counted(build(**OFF, memory_every=every, max_memory=cap), monkeypatch)
    frames, masks = clip(1, 1, (16, 16))
    features = model.encode(frames[0])
    state = model.start(features, masks)
    for now in range(41):
        multiples = list(range(every, now + 1, every))
        latest = multiples if cap is None else multiples[len(multiples) - min(cap - 1, len(multiples)) :]
        assert held(state) == sorted({0, *latest, now}), now
        if cap is not None:
            assert state.keys.shape[2] == cap + 1
        state = model.memorise(features, state._replace(age=state.age + 1))


def test_the_first_and_the_previous_frame_have_fixed_slots(monkeypatch):
    model = counted(build(**OFF, max_memory=3), monkeypatch)
    frames, masks = clip(1, 1, (16, 16))
    features = model.encode(frames[0])
    state = model.start(features, masks)
    for _ in range(23):
        state = model.memorise(features, state._replace(age=state.age + 1))
    assert state.values[0, 0, :, 0, 0].tolist() == [0, 23, 15, 20] and (FIRST, PREVIOUS) == (0, 1)


def test_the_state_keeps_its_size_however_long_the_video(monkeypatch):
    model = counted(build(**OFF, max_memory=3).float(), monkeypatch)
    frames, masks = (x.float() for x in clip(1, 2, (16, 16)))
    with torch.no_grad():
        features = model.encode(frames[0])
        state = model.start(features, masks)
        shapes = [field.shape for field in state]
        for _ in range(400):
            probs, state = model.step(features, state)
            assert [field.shape for field in state] == shapes
    assert torch.isfinite(probs).all() and state.age.tolist() == [[400, 400]] and held(state) == [0, 395, 400]
    assert run(build(**OFF), frames.double()[[0] * 17], masks)[1].keys.shape[2] == 2 + 3  # first, previous, frames 5, 10, 15


def test_a_cap_changes_nothing_until_it_is_reached():
    free, capped = build(memory_every=2), build(memory_every=2, max_memory=3)
    frames, masks = clip(12, 2)
    pairs = list(zip(run(free, frames, masks)[0], run(capped, frames, masks)[0], strict=True))
    for one, other in pairs[:6]:  # frame 6 is the first to push one out, and is itself read from frame 7 on
        torch.testing.assert_close(one, other)
    assert not torch.allclose(pairs[7][0], pairs[7][1], atol=1e-4)


# ---- objects


def test_one_object_at_seventy_percent_becomes_845():
    model = build()
    frames, masks = clip(1, 1)
    features = model.encode(frames[0])
    probs, state = model.advance(features, Prediction(torch.full((1, 1, 32, 48), 0.7).logit()), model.start(features, masks))
    assert float(probs[0, 1].mean()) == pytest.approx(0.845, abs=5e-4)
    assert torch.equal(state.masks, probs[:, 1:])


def test_a_batch_of_clips_equals_single_clips_and_inactive_slots_do_not_count():
    model = build(max_memory=2, memory_every=2)
    (frames, masks), (more, others) = clip(5, 3), clip(5, 3, seed=2)
    active = torch.tensor([[True, True, True], [True, True, False]])
    both = torch.cat([frames, more], 1)
    with torch.no_grad():
        state = model.start(model.encode(both[0]), torch.cat([masks, others]), active)
        for frame in both[1:]:
            probs, state = model.step(model.encode(frame), state)
    torch.testing.assert_close(probs[:1], run(model, frames, masks)[0][-1])
    torch.testing.assert_close(probs[1:, :3], run(model, more, others[:, :2])[0][-1])
    assert not probs[1, 3].any() and not state.masks[1, 2].any()


def test_many_objects_in_chunks_equal_all_at_once(monkeypatch):
    model = build()
    frames, masks = clip(4, 7)
    whole, state = run(model, frames, masks)
    batches = []
    forward = model.memory_trunk.forward
    monkeypatch.setattr(model.memory_trunk, "forward", lambda x: (batches.append(len(x)), forward(x))[1])
    monkeypatch.setattr(model, "objects_at_once", 3)
    chunked, chunked_state = run(model, frames, masks)
    assert batches == [3, 3, 1] * 4
    for one, other in zip([*whole, *state], [*chunked, *chunked_state], strict=True):
        torch.testing.assert_close(one, other)


def test_objects_that_come_later_count_from_their_own_first_frame(monkeypatch):
    model = counted(build(**OFF, memory_every=5, max_memory=3), monkeypatch)
    frames, masks = clip(1, 2, (16, 16))
    features = model.encode(frames[0])
    state = model.start(features, masks[:, :1])
    for _ in range(7):
        state = model.memorise(features, state._replace(age=state.age + 1))
    state = model.annotate(features, masks, torch.tensor([[False, True]]), state)  # frame 7, memorised anew: number 8
    assert held(state, 0) == [0, 5, 8] and held(state, 1) == [8]
    assert state.age.tolist() == [[7, 0]] and state.active.all()
    for _ in range(6):
        state = model.memorise(features, state._replace(age=state.age + 1))
    assert held(state, 0) == [0, 5, 11, 14] and held(state, 1) == [8, 13, 14]


def test_an_object_added_midway_reads_its_own_memory_only():
    """The newcomer is predicted as if the video had begun with its frame, and the other objects stood in that frame's masks."""
    model = build(memory_every=2)
    frames, masks = clip(6, 2)
    _, state = run(model, frames[:4], masks[:, :1])
    later = model.encode(frames[3])
    with torch.no_grad():
        state = model.annotate(later, masks, torch.tensor([[False, True]]), state)
        fresh = model.start(later, state.masks.double())
        old, new = (model.predict(model.encode(frames[4]), s).logits for s in (state, fresh))
    torch.testing.assert_close(old[:, 1], new[:, 1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(old[:, 0], new[:, 0], atol=1e-3)  # this one remembers more
    assert not (state.masks[:, 0] * masks[:, 1]).any(), "pixels of a given object are taken from the others"


def test_a_correction_is_kept_and_rewrites_the_current_frame(monkeypatch):
    model = counted(build(**OFF, memory_every=5, max_memory=3), monkeypatch)
    frames, masks = clip(1, 2, (16, 16))
    features = model.encode(frames[0])
    state = model.start(features, masks)
    for _ in range(7):
        state = model.memorise(features, state._replace(age=state.age + 1))
    state = model.annotate(features, masks, torch.tensor([[True, False]]), state)
    assert held(state, 0) == [0, 5, 8] and held(state, 1) == [0, 5, 8]  # number 8 in place of 7, for both
    state = model.memorise(features, state._replace(age=state.age + 1))
    assert held(state, 0) == [0, 5, 8, 9] and held(state, 1) == [0, 5, 9]


def test_a_correction_on_a_kept_frame_replaces_it():
    model = build(memory_every=2)
    frames, masks = clip(4, 2)
    _, state = run(model, frames[:3], masks)
    wiped = torch.cat([torch.zeros_like(masks[:, :1]), masks[:, 1:]], 1)
    given = torch.tensor([[True, False]])
    with torch.no_grad():
        features = model.encode(frames[2])
        corrected = model.annotate(features, wiped, given, state)
        expected = model.encode_memory(features, torch.cat([wiped[:, :1], state.masks[:, 1:].double()], 1))
    assert torch.equal(corrected.valid, state.valid) and torch.equal(corrected.age, state.age)
    torch.testing.assert_close(corrected.keys[:, :, 2], expected[0])
    torch.testing.assert_close(corrected.values[:, :, 2], expected[1])
    assert torch.equal(corrected.values[:, :, 0], state.values[:, :, 0])


def test_removing_an_object_leaves_the_others_memory():
    model = build()
    frames, masks = clip(4, 3)
    _, state = run(model, frames, masks)
    left = model.keep(state, torch.tensor([2, 0]))
    for field, other in zip(left, state, strict=True):
        assert torch.equal(field, other[:, [2, 0]])
    assert model.step(model.encode(frames[0]), left)[0].shape == (1, 3, 32, 48)


def test_replaced_masks_are_the_prior_and_leave_the_memory():
    frames, masks = clip(3, 2)
    for row, matters in (({}, True), (OFF, False)):
        model = build(**row)
        _, state = run(model, frames[:2], masks)
        swapped = model.replace_masks(state, masks.flip(1))
        assert torch.equal(swapped.masks, masks.flip(1).float()) and torch.equal(swapped.keys, state.keys)
        features = model.encode(frames[2])
        same = torch.equal(model.predict(features, swapped).logits, model.predict(features, state).logits)
        assert same != matters


def test_an_object_that_vanishes_keeps_finite_numbers_and_may_return():
    model = build(max_memory=2)
    frames, masks = clip(8, 2)
    gone = torch.cat([torch.zeros_like(masks[:, :1]), masks[:, 1:]], 1)
    with torch.no_grad():
        state = model.start(model.encode(frames[0]), gone)
        for frame in frames[1:]:
            features = model.encode(frame)
            prediction = model.predict(features, state)._replace(logits=torch.full((1, 2, 32, 48), -1e4))
            probs, state = model.advance(features, prediction, state)
            assert float(probs[:, 1:].max()) < 1e-6 and all(torch.isfinite(field.float()).all() for field in state)
        state = model.annotate(features, masks, torch.tensor([[True, False]]), state)
        assert torch.isfinite(model.step(features, state)[0]).all() and state.masks[:, 0].any()


# ---- padding, precision, gradients


def test_padding_is_known_by_its_black():
    frames = torch.rand(2, 3, 48, 64) * 0.9 + 0.05
    frames[0, :, :3] = frames[0, :, -4:] = frames[0, :, :, :5] = frames[0, :, :, -6:] = 0
    frames[1, :, :20] = 0  # a letterbox: more than padding to 16 can give
    frames[1, :, 30] = 0  # a black row inside the picture is none
    found = scm.inside(frames, 16)
    assert found[0, 0, 3:-4, 5:-6].all() and int(found[0].sum()) == 41 * 53
    assert found[1, 0, 7:].all() and not found[1, 0, :7].any()
    assert scm.inside(torch.zeros(1, 3, 32, 32), 16)[0, 0, 7:-8, 7:-8].all()


@pytest.mark.parametrize("cap", [None, 2])
def test_bfloat16_stays_near_float32(cap):
    exact, half = build(max_memory=cap).float(), build(max_memory=cap).bfloat16()
    frames, masks = (x.float() for x in clip(4, 2))
    (wanted, _), (found, state) = run(exact, frames, masks), run(half, frames, masks)
    assert found[-1].dtype == torch.float32 and state.masks.dtype == torch.float32 and state.keys.dtype == torch.bfloat16
    assert float((found[0] - wanted[0]).abs().mean()) < 0.02
    assert torch.allclose(found[-1].sum(1), torch.ones(1, 32, 48))


def test_gradients_reach_everything():
    model = build(refine_width=16).float().train()
    frames, masks = clip(4, 2)
    batch = ClipBatch(frames.float().transpose(0, 1), masks.float()[:, None].expand(-1, 4, -1, -1, -1), torch.ones(1, 2).bool())
    loss, _ = rollout(model, batch)
    loss.backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not (torch.isfinite(p.grad).all() and p.grad.any())]
    assert not without


@pytest.mark.parametrize("remember", [False, True])
def test_what_is_fed_back_in_training_is_remembered_when_asked(remember):
    """Frame 2 is predicted from a mask with a leak: its memory of frame 1 is the model's own, or holds that leak."""
    model = build().float()
    frames, masks = clip(3, 1)
    masks = masks.float()[:, None].expand(-1, 3, -1, -1, -1)
    leaky = masks.clone()
    leaky[..., :16, :16] = 1
    batch = ClipBatch(frames.float().transpose(0, 1), masks, torch.ones(1, 1).bool(), before=leaky, remembered=leaky if remember else None)
    states = []
    predict = model.predict
    model.predict = lambda features, state: states.append(state) or predict(features, state)
    rollout(model, batch, own=torch.tensor([True, True, False]))
    features = model.encode(batch.frames[:, 1])
    key, value = model.encode_memory(features, leaky[:, 1].clamp(1e-4, 1 - 1e-4) * features.inside)
    assert torch.equal(states[1].masks, leaky[:, 2])
    assert torch.equal(states[0].masks, masks[:, 0])
    held = torch.cat([states[1].keys[:, :, PREVIOUS], states[1].values[:, :, PREVIOUS]], -1)
    same = (held - torch.cat([key, value], -1)).abs().max() < 1e-3
    assert bool(same) == remember


@pytest.mark.parametrize("cap", [None, 3])
def test_gradients_go_through_the_memory(cap):
    """Frame 3 depends on what was predicted for frame 1, though no prior connects them: frame 1 is kept."""
    model = build(**OFF, max_memory=cap, memory_every=1)
    frames, masks = clip(4, 1)
    features = [model.encode(frame) for frame in frames]
    state = model.start(features[0], masks)
    prediction = model.predict(features[1], state)
    logits = prediction.logits.detach().requires_grad_()
    _, state = model.advance(features[1], Prediction(logits), state)
    _, state = model.advance(features[2], Prediction(torch.zeros_like(logits)), state)
    model.predict(features[3], state).logits.sum().backward()
    assert torch.isfinite(logits.grad).all() and logits.grad.any()


def test_the_refine_module_begins_as_nothing_and_the_prior_near_one():
    torch.manual_seed(0)
    model = SCM(Config("resnet10t", key=4, value=4, decoder=4, refine_width=4)).double().eval()
    assert model.constraint.conv.bias.tolist() == [2.0]
    frames, masks = clip(2, 1)
    _, state = run(model, frames[:1], masks)
    prediction = model.predict(model.encode(frames[1]), state)
    (coarse,) = prediction.auxiliary
    assert coarse.shape == (1, 1, 8, 12)
    torch.testing.assert_close(prediction.logits, F.interpolate(coarse, scale_factor=4, mode="bilinear"))
    model.refine = None
    alone = model.predict(model.encode(frames[1]), state)
    assert alone.auxiliary == () and torch.equal(alone.logits, prediction.logits)


def test_both_trunks_start_from_imagenet(tmp_path):
    model = SCM(Config("resnet10t", key=4, value=4, decoder=4, refine_width=4))
    source = timm.create_model("resnet10t", features_only=True, out_indices=(1, 2, 3))
    save_file(source.state_dict(), tmp_path / "imagenet.safetensors")
    own = model.memory_trunk.net.conv1[0].weight[:, 3:].clone()
    assert model.trunks() == [model.query_trunk, model.memory_trunk]
    for trunk in model.trunks():
        trunk.load_imagenet(tmp_path / "imagenet.safetensors")
        assert torch.equal(trunk.net.layer3[0].conv2.weight, source.layer3[0].conv2.weight)
    assert torch.equal(model.memory_trunk.net.conv1[0].weight, torch.cat([source.conv1[0].weight, own], 1))


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_by_cosine_a_frame_finds_itself_before_anything_is_learnt(shared):
    """Trunks that begin as one and keys that begin alike: each position reads itself, in the memory of the same frame without a mask."""
    model = build(backbone="resnet18", similarity="cosine", shared_keys=shared, temperature=0.001)
    model.memory_trunk.take(model.query_trunk.net.state_dict())
    start_alike(model.query_key, model.memory_key)
    frames, masks = clip(1, 1)
    with torch.no_grad():
        seen = model.encode(frames[0])
        model.memory_trunk.net.conv1.weight[:, 3:] = 0
        keys, values = model.encode_memory(seen, masks)
        read = read_memory(seen.key * model.sharpness, keys[:, :, None], values[:, :, None], torch.ones(1, 1, 1, dtype=torch.bool))
    torch.testing.assert_close(seen.key.norm(dim=1), torch.ones(1, 2, 3).double())
    torch.testing.assert_close(keys.norm(dim=-1), torch.ones(1, 1, 6).double())
    torch.testing.assert_close(read.flatten(2)[0].T, values[0, 0], atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet19"}, r"'resnet19' is no model of timm"),
        ({"batch_norm": "live"}, r"batch_norm is one of"),
        ({"key": 0}, r"key must be a channel count between 1 and 4096, not 0"),
        ({"decoder": 10**9}, r"decoder must be a channel count between 1 and 4096"),
        ({"aspp_rates": ()}, r"aspp_rates must be one to eight dilations between 1 and 64, not \(\)"),
        ({"aspp_rates": (2, 4, 0)}, r"aspp_rates must be one to eight dilations"),
        ({"memory_every": 0}, r"memory_every is 1 \(keep every frame\) or more, not 0"),
        ({"max_memory": 0}, r"max_memory is 1 \(the first frame\) or more, or None for no limit, not 0"),
        ({"similarity": "l2"}, r"similarity is 'dot' or 'cosine', not 'l2'"),
        ({"temperature": 0}, r"temperature is between 0.001 and 10, not 0"),
        ({"background": "max"}, r"'min' or 'prod', not 'max'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Config(**arguments)
