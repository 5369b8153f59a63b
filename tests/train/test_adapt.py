"""A copy adapted to one video: it learns, the original does not move, and what can't be right is said before the work."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from toy import squares_clip, toy_segmenter

from vos_zoo import load
from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.engine.grid import make_grid
from vos_zoo.errors import MaskError, VideoError, VosZooError
from vos_zoo.evaluation.metrics import jaccard
from vos_zoo.masks.read import read_mask
from vos_zoo.models.crvos import CRVOS
from vos_zoo.models.scm import SCM
from vos_zoo.segmenter import Segmenter
from vos_zoo.train import adapt

CPU = torch.device("cpu")


def tiny(batch_norm: str = "folded", dtype: str = "float32", short_side: int = 48, frozen: tuple[str, ...] = ()) -> Segmenter:
    torch.manual_seed(3)
    model = CRVOS(CRVOS.Config("resnet10t", 3, batch_norm, (12, 10, 8), (14, 9, 7)))
    training = {"seed": 3, **({"recipe": {"frozen": list(frozen)}} if frozen else {})}
    config = ModelConfig("tiny", "CRVOS", dataclasses.asdict(model.config), Preprocess(short_side), training=training, metrics=[{}])
    return Segmenter(model, config, device="cpu", dtype=dtype)


def weights(segmenter: Segmenter) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in segmenter.model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def mean_j(segmenter: Segmenter, video: np.ndarray, truth: np.ndarray) -> float:
    found = np.asarray(segmenter.propagate(video, truth[0], progress=False))
    return float(np.mean([jaccard(truth[1:] == k, found[1:] == k).mean() for k in np.unique(truth) if k]))


def test_it_learns_the_object_and_the_original_stays_as_it_was():
    video, truth = squares_clip(frames=5, size=(32, 64), ids=(1,))
    segmenter = tiny(short_side=32)
    before, poor = weights(segmenter), mean_j(segmenter, video, truth)
    adapted = segmenter.finetune(video[0], truth[0], steps=60, lr=3e-3, seed=2, progress=False)
    good = mean_j(adapted, video, truth)
    assert good > poor + 0.25
    assert same(weights(segmenter), before) and mean_j(segmenter, video, truth) == poor
    assert not any(p.requires_grad for each in (segmenter, adapted) for p in each.model.parameters())
    assert not adapted.model.training


def test_the_loss_falls():
    video, truth = squares_clip(frames=1, size=(32, 64), ids=(1,))
    segmenter = tiny(short_side=32)
    example = adapt.Example.of(segmenter.grid_for((32, 64), None), video[0], read_mask(truth[0]), CPU)
    losses = adapt.train(segmenter.model, [example], 40, 3e-3)
    assert np.mean(losses[-8:]) < 0.6 * np.mean(losses[:8])


def test_the_same_seed_gives_the_same_weights_and_touches_no_global_state():
    video, truth = squares_clip(frames=1)
    segmenter = tiny()
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first, again, other = (weights(segmenter.finetune(video[0], truth[0], steps=2, lr=1e-3, seed=s, progress=False)) for s in (5, 5, 6))
    torch.testing.assert_close(torch.rand(3), expected)
    assert same(first, again) and not same(first, other)


def test_batch_norm_is_frozen():
    video, truth = squares_clip(frames=1)
    segmenter = tiny("frozen")
    adapted = segmenter.finetune(video[0], truth[0], steps=2, lr=1e-2, progress=False)
    norms = [name for name, module in segmenter.model.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]
    before, after = weights(segmenter), weights(adapted)
    of_norms = {name for name in before if name.rpartition(".")[0] in norms}
    assert len(of_norms) > 10
    assert {name for name in before if torch.equal(before[name], after[name])} >= of_norms
    assert any(not torch.equal(before[name], after[name]) for name in before if "trunk" in name and name not in of_norms)


def test_a_trunk_that_training_left_alone_is_asked_once_and_does_not_learn(monkeypatch):
    video, truth = squares_clip(frames=1, size=(32, 64), ids=(1,))
    segmenter, shown = tiny(short_side=32, frozen=("trunk",)), []
    maps = CRVOS.maps
    monkeypatch.setattr(CRVOS, "maps", lambda self, frames: shown.append(len(frames)) or maps(self, frames))
    adapted = segmenter.finetune(video[0], truth[0], steps=12, lr=1e-3, progress=False)
    assert shown == [adapt.FRAMES] * adapt.COPIES
    before, after = weights(segmenter), weights(adapted)
    assert {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])} >= {"refine16", "refine4", "predictor"}
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("trunk"))


def test_a_query_trunk_that_training_left_alone_does_not_learn_either(monkeypatch):
    """An SCM's: its decoder learns, both of its trunks and the keys stay."""
    video, truth = squares_clip(frames=1, size=(32, 64), ids=(1,))
    args = {**SCM.debug, "matched": 4, "shared_keys": True, "similarity": "cosine"}
    torch.manual_seed(0)
    training = {"recipe": {"frozen": ["query_trunk", "keys"]}}
    config = ModelConfig("tiny", "SCM", args, Preprocess(32), training=training)
    segmenter, shown = Segmenter(SCM(SCM.Config(**args)), config, device="cpu", dtype="float32"), []
    maps = SCM.maps
    monkeypatch.setattr(SCM, "maps", lambda self, frames: shown.append(len(frames)) or maps(self, frames))
    before, after = weights(segmenter), weights(segmenter.finetune(video[0], truth[0], steps=12, lr=1e-3, progress=False))
    assert shown == [adapt.FRAMES] * adapt.COPIES
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed >= {"mix", "level4", "predictor"} and not changed & {"query_trunk", "memory_trunk", "keys"}


