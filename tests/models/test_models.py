"""Every architecture at a debug size and every checkpoint of list_models(), through the contract and through the engine.

A new architecture brings its debug size in its own file (`debug`); nothing is to be added here. What a model computes is the business
of its own test file.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toy import squares_clip

import vos_zoo
from vos_zoo.checkpoints import catalogue
from vos_zoo.checkpoints.arguments import checked_args
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.models.base import VOSModel
from vos_zoo.models.discovery import POINTING, architecture_class, architectures
from vos_zoo.models.flops import cost
from vos_zoo.models.parts.ops import fed_back
from vos_zoo.segmenter import Segmenter


def cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """Architectures with their debug arguments; those with a `zero_shot` argument a second time, with it; those that match, too."""
    found = {}
    for name in sorted(architectures()):
        debug = dict(architecture_class(name).debug)
        found[name] = (name, debug)
        if {"zero_shot", "slots"} <= {each.name for each in dataclasses.fields(architecture_class(name).Config)}:
            found[f"{name} zero-shot"] = (name, {**debug, "zero_shot": True, "slots": 3, "overlap": "object"})
        if "matched" in {each.name for each in dataclasses.fields(architecture_class(name).Config)}:
            told = {"lasting": 2} if name != "SCM" else {"shared_keys": True, "similarity": "cosine", "memory_backbone": "resnet18"}
            found[f"{name} matched"] = (name, {**debug, "matched": 8, **told})
    return found


CASES = cases()
TOLD = [case for case, (_, args) in CASES.items() if not args.get("zero_shot")]  # what the objects are


def build(case: str, dtype: torch.dtype = torch.float64) -> VOSModel:
    """Random weights and batch-norm statistics that keep signals in a range where masks are neither empty nor full."""
    name, args = CASES[case]
    architecture = architecture_class(name)
    torch.manual_seed(0)
    model = architecture(architecture.Config(**args))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    for weight in model.parameters():
        if weight.ndim == 4:
            torch.nn.init.normal_(weight, std=(2 / weight[0].numel()) ** 0.5)
    return model.to(dtype).eval()


@pytest.fixture(scope="module", params=CASES)
def model(request):
    return build(request.param)


@pytest.fixture(scope="module", params=CASES)
def segmenter(request):
    name, args = CASES[request.param]
    return Segmenter(build(request.param), ModelConfig("debug", name, dict(args)), device="cpu", dtype="float32")


def size_for(model: VOSModel) -> tuple[int, int]:
    """An odd size, rounded up to the model's stride."""
    return 41 + -41 % model.stride, 67 + -67 % model.stride


def inputs(model: VOSModel, frames: int, objects: int = 3, clips: int = 1) -> tuple[Tensor, Tensor]:
    """(T, B, 3, H, W) frames and (B, K, H, W) masks."""
    torch.manual_seed(1)
    height, width = size_for(model)
    return torch.rand(frames, clips, 3, height, width).double(), (torch.rand(clips, objects, height, width) > 0.6).double()


def begin(model: VOSModel, frame: Tensor, masks: Tensor, active: Tensor | None = None) -> Any:
    features = model.encode(frame)
    return model.start(features, None, active) if model.finds_objects else model.start(features, masks, active)


def check_state(state: Any, clips: int, objects: int) -> None:
    assert isinstance(state, tuple) and {"masks", "active"} <= set(state._fields)
    assert all(isinstance(field, Tensor) and field.shape[:2] == (clips, objects) for field in state)
    assert all(torch.isfinite(field).all() for field in state if field.is_floating_point())
    assert state.masks.ndim == 4 and state.masks.min() >= 0 and state.masks.max() <= 1 and state.active.dtype == torch.bool


def check_probs(probs: Tensor, shape: tuple[int, ...]) -> None:
    assert probs.shape == shape and torch.isfinite(probs).all() and probs.min() >= 0
    torch.testing.assert_close(probs.sum(1), torch.ones_like(probs[:, 0]), atol=1e-5, rtol=0)


