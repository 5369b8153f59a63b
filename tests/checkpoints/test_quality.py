"""One word for how much work goes into masks: the size inside, what is learnt first, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from toy import squares_clip

import vos_zoo
from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.checkpoints.quality import QUALITIES, scaled
from vos_zoo.errors import VideoError, VosZooError
from vos_zoo.models.crvos import CRVOS
from vos_zoo.segmenter import Segmenter


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(3)
    model = CRVOS(CRVOS.Config("resnet10t", 3, "folded", (12, 10, 8), (14, 9, 7)))
    config = ModelConfig("tiny", "CRVOS", dataclasses.asdict(model.config), Preprocess(64), training={"seed": 3})
    Segmenter(model, config, device="cpu", dtype="float32").save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def loaded(folder, quality):
    return vos_zoo.load(folder, quality=quality, device="cpu", dtype="float32", redetection=False)


@pytest.mark.parametrize(("quality", "side"), [("fast", 40), ("normal", 64), ("best", 80)])
def test_the_size_inside_goes_with_it(folder, quality, side):
    segmenter = loaded(folder, quality)
    assert segmenter.info()["short_side"] == side and segmenter.adapts == (quality == "best")
    assert min(segmenter.grid_for((120, 200)).inner) == side
    assert min(segmenter.grid_for((120, 200), 48).inner) == 48  # a size that is named counts


def test_an_exact_size_is_scaled_in_both_directions():
    config = ModelConfig("tiny", "CRVOS", {}, Preprocess(size=(384, 672)))
    assert scaled(config, QUALITIES["best"]).preprocess.size == (480, 840)
    assert scaled(config, QUALITIES["normal"]) is config
    with pytest.raises(VosZooError, match="tiny works at the size of the video, so that it has no faster or better one"):
        scaled(config.replace(preprocess=Preprocess()), QUALITIES["fast"])


def test_a_checkpoint_that_says_what_size_is_large_enough_gets_no_larger():
    config = ModelConfig("tiny", "CRVOS", {}, Preprocess(64, largest=72))
    assert [scaled(config, QUALITIES[name]).preprocess.short_side for name in ("fast", "normal", "best")] == [40, 64, 72]


def test_the_best_learns_the_annotated_frames_first_in_every_way_through_a_video(folder, monkeypatch):
    monkeypatch.setattr("vos_zoo.train.online.pace", lambda behind_trunk, steps, lr: (2, 1e-3))
    video, truth = squares_clip(frames=3, size=(64, 96))
    segmenter, plain = loaded(folder, "best"), loaded(folder, "normal")
    by_hand = plain.finetune(video[0], truth[0], size=80, progress=False).propagate(video, truth[0], size=80, progress=False)
    found = segmenter.propagate(video, truth[0], progress=False)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(by_hand))
    np.testing.assert_array_equal(np.stack([each.mask for each in segmenter.stream(video, truth[0])]), np.asarray(found))
    session = segmenter.start(video[0], truth[0])
    np.testing.assert_array_equal(np.stack([session.current(), *map(session.step, video[1:])]), np.asarray(found))
    unlearnt = segmenter.propagate(video, truth[0], finetune=False, progress=False)
    np.testing.assert_array_equal(np.asarray(unlearnt), np.asarray(plain.propagate(video, truth[0], size=80, progress=False)))
    assert not segmenter.finetune(video[0], truth[0], steps=1, progress=False).adapts


def test_several_together_adapt_if_one_of_them_does(folder):
    both = vos_zoo.load(f"{folder}+{folder}", quality="best", device="cpu", dtype="float32")
    assert both.adapts and [member.info()["short_side"] for member in both.members] == [80, 80]


def test_what_can_not_be_is_told_before_any_work(folder):
    video, truth = squares_clip(frames=2, size=(64, 96))
    with pytest.raises(VosZooError, match="quality is 'fast', 'normal', 'best', not 'good'"):
        loaded(folder, "good")
    with pytest.raises(VosZooError, match="quality is"):
        vos_zoo.load("crvos", quality=None)  # type: ignore[arg-type]
    with pytest.raises(VosZooError, match="quality='best' trains a copy of the model, and graphs can't be trained: take runtime='torch'"):
        vos_zoo.load("crvos", quality="best", runtime="onnxruntime")
    segmenter = loaded(folder, "best")
    with pytest.raises(VosZooError, match="quality='best' adapts a copy of the model to each video: use propagate"):
        segmenter.propagate_many([video], [truth[0]])
    with pytest.raises(VideoError, match="can be read only once"):
        segmenter.propagate(iter(video), truth[0])


def test_the_command_line_takes_it(tmp_path, capsys):
    from PIL import Image

    from vos_zoo.cli import main

    video, truth = squares_clip(frames=2, size=(64, 96))
    (tmp_path / "clip").mkdir()
    for n, frame in enumerate(video):
        Image.fromarray(frame).save(tmp_path / "clip" / f"{n:05}.png")
    Image.fromarray((truth[0] > 0).astype(np.uint8) * 255).save(tmp_path / "mask.png")
    words = ["propagate", str(tmp_path / "clip"), "--mask", str(tmp_path / "mask.png"), "--out", str(tmp_path / "out"), "--save", "masks"]
    assert main([*words, "--model", "crvos-resnet18", "--quality", "fast", "--device", "cpu", "--no-progress"]) == 0
    expected = vos_zoo.load("crvos-resnet18", quality="fast", device="cpu").propagate(video, truth[0] > 0, progress=False)
    saved = np.stack([np.asarray(Image.open(path)) for path in sorted((tmp_path / "out" / "masks").glob("*.png"))])
    np.testing.assert_array_equal(saved, np.asarray(expected))