def test_a_model_may_go_a_part_of_the_way_to_what_it_learned(monkeypatch):
    video, truth = squares_clip(frames=1, size=(32, 64), ids=(1,))
    segmenter = tiny(short_side=32, frozen=("trunk",))
    found = {}
    for part in (0.25, 1.0):
        monkeypatch.setattr(CRVOS, "adaptation", part)
        found[part] = weights(segmenter.finetune(video[0], truth[0], steps=12, lr=1e-3, progress=False))
    before = weights(segmenter)
    assert not same(before, found[1.0])
    for name, value in found[0.25].items():
        torch.testing.assert_close(value, 0.75 * before[name] + 0.25 * found[1.0][name])


def test_weights_that_do_worse_on_what_is_held_out_are_not_taken():
    video, truth = squares_clip(frames=1, size=(32, 64), ids=(1,))
    segmenter = tiny(short_side=32, frozen=("trunk",)).finetune(video[0], truth[0], steps=60, lr=3e-3, progress=False)
    spoilt = segmenter.finetune(video[0], truth[0], steps=30, lr=0.3, progress=False)
    assert same(weights(spoilt), weights(segmenter)), "where every step does harm, the weights stay as they were"


def test_precision_is_restored():
    video, truth = squares_clip(frames=2)
    adapted = tiny(dtype="bfloat16").finetune(video[0], truth[0], steps=1, lr=1e-3, progress=False)
    assert adapted.dtype == torch.bfloat16 and {p.dtype for p in adapted.model.parameters()} == {torch.bfloat16}
    assert adapted.propagate(video, truth[0]).complete


def test_several_annotated_frames():
    video, truth = squares_clip(frames=5, size=(48, 80), ids=(1, 2))
    segmenter = tiny()
    both = segmenter.finetune([video[0], video[4]], [truth[0], {1: truth[4] == 1}], steps=2, lr=1e-3, progress=False)
    one = segmenter.finetune(video[0], truth[0], steps=2, lr=1e-3, progress=False)
    assert not same(weights(both), weights(one))
    assert both.config.training["finetuned"]["frames"] == 2


def test_it_works_with_any_model_of_the_contract():
    video, truth = squares_clip(frames=4)
    segmenter = toy_segmenter()
    adapted = segmenter.finetune(video[0], truth[0], steps=3, lr=0.5, progress=False)
    assert float(adapted.model.scale) != 60.0 == float(segmenter.model.scale)
    np.testing.assert_array_equal(np.asarray(adapted.propagate(video, truth[0])), truth)


def test_the_copy_says_what_it_is_and_can_be_saved(tmp_path):
    video, truth = squares_clip(frames=3)
    adapted = tiny().finetune(video[0], truth[0], steps=1, lr=1e-3, seed=4, progress=False)
    assert adapted.config.name == "tiny-finetuned" and adapted.config.metrics == [] and adapted.config.weights is None
    assert adapted.config.training == {"seed": 3, "finetuned": {"from": "tiny", "frames": 1, "steps": 1, "lr": 1e-3, "seed": 4}}
    again = adapted.finetune(video[0], truth[0], steps=1, lr=1e-3, progress=False)
    assert again.config.name == "tiny-finetuned"
    loaded = load(adapted.save_pretrained(tmp_path / "out", dtype="float32"), device="cpu", dtype="float32")
    assert same(weights(loaded), weights(adapted))


def test_progress_and_interruption():
    video, truth = squares_clip(frames=1)
    segmenter = tiny()
    before, told = weights(segmenter), []

    def tell(done, total):
        told.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segmenter.finetune(video[0], truth[0], steps=5, lr=1e-3, progress=tell)
    assert told == [(1, 5), (2, 5)] and same(weights(segmenter), before)


def test_inside_inference_mode_too():
    video, truth = squares_clip(frames=1)
    with torch.inference_mode():
        adapted = tiny().finetune(video[0], truth[0], steps=1, lr=1e-3, progress=False)
    assert adapted.propagate(video, truth[0]).complete


# ---- altered copies


