"""CRVOS_best.tar, in its authors' format with random values: the converted folder computes what their network computes."""

from __future__ import annotations

import json
import shutil

import published
import pytest
import torch
import torch.nn.functional as F

import vos_zoo
from vos_zoo.checkpoints.weights import sha256_of
from vos_zoo.convert import crvos
from vos_zoo.errors import CheckpointError, SaveError


@pytest.fixture(scope="module")
def tensors():
    return published.crvos()


@pytest.fixture(scope="module")
def folder(tensors, tmp_path_factory):
    """From the first version of the file: under "net", saved on a GPU, by a torch that counted no batches."""
    place = tmp_path_factory.mktemp("crvos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:1")
        file = published.save({"net": published.without(tensors, "num_batches_tracked"), "epoch": 3}, place / "CRVOS_best.tar")
    yield crvos.convert(file, place / "folder")
    shutil.rmtree(place)  # pytest keeps what tests write, and this is large


@pytest.fixture(scope="module")
def segmenter(folder):
    return vos_zoo.load(folder, device="cpu", dtype="float32")


def test_the_synthetic_file_is_as_large_as_the_published_one(tensors):
    assert len(tensors) == 342
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert round(sum(x.numel() for key, x in tensors.items() if not key.endswith(statistics)) / 1e6, 2) == 26.79


def test_the_authors_function_is_computed(tensors, segmenter):
    torch.manual_seed(1)
    frames = torch.rand(2, 3, 64, 96)
    masks = (torch.rand(1, 2, 64, 96) > 0.5).float()
    theirs = published.double(tensors)
    coarse = F.avg_pool2d(masks.double(), 16)[0]
    model = segmenter.model
    with torch.no_grad():
        state = model.start(None, masks)
        for frame in frames:
            probs, state = model.step(model.encode(frame[None]), state)
            expected = published.crvos_step(theirs, frame[None].double(), coarse)
            assert expected[1].std() > 0.05 and expected[2].std() > 0.05  # neither flat nor the same everywhere
            torch.testing.assert_close(probs[0].double(), expected, atol=1e-4, rtol=0)
            coarse = F.avg_pool2d(expected[None, 1:], 16)[0]


def test_the_folder_says_where_it_came_from(folder):
    config = json.loads((folder / "config.json").read_text())
    (source,) = config["training"]["converted_from"]
    assert source["file"] == "CRVOS_best.tar" and source["sha256"] == sha256_of(folder.parent / "CRVOS_best.tar")
    assert config["name"] == "crvos-resnet50-official" and config["weights"]["dtype"] == "float32"
    assert config["licence"].startswith("None was given") and "your own use" in config["licence"]
    assert config["parameters"] == 24_742_714 and config["preprocess"] == {"short_side": None}
    card = (folder / "README.md").read_text()
    assert config["licence"] in card and source["sha256"] in card and "arxiv.org/abs/2002.03651" in card
    assert sorted(each.name for each in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_a_later_file_gives_the_same_weights_and_a_folder_that_is_taken_is_left_alone(tensors, folder, tmp_path):
    file = published.save(tensors, tmp_path / "CRVOS_best.tar", legacy=False)
    with pytest.raises(SaveError, match="exists already. Choose a folder that does not"):
        crvos.convert(file, folder)
    out = crvos.convert(file, tmp_path / "new" / "folder", dtype="float16")
    assert (out / "model.safetensors").stat().st_size * 2 == pytest.approx((folder / "model.safetensors").stat().st_size, rel=0.01)
    half, full = (vos_zoo.load(each, device="cpu", dtype="float32").model.state_dict() for each in (out, folder))
    counted = [key for key in full if key.endswith("num_batches_tracked")]
    assert len(counted) == 53 and all(full[key] == 0 and half[key] == 1234 for key in counted)
    assert all(torch.equal(half[key], full[key].half().float()) for key in full if key not in counted)


def test_a_file_that_does_not_fit_leaves_nothing(tensors, tmp_path):
    wrong = {**tensors, "vos.refine.deconv2.weight": torch.zeros(64, 2, 4, 4), "vos.refine.deconv9.bias": torch.zeros(2)}
    del wrong["vos.backbone.layer4.2.conv3.weight"]
    with pytest.raises(CheckpointError) as raised:
        crvos.convert(published.save(wrong, tmp_path / "CRVOS_best.tar"), tmp_path / "folder")
    message = str(raised.value)
    assert "CRVOS_best.tar does not fit crvos-resnet50-official; nothing was written" in message
    assert "missing from the file (1):\n    vos.backbone.layer4.2.conv3.weight" in message
    assert "unexpected in the file (1):\n    vos.refine.deconv9.bias" in message
    assert "vos.refine.deconv2.weight: [64, 2, 4, 4] in the file, [128, 2, 4, 4] in the model" in message
    assert [each.name for each in tmp_path.iterdir()] == ["CRVOS_best.tar"]
