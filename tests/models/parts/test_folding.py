"""Batch norms merged for inference: the same function, and the model that was loaded stays what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from toy import squares_clip, toy_segmenter

from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.models.crvos import CRVOS, CRVOSConfig
from vos_zoo.models.parts.folding import folded
from vos_zoo.models.rvos import RVOS, RVOSConfig
from vos_zoo.segmenter import Segmenter
from vos_zoo.zoo import load


def with_statistics(model: nn.Module) -> nn.Module:
    """Batch norms as training would have left them, not identities."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return model.eval()


@pytest.fixture
def segmenter() -> Segmenter:
    torch.manual_seed(1)
    model = with_statistics(CRVOS(CRVOSConfig("resnet10t", 4, "frozen", (12, 10, 8), (14, 9, 7))))
    config = ModelConfig(name="tiny", architecture="CRVOS", model_args=model.config.__dict__, preprocess=Preprocess(short_side=48))
    return Segmenter(model, config, device="cpu", dtype="float32")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda: CRVOS(CRVOSConfig("resnet10t", 4, "frozen", (12, 10, 8), (14, 9, 7))),
        lambda: RVOS(RVOSConfig("resnet10t", backbone_stages=3, hidden=8)),
    ],
)
def test_the_same_features(make) -> None:
    model = with_statistics(make())
    twin = folded(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in twin.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules()), "the model keeps its own"
    frames = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        for ours, theirs in zip(twin.encode(frames), model.encode(frames), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_what_is_not_merged_is_shared() -> None:
    model = with_statistics(RVOS(RVOSConfig("resnet10t", backbone_stages=3, hidden=8)))
    twin = folded(model)
    assert twin.predictor.weight is model.predictor.weight
    assert all(ours.gates.weight is theirs.gates.weight for ours, theirs in zip(twin.levels, model.levels, strict=True))
    assert twin.skips[0].conv.weight is not model.skips[0].conv.weight


def test_a_model_without_batch_norms_is_itself() -> None:
    segmenter = toy_segmenter()
    assert segmenter.inference_model is segmenter.model


def test_the_segmenter_computes_with_the_copy_and_saves_the_original(segmenter: Segmenter, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in segmenter.model.state_dict().items()}
    video, truth = squares_clip(ids=(1,))
    masks = np.asarray(segmenter.propagate(video, truth[0]))
    assert segmenter.inference_model is not segmenter.model
    assert all(torch.equal(value, before[name]) for name, value in segmenter.model.state_dict().items())
    again = load(segmenter.save_pretrained(tmp_path / "saved", dtype="float32"), device="cpu", dtype="float32")
    assert set(again.model.state_dict()) == set(before)
    np.testing.assert_array_equal(np.asarray(again.propagate(video, truth[0])), masks)


def test_other_weights_are_noticed(segmenter: Segmenter) -> None:
    first = segmenter.inference_model
    assert segmenter.inference_model is first
    changed = {name: value * 1.5 if value.is_floating_point() else value for name, value in segmenter.model.state_dict().items()}
    segmenter.model.load_state_dict(changed)
    second = segmenter.inference_model
    assert second is not first
    with torch.no_grad():
        frames = torch.rand(1, 3, 48, 64)
        torch.testing.assert_close(second.encode(frames).s4, segmenter.model.encode(frames).s4, atol=1e-3, rtol=1e-3)