def same_state(one: Any, other: Any) -> None:
    for field, a, b in zip(one._fields, one, other, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5, msg=lambda text, field=field: f"{field}: {text}")


def test_every_architecture_has_a_debug_size():
    for name in architectures():
        assert architecture_class(name).debug, f"give {name} its debug size: the arguments of its smallest model, in `debug`"


# ---- the contract


@torch.no_grad()
def test_shapes(model):
    frames, masks = inputs(model, frames=3, clips=2)
    height, width = size_for(model)
    state = begin(model, frames[0], masks)
    check_state(state, 2, 3)
    for frame in frames[1:]:
        features = model.encode(frame)
        for field in (features,) if isinstance(features, Tensor) else features:
            assert isinstance(field, Tensor) and len(field) == 2
        prediction = model.predict(features, state)
        assert prediction.logits.shape == (2, 3, height, width) and prediction.logits.std() > 0.05  # what is compared below says something
        assert all(each.shape[:2] == (2, 3) and each.ndim == 4 for each in prediction.auxiliary)
        assert all(each.shape[:2] == (2, 3) for each in prediction.carry)
        probs, new = model.advance(features, prediction, state)
        stepped, _ = model.step(features, state)
        torch.testing.assert_close(stepped, probs)
        check_probs(probs, (2, 4, height, width))
        check_state(new, 2, 3)
        state = new


@torch.no_grad()
def test_a_step_leaves_its_arguments_alone(model):
    frames, masks = inputs(model, frames=2)
    state = begin(model, frames[0], masks)
    features = model.encode(frames[1])
    before = [field.clone() for field in state]
    first, _ = model.step(features, state)
    assert all(torch.equal(a, b) for a, b in zip(before, state, strict=True))
    assert torch.equal(first, model.step(features, state)[0])


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_masks_are_handed_on_soft_or_as_zeros_and_ones(case):
    name, _ = CASES[case]
    soft = build(case)
    hard = architecture_class(name)(dataclasses.replace(soft.config, feedback_threshold=0.5)).to(torch.float64).eval()
    hard.load_state_dict(soft.state_dict())
    frames, masks = inputs(soft, frames=2, objects=1)
    state, features = begin(soft, frames[0], masks), soft.encode(frames[1])
    prediction = soft.predict(features, state)
    prediction = prediction._replace(logits=8 * (prediction.logits - prediction.logits.median()))
    probs, handed_on = hard.advance(features, prediction, state)
    torch.testing.assert_close(probs, soft.advance(features, prediction, state)[0], msg="what is shown is soft either way")
    alone = probs[:, 1:] if name in ("CRVOS", "SCM") else prediction.logits.sigmoid()
    assert ((alone > 0.5).sum((2, 3)) > 0.6 * alone.sum((2, 3))).all(), "none is nearly lost"
    certain = prediction._replace(logits=torch.where(alone > 0.5, 40.0, -40.0).to(prediction.logits))
    same_state(handed_on, soft.advance(features, certain, state)[1])
    with pytest.raises(ValueError, match="feedback_threshold lies between 0 and 1, or is None for soft masks, not 1.5"):
        dataclasses.replace(soft.config, feedback_threshold=1.5)