def test_altered_clips_keep_frame_and_mask_together():
    """The object is the only red thing, so its mask must follow it wherever it is put."""
    frame, mask = np.full((60, 100, 3), 120, np.uint8), np.zeros((60, 100), np.int32)
    mask[20:40, 30:60] = 1
    frame[mask == 1] = (250, 10, 10)
    grid = make_grid((60, 100), short_side=None, stride=16, padding="reflect")
    example = adapt.Example.of(grid, frame, read_mask(mask), CPU)
    rng = torch.Generator().manual_seed(0)
    shapes = set()
    for _ in range(20):
        clip = adapt.altered(example, rng)
        assert clip.frames.shape == (1, adapt.FRAMES, 3, 64, 96) and clip.masks.shape == (1, adapt.FRAMES, 1, 64, 96)
        assert clip.frames.min() >= 0 and clip.frames.max() <= 1 and set(clip.masks.unique().tolist()) <= {0.0, 1.0}
        red = clip.frames[0, :, 0] - clip.frames[0, :, 1] > 0.25
        overlap = (red & (clip.masks[0, :, 0] > 0)).sum() / (red | (clip.masks[0, :, 0] > 0)).sum()
        assert overlap > 0.9
        shapes.add(tuple(clip.masks.sum((0, 2, 3, 4)).tolist()))
    assert len(shapes) == 20


def test_a_large_frame_is_seen_through_a_window_at_the_object():
    mask = np.zeros((600, 900), np.int32)
    mask[500:560, 820:880] = 5
    grid = make_grid((600, 900), short_side=None, stride=16, padding="zeros")
    example = adapt.Example.of(grid, np.zeros((600, 900, 3), np.uint8), read_mask(mask), CPU)
    rng = torch.Generator().manual_seed(1)
    for _ in range(4):
        clip = adapt.altered(example, rng)
        height, width = clip.frames.shape[-2:]
        assert height % adapt.MULTIPLE == width % adapt.MULTIPLE == 0 and height * width <= 1.1 * adapt.WINDOW
        assert clip.masks[0, 0].any()


@pytest.mark.parametrize(
    ("frame", "mask", "options", "error", "message"),
    [
        ("f", "m", {"steps": 0}, VosZooError, r"steps is a number of training steps, 1 or more, not 0"),
        ("f", "m", {"steps": 2.5}, VosZooError, r"not 2\.5"),
        ("f", "m", {"lr": 0}, VosZooError, r"lr is a learning rate between 0 and 1, for instance .*, not 0"),
        ("f", "m", {"lr": "1e-4"}, VosZooError, r"not '1e-4'"),
        ("f", "m", {"size": 4}, VosZooError, r"size 4 is too small"),
        ("f", "empty", {}, MaskError, r"no object: every pixel is background"),
        ("f", "small", {}, MaskError, r"30x22.*60x44.*resize_mask=True"),
        ("grey", "m", {}, VideoError, r"make grey frames RGB"),
        (["f", "f"], "m", {}, MaskError, r"there are 2 frames and a ndarray for masks"),
        (["f", "f"], ["m"], {}, MaskError, r"a list of frames needs a list of as many masks.*there are 2 frames and 1 masks"),
        ([], [], {}, MaskError, r"at least one: there are 0 frames and 0 masks"),
    ],
)
def test_bad_input_is_refused_before_any_work(frame, mask, options, error, message):
    video, truth = squares_clip(frames=1)
    known = {"f": video[0], "grey": video[0][..., 0], "m": truth[0], "empty": truth[0] * 0, "small": truth[0][::2, ::2]}
    frame, mask = ([known[each] for each in given] if isinstance(given, list) else known[given] for given in (frame, mask))
    told = []
    with pytest.raises(error, match=message):
        tiny().finetune(frame, mask, progress=lambda *done: told.append(done), **options)
    assert told == []


def test_a_training_that_diverges_is_told():
    video, truth = squares_clip(frames=1)
    segmenter = toy_segmenter()
    segmenter.model.scale.data.fill_(float("nan"))
    with pytest.raises(VosZooError, match=r"fine-tuning went astray in step 0 \(the gradient is nan\): use a smaller lr than 0\.01"):
        segmenter.finetune(video[0], truth[0], steps=3, lr=0.01, progress=False)


def test_propagate_adapts_to_the_annotated_frames_first():
    video, truth = squares_clip(frames=4)
    segmenter = tiny()
    masks = {0: truth[0], 2: truth[2]}
    by_hand = segmenter.finetune([video[0], video[2]], [truth[0], truth[2]], steps=2, progress=False).propagate(video, masks=masks)
    at_once = segmenter.propagate(video, masks=masks, finetune=2, progress=False)
    np.testing.assert_array_equal(np.asarray(at_once), np.asarray(by_hand))


def test_a_video_that_is_read_once_cannot_be_adapted_to():
    video, truth = squares_clip(frames=3)
    with pytest.raises(
        VideoError, match=r"can be read only once, and finetune has to look at its annotated frames first: save it to a file"
    ):
        tiny().propagate(iter(video), truth[0], finetune=True)