def test_hard_masks_have_the_gradient_of_soft_ones_and_what_is_nearly_lost_keeps_its_trace():
    masks = torch.tensor([[[[0.2, 0.5, 0.7]], [[0.4, 0.3, 0.6]], [[0.1, 0.0, 0.4]], [[0.0, 0.0, 0.0]]]], requires_grad=True)
    handed_on = fed_back(masks, 0.5)
    expected = [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.1, 0.0, 0.4], [0.0, 0.0, 0.0]]
    torch.testing.assert_close(handed_on[0, :, 0], torch.tensor(expected))
    torch.testing.assert_close(fed_back(torch.tensor([[[[0.4, 0.4, 0.6, 0.4]]]]), 0.5), torch.tensor([[[[0.4, 0.4, 0.6, 0.4]]]]))
    assert fed_back(masks, None) is masks
    (handed_on * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert masks.grad.flatten().tolist() == [1, 2, 3] * 4


@pytest.mark.parametrize("model", TOLD, indirect=True)
@torch.no_grad()
def test_masks_matter(model):
    frames, masks = inputs(model, frames=2)
    features = model.encode(frames[1])
    one, other = (model.predict(features, begin(model, frames[0], each)).logits for each in (masks, 1 - masks))
    assert (one - other).abs().max() > 1e-3


@torch.no_grad()
def test_a_batch_of_clips_equals_single_clips(model):
    frames, masks = inputs(model, frames=3, clips=2)
    active = torch.tensor([[True, True, True], [True, True, False]])
    both = begin(model, frames[0], masks, active)
    singles = [begin(model, frames[0, :1], masks[:1], active[:1]), begin(model, frames[0, 1:], masks[1:, :2], active[1:, :2])]
    for frame in frames[1:]:
        probs, both = model.step(model.encode(frame), both)
        for n, count in ((0, 3), (1, 2)):
            expected, singles[n] = model.step(model.encode(frame[n : n + 1]), singles[n])
            torch.testing.assert_close(probs[n : n + 1, : 1 + count], expected, atol=1e-5, rtol=1e-5)
    assert not probs[1, 3].any()


@torch.no_grad()
def test_objects_in_chunks_equal_all_at_once(model, monkeypatch):
    frames, masks = inputs(model, frames=4, objects=5)
    active = torch.ones(1, 5, dtype=torch.bool)
    results = []
    for at_once in (5, 2):
        monkeypatch.setattr(model, "objects_at_once", at_once)
        state = begin(model, frames[0], masks, active)
        for frame in frames[1:]:
            probs, state = model.step(model.encode(frame), state)
        results.append((probs, state))
    torch.testing.assert_close(results[0][0], results[1][0], atol=1e-5, rtol=1e-5)
    same_state(results[0][1], results[1][1])


@torch.no_grad()
def test_half_precision_is_close(model, request):
    frames, masks = inputs(model, frames=4)
    half = build(request.node.callspec.params["model"], torch.bfloat16)
    state, rough = begin(model, frames[0], masks), begin(half, frames[0].float(), masks.float())
    for frame in frames[1:]:
        probs, state = model.step(model.encode(frame), state)
        found, rough = half.step(half.encode(frame.float()), rough)
    check_probs(found, tuple(probs.shape))
    assert (found - probs).abs().mean() < 0.1 * probs.std((0, 2, 3)).mean()


@torch.no_grad()
def test_kept_slots_go_on_as_they_are(model):
    frames, masks = inputs(model, frames=3)
    state = begin(model, frames[0], masks)
    _, state = model.step(model.encode(frames[1]), state)
    kept = model.keep(state, torch.tensor([2, 0]))
    check_state(kept, 1, 2)
    assert all(torch.equal(a, b[:, [2, 0]]) for a, b in zip(kept, state, strict=True))
    probs, kept = model.step(model.encode(frames[2]), kept)
    check_probs(probs, (1, 3, *size_for(model)))
    check_state(kept, 1, 2)


@torch.no_grad()
def test_an_object_vanishes_and_returns(model):
    frames, masks = inputs(model, frames=8)
    height, width = size_for(model)
    state = begin(model, frames[0], masks)
    shapes = None
    for n, frame in enumerate(frames[1:]):
        features = model.encode(frame)
        probs, state = model.step(features, state)
        check_probs(probs, (1, 4, height, width))
        check_state(state, 1, 3)
        if n < 4:
            gone = state.masks.new_ones(1, 3, height, width)
            gone[:, 1] = 0  # what is fed back of the second object: nothing
            state = model.replace_masks(state, gone)
            assert state.masks[:, 1].max() == 0 and state.masks[:, 0].min() == 1
        elif n == 4 and not model.finds_objects:
            state = model.annotate(features, masks, torch.tensor([[False, True, False]]), state)
            torch.testing.assert_close(state.masks[:, 1], model.start(features, masks).masks[:, 1])
        check_state(state, 1, 3)
        assert shapes is None or shapes == [field.shape for field in state]
        shapes = [field.shape for field in state] if n >= 4 else None


@pytest.mark.parametrize("model", TOLD, indirect=True)
@torch.no_grad()
def test_annotate_adds_and_corrects(model):
    frames, masks = inputs(model, frames=3)
    state = begin(model, frames[0], masks[:, :1])
    features = model.encode(frames[1])
    _, state = model.step(features, state)
    state = model.annotate(features, masks, torch.tensor([[False, True, True]]), state)
    check_state(state, 1, 3)
    alone = model.start(features, masks)
    torch.testing.assert_close(state.masks[:, 1:], alone.masks[:, 1:])
    everywhere = torch.ones_like(masks)
    corrected = model.annotate(features, everywhere, torch.tensor([[True, False, False]]), state)
    assert corrected.masks[:, 0].min() == 1 and corrected.masks[:, 1:].max() == 0  # a correction takes pixels from the others
    assert corrected.active.all()
    probs, after = model.step(model.encode(frames[2]), corrected)
    check_probs(probs, (1, 4, *size_for(model)))
    check_state(after, 1, 3)


# ---- through the engine


def clip(segmenter: Segmenter, frames: int = 8) -> tuple[np.ndarray, np.ndarray, Any]:
    """(video, truth, what to give the engine as the first mask)."""
    video, truth = squares_clip(frames=frames, size=(41, 67))
    return video, truth, None if segmenter.finds_objects else truth[0]


def test_stream_equals_propagate_equals_a_session(segmenter):
    video, _, first = clip(segmenter)
    whole = np.asarray(segmenter.propagate(video, first))
    assert whole.shape == video.shape[:3]
    streamed = np.stack([item.mask for item in segmenter.stream(iter(video), first)])
    session = segmenter.start(video[0], first)
    stepped = np.stack([session.current(), *(session.step(frame) for frame in video[1:])])
    assert streamed.tobytes() == whole.tobytes() == stepped.tobytes()
    again = np.asarray(segmenter.propagate(video, first))
    assert again.tobytes() == whole.tobytes()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_gpu_gives_the_masks_of_the_cpu(segmenter, dtype):
    """In float32 but for ties; in half precision what random weights leave of it."""
    video, _, first = clip(segmenter)
    on_gpu = Segmenter(build_like(segmenter), segmenter.config, device="cuda", dtype=dtype)
    masks, expected = np.asarray(on_gpu.propagate(video, first)), np.asarray(segmenter.propagate(video, first))
    assert (masks == expected).mean() > (0.999 if dtype == "float32" else 0.9)
    latency = np.asarray(on_gpu.propagate(video, first, mode="latency"))
    assert (latency == masks).mean() > 0.999


def build_like(segmenter: Segmenter) -> VOSModel:
    """Another model with the weights of this one's."""
    model = architecture_class(segmenter.config.architecture)
    copy: VOSModel = model(model.Config(**segmenter.config.model_args))
    copy.load_state_dict(segmenter.model.state_dict())
    return copy.eval()


def test_zero_shot_finds_objects_without_a_mask(segmenter):
    video, truth, _ = clip(segmenter)
    if not segmenter.finds_objects:
        with pytest.raises(vos_zoo.MaskError, match="no mask was given"):
            segmenter.propagate(video)
        return
    found = segmenter.propagate(video)
    assert len(found) == len(video) and found.complete and set(found.object_ids) <= {1, 2, 3}
    with pytest.raises(vos_zoo.MaskError, match="finds the objects itself and takes no mask"):
        segmenter.start(video[0], truth[0])


def test_objects_come_and_go_midway(segmenter):
    video, truth, _ = clip(segmenter)
    if segmenter.finds_objects:
        session = segmenter.start(video[0])
        for frame in video[1:]:
            session.step(frame)
        for k in session.object_ids:
            session.remove(k)
        assert session.object_ids == () and not session.current().any()
        return
    session = segmenter.start(video[0], {1: truth[0] == 1})
    session.step(video[1])
    alone = session.state_bytes()
    shown = session.annotate(video[2], {7: truth[2] == 2})
    assert session.object_ids == (1, 7) and np.array_equal(shown == 7, truth[2] == 2)
    assert set(np.unique(session.step(video[3]))) <= {0, 1, 7}
    assert session.state_bytes() == 2 * alone
    session.remove(1)
    assert session.object_ids == (7,) and session.state_bytes() == alone and not (session.current() == 1).any()
    for frame in video[4:]:
        assert set(np.unique(session.step(frame))) <= {0, 7}
    assert np.isfinite(session.confidence[7])


def test_a_frame_is_corrected(segmenter):
    video, truth, first = clip(segmenter)
    session = segmenter.start(video[0], first)
    session.step(video[1])
    if segmenter.finds_objects:
        with pytest.raises(vos_zoo.MaskError, match="takes no masks"):
            session.annotate(video[1], truth[1], advance=False)
        return
    shown = session.annotate(video[1], {1: truth[1] == 1}, advance=False)
    assert session.index == 1 and np.array_equal(shown == 1, truth[1] == 1) and session.confidence[1] == 1
    emptied = session.annotate(video[2], {2: np.zeros_like(truth[2], bool)})
    assert session.index == 2 and not (emptied == 2).any() and 2 in session.lost
    assert set(np.unique(session.step(video[3]))) <= {0, 1, 2}


def test_an_hour_takes_no_more_state_than_a_minute(segmenter):
    """80 frames stand for 100,000: what is as large after the 20th as after the 80th does not grow with their number."""
    video, truth = squares_clip(frames=12, size=(32, 48))
    session = segmenter.start(video[0], None if segmenter.finds_objects else truth[0])
    sizes = []
    for n in range(80):
        session.step(video[n % len(video)])
        sizes.append(session.state_bytes())
    assert len(set(sizes[20:])) == 1 and sizes[-1] > 0
    assert np.isfinite(list(session.confidence.values())).all()


# ---- the checkpoints


@pytest.mark.parametrize("name", catalogue.names())
def test_every_checkpoint_is_a_model_that_runs(name):
    """Built without memory and stepped on tensors without values: what is as large as the papers' costs nothing here."""
    config = catalogue.read(name)
    architecture = architecture_class(config.architecture)
    args = checked_args(architecture.Config, config.model_args, source=name)
    side = max(16, architecture.stride)
    found = cost(architecture, architecture.Config(**args), (4 * side, 5 * side))
    assert found.parameters == config.parameters
    assert found.encode > 0 and found.per_object > 0 and found.state_bytes > 0


@pytest.mark.parametrize("name", [row.name for row in catalogue.rows() if row.has_weights and row.architecture not in POINTING])
def test_every_checkpoint_with_weights_segments(name):
    video, truth = squares_clip(frames=3, size=(60, 90))
    segmenter = vos_zoo.load(name, device="cpu", dtype="float32")
    first = None if segmenter.finds_objects else truth[0]
    exact = np.asarray(segmenter.propagate(video, first, size=64))
    assert exact.shape == truth.shape
    assert np.stack([item.mask for item in segmenter.stream(video, first, size=64)]).tobytes() == exact.tobytes()
    rough = vos_zoo.load(name, device="cpu", dtype="bfloat16").propagate(video, first, size=64)
    assert (exact == np.asarray(rough)).mean() > 0.95
